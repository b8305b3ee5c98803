//! How to reach Redis: a checked value, whose credentials show nowhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const PREFIX_BYTES_MAX: usize = 64;

/// Why a setting was refused; names the setting and the rule, never a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("the Redis URL must start with redis://, rediss:// or redis+unix://")]
    Scheme,
    #[error("the Redis URL is not valid: {0}")]
    Url(String),
    #[error(
        "the Redis prefix {0:?} must be 1 to {PREFIX_BYTES_MAX} bytes of A-Z a-z 0-9 . _ : - and not start with `_`"
    )]
    Prefix(String),
    #[error("the certificates for Redis cannot be used: {0}")]
    Certificates(String),
    #[error("own certificates were given for Redis, and the URL is not rediss://")]
    CertificatesWithoutTls,
}

/// What every key and pub/sub channel begins with. Pub/sub knows no database numbers: one prefix per environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Result<Self, ConfigError> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if prefix.is_empty()
            || prefix.len() > PREFIX_BYTES_MAX
            || prefix.starts_with('_')
            || !prefix.bytes().all(is_allowed)
        {
            return Err(ConfigError::Prefix(prefix.into()));
        }
        Ok(Self(prefix.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How long each step may take. Every call is bounded by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, with TLS and authentication. Longer: the attempt has failed.
    pub connect: Duration,
    /// Of one command. Longer: a publish call is `unknown`, a read has failed.
    pub command: Duration,
    /// Between two signs of life that each connection is asked for.
    pub heartbeat: Duration,
    /// Until a sign of life must have come. Longer: the connection is dropped.
    pub silence: Duration,
    /// Between two probes through the publish path.
    pub probe: Duration,
    /// The longest wait between two attempts to connect; drawn anew per node from half of it to all of it.
    pub reconnect_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            command: Duration::from_secs(2),
            heartbeat: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            probe: Duration::from_secs(5),
            reconnect_max: Duration::from_secs(4),
        }
    }
}

/// How to reach a Redis server (6.2 or newer, or Valkey): the value that [`Redis::connect`] starts from.
#[derive(Debug, Clone)]
pub struct Redis {
    pub(super) address: Address,
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) roots: Option<rustls::RootCertStore>,
    pub(super) database: Option<u8>,
    pub(super) prefix: Prefix,
    pub(super) timeouts: Timeouts,
    pub(super) queue_bytes_max: usize,
    pub(super) queue_messages_max: usize,
}

impl Redis {
    /// From `redis://[user[:password]@]host[:port][/database]`, the same with `rediss://` for TLS, or
    /// `redis+unix:///path/to.sock`. User and password may be percent-encoded; those of a socket are given apart.
    ///
    /// The database number holds for keys only: pub/sub ignores it, so two environments on one server need two
    /// prefixes whatever their databases are.
    ///
    /// # Errors
    /// [`ConfigError`] says which part does not fit.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let (scheme, _) = url.split_once("://").ok_or(ConfigError::Scheme)?;
        if !["redis", "rediss", "redis+unix"].contains(&scheme) {
            return Err(ConfigError::Scheme);
        }
        // Its errors do not repeat the text.
        let parsed = url::Url::parse(url).map_err(|error| ConfigError::Url(error.to_string()))?;
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(ConfigError::Url("it takes no query and no fragment".into()));
        }
        let (address, database) =
            if scheme == "redis+unix" { unix_address(&parsed)? } else { tcp_address(&parsed)? };
        let user = Some(decoded(parsed.username())?).filter(|user| !user.is_empty());
        let password = parsed.password().map(decoded).transpose()?.map(Secret);
        let limits = crate::Limits::default();
        Ok(Self {
            address,
            is_tls: scheme == "rediss",
            user,
            password,
            roots: None,
            database,
            prefix: Prefix("tally".into()),
            timeouts: Timeouts::default(),
            queue_bytes_max: limits.queue_bytes_max,
            queue_messages_max: limits.queue_messages_max,
        })
    }

    /// In place of the URL's user.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// In place of the URL's password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(Secret(password.to_owned()));
        self
    }

    /// In place of the URL's database. Keys only; pub/sub ignores it.
    #[must_use]
    pub fn with_database(mut self, database: u8) -> Self {
        self.database = Some(database);
        self
    }

    /// What keys and channels begin with, in place of `tally`.
    ///
    /// # Errors
    /// [`ConfigError::Prefix`].
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }

    /// Trusts these certificate authorities (PEM), and no others.
    ///
    /// # Errors
    /// [`ConfigError`] where they cannot be read, or the URL is without TLS.
    pub fn with_ca_pem(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        if !self.is_tls {
            return Err(ConfigError::CertificatesWithoutTls);
        }
        let bad = |error: &dyn fmt::Display| ConfigError::Certificates(error.to_string());
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
        }
        if roots.is_empty() {
            return Err(bad(&"there is none in the PEM text"));
        }
        self.roots = Some(roots);
        Ok(self)
    }

    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// What may wait for this node's reader, as in [`Limits`](crate::Limits).
    #[must_use]
    pub fn with_queue(mut self, bytes_max: usize, messages_max: usize) -> Self {
        (self.queue_bytes_max, self.queue_messages_max) = (bytes_max, messages_max);
        self
    }
}

