//! The floor between a real Redis and real websocket clients: every byte, in order, in both modes.

use super::{Args, Floor, Write};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use tally_protocol::{
    Attach, ChannelName, ClientFrame, Position, ServerFrame, SubscribeChannel, SubscribeRequest,
};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

struct Redis {
    process: Child,
    addr: SocketAddr,
}

impl Redis {
    fn start() -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = addr.port().to_string();
        let mut process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir", "/tmp"])
            .args(["--client-output-buffer-limit", "pubsub 0 0 0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Ready to accept connections")), "port {port}");
        Self { process, addr }
    }

    /// Publishes all of these and reads how many received each.
    fn publish(&self, messages: &[(&str, Vec<u8>)]) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        for chunk in messages.chunks(64) {
            let mut commands = Vec::new();
            for (channel, payload) in chunk {
                let name = format!("tally:{{{channel}}}");
                write!(
                    commands,
                    "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{name}\r\n${}\r\n",
                    name.len(),
                    payload.len()
                )
                .unwrap();
                commands.extend_from_slice(payload);
                commands.extend_from_slice(b"\r\n");
            }
            stream.write_all(&commands).unwrap();
            let mut answers = vec![0; 4 * chunk.len()];
            stream.read_exact(&mut answers).unwrap();
            assert_eq!(answers, b":1\r\n".repeat(chunk.len()), "one subscription per channel");
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Running {
    addr: SocketAddr,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start(redis: &Redis, write: Write, behind_max_mib: u64) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let args = Args { listen, redis: redis.addr, prefix: "tally".into(), write, behind_max_mib };
        let mut floor = Floor::new(&args).unwrap();
        let addr = floor.listener.local_addr().unwrap();
        Self { addr, thread: std::thread::spawn(move || floor.run()) }
    }

    /// Ends it the way it ends: its Redis goes away.
    fn end(self, redis: Redis) {
        drop(redis);
        let error = self.thread.join().unwrap().unwrap_err();
        assert!(format!("{error:#}").contains("Redis"), "{error:#}");
    }

    /// A client that listens; a receive buffer of so many bytes where one is named.
    fn listen(&self, channels: &[&str], buffer_bytes: Option<usize>) -> WebSocket<TcpStream> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        if let Some(bytes) = buffer_bytes {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        socket.connect(&self.addr.into()).unwrap();
        let mut request = format!("ws://{}/v1/ws", self.addr).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "tally.v1".parse().unwrap());
        let (mut client, _) = tungstenite::client::client(request, TcpStream::from(socket)).unwrap();
        let names = channels.iter().map(|channel| ChannelName::new(channel).unwrap());
        let channels: Vec<_> = names.map(|name| SubscribeChannel::new(&name)).collect();
        let asked = channels.len();
        let frame = ClientFrame::Subscribe(SubscribeRequest { id: 7, channels });
        client.send(Message::text(frame.encode())).unwrap();
        let mut next = || ServerFrame::decode(client.read().unwrap().to_text().unwrap()).unwrap();
        assert!(matches!(next(), ServerFrame::Hello(hello) if hello.protocol == "tally.v1"));
        for _ in 0..asked {
            let ServerFrame::Subscribed(subscribed) = next() else { panic!("not subscribed") };
            assert_eq!((subscribed.id, subscribed.attach), (7, Attach::At(Position::default())));
        }
        client
    }
}

/// `n` messages for these channels in turn: the channel, a number, and bytes of lengths that need every header.
fn messages<'a>(channels: &[&'a str], n: usize) -> Vec<(&'a str, Vec<u8>)> {
    let message = |i: usize| {
        let channel = channels[i % channels.len()];
        let len = if i.is_multiple_of(97) { 70_000 } else { (i * 37) % 4_000 };
        let mut payload = format!("{channel} {i} ").into_bytes();
        payload.extend((0..len).map(|at| (at * 31 + i) as u8));
        (channel, payload)
    };
    (0..n).map(message).collect()
}

