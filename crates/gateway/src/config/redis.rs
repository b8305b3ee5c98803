//! Where Redis is, and how long it may take: the `[redis]` table, checked, with credentials that show nowhere.

use std::fmt;
use std::time::Duration;
use tally_backplane::redis::{Redis, Timeouts};

/// How to reach the Redis server that producers and gateways share.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// May hold credentials.
    url: String,
    user: String,
    password: String,
    ca_pem: Option<Vec<u8>>,
    prefix: String,
    timeouts: Timeouts,
}

/// One setting of the table that is a time, with its bounds.
pub(super) struct RedisTime {
    /// As it stands in the table; elsewhere `redis_` comes before it.
    pub(super) key: &'static str,
    pub(super) min_ms: u64,
    pub(super) max_ms: u64,
    pub(super) text: &'static str,
    get: fn(&Timeouts) -> Duration,
    set: fn(&mut Timeouts, Duration),
}

macro_rules! times {
    ($($key:literal $field:ident, $min:expr, $max:expr, $text:expr;)*) => {
        &[$(RedisTime {
            key: $key,
            min_ms: $min,
            max_ms: $max,
            text: $text,
            get: |timeouts| timeouts.$field,
            set: |timeouts, value| timeouts.$field = value,
        },)*]
    };
}

pub(super) const TIMES: &[RedisTime] = times! {
    "connect_ms" connect, 50, 60_000,
        "How long connecting may take, with TLS and authentication. Longer: the attempt has failed, the next follows.";
    "command_ms" command, 50, 60_000,
        "How long one command may take. Longer: a publish is unknown, a read has failed and is repeated.";
    "heartbeat_ms" heartbeat, 50, 60_000,
        "How often each connection is asked for a sign of life.";
    "silence_ms" silence, 100, 600_000,
        "How long a sign of life, or the node's own probe, may take. Longer: the connections are made anew.";
    "probe_ms" probe, 50, 600_000,
        "How often a probe goes through the real publish path and has to come back.";
    "reconnect_max_ms" reconnect_max, 50, 600_000,
        "The longest wait between two attempts to connect; each node draws its own, from half of it to all of it.";
};

/// Settings of the table that are texts: the key, and what it means.
pub(super) const TEXTS: [(&str, &str); 6] = [
    (
        "url",
        "redis://[user[:password]@]host[:port], rediss:// for TLS, or redis+unix:///path/to.sock. \"\": no Redis, the \
         gateway has a broker of its own in memory. As a variable TALLY_REDIS, as a flag --redis. A database number \
         behind the host holds for keys only; pub/sub ignores it, so use one prefix per environment instead.",
    ),
    ("user", "In place of the URL's user."),
    ("password", "In place of the URL's password; better in TALLY_REDIS_PASSWORD or a file. Never shown."),
    ("password_file", "A file that holds the password alone; it takes the place of password."),
    (
        "ca_file",
        "PEM file with the only certificate authorities to trust, for rediss://. \"\": those of the system.",
    ),
    ("prefix", "What all keys and pub/sub channels begin with: 1 to 64 bytes of A-Z a-z 0-9 . _ : -."),
];

pub(super) const PREFIX: &str = "tally";

/// What was set so far; without a URL it must stay empty.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Draft(RedisSettings);

impl Default for Draft {
    fn default() -> Self {
        let none = String::new;
        Self(RedisSettings {
            url: none(),
            user: none(),
            password: none(),
            ca_pem: None,
            prefix: PREFIX.into(),
            timeouts: Timeouts::default(),
        })
    }
}

/// The setting's full name: `redis` for the URL, `redis_…` for all others.
pub(super) fn name(key: &str) -> String {
    if key == "url" { "redis".into() } else { format!("redis_{key}") }
}

/// The key in the table of a setting's full name.
pub(super) fn key(name: &str) -> Option<&str> {
    let key =
        if name == "redis" { "url" } else { name.strip_prefix("redis_").filter(|key| *key != "url")? };
    let is_known = TEXTS.iter().any(|(known, _)| *known == key) || TIMES.iter().any(|time| time.key == key);
    is_known.then_some(key)
}

pub(super) fn names() -> impl Iterator<Item = String> {
    TEXTS.iter().map(|(key, _)| *key).chain(TIMES.iter().map(|time| time.key)).map(name)
}

impl Draft {
    /// Sets one; the error never shows a credential.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let held = &mut self.0;
        match key {
            "url" => value.clone_into(&mut held.url),
            "user" => value.clone_into(&mut held.user),
            "password" => value.clone_into(&mut held.password),
            "prefix" => value.clone_into(&mut held.prefix),
            "password_file" if value.is_empty() => {}
            "password_file" => {
                let text = String::from_utf8(read(key, value)?)
                    .map_err(|_| format!("redis.password_file = {value:?} must hold text"))?;
                text.trim_end_matches(['\r', '\n']).clone_into(&mut held.password);
            }
            "ca_file" if value.is_empty() => held.ca_pem = None,
            "ca_file" => held.ca_pem = Some(read(key, value)?),
            _ => self.set_time(key, value)?,
        }
        Ok(())
    }

    fn set_time(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some(time) = TIMES.iter().find(|time| time.key == key) else {
            return Err(format!("redis.{key} is no setting (`tally config default` prints all of them)"));
        };
        let ms = super::setting::number(&format!("redis.{key}"), value, time.min_ms, time.max_ms)?;
        (time.set)(&mut self.0.timeouts, Duration::from_millis(ms));
        Ok(())
    }

    /// The checked value; `None` without a URL.
    pub(super) fn check(&self) -> Result<Option<RedisSettings>, String> {
        let held = &self.0;
        if held.url.is_empty() {
            if *self == Self::default() {
                return Ok(None);
            }
            return Err("settings of redis are given without its url, and would have no effect".into());
        }
        held.link().map_err(|error| format!("redis: {error}"))?;
        Ok(Some(held.clone()))
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("redis.{key} = {path:?} cannot be read: {error}"))
}

pub(super) fn default_ms(time: &RedisTime) -> u128 {
    (time.get)(&Timeouts::default()).as_millis()
}

impl RedisSettings {
    /// What the backplane connects with.
    pub(crate) fn link(&self) -> Result<Redis, tally_backplane::redis::ConfigError> {
        let mut redis = Redis::new(&self.url)?.with_prefix(&self.prefix)?.with_timeouts(self.timeouts);
        if !self.user.is_empty() {
            redis = redis.with_user(&self.user);
        }
        if !self.password.is_empty() {
            redis = redis.with_password(&self.password);
        }
        match &self.ca_pem {
            Some(pem) => redis.with_ca_pem(pem),
            None => Ok(redis),
        }
    }
}

/// Where it is, without credentials.
impl fmt::Display for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link() {
            Ok(redis) => write!(f, "{redis}, prefix {}", self.prefix),
            Err(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisSettings({self})")
    }
}
