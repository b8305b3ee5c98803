//! The gateway's settings: raw text from a file, the environment and flags, made into a value that cannot be wrong.
//!
//! The three come in rising order. An error names the setting, the value, where it stands and the rule; an unknown
//! setting is an error. All errors are found in one go.

mod file;
mod pattern;
mod print;
mod redis;
mod setting;

pub use pattern::ChannelRule;
pub use redis::RedisSettings;

use crate::limits::{Limits, NAME_BYTES_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Everything a gateway can be told, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What this gateway is called among others; empty: its host's name.
    pub name: String,
    /// Where producers and clients connect. Port 0: any free one.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Threads with connections; 0: one per core.
    pub shards: usize,
    /// Origins whose pages may connect and publish, beside the gateway's own.
    pub allow_origin: Vec<AllowedOrigin>,
    /// What publishers from elsewhere have to show.
    pub publish_key: Option<PublishKey>,
    /// Top-level keys that are dropped from events, by channel.
    pub channels: Vec<ChannelRule>,
    /// The Redis to connect to; `None`: a broker in this process's memory.
    pub redis: Option<RedisSettings>,
    pub limits: Limits,
}

/// One entry of `allow_origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `*`
    Any,
    /// `null`: pages from files, and sandboxed ones.
    Null,
    /// Scheme, host and port as browsers send them: in lower case, without a default port.
    Exact(String),
}

/// A secret that is not shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishKey(String);

impl PublishKey {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PublishKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishKey(…)")
    }
}

/// Raw settings, and where they come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file: its path (for messages) and its text.
    pub file: Option<(PathBuf, String)>,
    /// Variables such as `("TALLY_LISTEN", "…")`. Names without `TALLY_` are passed over; the caller leaves out those
    /// `TALLY_` names that are not for the gateway.
    pub env: Vec<(String, String)>,
    /// Flags by the setting's name, such as `("allow_origin", "…")`. A list that is given more than once adds up.
    pub flags: Vec<(String, String)>,
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// The file, variable or flag.
    pub place: String,
    /// The setting, the value and the rule.
    pub problem: String,
}

/// Everything that is wrong with the settings, one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            name: String::new(),
            listen: local(8420),
            admin: local(8421),
            shards: 0,
            allow_origin: Vec::new(),
            publish_key: None,
            channels: Vec::new(),
            redis: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Reads the sources in rising order over the defaults.
    ///
    /// # Errors
    /// [`ConfigErrors`] has everything that is wrong, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut config = Draft::default();
        let mut errors = Vec::new();
        if let Some((path, text)) = &sources.file {
            file::apply(&mut config, &path.display().to_string(), text, &mut errors);
        }
        let mut apply = |place: String, key: &str, values: &[String]| {
            if let Err(problem) = setting::apply(&mut config, key, values) {
                errors.push(ConfigError { place, problem });
            }
        };
        for (name, value) in &sources.env {
            let Some(key) = name.strip_prefix("TALLY_") else { continue };
            let key = key.to_ascii_lowercase();
            apply(format!("environment {name}"), &key, &setting::values(&key, value));
        }
        for (key, values) in grouped(&sources.flags) {
            apply(format!("flag --{}", key.replace('_', "-")), key, &values);
        }
        if errors.is_empty() {
            return config
                .check()
                .map_err(|problem| ConfigErrors(vec![ConfigError { place: "settings".into(), problem }]));
        }
        Err(ConfigErrors(errors))
    }

    /// The default settings as TOML, each with its unit, its bounds and its consequence. It reads back as
    /// [`Config::default`].
    #[must_use]
    pub fn default_toml() -> String {
        print::toml(&Self::default())
    }

    /// Names of all settings, for help and completion; `channels` can only stand in the file.
    pub fn setting_names() -> impl Iterator<Item = String> {
        setting::names()
    }

    /// Keys to drop from events of this channel: those of every rule that matches.
    pub(crate) fn drop_keys(&self, channel: &str) -> Vec<String> {
        let rules = self.channels.iter().filter(|rule| rule.matches(channel));
        rules.flat_map(|rule| rule.drop.iter().cloned()).collect()
    }

    /// The number of shards, as it will be.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = if self.shards == 0 { cores() } else { self.shards };
        wanted.min(crate::limits::SHARDS_MAX)
    }

    /// What this gateway is called: the setting, or the host's name as far as a channel's name may hold it.
    pub(crate) fn gateway_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        let host = nix::unistd::gethostname().unwrap_or_default();
        let allowed = |c: char| if setting::is_of_name(c) { c } else { '-' };
        let name: String = host.to_string_lossy().chars().map(allowed).take(NAME_BYTES_MAX).collect();
        if name.is_empty() { "gateway".into() } else { name }
    }

    /// What connects this gateway with producers, for people; without credentials.
    #[must_use]
    pub fn backplane(&self) -> String {
        match &self.redis {
            Some(redis) => format!("redis ({redis})"),
            None => "embedded (in memory, this process only)".into(),
        }
    }

    /// Rules between settings.
    fn check_between(&self) -> Result<(), String> {
        let limits = &self.limits;
        if self.listen == self.admin && self.listen.port() != 0 {
            return Err(format!("listen and admin are both {}; they must differ", self.listen));
        }
        if limits.silent_ms <= limits.heartbeat_ms {
            return Err(format!(
                "silent_ms = {} must be above heartbeat_ms = {}, or every quiet connection would end",
                limits.silent_ms, limits.heartbeat_ms
            ));
        }
        if limits.log_bytes_max > limits.logs_bytes_max {
            return Err(format!(
                "log_bytes_max = {} (one channel) must not be above logs_bytes_max = {} (all channels)",
                limits.log_bytes_max, limits.logs_bytes_max
            ));
        }
        Ok(())
    }
}

/// What the sources have said so far.
#[derive(Default)]
struct Draft {
    config: Config,
    redis: redis::Draft,
}

impl Draft {
    fn check(mut self) -> Result<Config, String> {
        self.config.redis = self.redis.check()?;
        self.config.check_between()?;
        Ok(self.config)
    }
}

/// Flags of the same name together, in the order of their first.
fn grouped(flags: &[(String, String)]) -> Vec<(&str, Vec<String>)> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, value) in flags {
        match groups.iter_mut().find(|(name, _)| name == key) {
            Some((_, values)) => values.extend(setting::values(key, value)),
            None => groups.push((key, setting::values(key, value))),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
