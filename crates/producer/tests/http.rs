//! The HTTP way against a scripted server on a real socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tally_producer::{Class, Event, Notice, Outcome, Producer, RawJson, Receipt, UnixMs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(30);

/// What the server does with a request; after the last step it publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Publish,
    /// Publishes, and closes the connection instead of an answer.
    PublishAndDrop,
    /// Closes the connection after the request.
    Drop,
    /// Publishes, and breaks off in the middle of the answer.
    PublishAndBreakOff,
    Answer(u16, &'static str, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    path: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Seen {
    fn batch(&self) -> (String, u64) {
        (self.headers["tally-producer"].clone(), self.headers["tally-batch"].parse().unwrap())
    }
}

#[derive(Default)]
struct Server {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
    /// Per producer, batch and path: what was answered first. And the head per path.
    results: Mutex<HashMap<(String, u64), String>>,
    head: Mutex<u64>,
}

impl Server {
    async fn start(steps: &[Step]) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (Self::serve(listener, steps), url)
    }

    fn serve(listener: TcpListener, steps: &[Step]) -> Arc<Self> {
        let server = Arc::new(Self { steps: Mutex::new(steps.to_vec().into()), ..Self::default() });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *accepting.connections.lock().unwrap() += 1;
                tokio::spawn(Arc::clone(&accepting).connection(stream));
            }
        });
        server
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            let step = self.steps.lock().unwrap().pop_front().unwrap_or(Step::Publish);
            self.seen.lock().unwrap().push(request.clone());
            let answer = match step {
                Step::Publish => respond(200, "", &self.publish(&request)),
                Step::PublishAndDrop => {
                    self.publish(&request);
                    return;
                }
                Step::PublishAndBreakOff => {
                    let whole = respond(200, "", &self.publish(&request));
                    stream.write_all(&whole.as_bytes()[..whole.len() - 5]).await.unwrap();
                    return;
                }
                Step::Drop => return,
                Step::Answer(status, headers, body) => respond(status, headers, body),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    fn publish(&self, request: &Seen) -> String {
        let mut results = self.results.lock().unwrap();
        let result = results.entry(request.batch()).or_insert_with(|| {
            let mut head = self.head.lock().unwrap();
            let from = *head + 1;
            *head += request.body.lines().count() as u64;
            format!(r#"{{"epoch":"e1","from":{from},"to":{head},"heard":"no"}}"#)
        });
        result.clone()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        // The first byte of a TLS handshake is no method.
        if stream.read_buf(&mut bytes).await.ok()? == 0 || bytes[0] == 0x16 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    assert_eq!(first.next(), Some("POST"));
    let path = first.next()?.to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { path, headers, body: String::from_utf8(bytes[head_end..].to_vec()).unwrap() })
}

fn respond(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn event(kind: &str, class: Class, data: &'static str) -> Event {
    let data = RawJson::new(&Bytes::from_static(data.as_bytes())).unwrap();
    Event { kind: kind.parse().unwrap(), class, at: UnixMs::new(5), data }
}

fn publish(producer: &Producer) -> Receipt {
    producer.publish(&"job:42".parse().unwrap(), event("line", Class::Bulk, "1")).unwrap()
}

async fn outcome(receipt: &Receipt) -> Outcome {
    tokio::time::timeout(DEADLINE, receipt.outcome()).await.expect("an outcome in time")
}

async fn full_seq(receipt: &Receipt) -> u64 {
    match outcome(receipt).await {
        Outcome::Full { seq, .. } => seq.get(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_batch_is_one_post_with_its_data_verbatim() {
    let (server, url) = Server::start(&[]).await;
    let producer = Producer::builder()
        .name("test")
        .publish_key("secret")
        .batch_age(Duration::from_secs(10))
        .connect(&format!("{url}/behind/"))
        .unwrap();
    let channel = "$a.b:c@~=+,-".parse().unwrap();
    let first = producer.publish(&channel, event("ok", Class::Bulk, "{\"a\" : 1.0e2}")).unwrap();
    let second = producer.publish(&channel, event("done", Class::State, "[]")).unwrap();
    producer.flush().await;
    assert_eq!((full_seq(&first).await, full_seq(&second).await), (1, 2));
    assert!(matches!(outcome(&first).await, Outcome::Full { heard: tally_producer::Heard::No, .. }));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/behind/v1/channels/$a.b:c@~=+,-/events");
    assert_eq!(
        seen[0].body,
        "{\"kind\":\"ok\",\"class\":\"bulk\",\"at\":5,\"data\":{\"a\" : 1.0e2}}\n\
         {\"kind\":\"done\",\"class\":\"state\",\"at\":5,\"data\":[]}\n"
    );
    assert_eq!(seen[0].headers["authorization"], "Bearer secret");
    assert_eq!(seen[0].headers["content-type"], "application/x-ndjson");
    let (id, number) = seen[0].batch();
    assert!(id.starts_with("test-") && id.len() == "test-".len() + 16, "{id}");
    assert_eq!(number, 1);
}

#[tokio::test]
async fn a_connection_is_kept_and_numbers_go_on() {
    let (server, url) = Server::start(&[]).await;
    let producer = Producer::connect(&url).unwrap();
    for n in 1..=5 {
        assert_eq!(full_seq(&publish(&producer)).await, n);
    }
    let seen = server.seen();
    let (id, _) = seen[0].batch();
    let batches: Vec<_> = seen.iter().map(Seen::batch).collect();
    assert_eq!(batches, (1..=5).map(|n| (id.clone(), n)).collect::<Vec<_>>());
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn whatever_leaves_a_batch_without_a_result_is_followed_by_the_same_batch() {
    let away = Step::Answer(503, "retry-after: 1\r\n", r#"{"error":{"code":"away","message":"later"}}"#);
    let unknown = Step::Answer(504, "", r#"{"error":{"code":"unknown","message":"perhaps"}}"#);
    let foreign = Step::Answer(502, "", "<html>");
    let strange = Step::Answer(200, "", "{}");
    let redo = [away, unknown, foreign, strange, Step::Drop, Step::PublishAndDrop, Step::PublishAndBreakOff];
    for step in redo {
        let (server, url) = Server::start(&[Step::Publish, step.clone()]).await;
        let producer = Producer::connect(&url).unwrap();
        assert_eq!(full_seq(&publish(&producer)).await, 1, "{step:?}");
        assert_eq!(full_seq(&publish(&producer)).await, 2, "{step:?}");
        assert_eq!(full_seq(&publish(&producer)).await, 3, "{step:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), 4, "{step:?}");
        assert_eq!((seen[1].batch(), &seen[1].body), (seen[2].batch(), &seen[2].body), "{step:?}");
        assert_eq!(seen.iter().map(|seen| seen.batch().1).collect::<Vec<_>>(), [1, 2, 2, 3], "{step:?}");
    }
}

/// What a refusal means depends on the attempt before it: was it surely not published, or perhaps?
#[tokio::test]
async fn a_refusal_settles_nothing_after_an_attempt_in_doubt() {
    let refusal = Step::Answer(403, "", r#"{"error":{"code":"forbidden","message":"no"}}"#);
    let in_doubt = [
        Step::Answer(504, "", ""),
        Step::Answer(502, "", ""),
        Step::Answer(200, "", "{}"),
        Step::Drop,
        Step::PublishAndDrop,
        Step::PublishAndBreakOff,
    ];
    for step in in_doubt {
        let (_server, url) = Server::start(&[step.clone(), refusal.clone()]).await;
        let producer = Producer::connect(&url).unwrap();
        assert!(matches!(outcome(&publish(&producer)).await, Outcome::Unknown { .. }), "{step:?}");
    }
    for status in [503, 429] {
        let (_server, url) = Server::start(&[Step::Answer(status, "", ""), refusal.clone()]).await;
        let producer = Producer::connect(&url).unwrap();
        assert!(matches!(outcome(&publish(&producer)).await, Outcome::Refused { .. }), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_the_next_batch_takes_the_number() {
    let refusal = r#"{"error":{"code":"body_too_large","message":"send it as several"}}"#;
    for status in [400, 401, 403, 413] {
        let (server, url) = Server::start(&[Step::Answer(status, "", refusal)]).await;
        let producer = Producer::connect(&url).unwrap();
        let mut notices = producer.notices();
        let refused = outcome(&publish(&producer)).await;
        let (code, message) = ("body_too_large".into(), "send it as several".into());
        assert_eq!(refused, Outcome::Refused { code, message });
        assert!(matches!(notices.recv().await.unwrap(), Notice::Refused { events: 1, .. }));
        assert_eq!(full_seq(&publish(&producer)).await, 1);
        let seen = server.seen();
        assert_eq!(seen[0].batch(), seen[1].batch());
    }
}

#[tokio::test]
async fn a_number_that_is_refused_is_unknown_and_begins_anew() {
    let conflict = r#"{"error":{"code":"batch_number","message":"expected 1","expected":1}}"#;
    let (server, url) = Server::start(&[Step::Publish, Step::Answer(409, "", conflict)]).await;
    let producer = Producer::connect(&url).unwrap();
    assert_eq!(full_seq(&publish(&producer)).await, 1);
    assert_eq!(outcome(&publish(&producer)).await, Outcome::Unknown { reason: "expected 1".into() });
    assert_eq!(full_seq(&publish(&producer)).await, 2);
    let batches: Vec<_> = server.seen().iter().map(Seen::batch).collect();
    assert_eq!(batches[1], (batches[0].0.clone(), 2));
    assert_ne!(batches[2].0, batches[0].0);
    assert_eq!(batches[2].1, 1);
}

#[tokio::test]
async fn a_server_that_comes_later_gets_everything() {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let producer = Producer::connect(&format!("http://{address}")).unwrap();
    let mut notices = producer.notices();
    let receipts: Vec<_> = (0..3).map(|_| publish(&producer)).collect();
    let notice = tokio::time::timeout(DEADLINE, notices.recv()).await.unwrap().unwrap();
    assert!(matches!(notice, Notice::Away { .. }), "{notice:?}");
    let remaining = producer.flush_within(Duration::ZERO).await;
    assert_eq!(remaining.unsent + remaining.in_doubt, 3);
    let server = Server::serve(TcpListener::bind(address).await.unwrap(), &[]);
    for (n, receipt) in (1..).zip(&receipts) {
        assert_eq!(full_seq(receipt).await, n);
    }
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(notices.recv().await.unwrap(), Notice::Back { .. }));
}

#[tokio::test]
async fn counts_are_posted_when_the_buffer_is_full() {
    let (server, url) = Server::start(&[]).await;
    let producer = Producer::builder().buffer_bytes_max(64 * 1024).batch_events_max(1).connect(&url).unwrap();
    let large = RawJson::string(&"x".repeat(60_000));
    let channel = "job:42".parse().unwrap();
    let full = producer.publish(&channel, Event { data: large, ..event("line", Class::Bulk, "1") }).unwrap();
    let large = RawJson::string(&"x".repeat(10_000));
    let state = Event { data: large, ..event("state", Class::State, "1") };
    let counted = producer.publish(&channel, state).unwrap();
    assert_eq!(full_seq(&full).await, 1);
    assert!(matches!(outcome(&counted).await, Outcome::Counted { carried: true, .. }));
    let seen = server.seen();
    assert_eq!(seen[1].path, "/v1/channels/job:42/counts");
    assert_eq!(seen[1].headers["content-type"], "application/json");
    assert!(
        seen[1].body.starts_with(
            r#"{"counts":{"state":1},"why":"upstream","state":{"kind":"state","at":5,"data":"xxx"#
        )
    );
}

/// Nothing of a request leaves before the handshake, so the server that speaks no TLS sees none.
#[tokio::test]
async fn tls_that_fails_is_surely_not_published() {
    let (server, url) = Server::start(&[]).await;
    // A machine without certificates cannot use `https` at all.
    let Ok(producer) = Producer::connect(&url.replace("http:", "https:")) else { return };
    let mut notices = producer.notices();
    let receipt = publish(&producer);
    let notice = tokio::time::timeout(DEADLINE, notices.recv()).await.unwrap().unwrap();
    assert!(matches!(notice, Notice::Away { .. }), "{notice:?}");
    producer.close(Duration::ZERO).await;
    let never_sent = |outcome| matches!(outcome, Outcome::Refused { .. } | Outcome::Unknown { .. });
    assert!(never_sent(outcome(&receipt).await));
    assert!(server.seen().is_empty());
}
