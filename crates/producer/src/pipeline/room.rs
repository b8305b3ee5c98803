//! Law 3 of a producer: how much is held, what still fits, and when events become counts.

use crate::notice::Notice;
use crate::publish::PublishError;
use crate::settings::Settings;

/// Bytes held, in the two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cost {
    pub(super) buffer: usize,
    pub(super) counts: usize,
}

impl Cost {
    pub(super) fn of_buffer(bytes: usize) -> Self {
        Self { buffer: bytes, counts: 0 }
    }

    pub(super) fn of_counts(bytes: usize) -> Self {
        Self { buffer: 0, counts: bytes }
    }

    pub(super) fn is_counts(self) -> bool {
        self.counts > 0
    }
}

/// What all spans of the producer hold together.
#[derive(Debug, Default)]
pub(super) struct Room {
    used: Cost,
    counted_channels: usize,
    /// The buffer was full and a quarter of it is not free yet: how many events were counted since.
    counting: Option<u64>,
}

impl Room {
    pub(super) fn used(&self) -> Cost {
        self.used
    }

    pub(super) fn is_counting(&self) -> bool {
        self.counting.is_some()
    }

    /// Whether `bytes` more may be held in full; otherwise the event is to be counted.
    pub(super) fn admits(&mut self, bytes: usize, settings: &Settings) -> (bool, Option<Notice>) {
        if self.counting.is_none() && self.used.buffer + bytes > settings.buffer_bytes_max {
            self.counting = Some(0);
            let notice = Notice::CountingBegan { buffer_bytes_max: settings.buffer_bytes_max };
            return (false, Some(notice));
        }
        (self.counting.is_none(), None)
    }

    /// Whether counts may grow from `before` to `after` bytes, in a channel that is new among the counted or not.
    pub(super) fn admits_counts(
        &self,
        before: usize,
        after: usize,
        new_channels: usize,
        settings: &Settings,
    ) -> Result<(), PublishError> {
        if self.counted_channels + new_channels > settings.counted_channels_max {
            return Err(PublishError::TooManyCountedChannels(settings.counted_channels_max));
        }
        if self.used.counts - before + after > settings.counts_bytes_max {
            return Err(PublishError::CountsFull(settings.counts_bytes_max));
        }
        Ok(())
    }

    pub(super) fn handle_counted(&mut self) {
        if let Some(counted) = &mut self.counting {
            *counted += 1;
        }
    }

    pub(super) fn hold(&mut self, cost: Cost) {
        self.used.buffer += cost.buffer;
        self.used.counts += cost.counts;
    }

    pub(super) fn release(&mut self, cost: Cost) {
        self.used.buffer -= cost.buffer;
        self.used.counts -= cost.counts;
    }

    pub(super) fn hold_channel(&mut self) {
        self.counted_channels += 1;
    }

    pub(super) fn release_channel(&mut self) {
        self.counted_channels -= 1;
    }

    /// Ends counting once a quarter of the buffer is free.
    pub(super) fn handle_released(&mut self, settings: &Settings) -> Option<Notice> {
        if self.used.buffer > settings.buffer_bytes_max / 4 * 3 {
            return None;
        }
        self.counting.take().map(|counted| Notice::CountingEnded { counted })
    }
}
