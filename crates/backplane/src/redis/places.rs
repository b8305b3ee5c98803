//! Where this node expects the next batch of each channel to lie, so that records can be sent with their header.
//!
//! Right while one link alone publishes to a channel, which is the ordinary case. Where it is wrong the script puts the
//! right header in front, which costs more than to send none: so a channel is guessed again only after a batch that
//! followed the one before. Nothing depends on it but time.

use super::script::Told;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tally_protocol::{ChannelName, Place};

/// Channels remembered (about 200 bytes each). More: all are forgotten, and each learns anew from its next answer.
const CHANNELS_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<ChannelName, Next>>);

#[derive(Debug)]
struct Next {
    place: Place,
    /// The newest answer fitted the one before it.
    is_steady: bool,
}

impl Places {
    /// Where a batch of `events` that is sent now will lie, if that can be told.
    pub(super) fn next(&self, channel: &ChannelName, events: u64) -> Option<Place> {
        let mut channels = self.lock();
        let next = channels.get_mut(channel).filter(|next| next.is_steady)?;
        let place = next.place.clone();
        // A link's calls arrive in order: the next one lies behind this one, before this one is answered.
        next.place.from = place.from.plus(events);
        Some(place)
    }

    /// A batch was published; `place` is where it was expected.
    pub(super) fn handle_told(&self, channel: &ChannelName, place: Option<&Place>, told: &Told) {
        let published = &told.published;
        let lies = Place { epoch: published.epoch.clone(), from: published.from };
        if place == Some(&lies) && !told.is_folded {
            return;
        }
        let mut channels = self.lock();
        let known = channels.get(channel);
        let follows = known.is_none_or(|next| next.place == lies);
        let is_steady = place.is_none() && follows && !told.is_folded;
        if known.is_none() && channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        let place = Place { from: published.to.next(), ..lies };
        channels.insert(channel.clone(), Next { place, is_steady });
    }

    /// A batch was not published, or perhaps.
    pub(super) fn forget(&self, channel: &ChannelName) {
        self.lock().remove(channel);
    }

    /// Every step under the lock leaves the map whole, so a poisoned lock is of no concern.
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelName, Next>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tally_protocol::{Epoch, Heard, Published, Seq};

    fn told(epoch: &str, from: u64, to: u64) -> Told {
        let (epoch, from, to) = (Epoch::new(epoch).unwrap(), Seq::new(from).unwrap(), Seq::new(to).unwrap());
        let published = Published { epoch, from, to, heard: Heard::No };
        Told { published, is_folded: false, problem: String::new() }
    }

    fn from(place: Option<Place>) -> Option<u64> {
        place.map(|place| place.from.get())
    }

    #[test]
    fn a_batch_is_expected_behind_the_one_before_also_while_that_is_on_its_way() {
        let (places, a) = (Places::default(), ChannelName::new("a").unwrap());
        assert_eq!(places.next(&a, 3), None);
        places.handle_told(&a, None, &told("e", 1, 3));
        let second = places.next(&a, 5);
        assert_eq!(from(second.clone()), Some(4));
        let third = places.next(&a, 1);
        assert_eq!(from(third.clone()), Some(9));
        places.handle_told(&a, second.as_ref(), &told("e", 4, 8));
        places.handle_told(&a, third.as_ref(), &told("e", 9, 9));
        assert_eq!(from(places.next(&a, 1)), Some(10));
    }

    #[test]
    fn what_does_not_follow_is_not_guessed_until_it_follows_again() {
        let (places, a) = (Places::default(), ChannelName::new("a").unwrap());
        places.handle_told(&a, None, &told("e", 1, 1));
        let guessed = places.next(&a, 1);
        places.handle_told(&a, guessed.as_ref(), &told("e", 7, 7));
        assert_eq!(places.next(&a, 1), None);
        places.handle_told(&a, None, &told("e", 9, 9));
        assert_eq!(places.next(&a, 1), None, "somebody else publishes too");
        places.handle_told(&a, None, &told("e", 10, 10));
        assert_eq!(from(places.next(&a, 1)), Some(11));
        places.forget(&a);
        assert_eq!(places.next(&a, 1), None);
        // A batch whose kinds are folded has a front of another length, whatever its place.
        places.handle_told(&a, None, &Told { is_folded: true, ..told("e", 12, 12) });
        assert_eq!(places.next(&a, 1), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let places = Places::default();
        for n in 0..2 * CHANNELS_MAX {
            places.handle_told(&ChannelName::new(&format!("c{n}")).unwrap(), None, &told("e", 1, 1));
        }
        assert!(places.lock().len() <= CHANNELS_MAX);
    }
}
