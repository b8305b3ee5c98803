//! What a response says about the batch: published, refused, surely not, or perhaps.

use crate::pipeline::Answer;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tally_protocol::Published;

/// Characters of a foreign body that are shown to a person.
const SHOWN_CHARS_MAX: usize = 200;

/// Everything that is not known to say otherwise leaves the batch in doubt.
pub(super) fn read(status: StatusCode, retry_after: Option<Duration>, body: &Bytes) -> Answer {
    if status == StatusCode::OK {
        return match serde_json::from_slice::<Published>(body) {
            Ok(published) => Answer::Published(published),
            Err(error) => {
                Answer::Perhaps { message: format!("the answer is not understood: {error}").into() }
            }
        };
    }
    let Problem { code, message } = Problem::read(status, body);
    match status {
        StatusCode::CONFLICT => Answer::NumberRefused { message },
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Answer::Unavailable { message, retry_after }
        }
        // The request had not come whole, or came from a proxy that cannot say what became of it.
        StatusCode::REQUEST_TIMEOUT => Answer::Perhaps { message },
        _ if status.is_client_error() || status.is_redirection() => Answer::Refused { code, message },
        _ => Answer::Perhaps { message },
    }
}

struct Problem {
    code: Arc<str>,
    message: Arc<str>,
}

impl Problem {
    fn read(status: StatusCode, body: &Bytes) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            code: Arc<str>,
            message: Arc<str>,
        }
        if let Ok(Body { error: Inner { code, message } }) = serde_json::from_slice(body) {
            return Self { code, message };
        }
        let shown: String = String::from_utf8_lossy(body).trim().chars().take(SHOWN_CHARS_MAX).collect();
        let message = if shown.is_empty() { status.to_string() } else { format!("{status}: {shown}") };
        Self { code: format!("http_{}", status.as_u16()).into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_str(status: u16, body: &'static str) -> Answer {
        read(StatusCode::from_u16(status).unwrap(), None, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn what_is_not_understood_is_perhaps_published() {
        for (status, body) in
            [(200, ""), (200, "{}"), (202, "{}"), (500, "oops"), (502, ""), (504, ""), (408, "")]
        {
            assert!(matches!(read_str(status, body), Answer::Perhaps { .. }), "{status} {body}");
        }
    }

    #[test]
    fn refusals_keep_their_code_and_message() {
        let body = r#"{"error":{"code":"too_large","message":"send it as several","expected":1}}"#;
        let expected = Answer::Refused { code: "too_large".into(), message: "send it as several".into() };
        assert_eq!(read_str(413, body), expected);
        let foreign =
            Answer::Refused { code: "http_404".into(), message: "404 Not Found: no such page".into() };
        assert_eq!(read_str(404, "no such page"), foreign);
        assert!(matches!(read_str(409, body), Answer::NumberRefused { .. }));
    }
}
