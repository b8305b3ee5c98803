//! The client against a scripted gateway on a real socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::{FutureExt as _, Sink as _, SinkExt as _, StreamExt as _};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tally_client::protocol::{ClientFrame, SUBPROTOCOL};
use tally_client::{ChannelName, Client, Continuity, Disconnect, Reconnect, Subscription, Update};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const HELLO: &str = r#"{"type":"hello","protocol":"tally.v1","connection":"c1","heartbeat_ms":15000,
    "limits":{"frame_bytes":65536,"subscriptions":1000,"max_rate_default":200,"max_rate":10000,"last":1000}}"#;

struct Gateway(TcpListener);

impl Gateway {
    async fn start() -> (Self, Client) {
        let gateway = Self(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let client = gateway.client().build().unwrap();
        (gateway, client)
    }

    fn client(&self) -> tally_client::Builder {
        let quick = Reconnect::default().base(Duration::from_millis(1));
        Client::builder(&format!("http://{}", self.0.local_addr().unwrap())).reconnect(quick)
    }

    /// Takes a connection and greets it.
    async fn accept(&self) -> Peer {
        let mut peer = Peer(accept(self.0.accept().await.unwrap().0).await);
        peer.say(HELLO).await;
        peer
    }

    /// Answers one connection with a plain HTTP response.
    async fn refuse(&self, head: &str, body: &str) {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let response = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

#[expect(clippy::result_large_err, reason = "the handshake's callback has this type")]
async fn accept(stream: TcpStream) -> WebSocketStream<TcpStream> {
    let agree = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.uri().path(), "/v1/ws");
        assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    accept_hdr_async(stream, agree).await.unwrap()
}

/// The gateway's end of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn say(&mut self, frame: &str) {
        self.0.send(Message::text(frame)).await.unwrap();
    }

    async fn hear(&mut self) -> ClientFrame {
        let message = self.0.next().await.unwrap().unwrap();
        ClientFrame::decode(message.to_text().unwrap()).unwrap()
    }

    /// Takes a `subscribe` of the channel `a` and attaches it.
    async fn attach(&mut self, fields: &str) -> tally_client::protocol::SubscribeChannel {
        let ClientFrame::Subscribe(mut request) = self.hear().await else { panic!("a subscribe was due") };
        assert_eq!(request.channels.len(), 1);
        let id = request.id;
        self.say(&format!(
            r#"{{"type":"subscribed","id":{id},"channel":"a",{fields},"rung":"full","max_rate":200,"tick_ms":250,
            "upstream":"up"}}"#
        ))
        .await;
        request.channels.remove(0)
    }

    async fn end(&mut self, code: u16) {
        self.0.close(Some(CloseFrame { code: code.into(), reason: "so".into() })).await.unwrap();
    }
}

const AT_2: &str = r#""resumed":false,"epoch":"e1","seq":2,"totals":{"k":2},"state":null"#;

