//! Names in Redis: the keys of a channel and its pub/sub channel, all with `{channel}` as their hash tag.

use crate::redis::config::Prefix;
use tally_protocol::ChannelName;

/// Makes the names that start with one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Up to and with the brace that opens the hash tag.
    opening: String,
}

/// Whether a key of a channel holds its head, producers or log.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Meta,
    Producers0,
    Producers1,
    Log,
}

impl Keys {
    pub(super) fn new(prefix: &Prefix) -> Self {
        Self { opening: format!("{}:{{", prefix.as_str()) }
    }

    /// What records are published to, and foreign programs may publish to as well.
    pub(super) fn pubsub(&self, channel: &ChannelName) -> String {
        format!("{}{channel}}}", self.opening)
    }

    pub(super) fn key(&self, channel: &ChannelName, key: Key) -> String {
        let ending = match key {
            Key::Meta => "meta",
            Key::Producers0 => "producers:0",
            Key::Producers1 => "producers:1",
            Key::Log => "log",
        };
        format!("{}{channel}}}:{ending}", self.opening)
    }

    /// The channel's name in what a message says it was published to.
    pub(super) fn channel<'a>(&self, pubsub: &'a str) -> Option<&'a str> {
        pubsub.strip_prefix(self.opening.as_str())?.strip_suffix('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_found_again_in_its_pubsub_name() {
        let keys = Keys::new(&Prefix::new("tally").unwrap());
        let channel = ChannelName::new("job:42").unwrap();
        assert_eq!(keys.pubsub(&channel), "tally:{job:42}");
        assert_eq!(keys.channel("tally:{job:42}"), Some("job:42"));
        assert_eq!(keys.key(&channel, Key::Producers1), "tally:{job:42}:producers:1");
        for other in ["tally:{job:42}:meta", "tally:job:42", "other:{job:42}", "tally:{job:42"] {
            assert_eq!(keys.channel(other), None, "{other}");
        }
    }
}
