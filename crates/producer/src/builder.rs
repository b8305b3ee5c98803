//! A producer's settings, and the ways to start one.

use crate::limits::{HTTP_IN_FLIGHT_MAX, IN_FLIGHT_MAX};
use crate::producer::Producer;
use crate::settings::{SettingError, Settings};
use crate::transport::redis::{self, Access, Secret};
use crate::transport::{Http, Transport, UrlError};
use std::sync::Arc;
use std::time::Duration;
use tally_backplane::Backplane;
use tally_backplane::redis::ConfigError;

/// Why a producer cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The URL of a Redis server, or what belongs to it.
    #[error(transparent)]
    Redis(#[from] ConfigError),
}

/// Settings of a [`Producer`]; each is checked when it starts.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    settings: Settings,
    in_flight_max: Option<usize>,
    publish_key: Option<Secret>,
    redis: Access,
}

impl Builder {
    /// The first part of the producer's id, for people who read logs; a random part follows. Default `tally`.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.settings.name);
        self
    }

    /// The bearer key that a gateway may ask for. Not used over Redis or another backplane.
    pub fn publish_key(mut self, key: &str) -> Self {
        self.publish_key = Some(Secret(key.to_owned()));
        self
    }

    /// The user of Redis, in place of the URL's.
    pub fn redis_user(mut self, user: &str) -> Self {
        self.redis.user = Some(user.to_owned());
        self
    }

    /// The password of Redis, in place of the URL's. It is shown nowhere, nor is that of the URL.
    pub fn redis_password(mut self, password: &str) -> Self {
        self.redis.password = Some(Secret(password.to_owned()));
        self
    }

    /// What keys and pub/sub channels in Redis begin with: that of the gateways. Default `tally`.
    pub fn redis_prefix(mut self, prefix: &str) -> Self {
        self.redis.prefix = Some(prefix.to_owned());
        self
    }

    /// The certificate authorities (PEM) to be trusted over `rediss://`, in place of the system's.
    pub fn redis_ca_pem(mut self, pem: &[u8]) -> Self {
        self.redis.ca_pem = Some(pem.to_owned());
        self
    }

    /// How long an event may wait for company before its batch is sent. Default 10 ms.
    pub fn batch_age(mut self, age: Duration) -> Self {
        self.settings.batch_age = age;
        self
    }

    /// Events of one batch; more begin the next one. Default 1,024.
    pub fn batch_events_max(mut self, events: usize) -> Self {
        self.settings.batch_events_max = events;
        self
    }

    /// Bytes of data of one batch; more begin the next one. Default 256 KiB.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes_max = bytes;
        self
    }

    /// Bytes of events that wait for an answer; beyond, events become counts until a quarter is free. An event costs
    /// its data and 192 bytes, a batch 1 KiB. Encoded copies of the batches in flight come on top. Default 8 MiB.
    pub fn buffer_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.buffer_bytes_max = bytes;
        self
    }

    /// Bytes of counts that wait, with the newest state event of each span; beyond, `publish` returns an error. A
    /// span costs 1 KiB and 128 bytes per kind. Default 16 MiB.
    pub fn counts_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.counts_bytes_max = bytes;
        self
    }

    /// Channels with counts that wait; beyond, `publish` returns an error. Default 10,000.
    pub fn counted_channels_max(mut self, channels: usize) -> Self {
        self.settings.counted_channels_max = channels;
        self
    }

    /// Batches on their way at one time, over all channels; a channel has at most one. Default 16 over HTTP, where
    /// each takes a connection, and 64 else.
    pub fn in_flight_max(mut self, batches: usize) -> Self {
        self.in_flight_max = Some(batches);
        self
    }

    /// How long one attempt may take. Default (and most) 10 s.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.settings.attempt_timeout = timeout;
        self
    }

    /// Whether payloads may be withheld while nobody listens. Default yes.
    ///
    /// A channel with more than 10 events in the last second, of whose last batch the broker said that no gateway is
    /// subscribed, is sent as counts (why `unheard`) every 200 ms; seq and totals stay exact. Each answer tells whether
    /// somebody listens again, and from then on events are sent in full: a listener that attaches gets them after
    /// 200 ms and two round trips. State events and slow channels are always sent whole, and so is every event where the
    /// broker's last answer is older than 1 s, or says that it does not know.
    ///
    /// Turn it off where data has to reach the broker although nobody listens, for instance for programs that read
    /// Redis themselves. What nobody listens to is not kept anywhere either way.
    pub fn listener_aware(mut self, listener_aware: bool) -> Self {
        self.settings.listener_aware = listener_aware;
        self
    }

    /// Starts a producer to what is at `url`. When it returns, settings and URL are valid; nothing has been sent, and
    /// nobody need be there yet.
    ///
    /// - `http://` or `https://`: a gateway, with a path in front where a proxy needs one.
    /// - `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS, or `redis+unix:///path/to.sock`: the
    ///   Redis server (6.2 or newer, or Valkey) that the gateways use. It takes one connection.
    ///
    /// # Errors
    /// [`ConnectError`] names the setting, or what is wrong with the URL; never a credential.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(mut self, url: &str) -> Result<Producer, ConnectError> {
        let is_redis = redis::is_meant(url);
        let default = if is_redis { IN_FLIGHT_MAX } else { HTTP_IN_FLIGHT_MAX };
        self.settings.in_flight_max = self.in_flight_max.unwrap_or(default);
        self.settings.check()?;
        if is_redis {
            let node = redis::connect(url, &self.redis)?;
            return Ok(Producer::start(self.settings, Transport::Direct(node)));
        }
        let key = self.publish_key.as_ref().map(|Secret(key)| key.as_str());
        let http = Http::new(url, key, self.settings.in_flight_max)?;
        Ok(Producer::start(self.settings, Transport::Http(Box::new(http))))
    }

    /// Starts a producer straight into a backplane of this process.
    ///
    /// # Errors
    /// [`SettingError`] names the setting.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn over(mut self, backplane: Arc<dyn Backplane>) -> Result<Producer, SettingError> {
        self.settings.in_flight_max = self.in_flight_max.unwrap_or(IN_FLIGHT_MAX);
        self.settings.check()?;
        Ok(Producer::start(self.settings, Transport::Direct(backplane)))
    }
}
