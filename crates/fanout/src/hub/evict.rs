//! The limits of logs: a channel's own, and that of all logs of the hub together; the coldest go first.

use super::Hub;

impl Hub {
    /// Holds the limits of the channel's log, then that of all logs of the hub: the coldest go first.
    pub(super) fn evict(&mut self, channel: u32) {
        let (events_max, bytes_max) = (self.limits.log_events_max, self.limits.log_bytes_max);
        while self.channels[channel].log.is_over(events_max, bytes_max) {
            self.evict_oldest(channel);
        }
        self.rewarm(channel);
        while self.log_bytes > self.limits.hub_log_bytes_max {
            let Some((_, coldest)) = self.coldest.first().copied() else { return };
            while self.channels[coldest].log.len() > 1 {
                self.evict_oldest(coldest);
            }
            self.cool(coldest);
        }
    }

    fn evict_oldest(&mut self, channel: u32) {
        let log = &mut self.channels[channel].log;
        let before = log.bytes();
        let oldest = log.pop_oldest();
        self.log_bytes -= before - log.bytes();
        self.counters.evicted += 1;
        if let Some(state) = oldest.and_then(|entry| entry.state()) {
            self.channels[channel].state_before_log = Some(state);
        }
    }

    /// The channel is now the warmest.
    fn rewarm(&mut self, channel: u32) {
        self.cool(channel);
        if self.channels[channel].log.len() > 1 {
            self.warmth += 1;
            self.channels[channel].warmth = Some(self.warmth);
            self.coldest.insert((self.warmth, channel));
        }
    }

    pub(super) fn cool(&mut self, channel: u32) {
        if let Some(warmth) = self.channels[channel].warmth.take() {
            self.coldest.remove(&(warmth, channel));
        }
    }
}
