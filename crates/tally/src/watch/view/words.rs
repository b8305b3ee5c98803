//! Rungs and reasons in words, each with its tone and its sign.

use crate::watch::text::{Line, Tone, thousands};
use tally_client::{Rung, Why};

pub(super) fn rung_tone(rung: Rung) -> Tone {
    match rung {
        Rung::Full => Tone::Good,
        Rung::Counts => Tone::Caution,
        Rung::Summary => Tone::Bad,
    }
}

/// The rung as a ladder of three steps and its name.
pub(super) fn rung_sign(rung: Rung) -> Line {
    let (steps, rest) = match rung {
        Rung::Full => ("▰▰▰", ""),
        Rung::Counts => ("▰▰", "▱"),
        Rung::Summary => ("▰", "▱▱"),
    };
    let tone = rung_tone(rung);
    Line::of(tone, steps).then(Tone::Dim, rest).then(tone, format!(" {rung}"))
}

/// What the rung means for this listener, and why it is no higher.
pub(super) fn rung_words(rung: Rung, why: Why, max_rate: Option<u64>) -> String {
    let form = match rung {
        Rung::Full => return "every event, as it was published".into(),
        Rung::Counts => "exact counts",
        Rung::Summary => "exact counts, now and then",
    };
    match (why, max_rate) {
        (Why::Asked, _) => format!("as asked: {form}"),
        (Why::Throttled, Some(rate)) => {
            format!("throttled: {form} while more than {}/s come", thousands(rate))
        }
        (Why::Throttled, None) => format!("throttled: {form} while too many come"),
        (Why::Backpressure, _) => format!("backpressure: {form}, for this listener reads too slowly"),
        (Why::Unheard, _) => format!("unheard: {form}, for the producer withheld the events"),
        (Why::Upstream, _) => format!("upstream: {form} of what passed while the broker was away"),
        (Why::Replay, _) => format!("replay: {form}, to catch up"),
    }
}

/// The reason in a word, for tables; nothing to say where all is as asked.
pub(super) fn why_word(rung: Rung, why: Why) -> &'static str {
    match (rung, why) {
        (Rung::Full, _) => "",
        (_, why) => why.as_str(),
    }
}

/// When events came as numbers: `1,204 events counted …`.
pub(super) fn counted_words(why: Why) -> &'static str {
    match why {
        Why::Asked => "as asked",
        Why::Throttled => "while throttled",
        Why::Backpressure => "under backpressure",
        Why::Unheard => "while unheard",
        Why::Upstream => "while upstream was down",
        Why::Replay => "to catch up",
    }
}
