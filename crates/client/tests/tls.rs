//! The client over TLS: it trusts whom it was told to trust, and nobody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use tally_client::protocol::SUBPROTOCOL;
use tally_client::{BuildError, Client, Disconnect, Reconnect, Update};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

const HELLO: &str = r#"{"type":"hello","protocol":"tally.v1","connection":"c1","heartbeat_ms":15000,
    "limits":{"frame_bytes":65536,"subscriptions":1000,"max_rate_default":200,"max_rate":10000,"last":1000}}"#;

fn identity() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap()
}

/// Takes one connection; whether the handshake came about is the client's to say.
async fn serve_once(listener: &TcpListener, identity: &CertifiedKey<KeyPair>) {
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
    #[expect(clippy::result_large_err, reason = "the handshake's callback has this type")]
    let agree = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, agree).await.unwrap();
    socket.send(Message::text(HELLO)).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn the_gateway_s_certificate_must_be_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let identity = identity();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}", listener.local_addr().unwrap().port());
        let mut trusting = Client::builder(&url).trust(identity.cert.pem().as_bytes()).build().unwrap();
        let application = async {
            let update = trusting.next().await;
            trusting.close().await;
            update
        };
        let ((), update) = tokio::join!(serve_once(&listener, &identity), application);
        assert!(matches!(update, Some(Update::Connected(_))), "{update:?}");
    }
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let mut other = match Client::builder(&url).reconnect(Reconnect::never()).build() {
        Ok(client) => client,
        // A machine without any certificates of its own trusts nobody.
        Err(BuildError::Certificates(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let ((), update) = tokio::join!(serve_once(&listener, &identity), other.next());
    let Some(Update::Disconnected { cause: Disconnect::Unreachable(cause), .. }) = update else {
        panic!("{update:?}")
    };
    assert!(cause.contains("certificate"), "{cause}");
}

#[test]
fn what_is_no_certificate_is_refused_when_the_client_is_built() {
    for pem in [&b""[..], b"no pem", identity().signing_key.serialize_pem().as_bytes()] {
        let built = Client::builder("wss://localhost").trust(pem).build();
        assert!(matches!(built, Err(BuildError::Certificates(_))));
    }
}
