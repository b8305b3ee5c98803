//! The way to a Redis server: what its URL leaves out, and a link that only publishes.

use std::fmt;
use std::sync::Arc;
use tally_backplane::Backplane;
use tally_backplane::redis::{ConfigError, Redis};

/// A text that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What comes in place of parts of the URL, or beside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) prefix: Option<String>,
    pub(crate) ca_pem: Option<Vec<u8>>,
}

/// Whether a URL means a Redis server, well formed or not.
pub(crate) fn is_meant(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    scheme.starts_with("redis") || scheme.starts_with("valkey")
}

/// A link that connects in the background and keeps trying; it has one connection and subscribes to nothing.
pub(crate) fn connect(url: &str, access: &Access) -> Result<Arc<dyn Backplane>, ConfigError> {
    let mut redis = Redis::new(url)?;
    if let Some(user) = &access.user {
        redis = redis.with_user(user);
    }
    if let Some(Secret(password)) = &access.password {
        redis = redis.with_password(password);
    }
    if let Some(prefix) = &access.prefix {
        redis = redis.with_prefix(prefix)?;
    }
    if let Some(ca_pem) = &access.ca_pem {
        redis = redis.with_ca_pem(ca_pem)?;
    }
    Ok(Arc::new(redis.connect_publisher()))
}
