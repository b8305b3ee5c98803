//! What goes through one channel: counted with each record and frame, made into figures per second by each look.

use std::time::Duration;

/// Amounts of one channel on one shard, per second where a [`crate::ChannelView`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Events that came from the broker.
    pub events: u64,
    /// Bytes of their data; 0 where payloads were withheld.
    pub in_bytes: u64,
    /// Bytes of `events` frames to all listeners: data, and an estimate of what stands around it. Counts and summaries
    /// are small and left out.
    pub out_bytes: u64,
    /// Events seen in full, summed over listeners.
    pub full_events: u64,
    /// Events that listeners were only told of by number, in counts or summaries.
    pub counted_events: u64,
}

impl Flow {
    fn per_second(self, time: Duration) -> Self {
        let micros = time.as_micros().max(1);
        let rate =
            |n: u64| u64::try_from((u128::from(n) * 1_000_000 + micros / 2) / micros).unwrap_or(u64::MAX);
        Self {
            events: rate(self.events),
            in_bytes: rate(self.in_bytes),
            out_bytes: rate(self.out_bytes),
            full_events: rate(self.full_events),
            counted_events: rate(self.counted_events),
        }
    }
}

/// What came since the last look, and the figures of that look.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since: Flow,
    rates: Flow,
}

impl Meter {
    pub(crate) fn note_record(&mut self, events: u64, data_bytes: u64) {
        self.since.events += events;
        self.since.in_bytes += data_bytes;
    }

    pub(crate) fn note_full(&mut self, events: u64, frame_bytes: u64) {
        self.since.full_events += events;
        self.since.out_bytes += frame_bytes;
    }

    pub(crate) fn note_counted(&mut self, events: u64) {
        self.since.counted_events += events;
    }

    /// `time` is how long ago the last look was.
    pub(crate) fn turn(&mut self, time: Duration) {
        self.rates = std::mem::take(&mut self.since).per_second(time);
    }

    /// Per second, between the last two looks.
    pub(crate) const fn rates(&self) -> Flow {
        self.rates
    }
}
