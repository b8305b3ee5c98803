//! What publishing over HTTP costs although nobody listens: channels whose payloads went nowhere, in windows.
//!
//! Bounded: a window holds [`UNHEARD_CHANNELS_MAX`] channels; further ones are only counted as one.

use crate::limits::UNHEARD_CHANNELS_MAX;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tally_protocol::ChannelName;

/// The window under way.
#[derive(Debug)]
pub(crate) struct Unheard(Mutex<Window>);

#[derive(Debug)]
struct Window {
    since: Instant,
    channels: HashMap<ChannelName, (u64, u64)>,
}

/// One channel, per second.
#[derive(Debug, Serialize)]
pub(crate) struct UnheardChannel {
    channel: ChannelName,
    events: u64,
    bytes: u64,
}

impl Default for Unheard {
    fn default() -> Self {
        Self(Mutex::new(Window { since: Instant::now(), channels: HashMap::new() }))
    }
}

impl Unheard {
    /// A publish that the broker says nobody heard.
    pub(crate) fn note(&self, channel: &ChannelName, events: u64, bytes: u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sum_events, sum_bytes)) = window.channels.get_mut(channel) {
            *sum_events += events;
            *sum_bytes += bytes;
        } else if window.channels.len() < UNHEARD_CHANNELS_MAX {
            window.channels.insert(channel.clone(), (events, bytes));
        }
    }

    /// Ends the window: how many channels there were, and those with the most bytes, at most `max`.
    pub(crate) fn turn(&self, max: usize) -> (usize, Vec<UnheardChannel>) {
        let fresh = Window { since: Instant::now(), channels: HashMap::new() };
        let window = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), fresh);
        let seconds = window.since.elapsed().as_secs_f64().max(0.001);
        let rate = |n: u64| (n as f64 / seconds).round() as u64;
        let n = window.channels.len();
        let mut all: Vec<_> = window.channels.into_iter().collect();
        let most = |one: &(ChannelName, (u64, u64))| std::cmp::Reverse((one.1.1, one.1.0));
        if all.len() > max {
            all.select_nth_unstable_by_key(max, most);
            all.truncate(max);
        }
        all.sort_by_key(most);
        let row =
            |(channel, (events, bytes))| UnheardChannel { channel, events: rate(events), bytes: rate(bytes) };
        (n, all.into_iter().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_bounded_and_ends_with_the_costliest() {
        let unheard = Unheard::default();
        for n in 0..2 * UNHEARD_CHANNELS_MAX as u64 {
            unheard.note(&ChannelName::new(&format!("c{n}")).unwrap(), 1, 1 + n % 100);
        }
        unheard.note(&ChannelName::new("c7").unwrap(), 1, 1_000_000);
        let (n, top) = unheard.turn(20);
        assert_eq!((n, top.len(), top[0].channel.as_str()), (UNHEARD_CHANNELS_MAX, 20, "c7"));
        assert_eq!(unheard.turn(20).0, 0);
    }
}
