//! The last five minutes of single channels, second by second: of those that somebody looks at.
//!
//! Bounded: [`TRACKS_MAX`] channels; beyond, the one that was looked at the longest ago goes.

use crate::limits::{TRACK_POINTS_MAX, TRACK_TIME, TRACKS_MAX};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;
use tally_fanout::ChannelView;
use tally_protocol::ChannelName;

/// `at_s`, rate, listeners at full, counts, summary.
pub(super) type Point = [u64; 5];

#[derive(Debug, Default)]
pub(super) struct Tracks(HashMap<ChannelName, Track>);

#[derive(Debug)]
struct Track {
    looked_at: Instant,
    points: VecDeque<Point>,
}

impl Tracks {
    /// Somebody looks at the channel.
    pub(super) fn look_at(&mut self, channel: &ChannelName, now: Instant) {
        if let Some(track) = self.0.get_mut(channel) {
            track.looked_at = now;
            return;
        }
        if self.0.len() == TRACKS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, track)| track.looked_at)
        {
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
        self.0.insert(channel.clone(), Track { looked_at: now, points: VecDeque::new() });
    }

    /// The channels to look up now; those that nobody has looked at for long are dropped.
    pub(super) fn names(&mut self, now: Instant) -> Vec<ChannelName> {
        self.0.retain(|_, track| now.saturating_duration_since(track.looked_at) < TRACK_TIME);
        self.0.keys().cloned().collect()
    }

    pub(super) fn note(&mut self, view: &ChannelView, at_s: u64) {
        let Some(track) = self.0.get_mut(&view.name) else { return };
        if track.points.len() == TRACK_POINTS_MAX {
            track.points.pop_front();
        }
        let [summary, counts, full] = view.listeners.map(|n| n as u64);
        track.points.push_back([at_s, view.flow.events, full, counts, summary]);
    }

    /// The oldest first.
    pub(super) fn points(&self, channel: &ChannelName) -> Vec<Point> {
        self.0.get(channel).map(|track| track.points.iter().copied().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tracks_are_bounded_in_number_length_and_time() {
        let (mut tracks, start) = (Tracks::default(), Instant::now());
        let name = |n: usize| ChannelName::new(&format!("c{n}")).unwrap();
        for n in 0..=TRACKS_MAX {
            tracks.look_at(&name(n), start + Duration::from_millis(n as u64));
        }
        let names = tracks.names(start + Duration::from_secs(1));
        assert_eq!((names.len(), names.contains(&name(0))), (TRACKS_MAX, false));
        let view = ChannelView {
            name: name(5),
            epoch: None,
            seq: tally_protocol::Seq::ZERO,
            listeners: [1, 2, 3],
            flow: tally_fanout::Flow { events: 9, ..tally_fanout::Flow::default() },
        };
        for at in 0..1_000 {
            tracks.note(&view, at);
        }
        let points = tracks.points(&name(5));
        assert_eq!((points.len(), points[TRACK_POINTS_MAX - 1]), (TRACK_POINTS_MAX, [999, 9, 3, 2, 1]));
        tracks.look_at(&name(5), start + TRACK_TIME);
        assert_eq!(tracks.names(start + TRACK_TIME + Duration::from_secs(2)), [name(5)]);
    }
}
