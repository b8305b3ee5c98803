//! Where events go: a gateway or the Redis behind it, what either may ask for, and what is dropped on the way.

use anyhow::Context as _;
use std::path::PathBuf;
use std::time::Duration;
use tally_producer::{Builder, ChannelName, Producer};

/// The longest wait that can be asked for.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Where to publish: http:// or https:// of a gateway, or redis://, rediss:// or redis+unix:// of the Redis that
    /// gateways share. Other users can see the arguments of a process, so credentials are better in TALLY_TO.
    #[arg(
        long,
        value_name = "URL",
        env = "TALLY_TO",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8420"
    )]
    pub(crate) to: String,
    /// The channel of the events, such as job:42.
    #[arg(long, value_name = "NAME", value_parser = channel)]
    pub(crate) channel: ChannelName,
    /// A top-level key to leave out of every JSON object; may be given again.
    #[arg(long, value_name = "KEY")]
    pub(crate) drop: Vec<String>,
    /// The gateway's publish key, needed from other machines. Other users can see the arguments of a process, but
    /// not its environment.
    #[arg(long, value_name = "KEY", env = "TALLY_PUBLISH_KEY", hide_env_values = true)]
    publish_key: Option<String>,
    #[command(flatten)]
    redis: RedisAccess,
}

/// What a Redis URL leaves out.
#[derive(Debug, clap::Args)]
struct RedisAccess {
    /// What the keys and channels of the gateways begin with [default: tally].
    #[arg(long, value_name = "PREFIX", env = "TALLY_REDIS_PREFIX", help_heading = "Redis")]
    redis_prefix: Option<String>,
    /// The user of Redis, in place of the URL's.
    #[arg(long, value_name = "USER", env = "TALLY_REDIS_USER", help_heading = "Redis")]
    redis_user: Option<String>,
    /// The password of Redis, in place of the URL's.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "TALLY_REDIS_PASSWORD",
        help_heading = "Redis",
        hide_env_values = true
    )]
    redis_password: Option<String>,
    /// PEM file with the only certificate authorities to trust over rediss://.
    #[arg(long, value_name = "FILE", env = "TALLY_REDIS_CA_FILE", help_heading = "Redis")]
    redis_ca_file: Option<PathBuf>,
}

impl Target {
    /// Must be called within a runtime, which does the work from then on.
    ///
    /// # Errors
    /// Where the URL, the key or what Redis asks for can never work.
    pub(crate) fn connect(&self, mut producer: Builder) -> anyhow::Result<Producer> {
        if let Some(key) = &self.publish_key {
            producer = producer.publish_key(key);
        }
        // Settings of Redis may stand in an environment in which a gateway is published to.
        if self.to.starts_with("redis") {
            producer = self.redis.apply(producer)?;
        }
        Ok(producer.connect(&self.to)?)
    }
}

impl RedisAccess {
    fn apply(&self, mut producer: Builder) -> anyhow::Result<Builder> {
        if let Some(prefix) = &self.redis_prefix {
            producer = producer.redis_prefix(prefix);
        }
        if let Some(user) = &self.redis_user {
            producer = producer.redis_user(user);
        }
        if let Some(password) = &self.redis_password {
            producer = producer.redis_password(password);
        }
        if let Some(path) = &self.redis_ca_file {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            producer = producer.redis_ca_pem(&pem);
        }
        Ok(producer)
    }
}

/// A channel that programs may publish to.
pub(crate) fn channel(name: &str) -> Result<ChannelName, String> {
    if name.starts_with('$') {
        return Err("channels that start with `$` are Tally's own".to_owned());
    }
    name.parse().map_err(|error: tally_producer::NameError| error.to_string())
}

/// A duration such as `2s`, `500ms`, or `0`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * scale);
    seconds
        .filter(|seconds| *seconds <= WAIT_MAX.as_secs_f64())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give seconds or milliseconds, such as 2s or 500ms, at most a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases =
            [("2s", 2_000), ("500ms", 500), ("0", 0), ("1.5", 1_500), ("0s", 0), ("86400", 86_400_000)];
        for (text, ms) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "2 s", "2m", "inf", "nan", "1e9"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_channels_are_refused_before_anything_runs() {
        assert!(channel("$nodes").is_err() && channel("a b").is_err() && channel("").is_err());
        assert_eq!(channel("job:42").unwrap().as_str(), "job:42");
    }
}