fn events(from: u64, to: u64, data: &str) -> String {
    let list: Vec<_> = (from..=to).map(|_| format!(r#"{{"kind":"k","at":1,"data":{data}}}"#)).collect();
    let list = list.join(",");
    format!(r#"{{"type":"events","channel":"a","epoch":"e1","from":{from},"to":{to},"events":[{list}]}}"#)
}

fn a() -> ChannelName {
    ChannelName::new("a").unwrap()
}

/// Takes updates up to the one that is wanted.
async fn until<T>(client: &mut Client, wanted: impl Fn(&Update) -> Option<T>) -> T {
    loop {
        let update = client.next().await.expect("the client goes on");
        if let Some(found) = wanted(&update) {
            return found;
        }
    }
}

async fn until_cursor(client: &mut Client, cursor: u64) {
    while client.ledger(&a()).is_none_or(|ledger| ledger.cursor().get() < cursor) {
        client.next().await.expect("the client goes on");
    }
}

fn cause(update: &Update) -> Option<(Disconnect, bool)> {
    match update {
        Update::Disconnected { cause, retry_in } => Some((cause.clone(), retry_in.is_some())),
        _ => None,
    }
}

#[tokio::test]
async fn a_dropped_connection_is_resumed_with_its_cursor_and_totals() {
    let (gateway, mut client) = Gateway::start().await;
    client.subscribe(Subscription::new(&a()).last(1)).unwrap();
    let script = async {
        let mut first = gateway.accept().await;
        let asked = first.attach(AT_2).await;
        assert_eq!((asked.last, asked.after), (Some(1), None));
        first.say(&events(3, 5, "1")).await;
        drop(first);
        let mut second = gateway.accept().await;
        let asked = second.attach(r#""resumed":true,"epoch":"e1","seq":5"#).await;
        let after = asked.after.unwrap();
        assert_eq!((after.epoch.as_str(), after.seq.get(), asked.last), ("e1", 5, None));
        second.say(&events(6, 6, "1")).await;
        second
    };
    let application = async {
        until(&mut client, cause).await;
        let resumed = until(&mut client, |update| match update {
            Update::Subscribed { continuity, .. } => Some(*continuity),
            _ => None,
        });
        assert_eq!(resumed.await, Continuity::Resumed);
        until_cursor(&mut client, 6).await;
    };
    let _ = tokio::join!(script, application);
    let ledger = client.ledger(&a()).unwrap();
    assert!(ledger.closes());
    assert_eq!((ledger.attached_seq().get(), ledger.full().sum()), (2, 4));
}

#[tokio::test]
async fn a_close_code_of_the_client_s_own_fault_is_final() {
    let (gateway, mut client) = Gateway::start().await;
    let script = async {
        let mut peer = gateway.accept().await;
        peer.end(4403).await;
        while let Some(Ok(_)) = peer.0.next().await {}
    };
    let application = async {
        let (cause, comes_back) = until(&mut client, cause).await;
        assert_eq!(cause, Disconnect::Closed { code: 4403, reason: "so".into() });
        assert!(!comes_back);
        assert!(client.next().await.is_none());
        assert!(client.next().await.is_none());
    };
    tokio::join!(script, application);
}

#[tokio::test]
async fn a_refusal_before_the_upgrade_is_told_with_its_status() {
    let (gateway, mut client) = Gateway::start().await;
    let script = async {
        gateway.refuse("503 Service Unavailable\r\nRetry-After: 0", "draining").await;
        gateway.refuse("401 Unauthorized", "no token").await;
    };
    let application = async {
        let (first, comes_back) = until(&mut client, cause).await;
        let Disconnect::Refused { status: 503, retry_after: Some(Duration::ZERO), body } = first else {
            panic!("{first:?}")
        };
        assert!(comes_back && body == "draining");
        let (second, comes_back) = until(&mut client, cause).await;
        assert!(second.to_string().contains("401: no token"), "{second}");
        assert!(!comes_back && client.next().await.is_none());
    };
    tokio::join!(script, application);
}

#[tokio::test]
async fn headers_go_into_the_handshake() {
    let (gateway, _) = Gateway::start().await;
    let mut client = gateway.client().header("authorization", "Bearer x").build().unwrap();
    assert!(gateway.client().header("host", "x").build().is_err());
    assert!(gateway.client().header("a b", "x").build().is_err());
    let script = async {
        let (stream, _) = gateway.0.accept().await.unwrap();
        let mut seen = None;
        #[expect(clippy::result_large_err, reason = "the handshake's callback has this type")]
        let look = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            seen = request.headers().get("authorization").cloned();
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let mut peer = Peer(accept_hdr_async(stream, look).await.unwrap());
        assert_eq!(seen.unwrap(), "Bearer x");
        peer.say(HELLO).await;
        peer
    };
    let (_peer, update) = tokio::join!(script, client.next());
    assert!(matches!(update, Some(Update::Connected(_))));
}

#[tokio::test]
async fn a_violation_is_reported_and_the_channel_subscribed_afresh() {
    let (gateway, mut client) = Gateway::start().await;
    client.subscribe(&a()).unwrap();
    let script = async {
        let mut peer = gateway.accept().await;
        peer.attach(AT_2).await;
        peer.say(&events(4, 4, "1")).await;
        let ClientFrame::Violation(report) = peer.hear().await else { panic!("a report was due") };
        assert_eq!(report.law, "order");
        let ClientFrame::Unsubscribe(request) = peer.hear().await else { panic!("an unsubscribe was due") };
        let id = request.id;
        peer.say(&format!(
            r#"{{"type":"unsubscribed","id":{id},"channel":"a","code":"asked","epoch":"e1","seq":4,"totals":{{"k":4}}}}"#
        ))
        .await;
        let asked = peer.attach(&AT_2.replace('2', "9")).await;
        assert_eq!(asked.after, None);
        peer
    };
    let application = async {
        until_cursor(&mut client, 9).await;
    };
    let _ = tokio::join!(script, application);
    assert_eq!(client.violations(), 1);
}

#[tokio::test]
async fn what_is_no_frame_closes_the_connection_and_the_client_comes_back() {
    let (gateway, mut client) = Gateway::start().await;
    for message in [Message::binary(vec![1, 2]), Message::text("{}")] {
        let script = async {
            let mut peer = gateway.accept().await;
            peer.0.send(message).await.unwrap();
            let answer = peer.0.next().await.unwrap().unwrap();
            let Message::Close(Some(frame)) = answer else { panic!("{answer:?}") };
            assert_eq!(u16::from(frame.code), 1002);
        };
        let application = async {
            let (cause, comes_back) = until(&mut client, cause).await;
            assert!(matches!(cause, Disconnect::BadFrame { .. }), "{cause}");
            assert!(comes_back);
        };
        tokio::join!(script, application);
    }
}

#[tokio::test]
async fn a_silent_gateway_counts_as_dead() {
    let (gateway, mut client) = Gateway::start().await;
    let script = async {
        let mut peer = Peer(accept(gateway.0.accept().await.unwrap().0).await);
        peer.say(&HELLO.replace("15000", "100")).await;
        peer
    };
    let (_peer, (cause, comes_back)) = tokio::join!(script, until(&mut client, cause));
    assert_eq!(cause, Disconnect::Silent(Duration::from_millis(200)));
    assert!(comes_back);
}

/// The gateway sends for as long as its socket takes something. That ends, although the application has taken nothing:
/// nobody reads on its behalf.
#[tokio::test]
async fn an_application_that_does_not_read_is_felt_by_the_gateway() {
    const FRAMES: u64 = 4_000;
    let data = format!("\"{}\"", "x".repeat(64 * 1024));
    let (gateway, mut client) = Gateway::start().await;
    client.subscribe(&a()).unwrap();
    let (blocked, is_blocked) = oneshot::channel();
    let script = async {
        let mut peer = gateway.accept().await;
        peer.attach(AT_2).await;
        let mut blocked = Some(blocked);
        for seq in 3..3 + FRAMES {
            peer.0.feed(Message::text(events(seq, seq, &data))).await.unwrap();
            poll_fn(|cx| {
                let flushed = Pin::new(&mut peer.0).poll_flush(cx);
                if flushed.is_pending()
                    && let Some(blocked) = blocked.take()
                {
                    blocked.send(seq).unwrap();
                }
                flushed
            })
            .await
            .unwrap();
        }
        peer
    };
    let application = async {
        until(&mut client, |update| matches!(update, Update::Subscribed { .. }).then_some(())).await;
        let sent = is_blocked.await.unwrap();
        assert!(sent < 3 + FRAMES, "the gateway was never held up");
        assert_eq!(client.ledger(&a()).unwrap().cursor().get(), 2);
        until_cursor(&mut client, 2 + FRAMES).await;
    };
    let _ = tokio::join!(script, application);
    assert!(client.ledger(&a()).unwrap().closes());
}

#[tokio::test]
async fn next_can_be_dropped_at_any_point() {
    let (gateway, mut client) = Gateway::start().await;
    client.subscribe(&a()).unwrap();
    let script = async {
        let mut peer = gateway.accept().await;
        peer.attach(AT_2).await;
        for seq in 3..300 {
            peer.say(&events(seq, seq, "\"some data\"")).await;
        }
        peer
    };
    let application = async {
        let mut dropped = 0;
        while client.ledger(&a()).is_none_or(|ledger| ledger.cursor().get() < 299) {
            if client.next().now_or_never().is_none() {
                dropped += 1;
                tokio::task::yield_now().await;
            }
        }
        dropped
    };
    let (_peer, dropped) = tokio::join!(script, application);
    assert!(dropped > 0);
    assert_eq!(client.violations(), 0);
}

#[tokio::test]
async fn close_says_goodbye_and_hands_over_the_accounts() {
    let (gateway, mut client) = Gateway::start().await;
    client.subscribe(&a()).unwrap();
    let script = async {
        let mut peer = gateway.accept().await;
        peer.attach(AT_2).await;
        peer.say(&events(3, 3, "1")).await;
        peer.say(&events(3, 3, "1")).await;
        let ClientFrame::Violation(_) = peer.hear().await else { panic!("a report was due") };
        let ClientFrame::Unsubscribe(_) = peer.hear().await else { panic!("an unsubscribe was due") };
        let Message::Close(Some(frame)) = peer.0.next().await.unwrap().unwrap() else {
            panic!("a close was due")
        };
        assert_eq!(u16::from(frame.code), 1000);
        while let Some(Ok(_)) = peer.0.next().await {}
    };
    let application = async {
        until(&mut client, |update| matches!(update, Update::Violation { .. }).then_some(())).await;
        client.close().await
    };
    let ((), accounts) = tokio::join!(script, application);
    let closed: Vec<_> = accounts[&a()].closed().map(|ledger| ledger.cursor().get()).collect();
    assert_eq!(closed, [3]);
}

#[tokio::test]
async fn nobody_there_is_told_and_tried_again_as_often_as_allowed() {
    let (gateway, _) = Gateway::start().await;
    let mut client = gateway.client().reconnect(Reconnect::never()).build().unwrap();
    drop(gateway);
    let update = client.next().await.unwrap();
    let Update::Disconnected { cause: Disconnect::Unreachable(_), retry_in: None } = update else {
        panic!("{update:?}")
    };
    assert!(client.next().await.is_none());
    assert!(client.subscribe(&a()).is_err());
}
