//! What goes out: a span for the first time or again, with its payloads or without, and what it holds meanwhile.

use super::channel::{Channel, Phase, Sent};
use super::room::{Cost, Room};
use super::span::Sealed;
use crate::settings::Settings;
use std::sync::Arc;
use std::time::Instant;
use tally_protocol::Why;

/// A batch that waited in full goes without payloads where nobody listens by now.
pub(super) fn first(now: Instant, channel: &mut Channel, room: &mut Room, settings: &Settings) -> Sent {
    let is_unheard = channel.is_unheard(now);
    let span = channel.queue.pop_front().expect("a channel that is due has a batch or a span");
    let is_withheld = is_unheard && span.may_be_withheld();
    let (span_no, verdict) = (span.no, Arc::clone(&span.verdict));
    let mut sealed = span.seal();
    if is_withheld {
        sealed = lighten(sealed, Why::Unheard, channel, room, settings);
    }
    Sent {
        span_no,
        verdict,
        sealed,
        batch: channel.identity.next_batch(),
        attempt: 1,
        attempt_at: now,
        doubt_since: None,
        phase: Phase::OnWire,
    }
}

/// A retry keeps number and kinds. Its payloads are dropped only while the buffer is needed, and only where no
/// earlier attempt may have been published: then what the receipts say, counted, is certain.
pub(super) fn again(
    now: Instant,
    channel: &mut Channel,
    sent: Sent,
    room: &mut Room,
    settings: &Settings,
) -> Sent {
    let sealed = if room.is_counting() && sent.doubt_since.is_none() {
        lighten(sent.sealed, Why::Upstream, channel, room, settings)
    } else {
        sent.sealed
    };
    Sent { sealed, attempt: sent.attempt.saturating_add(1), attempt_at: now, phase: Phase::OnWire, ..sent }
}

/// Without its payloads, where counts can say it and have room.
fn lighten(sealed: Sealed, why: Why, channel: &mut Channel, room: &mut Room, settings: &Settings) -> Sealed {
    let lighter = sealed.without_payloads(why).filter(|lighter| {
        let new_channels = usize::from(channel.counts_spans == 0);
        room.admits_counts(0, lighter.cost.counts, new_channels, settings).is_ok()
    });
    let Some(lighter) = lighter else { return sealed };
    room.release(sealed.cost);
    room.hold(lighter.cost);
    hold_counts(channel, room);
    lighter
}

pub(super) fn hold_counts(channel: &mut Channel, room: &mut Room) {
    if channel.counts_spans == 0 {
        room.hold_channel();
    }
    channel.counts_spans += 1;
}

pub(super) fn release(channel: &mut Channel, room: &mut Room, cost: Cost) {
    room.release(cost);
    if cost.is_counts() {
        channel.counts_spans -= 1;
        if channel.counts_spans == 0 {
            room.release_channel();
        }
    }
}