/// Where it is, without credentials.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (&self.address, self.is_tls) {
            (Address::Unix(_), _) => "redis+unix",
            (_, true) => "rediss",
            (_, false) => "redis",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

fn tcp_address(url: &url::Url) -> Result<(Address, Option<u8>), ConfigError> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| ConfigError::Url("it names no host".into()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let database = match url.path().trim_matches('/') {
        "" => None,
        number => {
            let rule =
                || ConfigError::Url("what follows the host must be a database number from 0 to 255".into());
            Some(number.parse().map_err(|_| rule())?)
        }
    };
    Ok((Address::Tcp { host, port: url.port().unwrap_or(6379) }, database))
}

fn unix_address(url: &url::Url) -> Result<(Address, Option<u8>), ConfigError> {
    if url.host_str().is_some_and(|host| !host.is_empty()) || url.port().is_some() {
        return Err(ConfigError::Url("a socket's path begins with `/` (redis+unix:///path/to.sock)".into()));
    }
    let path = decoded(url.path())?;
    if path.len() < 2 {
        return Err(ConfigError::Url("it names no socket".into()));
    }
    Ok((Address::Unix(path.into()), None))
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()));
        rest = match escaped.flatten().map(|hex| u8::from_str_radix(hex, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                &tail[2..]
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::Url("an escape in it is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let redis = Redis::new("redis://al%40ice:p%3aw%2Fd@[::1]:7000/3").unwrap();
        assert_eq!(redis.address, Address::Tcp { host: "::1".into(), port: 7000 });
        assert_eq!((redis.user.as_deref(), redis.database), (Some("al@ice"), Some(3)));
        assert_eq!(redis.password, Some(Secret("p:w/d".into())));
        let redis = Redis::new("rediss://:secret@example.com").unwrap();
        assert!(redis.is_tls && redis.user.is_none() && redis.password.is_some());
        assert_eq!(redis.address.to_string(), "example.com:6379");
        let redis = Redis::new("redis+unix:///run/redis/s.sock").unwrap();
        assert_eq!(redis.address, Address::Unix("/run/redis/s.sock".into()));
    }

    #[test]
    fn bad_urls_name_their_problem() {
        for bad in ["localhost", "http://a", "redis://", "redis://a/x", "redis://a/256", "redis://a?db=1"] {
            assert!(Redis::new(bad).is_err(), "{bad}");
        }
        for bad in ["redis+unix://host/a.sock", "redis+unix://", "redis://a:70000"] {
            assert!(Redis::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "_a", "a{b", "a b", &"x".repeat(65)] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_show_nowhere() {
        let redis = Redis::new("redis://user:hidden1@h").unwrap().with_password("hidden2");
        let shown = format!("{redis} {redis:?}");
        assert!(!shown.contains("hidden"), "{shown}");
        for bad in ["redis://user:hidden@h:x", "redis://user:hidden@h/x", "http://user:hidden@h"] {
            let error = Redis::new(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
        }
    }
}
