//! What became of an event: the receipt that `publish` returns, and the outcome that it gets in the end.

use std::sync::{Arc, OnceLock};
use tally_protocol::{Epoch, Heard, Published, Seq, Why};
use tokio::sync::Notify;

/// What became of one event. Nothing is ever told twice, and nothing that was told changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Published once, with its data, at this position of the channel.
    Full { epoch: Epoch, seq: Seq, heard: Heard },
    /// Published once as a count: it is one of the events `from` to `to`, whose data was not sent.
    Counted {
        epoch: Epoch,
        from: Seq,
        to: Seq,
        heard: Heard,
        /// `unheard`: nobody listened, so the data was withheld. `upstream`: the buffer was full.
        why: Why,
        /// This is the newest state event of the span: its data was published too, at `to`.
        carried: bool,
    },
    /// Surely not published, and it will not be: the broker said no, or (code `closed`) the producer ended before.
    Refused { code: Arc<str>, message: Arc<str> },
    /// Perhaps published, at most once; nobody can say. It will not be sent again.
    Unknown { reason: Arc<str> },
}

/// A claim on the outcome of one event. Cheap to clone and to drop; dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Receipt {
    verdict: Arc<Verdict>,
    /// The event's place in its span.
    index: u32,
}

impl Receipt {
    pub(crate) fn new(verdict: Arc<Verdict>, index: u32) -> Self {
        Self { verdict, index }
    }

    /// Waits until the event's outcome is certain, or certain to stay unknown. When it returns, the outcome is final.
    ///
    /// It returns within the retry window of 60 s for a batch that may have been published. One that surely was not
    /// is tried for as long as the producer lives, so while the broker is away this waits. Cancel safe.
    pub async fn outcome(&self) -> Outcome {
        self.verdict.told().await;
        self.peek().expect("a verdict that was told is there")
    }

    /// The outcome, if it is there already.
    #[must_use]
    pub fn peek(&self) -> Option<Outcome> {
        self.verdict.span.get().map(|span| span.outcome(self.index))
    }
}

/// The outcome of a span, shared by the receipts of its events.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    span: OnceLock<SpanOutcome>,
    told: Notify,
}

impl Verdict {
    /// Tells all receipts. The first verdict stays.
    pub(crate) fn tell(&self, outcome: SpanOutcome) {
        let _already_told = self.span.set(outcome);
        self.told.notify_waiters();
    }

    pub(crate) async fn told(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // Listening begins before the look, so that a verdict between the two is not missed.
        told.as_mut().enable();
        if self.span.get().is_none() {
            told.await;
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum SpanOutcome {
    Full(Published),
    Counted { published: Published, why: Why, carried: Option<u32> },
    Refused { code: Arc<str>, message: Arc<str> },
    Unknown { reason: Arc<str> },
}

impl SpanOutcome {
    fn outcome(&self, index: u32) -> Outcome {
        match self {
            Self::Full(published) => Outcome::Full {
                epoch: published.epoch.clone(),
                seq: published.from.plus(u64::from(index)),
                heard: published.heard,
            },
            Self::Counted { published, why, carried } => Outcome::Counted {
                epoch: published.epoch.clone(),
                from: published.from,
                to: published.to,
                heard: published.heard,
                why: *why,
                carried: *carried == Some(index),
            },
            Self::Refused { code, message } => {
                Outcome::Refused { code: Arc::clone(code), message: Arc::clone(message) }
            }
            Self::Unknown { reason } => Outcome::Unknown { reason: Arc::clone(reason) },
        }
    }
}
