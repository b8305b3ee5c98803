//! The origin rule: a page from elsewhere may neither connect nor publish, unless it is named.

use super::answer::Refusal;
use crate::config::AllowedOrigin;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tally_protocol::ErrorCode;

/// What the `Origin` header of a request says. Only browsers send it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None, or the gateway's own pages.
    Own,
    /// Named in `allow_origin`.
    Allowed(HeaderValue),
    /// From elsewhere; what it said, for the message.
    Foreign(String),
}

/// Scheme, host and port in lower case, without the scheme's default port; `None`: no origin.
pub(crate) fn normalise(origin: &str) -> Option<String> {
    let (scheme, rest) = origin.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = authority(&scheme, rest.trim_end_matches('/'))?;
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme.then(|| format!("{scheme}://{authority}"))
}

/// Host and port in lower case, without the scheme's default port.
fn authority(scheme: &str, authority: &str) -> Option<String> {
    let authority: http::uri::Authority = authority.parse().ok()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let default = match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => 0,
    };
    Some(match authority.port_u16() {
        Some(port) if port != default => format!("{host}:{port}"),
        _ => host,
    })
}

pub(super) fn judge(headers: &HeaderMap, allowed: &[AllowedOrigin]) -> Verdict {
    let Some(value) = headers.get(header::ORIGIN) else { return Verdict::Own };
    let said = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let origin = normalise(&said);
    if let Some(origin) = &origin
        && is_own(origin, headers)
    {
        return Verdict::Own;
    }
    let is_allowed = allowed.iter().any(|one| match one {
        AllowedOrigin::Any => true,
        AllowedOrigin::Null => said == "null",
        AllowedOrigin::Exact(exact) => origin.as_ref() == Some(exact),
    });
    if is_allowed { Verdict::Allowed(value.clone()) } else { Verdict::Foreign(said) }
}

/// The page came from the host and port that the request went to. The scheme may differ: a proxy may speak TLS.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Some((scheme, own)) = origin.split_once("://") else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.and_then(|host| authority(scheme, host)).is_some_and(|host| host == own)
}

pub(super) fn refusal(origin: &str) -> Refusal {
    let shown: String = origin.chars().take(100).collect();
    let message = format!(
        "pages from {shown:?} may not connect or publish here; name it in allow_origin (--allow-origin) if it should"
    );
    Refusal::new(StatusCode::FORBIDDEN, ErrorCode::ForeignOrigin, message)
}

/// Lets a named page read answers, and ask beforehand what it may send.
pub(super) fn add_headers(headers: &mut HeaderMap, origin: HeaderValue) {
    let fixed = |text| HeaderValue::from_static(text);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, fixed("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, fixed("GET, POST"));
    let allowed = "Authorization, Content-Type, Tally-Producer, Tally-Batch";
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fixed(allowed));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, fixed("Retry-After"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, fixed("600"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(origin: &str, host: &str, allowed: &[AllowedOrigin]) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        match judge(&headers, allowed) {
            Verdict::Own => "own",
            Verdict::Allowed(_) => "allowed",
            Verdict::Foreign(_) => "foreign",
        }
    }

    #[test]
    fn the_same_host_and_port_is_not_foreign() {
        let cases = [
            ("http://localhost:8420", "localhost:8420", "own"),
            ("http://LOCALHOST:8420", "localhost:8420", "own"),
            ("https://tally.example", "tally.example", "own"),
            ("https://tally.example", "tally.example:443", "own"),
            ("http://tally.example", "tally.example:443", "foreign"),
            ("http://[::1]:8420", "[::1]:8420", "own"),
            ("http://localhost:3000", "localhost:8420", "foreign"),
            ("http://evil.example", "localhost:8420", "foreign"),
            ("http://localhost:8420.evil.example", "localhost:8420", "foreign"),
            ("http://user@localhost:8420", "localhost:8420", "foreign"),
            ("null", "localhost:8420", "foreign"),
            ("", "localhost:8420", "foreign"),
        ];
        for (origin, host, verdict) in cases {
            assert_eq!(judged(origin, host, &[]), verdict, "{origin} {host}");
        }
    }

    #[test]
    fn named_origins_are_allowed() {
        let exact = [AllowedOrigin::Exact("https://a.example".into())];
        assert_eq!(judged("https://A.example:443", "x", &exact), "allowed");
        assert_eq!(judged("http://a.example", "x", &exact), "foreign");
        assert_eq!(judged("null", "x", &exact), "foreign");
        assert_eq!(judged("null", "x", &[AllowedOrigin::Null]), "allowed");
        assert_eq!(judged("http://b", "x", &[AllowedOrigin::Null]), "foreign");
        assert_eq!(judged("http://b", "x", &[AllowedOrigin::Any]), "allowed");
    }
}
