//! One attempt to connect: TCP, TLS, the handshake, each failure with what it means for coming back.

use crate::disconnect::Disconnect;
use crate::endpoint::{BuildError, Endpoint};
use crate::limits::{CONNECT_MAX, SERVER_FRAME_BYTES_MAX};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::{self, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Characters of a refusal's body that the application is shown.
const BODY_MAX: usize = 300;
/// Bytes of one read from the socket.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Headers that the handshake sets itself.
const OWN_HEADERS: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// Whom to connect to, and with what.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Reads a header as an application gives it.
pub(super) fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BuildError> {
    let refuse = |rule: &str| BuildError::Header { name: name.into(), rule: rule.into() };
    let read = HeaderName::try_from(name).map_err(|_| refuse("is no HTTP header name"))?;
    if OWN_HEADERS.contains(&read) {
        return Err(refuse("is set by the handshake itself"));
    }
    let value = HeaderValue::try_from(value).map_err(|_| refuse("has a value that HTTP does not allow"))?;
    Ok((read, value))
}

/// Connects within [`CONNECT_MAX`].
pub(super) async fn open(target: Target) -> Result<Box<Socket>, Disconnect> {
    let request = request(&target)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(SERVER_FRAME_BYTES_MAX))
        .max_frame_size(Some(SERVER_FRAME_BYTES_MAX));
    let connector = target.tls.map_or(Connector::Plain, Connector::Rustls);
    let attempt = connect_async_tls_with_config(request, Some(config), true, Some(connector));
    match tokio::time::timeout(CONNECT_MAX, attempt).await {
        Ok(Ok((socket, _))) => Ok(Box::new(socket)),
        Ok(Err(Error::Http(response))) => Err(refused(&response)),
        Ok(Err(error)) => Err(Disconnect::Unreachable(error.to_string())),
        Err(_) => Err(Disconnect::NoAnswer),
    }
}

fn request(target: &Target) -> Result<Request, Disconnect> {
    let request = target.endpoint.uri().into_client_request();
    let mut request = request.map_err(|error| Disconnect::Unreachable(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    for (name, value) in &target.headers {
        headers.append(name, value.clone());
    }
    Ok(request)
}

fn refused(response: &Response) -> Disconnect {
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let body = response.body().as_deref().unwrap_or_default();
    Disconnect::Refused {
        status: response.status().as_u16(),
        retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
        body: String::from_utf8_lossy(body).trim().chars().take(BODY_MAX).collect(),
    }
}
