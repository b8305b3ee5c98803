//! The way over Redis against a real server: one process per test, ended with its handle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tally_backplane::redis::Redis;
use tally_backplane::{Backplane, Incoming, Stream};
use tally_producer::{
    ChannelName, Class, Event, Heard, Notice, Outcome, Producer, RawJson, Receipt, UnixMs, Why,
};
use tally_protocol::{Body, Record};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
const GAP: Duration = Duration::from_millis(10);

struct Server {
    child: Option<Child>,
    folder: TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    fn start() -> Self {
        let mut server = Self::absent();
        // Between the choice of a port and its use somebody else may take it.
        for _ in 0..10 {
            if server.try_start() {
                return server;
            }
            server.port = free_port();
        }
        panic!("redis-server does not start");
    }

    /// A server that does not run yet.
    fn absent() -> Self {
        Self { child: None, folder: TempDir::new().unwrap(), port: free_port() }
    }

    fn try_start(&mut self) -> bool {
        self.kill();
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--requirepass", "secret", "--unixsocket", "redis.sock", "--logfile", "log"]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("these tests need redis-server ({error}); install it with: apt-get install redis-server")
        });
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            if answers(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _has_ended = child.kill();
            let _status = child.wait();
        }
    }

    fn url(&self) -> String {
        format!("redis://:secret@127.0.0.1:{}", self.port)
    }

    fn socket(&self) -> String {
        format!("redis+unix://{}", Path::new(self.folder.path()).join("redis.sock").display())
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Any answer will do: an error is one as well.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

fn channel() -> ChannelName {
    "job:42".parse().unwrap()
}

fn publish(producer: &Producer, n: u64) -> Receipt {
    let data = RawJson::string(&n.to_string());
    let event = Event { kind: "line".parse().unwrap(), class: Class::Bulk, at: UnixMs::new(n), data };
    producer.publish(&channel(), event).unwrap()
}

async fn outcome(receipt: &Receipt) -> Outcome {
    timeout(PATIENCE, receipt.outcome()).await.expect("an outcome in time")
}

/// 100 events/s, until one of them came to the outcome looked for.
async fn publish_until(producer: &Producer, receipts: &mut Vec<Receipt>, is_it: fn(Outcome) -> bool) {
    let began = Instant::now();
    while !receipts.iter().filter_map(Receipt::peek).any(is_it) {
        assert!(began.elapsed() < PATIENCE);
        receipts.push(publish(producer, receipts.len() as u64 + 1));
        sleep(GAP).await;
    }
}

async fn next_record(stream: &mut Stream) -> Record {
    loop {
        match timeout(PATIENCE, stream.next()).await.expect("a record in time").unwrap() {
            Incoming::Message { payload, .. } => return Record::decode(&payload).unwrap(),
            Incoming::Up => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Without a listener payloads are withheld; with one they come, and every number is where it belongs.
#[tokio::test]
async fn payloads_are_withheld_until_somebody_listens() {
    let server = Server::start();
    let producer = Producer::connect(&server.url()).unwrap();
    let (node, mut stream) = Redis::new(&server.url()).unwrap().connect();
    let mut receipts = Vec::new();
    let withheld = |outcome| matches!(outcome, Outcome::Counted { why: Why::Unheard, heard: Heard::No, .. });
    publish_until(&producer, &mut receipts, withheld).await;
    node.subscribe(vec![channel()]).await.unwrap();
    let listened = |outcome| matches!(outcome, Outcome::Full { heard: Heard::Yes, .. });
    publish_until(&producer, &mut receipts, listened).await;
    let stats = producer.close(PATIENCE).await.stats;
    assert_eq!(stats.full + stats.unheard, receipts.len() as u64);
    // What the listener gets goes on from wherever it began, without a gap, and ends in full.
    let first = next_record(&mut stream).await;
    let mut head = first.to.get();
    let mut last = first;
    while head < receipts.len() as u64 {
        last = next_record(&mut stream).await;
        assert_eq!(last.from.get(), head + 1);
        head = last.to.get();
    }
    let Body::Events(events) = &last.body else { panic!("{last:?}") };
    assert_eq!(events.last().unwrap().data.as_str(), format!("\"{head}\""));
    let snapshot = node.snapshot(channel()).await.unwrap().unwrap();
    assert_eq!((snapshot.seq.get(), snapshot.totals.get("line")), (head, head));
}

#[tokio::test]
async fn a_server_that_comes_later_gets_everything() {
    let mut server = Server::absent();
    let producer = Producer::connect(&server.url()).unwrap();
    let mut notices = producer.notices();
    let receipts: Vec<_> = (1..=3).map(|n| publish(&producer, n)).collect();
    let notice = timeout(PATIENCE, notices.recv()).await.unwrap().unwrap();
    assert!(matches!(notice, Notice::Away { .. }), "{notice:?}");
    assert!(!notice.to_string().contains("secret"), "{notice}");
    assert!(server.try_start(), "the port is still free");
    for (n, receipt) in (1..).zip(&receipts) {
        let Outcome::Full { seq, .. } = outcome(receipt).await else { panic!("{receipt:?}") };
        assert_eq!(seq.get(), n);
    }
}

#[tokio::test]
async fn a_socket_and_a_password_given_apart() {
    let server = Server::start();
    let wrong = Producer::builder().redis_password("public").connect(&server.socket()).unwrap();
    let mut notices = wrong.notices();
    let never = publish(&wrong, 1);
    let notice = timeout(PATIENCE, notices.recv()).await.unwrap().unwrap().to_string();
    assert!(notice.contains("refuses the user or the password"), "{notice}");
    assert!(!notice.contains("public"), "{notice}");
    wrong.close(Duration::ZERO).await;
    assert!(matches!(outcome(&never).await, Outcome::Refused { .. } | Outcome::Unknown { .. }));
    let builder = Producer::builder().redis_password("secret").redis_prefix("other");
    let producer = builder.connect(&server.socket()).unwrap();
    assert!(matches!(outcome(&publish(&producer, 1)).await, Outcome::Full { .. }));
    let other = Redis::new(&server.url()).unwrap().with_prefix("other").unwrap().connect_publisher();
    assert_eq!(other.snapshot(channel()).await.unwrap().unwrap().seq.get(), 1);
    let own = Redis::new(&server.url()).unwrap().connect_publisher();
    assert!(own.snapshot(channel()).await.unwrap().is_none());
}
