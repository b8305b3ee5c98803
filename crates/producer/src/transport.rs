//! The way to the broker: over HTTP to a gateway, or straight into a backplane, such as Redis.

mod direct;
mod http;
pub(crate) mod redis;

pub(crate) use self::http::Http;
pub use self::http::UrlError;

use crate::pipeline::{Answer, Attempt};
use std::sync::Arc;
use tally_backplane::Backplane;

pub(crate) enum Transport {
    Http(Box<Http>),
    Direct(Arc<dyn Backplane>),
}

impl Transport {
    /// Makes one attempt. Dropped before it answers, the attempt may have been published.
    pub(crate) async fn send(&self, attempt: &Attempt) -> Answer {
        match self {
            Self::Http(http) => http.send(attempt).await,
            Self::Direct(backplane) => direct::send(&**backplane, attempt).await,
        }
    }
}
