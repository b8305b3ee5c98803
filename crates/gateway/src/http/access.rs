//! Who may publish: programs on this machine, and those that show the publish key.

use super::Peer;
use super::answer::Refusal;
use crate::config::PublishKey;
use http::{HeaderMap, StatusCode, header};
use tally_protocol::ErrorCode;

/// A proxy on this machine speaks for somebody elsewhere, so its headers count as elsewhere.
pub(super) fn check_publisher(
    peer: &Peer,
    headers: &HeaderMap,
    key: Option<&PublishKey>,
) -> Result<(), Refusal> {
    let is_proxied = headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for");
    if peer.addr.ip().to_canonical().is_loopback() && !is_proxied {
        return Ok(());
    }
    let Some(key) = key else {
        let message = "publishing from other machines, or through a proxy, is off; set publish_key (--publish-key) on \
                       the gateway and send it as Authorization: Bearer KEY";
        return Err(Refusal::new(StatusCode::FORBIDDEN, ErrorCode::PublishKey, message));
    };
    if bearer(headers).is_some_and(|shown| is_same(shown.as_bytes(), key.as_bytes())) {
        return Ok(());
    }
    let message = "publishing from other machines, or through a proxy, needs the gateway's publish key: send it as \
                   Authorization: Bearer KEY";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, ErrorCode::PublishKey, message))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Takes as long for a key that is wrong at its first byte as for one that is wrong at its last.
fn is_same(shown: &[u8], key: &[u8]) -> bool {
    let difference = shown.iter().zip(key).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    shown.len() == key.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_whole() {
        assert!(is_same(b"key", b"key"));
        for wrong in [&b"kez"[..], b"ke", b"keyy", b""] {
            assert!(!is_same(wrong, b"key"));
        }
    }
}
