//! A scripted gateway, and a real `tally watch` that listens to it; every wait is bounded.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Longer than anything here should take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

pub(crate) struct Gateway(pub(crate) TcpListener);

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// The next connection, after `hello`.
    #[expect(clippy::result_large_err, reason = "the handshake's callback has this shape")]
    pub(crate) async fn accept(&self) -> Connection {
        let (stream, _) = within("a connection", self.0.accept()).await.unwrap();
        let protocol = |_: &Request, mut response: Response| {
            let name = HeaderValue::from_static("tally.v1");
            response.headers_mut().insert("sec-websocket-protocol", name);
            Ok(response)
        };
        let handshake = tokio_tungstenite::accept_hdr_async(stream, protocol);
        let mut connection = Connection(within("a handshake", handshake).await.unwrap());
        let limits = json!({"frame_bytes": 65536, "subscriptions": 100, "max_rate_default": 200,
            "max_rate": 10000, "last": 1000});
        connection
            .send(json!({"type": "hello", "protocol": "tally.v1", "connection": "c1", "heartbeat_ms": 15000,
                "limits": limits}))
            .await;
        connection
    }
}

pub(crate) struct Connection(pub(crate) WebSocketStream<TcpStream>);

impl Connection {
    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        within("a frame to be taken", self.0.send(Message::text(text))).await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            let message = within("a frame", self.0.next()).await.unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Takes the subscribe of one channel and attaches it, at seq 2 of epoch `e1`.
    pub(crate) async fn attach(&mut self, channel: &str) -> Value {
        let request = self.receive().await;
        assert_eq!(request["type"], "subscribe", "{request}");
        let asked = request["channels"][0].clone();
        assert_eq!(asked["channel"], channel);
        self.send(
            json!({"type": "subscribed", "id": request["id"], "channel": channel, "epoch": "e1", "seq": 2,
            "totals": {"ok": 2}, "state": null, "rung": "full", "max_rate": 200, "tick_ms": 250,
            "resumed": false, "upstream": "up"}),
        )
        .await;
        asked
    }

    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.0.close(Some(frame)).await.unwrap();
        self.drain().await;
    }

    /// Reads to the end, as a gateway does, so that the close frame is answered.
    pub(crate) async fn drain(mut self) {
        within("the end of the connection", async { while let Some(Ok(_)) = self.0.next().await {} }).await;
    }
}

/// One event of kind `ok` at this seq.
pub(crate) fn event(seq: u64) -> Value {
    json!({"type": "events", "channel": "job:42", "epoch": "e1", "from": seq, "to": seq,
        "events": [{"kind": "ok", "at": 1, "data": {"n": seq}}]})
}

/// A `tally watch` whose output is a pipe.
pub(crate) struct Watch {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    pub(crate) fn start(gateway: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command.args(["watch", "--gateway", gateway]).args(arguments).env_remove("TALLY_GATEWAY");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) async fn line(&mut self) -> String {
        within("a line", self.lines.next_line()).await.unwrap().expect("a line before the end")
    }

    pub(crate) async fn value(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Skips to the next line of this type.
    pub(crate) async fn value_of(&mut self, name: &str) -> Value {
        loop {
            let value = self.value().await;
            if value["type"] == name {
                return value;
            }
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().unwrap().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// What is left of the output, the exit status, and what was said on standard error.
    pub(crate) async fn end(mut self) -> (Vec<Value>, ExitStatus, String) {
        let mut rest = Vec::new();
        while let Some(line) = within("the last lines", self.lines.next_line()).await.unwrap() {
            rest.push(serde_json::from_str(&line).unwrap());
        }
        let (status, words) = self.status().await;
        (rest, status, words)
    }

    pub(crate) async fn status(&mut self) -> (ExitStatus, String) {
        let status = within("the end", self.child.wait()).await.unwrap();
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).await.unwrap();
        (status, words)
    }

    pub(crate) fn stop_reading(self) -> Child {
        self.child
    }
}
