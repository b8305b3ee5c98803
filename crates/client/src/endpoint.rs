//! Where the gateway is: the URL forms that people have, turned into the one that a websocket needs.

use std::fmt;
use std::str::FromStr;
use tokio_tungstenite::tungstenite::http::Uri;

/// The path of the websocket on a gateway.
const PATH: &str = "/v1/ws";

/// Why a client could not be built; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The URL has none of the accepted forms.
    #[error("the gateway's URL {url:?} {rule}")]
    Url {
        /// As given.
        url: String,
        /// What it must be.
        rule: String,
    },
    /// A request header that HTTP does not allow, or that the handshake sets itself.
    #[error("the header {name:?} {rule}")]
    Header {
        /// As given.
        name: String,
        /// What it must be.
        rule: String,
    },
    /// Certificates that cannot be read, or a system without any.
    #[error("certificates to trust: {0}")]
    Certificates(String),
}

/// The address of a gateway's websocket, such as `ws://127.0.0.1:8420/v1/ws`.
///
/// Accepted are `http://`, `https://`, `ws://` and `wss://`; `http` becomes `ws` and `https` becomes `wss`. Without a
/// path it is `/v1/ws`; any other path is taken as it is (for a gateway behind a proxy that maps paths).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    secure: bool,
}

impl Endpoint {
    /// The websocket's URL.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the connection is encrypted (`wss`).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uri, f)
    }
}

impl FromStr for Endpoint {
    type Err = BuildError;

    fn from_str(url: &str) -> Result<Self, BuildError> {
        let refuse = |rule: &str| BuildError::Url { url: url.into(), rule: rule.into() };
        let given: Uri = url.trim().parse().map_err(|error| refuse(&format!("is no URL: {error}")))?;
        let secure = match given.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(refuse("must begin with http://, https://, ws:// or wss://")),
        };
        let authority = given.authority().ok_or_else(|| refuse("names no host"))?;
        if authority.host().is_empty() {
            return Err(refuse("names no host"));
        }
        if authority.as_str().contains('@') {
            return Err(refuse("must not contain credentials; send them as a header"));
        }
        let path = match given.path().trim_end_matches('/') {
            "" => PATH,
            path => path,
        };
        let query = given.query().map(|query| format!("?{query}")).unwrap_or_default();
        let scheme = if secure { "wss" } else { "ws" };
        let uri = format!("{scheme}://{authority}{path}{query}");
        let uri = uri.parse().map_err(|error| refuse(&format!("is no URL: {error}")))?;
        Ok(Self { uri, secure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_leads_to_the_websocket() {
        let cases = [
            ("http://127.0.0.1:8420", "ws://127.0.0.1:8420/v1/ws"),
            ("http://127.0.0.1:8420/", "ws://127.0.0.1:8420/v1/ws"),
            ("ws://gateway:8420", "ws://gateway:8420/v1/ws"),
            ("ws://gateway:8420/v1/ws", "ws://gateway:8420/v1/ws"),
            ("http://gateway:8420/v1/ws/", "ws://gateway:8420/v1/ws"),
            ("https://events.example.com", "wss://events.example.com/v1/ws"),
            ("wss://events.example.com/v1/ws", "wss://events.example.com/v1/ws"),
            ("https://example.com/tally/v1/ws?a=b", "wss://example.com/tally/v1/ws?a=b"),
            ("http://[::1]:8420", "ws://[::1]:8420/v1/ws"),
        ];
        for (given, wanted) in cases {
            let endpoint: Endpoint = given.parse().unwrap();
            assert_eq!(endpoint.to_string(), wanted, "{given}");
            assert_eq!(endpoint.is_secure(), wanted.starts_with("wss"), "{given}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_the_rule() {
        let cases = [
            ("localhost:8420", "must begin with"),
            ("gateway", "must begin with"),
            ("ftp://gateway", "must begin with"),
            ("", "is no URL"),
            ("http://", "is no URL"),
            ("http://me:secret@gateway", "must not contain credentials"),
        ];
        for (given, rule) in cases {
            let error = given.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(rule), "{given}: {error}");
        }
    }
}
