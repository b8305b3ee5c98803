//! What an application asks for one channel.

use crate::limits::CHANNELS_MAX;
use tally_protocol::{ChannelName, REPLAY_EVENTS_MAX, Rung, SubscribeChannel, TickMs};

/// Why a request was not taken; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The first subscription stays as it is.
    #[error("channel {0} is subscribed already; change it with set_rung, or unsubscribe first")]
    AlreadySubscribed(ChannelName),
    /// There is nothing to change.
    #[error("channel {0} is not subscribed")]
    NotSubscribed(ChannelName),
    /// See [`CHANNELS_MAX`].
    #[error("at most {CHANNELS_MAX} channels can be subscribed by one client")]
    TooManyChannels,
    /// See [`REPLAY_EVENTS_MAX`].
    #[error("last is {0}; at most {REPLAY_EVENTS_MAX} events can be replayed")]
    LastTooLarge(u64),
    /// A rate of nothing.
    #[error("max_rate is 0; ask for the rung counts instead")]
    NoRate,
    /// The gateway said not to come back, the attempts are used up, or the client was told to stop.
    #[error("the client has ended")]
    Ended,
}

/// One channel to listen to, and how. Without further options: `full`, at the gateway's default rate and tick, from
/// now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) channel: ChannelName,
    pub(crate) rung: Rung,
    pub(crate) max_rate: Option<u64>,
    pub(crate) tick_ms: TickMs,
    pub(crate) tail: bool,
    pub(crate) last: Option<u64>,
}

impl Subscription {
    /// The channel in full, with the defaults of the wire.
    #[must_use]
    pub fn new(channel: &ChannelName) -> Self {
        Self {
            channel: channel.clone(),
            rung: Rung::Full,
            max_rate: None,
            tick_ms: TickMs::default(),
            tail: false,
            last: None,
        }
    }

    /// The highest rung wanted: `full`, `counts` or `summary`.
    #[must_use]
    pub fn rung(mut self, rung: Rung) -> Self {
        self.rung = rung;
        self
    }

    /// Events per second wanted at `full`, at least 1. The gateway grants what it can and says so in `subscribed`.
    #[must_use]
    pub fn max_rate(mut self, events_per_second: u64) -> Self {
        self.max_rate = Some(events_per_second);
        self
    }

    /// How often a counts frame may come.
    #[must_use]
    pub fn tick_ms(mut self, tick_ms: TickMs) -> Self {
        self.tick_ms = tick_ms;
        self
    }

    /// Counts frames carry the newest events (at most 4 within 8 KiB) as a courtesy copy.
    #[must_use]
    pub fn tail(mut self) -> Self {
        self.tail = true;
        self
    }

    /// Start before the record that holds the `events`-th newest event, at most 1,000. It applies to the first attach
    /// only; afterwards the cursor says where to go on.
    #[must_use]
    pub fn last(mut self, events: u64) -> Self {
        self.last = Some(events);
        self
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    pub(crate) fn check(&self) -> Result<(), SubscribeError> {
        if let Some(last) = self.last.filter(|last| *last > REPLAY_EVENTS_MAX) {
            return Err(SubscribeError::LastTooLarge(last));
        }
        if self.max_rate == Some(0) {
            return Err(SubscribeError::NoRate);
        }
        Ok(())
    }

    pub(crate) fn pace(&mut self, max_rate: Option<u64>, tick_ms: Option<TickMs>) {
        self.max_rate = max_rate.or(self.max_rate);
        self.tick_ms = tick_ms.unwrap_or(self.tick_ms);
    }

    /// As it stands in a `subscribe` frame, without where to start.
    pub(crate) fn request(&self) -> SubscribeChannel {
        SubscribeChannel {
            rung: self.rung,
            max_rate: self.max_rate,
            tick_ms: self.tick_ms,
            tail: self.tail,
            ..SubscribeChannel::new(&self.channel)
        }
    }
}

impl From<&ChannelName> for Subscription {
    fn from(channel: &ChannelName) -> Self {
        Self::new(channel)
    }
}
