//! Why there is no link to Redis, as a sentence that says what to do; credentials are never in it.

use fred::error::{Error, ErrorKind};

/// The rule that a user of Redis needs with the default prefix; docs/redis.md explains it, and a test uses it.
pub const ACL_RULE: &str = "resetkeys ~tally:* resetchannels &tally:* -@all +info +script|load +evalsha +hmget +hgetall +hset +hdel +hlen +pexpire +unlink +time +publish +subscribe +unsubscribe +ping +client|id +select";

/// Why there is no link to Redis. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("{0} refuses connections; is Redis running there?")]
    Refused(String),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("{0} does not answer within {1} ms")]
    Silent(String, u128),
    #[error("the connection to {0} was closed: {1}")]
    Closed(String, String),
    #[error("no TLS with {0}: {1}")]
    Tls(String, String),
    #[error("Redis asks for a password, and none is configured")]
    PasswordNeeded,
    #[error("Redis refuses the user or the password")]
    WrongPassword,
    #[error(
        "the user of Redis has too few rights ({0}); the ACL rule that is needed, for the prefix tally: {ACL_RULE}"
    )]
    NoPermission(String),
    #[error("Redis {0} is too old; 6.2 or newer is needed (or Valkey)")]
    TooOld(String),
    #[error(
        "the server is part of a Redis Cluster (cluster_enabled), which is not supported yet; use a single server"
    )]
    Cluster,
    #[error("the server is a read-only replica; use the address of its master")]
    ReadOnly,
    #[error(
        "Redis is in protected mode and takes local connections only; set a password there, or bind it to the right interface"
    )]
    ProtectedMode,
    #[error("Redis is still loading its data")]
    Loading,
    #[error("Redis has reached its maxmemory and takes no writes; raise it, or let keys expire")]
    OutOfMemory,
    #[error("Redis has reached its maxclients and takes no further connection")]
    TooManyClients,
    #[error("what is published does not arrive on the subscribing connection; are both on the same server?")]
    Deaf,
    #[error("the stream of this node was dropped")]
    NoStream,
    #[error("too many calls are waiting for Redis already")]
    Busy,
    #[error("Redis answers: {0}")]
    Answer(String),
}

impl LinkError {
    /// From what went wrong on a connection.
    pub(super) fn of_connection(server: &str, error: &Error, timeout_ms: u128) -> Self {
        let (server, details) = (server.to_owned(), readable(error.details()));
        match error.kind() {
            ErrorKind::Timeout => Self::Silent(server, timeout_ms),
            ErrorKind::Tls => Self::Tls(server, details),
            ErrorKind::IO if error.details().contains("ConnectionRefused") => Self::Refused(server),
            ErrorKind::IO if error.details().contains("InvalidData") => Self::Tls(server, details),
            ErrorKind::IO if details.contains("onnection closed") => {
                Self::Closed(server, "by the other side".into())
            }
            ErrorKind::IO => Self::Unreachable(server, details),
            ErrorKind::Canceled => Self::Closed(server, details),
            _ => Self::of_answer(&details),
        }
    }

    /// From an error that Redis answered.
    pub(super) fn of_answer(text: &str) -> Self {
        let has = |part: &str| text.contains(part);
        if text.starts_with("NOAUTH") {
            Self::PasswordNeeded
        } else if text.starts_with("WRONGPASS") || has("invalid username-password") || has("invalid password")
        {
            Self::WrongPassword
        } else if has("NOPERM") || has("ACL failure") || has("can't run this command") {
            Self::NoPermission(text.to_owned())
        } else if text.starts_with("DENIED") {
            Self::ProtectedMode
        } else if has("READONLY") {
            Self::ReadOnly
        } else if text.starts_with("LOADING") {
            Self::Loading
        } else if has("OOM command not allowed") {
            Self::OutOfMemory
        } else if has("max number of clients") {
            Self::TooManyClients
        } else if has("unknown command") && (has("HELLO") || has("hello")) {
            Self::TooOld("(which does not know HELLO)".into())
        } else {
            Self::Answer(text.to_owned())
        }
    }

    /// Whether the link is of no use after this answer to a call.
    pub(super) fn ends_session(&self) -> bool {
        matches!(
            self,
            Self::PasswordNeeded
                | Self::WrongPassword
                | Self::NoPermission(_)
                | Self::ReadOnly
                | Self::Loading
        )
    }
}

/// fred passes errors of the system on in Rust's notation; what people want of them stands in quotes.
fn readable(details: &str) -> String {
    match (details.find('"'), details.rfind('"')) {
        (Some(first), Some(last)) if first < last => details[first + 1..last].to_owned(),
        _ => details.to_owned(),
    }
}