/// Reads as many as were sent to its channels and holds them to what was sent, channel by channel.
fn expect(client: &mut WebSocket<TcpStream>, channels: &[&str], sent: &[(&str, Vec<u8>)]) {
    let mut wanted: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (channel, payload) in sent.iter().filter(|(channel, _)| channels.contains(channel)) {
        wanted.entry(channel).or_default().push(payload);
    }
    let n: usize = wanted.values().map(Vec::len).sum();
    let mut got: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..n {
        let Message::Binary(bytes) = client.read().unwrap() else { panic!("a frame that is not binary") };
        let channel = *channels.iter().find(|channel| bytes.starts_with(channel.as_bytes())).unwrap();
        let at = got.entry(channel).or_default();
        assert!(bytes == wanted[channel][*at], "message {at} of {channel} has other bytes");
        *at += 1;
    }
}

#[test]
fn every_client_gets_every_byte_in_order() {
    for write in [Write::Each, Write::Joined] {
        let redis = Redis::start();
        let floor = Running::start(&redis, write, 8);
        let (both, a, b) = (["a:1", "b"], ["a:1"], ["b"]);
        let mut clients = [(&both[..], 3), (&a[..], 2), (&b[..], 2)].map(|(channels, n)| {
            let sockets: Vec<_> = (0..n).map(|_| floor.listen(channels, None)).collect();
            (channels, sockets)
        });
        let mut slow = [floor.listen(&both, Some(4_096)), floor.listen(&a, Some(4_096))];
        // About 8 MB in all, 4 for each channel: more than the kernel takes for one that does not read.
        let sent = messages(&both, 3_000);
        std::thread::scope(|scope| {
            for (channels, sockets) in &mut clients {
                for client in sockets {
                    scope.spawn(|| expect(client, channels, &sent));
                }
            }
            redis.publish(&sent);
        });
        // Who comes now, while the slow ones still lack most of it, gets what is published from now on.
        let mut late = floor.listen(&both, None);
        // The others have all of it before the slow ones read anything.
        expect(&mut slow[0], &both, &sent);
        expect(&mut slow[1], &a, &sent);
        // Behind is not broken: what comes now comes at once, also to one who pings.
        slow[0].send(Message::Ping("alive".into())).unwrap();
        assert_eq!(slow[0].read().unwrap(), Message::Pong("alive".into()));
        let more = messages(&both, 2);
        redis.publish(&more);
        expect(&mut slow[0], &both, &more);
        expect(&mut late, &both, &more);
        floor.end(redis);
    }
}

#[test]
fn one_who_lacks_too_much_is_cut_off_and_nobody_else() {
    for write in [Write::Each, Write::Joined] {
        let redis = Redis::start();
        let floor = Running::start(&redis, write, 1);
        let mut stalled = floor.listen(&["a"], Some(4_096));
        let mut healthy = floor.listen(&["a"], None);
        let sent = messages(&["a"], 6_000);
        // As fast as the healthy one reads: it must not be the one that is cut off.
        for some in sent.chunks(50) {
            redis.publish(some);
            expect(&mut healthy, &["a"], some);
        }
        let mut got = 0;
        let error = loop {
            match stalled.read() {
                Ok(message) => {
                    assert!(message.into_data() == sent[got].1, "message {got} has other bytes");
                    got += 1;
                }
                Err(error) => break error,
            }
        };
        assert!(got < sent.len(), "{error}");
        floor.end(redis);
    }
}

#[test]
fn who_speaks_nonsense_is_cut_off_and_nobody_else() {
    let redis = Redis::start();
    let floor = Running::start(&redis, Write::Joined, 8);
    let mut healthy = floor.listen(&["a"], None);
    let mut gone = floor.listen(&["a"], None);
    gone.send(Message::binary(vec![1, 2, 3])).unwrap();
    assert!(gone.read().is_err());
    let mut nonsense = TcpStream::connect(floor.addr).unwrap();
    nonsense.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").unwrap();
    assert_eq!(nonsense.read(&mut [0; 16]).unwrap_or(0), 0);
    let sent = messages(&["a"], 3);
    redis.publish(&sent);
    expect(&mut healthy, &["a"], &sent);
    floor.end(redis);
}

#[test]
fn without_redis_it_says_so() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = Args {
        listen: "127.0.0.1:0".parse().unwrap(),
        redis: addr,
        prefix: "tally".into(),
        write: Write::Each,
        behind_max_mib: 1,
    };
    let error = Floor::new(&args).unwrap_err();
    assert!(format!("{error:#}").contains("is it running?"), "{error:#}");
}
