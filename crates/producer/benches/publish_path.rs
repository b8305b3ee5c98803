//! What publishing over Redis costs: CPU of the server and of this process, bytes, and events per second.
//!
//! `taskset -c 1 cargo bench -p tally-producer --bench publish_path -- [calls|sdk|unheard]…`, where `CORE` (0) is the
//! core for redis-server. `calls`: publish calls of one size, sixteen channels at a time. `sdk`: the producer with its
//! defaults, as fast as it takes events. `unheard`: 1,000 channels of which 10 are heard. docs/performance.md has the
//! figures.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends where it fails, and prints"
)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_backplane::redis::{Redis, RedisNode};
use tally_backplane::{Backplane, Content, ProducerBatch, Publish};
use tally_producer::Producer;
use tally_protocol::{Batch, ChannelName, Class, Epoch, Event, Kind, ProducerId, RawJson, UnixMs};
use tokio::task::JoinSet;

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let core = std::env::var("CORE").unwrap_or_else(|_| "0".into());
        let mut command = Command::new("taskset");
        command.args(["-c", &core, "redis-server", "--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]).stdout(Stdio::null());
        let server = Self { child: command.spawn().unwrap(), port };
        while server.redis().check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    fn redis(&self) -> Redis {
        Redis::new(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A field of `INFO`.
    fn info(&self, name: &str) -> f64 {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string(), "INFO", "all"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap().trim().parse().unwrap()
    }
}

/// What has been used so far.
struct Used {
    server_us: f64,
    own_us: f64,
    bytes_in: f64,
    bytes_out: f64,
    at: Instant,
}

impl Used {
    fn of(server: &Server) -> Self {
        let server_us =
            (server.info("used_cpu_sys_main_thread") + server.info("used_cpu_user_main_thread")) * 1e6;
        let (bytes_in, bytes_out) =
            (server.info("total_net_input_bytes"), server.info("total_net_output_bytes"));
        Self { server_us, own_us: own_cpu_us(), bytes_in, bytes_out, at: Instant::now() }
    }

    fn print(&self, server: &Server, name: &str, events: u64) {
        let took = self.at.elapsed();
        let own_us = own_cpu_us() - self.own_us;
        let now = Self::of(server);
        let per = |total: f64| total / events as f64;
        println!(
            "{name:<56} {:>6.2} us Redis  {:>6.2} us publisher  {:>8.0} events/s  {:>6.0} B in {:>5.0} B out per event",
            per(now.server_us - self.server_us),
            per(own_us),
            events as f64 / took.as_secs_f64(),
            per(now.bytes_in - self.bytes_in),
            per(now.bytes_out - self.bytes_out),
        );
    }
}

/// CPU of this process, in steps of 10 ms.
fn own_cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 * 10_000.0
}

fn channel(n: usize) -> ChannelName {
    ChannelName::new(&format!("job:{n}")).unwrap()
}

fn event(n: u64, data: &RawJson) -> Event {
    let kind = Kind::new(["ok", "changed"][n as usize % 2]).unwrap();
    Event { kind, class: Class::Bulk, at: UnixMs::new(1_790_000_000_000), data: data.clone() }
}

/// 2 KB of JSON.
fn data() -> RawJson {
    RawJson::string(&"x".repeat(2_046))
}

/// Calls of one kind.
#[derive(Clone, Copy)]
struct Calls {
    batch_len: u64,
    is_repeatable: bool,
    /// Channels that have a call on its way.
    at_a_time: usize,
}

async fn run_calls(node: &Arc<RedisNode>, kind: Calls, calls: u64, round: &str) {
    let Calls { batch_len, is_repeatable, at_a_time } = kind;
    let mut producers = JoinSet::new();
    for n in 0..at_a_time {
        let (node, data) = (node.clone(), data());
        let producer = ProducerId::new(&format!("tally-0123456789abcde{round}")).unwrap();
        producers.spawn(async move {
            for number in 1..=calls / at_a_time as u64 {
                let events = (0..batch_len).map(|n| event(number + n, &data)).collect();
                let batch = is_repeatable.then(|| ProducerBatch { producer: producer.clone(), number });
                let content = Content::Events(Batch::new(events).unwrap());
                let epoch = Epoch::new(&format!("{number:016x}")).unwrap();
                node.publish(Publish { channel: channel(n), content, batch, epoch }).await.unwrap();
            }
        });
    }
    producers.join_all().await;
}

async fn calls() {
    for (batch_len, is_repeatable, listeners, at_a_time) in [
        (1, true, 0, 1),
        (1, false, 0, 16),
        (1, true, 0, 16),
        (1, true, 1, 16),
        (1, true, 0, 64),
        (16, false, 0, 16),
        (16, true, 0, 16),
        (16, true, 1, 16),
        (64, true, 0, 16),
    ] {
        let server = Server::start().await;
        let node = Arc::new(server.redis().connect_publisher());
        let _ears = if listeners > 0 { Some(listen(&server, 0..at_a_time).await) } else { None };
        let kind = Calls { batch_len, is_repeatable, at_a_time };
        let calls = 160_000 / (batch_len + 3) / if at_a_time == 1 { 4 } else { 1 };
        run_calls(&node, kind, 1_600, "0").await;
        let used = Used::of(&server);
        run_calls(&node, kind, calls, "1").await;
        let name = if is_repeatable { "repeatable" } else { "anonymous" };
        let name = format!("batches of {batch_len}, {at_a_time} at a time, {name}, {listeners} listeners");
        used.print(&server, &name, calls / at_a_time as u64 * at_a_time as u64 * batch_len);
    }
}

/// A process of its own that reads what is published: its CPU is not this one's.
async fn listen(server: &Server, channels: std::ops::Range<usize>) -> Listener {
    let names: Vec<String> = channels.map(|n| format!("tally:{{{}}}", channel(n))).collect();
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port.to_string(), "SUBSCRIBE"]).args(&names).stdout(Stdio::null());
    let listener = Listener(command.spawn().unwrap());
    while server.info("pubsub_channels") < names.len() as f64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    listener
}

struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes as fast as the buffer takes events in full, and waits for all outcomes.
async fn run_sdk(producer: &Producer, events: u64, channels: usize) {
    let data = data();
    let names: Vec<_> = (0..channels).map(channel).collect();
    for n in 0..events {
        // Beyond, the producer would count events instead of sending them.
        while producer.stats().buffer_bytes > tally_producer::limits::BUFFER_BYTES_MAX - 64 * 1024 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(producer.publish(&names[n as usize % channels], event(n, &data)).unwrap());
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while producer.stats().waiting > 0 {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

async fn sdk() {
    for channels in [1, 16, 100, 1_000] {
        let server = Server::start().await;
        let producer = Producer::builder().listener_aware(false).connect(&server.url()).unwrap();
        run_sdk(&producer, 20_000, channels).await;
        let used = Used::of(&server);
        run_sdk(&producer, 400_000, channels).await;
        used.print(&server, &format!("SDK, defaults, {channels} channels"), 400_000);
        let stats = producer.stats();
        assert_eq!((stats.full, stats.accepted), (420_000, 420_000), "{stats:?}");
    }
}

/// 1,000 channels with ten events per second each; all heard, none heard, and 10 heard.
async fn unheard() {
    for heard in [1_000, 10, 0] {
        let server = Server::start().await;
        let _ears = if heard > 0 { Some(listen(&server, 0..heard).await) } else { None };
        let producer = Producer::connect(&server.url()).unwrap();
        run_paced(&producer, 3).await;
        let used = Used::of(&server);
        let before = producer.stats();
        run_paced(&producer, 5).await;
        let after = producer.stats();
        used.print(&server, &format!("1,000 channels, 20 events/s each, {heard} heard"), 100_000);
        println!("  full {}, counted {}", after.full - before.full, after.counted - before.counted);
    }
}

async fn run_paced(producer: &Producer, seconds: u64) {
    let data = data();
    let names: Vec<_> = (0..1_000).map(channel).collect();
    let mut steps = tokio::time::interval(Duration::from_millis(5));
    let mut n = 0;
    for _ in 0..seconds * 200 {
        steps.tick().await;
        for _ in 0..100 {
            drop(producer.publish(&names[n as usize % names.len()], event(n, &data)).unwrap());
            n += 1;
        }
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("calls") {
            calls().await;
        }
        if is_wanted("sdk") {
            sdk().await;
        }
        if is_wanted("unheard") {
            unheard().await;
        }
    });
}
