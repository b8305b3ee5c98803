//! A gateway in this process, and clients that know no more than docs/wire.md.

use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::{Backplane, Embedded, Stream};
use tally_gateway::{Config, Gateway, Running};
use tally_protocol::{Attach, Hello, Ledger, ServerFrame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Generous: only a test that hangs reaches it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A gateway on free ports with two shards.
pub(crate) async fn start(edit: impl FnOnce(&mut Config)) -> Running {
    start_on(&Embedded::default(), edit).await
}

pub(crate) async fn start_on(broker: &Embedded, edit: impl FnOnce(&mut Config)) -> Running {
    let (node, stream) = broker.node();
    start_with(Arc::new(node), stream, edit).await
}

pub(crate) async fn start_with(
    backplane: Arc<dyn Backplane>,
    stream: Stream,
    edit: impl FnOnce(&mut Config),
) -> Running {
    let mut config = Config { shards: 2, ..Config::default() };
    config.listen.set_port(0);
    config.admin.set_port(0);
    edit(&mut config);
    Gateway::start(config, backplane, stream).await.unwrap()
}

/// A websocket client.
pub(crate) struct Client {
    pub(crate) ws: WebSocketStream<TcpStream>,
    pub(crate) hello: Hello,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    /// A client whose kernel takes little before it reads.
    pub(crate) async fn connect_narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        Self::over(socket.connect(addr).await.unwrap()).await
    }

    pub(crate) async fn over(socket: TcpStream) -> Self {
        let addr = socket.peer_addr().unwrap();
        let mut request = format!("ws://{addr}/v1/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("tally.v1"));
        let (ws, _) = client_async(request, socket).await.unwrap();
        let mut client = Self { ws, hello: no_hello() };
        let ServerFrame::Hello(hello) = client.next().await else { panic!("no hello") };
        client.hello = hello;
        client
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.ws.send(Message::text(text)).await.unwrap();
    }

    /// The next frame that is not a heartbeat.
    pub(crate) async fn next(&mut self) -> ServerFrame {
        loop {
            match self.next_message().await {
                Ok(Message::Text(text)) => match ServerFrame::decode(&text).unwrap() {
                    ServerFrame::Heartbeat(_) => {}
                    frame => return frame,
                },
                Ok(_) => {}
                Err(error) => panic!("the connection ended: {error}"),
            }
        }
    }

    pub(crate) async fn next_message(&mut self) -> Result<Message, WsError> {
        match timeout(LONG, self.ws.next()).await.expect("nothing comes") {
            Some(message) => message,
            None => Err(WsError::ConnectionClosed),
        }
    }

    /// The code of the goodbye, and that of the close frame behind it.
    pub(crate) async fn read_goodbye(&mut self) -> (String, u16) {
        let mut goodbye = String::new();
        loop {
            match self.next_message().await {
                Ok(Message::Text(text)) => {
                    if let ServerFrame::Goodbye(frame) = ServerFrame::decode(&text).unwrap() {
                        assert!(frame.retry_after_ms[0] <= frame.retry_after_ms[1]);
                        goodbye = frame.code;
                    }
                }
                Ok(Message::Close(Some(close))) => return (goodbye, close.code.into()),
                Ok(_) => {}
                Err(error) => panic!("ended without a close frame: {error}, goodbye {goodbye:?}"),
            }
        }
    }

    /// The code of the next frame, which must be an error.
    pub(crate) async fn read_error(&mut self) -> (String, String) {
        match self.next().await {
            ServerFrame::Error(error) => (error.code, error.message),
            other => panic!("no error but {other:?}"),
        }
    }

    /// Subscribes to one channel and opens its ledger.
    pub(crate) async fn subscribe(&mut self, channel: &str, options: &str) -> Ledger {
        self.send(&format!(
            r#"{{"type":"subscribe","id":1,"channels":[{{"channel":"{channel}"{options}}}]}}"#
        ))
        .await;
        loop {
            match self.next().await {
                ServerFrame::Subscribed(frame) if matches!(frame.attach, Attach::Pending) => {}
                ServerFrame::Subscribed(frame) => {
                    return Ledger::attach(&frame, None).unwrap().expect("not pending");
                }
                other => panic!("not subscribed: {other:?}"),
            }
        }
    }

    /// Books what comes until the ledger's cursor is at `seq`.
    pub(crate) async fn read_to(&mut self, ledger: &mut Ledger, seq: u64) {
        while ledger.cursor().get() < seq {
            book(ledger, &self.next().await);
        }
    }
}

/// Books a frame, which must keep the laws.
pub(crate) fn book(ledger: &mut Ledger, frame: &ServerFrame) {
    match frame {
        ServerFrame::Events(frame) => ledger.handle_events(frame).unwrap(),
        ServerFrame::Counts(frame) => ledger.handle_counts(frame).unwrap(),
        ServerFrame::Summary(frame) => {
            for channel in &frame.channels {
                ledger.handle_summary(frame.why, channel).unwrap();
            }
        }
        ServerFrame::Rung(_) | ServerFrame::Upstream(_) => {}
        other => panic!("unexpected {other:?}"),
    }
}

fn no_hello() -> Hello {
    let limits = tally_protocol::HelloLimits {
        frame_bytes: 0,
        subscriptions: 0,
        max_rate_default: 0,
        max_rate: 0,
        last: 0,
    };
    Hello { protocol: String::new(), connection: String::new(), heartbeat_ms: 0, limits }
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

/// Sends these bytes on a connection of its own and reads until the gateway closes it.
pub(crate) async fn raw(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    // The gateway may answer and close before everything is sent.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(LONG, socket.read_to_end(&mut answer)).await.expect("no answer");
    Answer::parse(&answer)
}

/// One request. `headers` are whole lines, each with its line end.
pub(crate) async fn request(addr: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut bytes = format!(
        "{line} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    raw(addr, &bytes).await
}

pub(crate) async fn post(addr: SocketAddr, channel: &str, body: impl AsRef<[u8]>) -> Answer {
    request(addr, &format!("POST /v1/channels/{channel}/events"), "", body.as_ref()).await
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
    request(addr, &format!("GET {path}"), "", b"").await
}

/// Publishes `n` events and answers with the last seq.
pub(crate) async fn publish(addr: SocketAddr, channel: &str, n: usize) -> u64 {
    let body = r#"{"kind":"line","data":1}"#.repeat(n);
    let answer = post(addr, channel, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["to"].as_u64().unwrap()
}

/// A listener that nobody may harm.
pub(crate) struct Bystander {
    client: Client,
    ledger: Ledger,
    addr: SocketAddr,
}

impl Bystander {
    pub(crate) async fn start(addr: SocketAddr) -> Self {
        let mut client = Client::connect(addr).await;
        let ledger = client.subscribe("bystander", "").await;
        Self { client, ledger, addr }
    }

    /// It still gets what is published, in full and in order.
    pub(crate) async fn check(&mut self) {
        let before = self.ledger.full().sum();
        let seq = publish(self.addr, "bystander", 1).await;
        self.client.read_to(&mut self.ledger, seq).await;
        assert_eq!(self.ledger.full().sum(), before + 1);
        assert!(self.ledger.closes());
    }
}
