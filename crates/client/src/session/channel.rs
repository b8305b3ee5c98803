//! One channel of a session: what was asked, how far the asking got, and its ledgers.

use crate::limits::CLOSED_LEDGERS_MAX;
use crate::subscription::Subscription;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tally_protocol::{After, Ledger, Position, Rung, SubscribeChannel, Subscribed, TickMs};

/// How far the asking got. At most one request per channel is unanswered at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be subscribed as soon as there is a connection (and, after a violation, its pause is over).
    Wanted,
    /// `subscribe` was sent; not attached yet, perhaps pending.
    Asked(Unanswered),
    /// Attached.
    Live { since: Instant },
    /// `unsubscribe` is due or was sent. What is on its way is booked as before: an attach that is still unanswered,
    /// and then frames. After a violation there is neither an attach to wait for nor a ledger: all is dropped.
    Leaving { id: Option<u64>, then: Then, unanswered: Option<Unanswered> },
    /// Over without a frame that says so; forgotten when the application was told.
    Over,
}

/// A `subscribe` without its attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) id: u64,
    /// Whether it had `after`.
    pub(super) resumes: bool,
}

/// What follows when the gateway has confirmed the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The application wanted it: tell it and forget the channel.
    Forget,
    /// The application wanted the end and then a new subscription.
    Restart,
    /// A law was broken: subscribe afresh.
    Afresh,
}

/// The account of one channel: its ledger now, and those that ended before.
#[derive(Debug)]
pub struct Account {
    pub(super) subscription: Subscription,
    pub(super) phase: Phase,
    pub(super) ledger: Option<Ledger>,
    closed: VecDeque<Arc<Ledger>>,
    pub(super) granted: Option<Granted>,
    /// Between a refused `after` and its `reset`: what the `reset` has to repeat.
    pub(super) reset_due: Option<Position>,
    /// Whether a ledger was ever open: `last` is for the first attach only.
    attached: bool,
    pub(super) violations: u64,
    /// Violations without a calm period between them.
    pub(super) strikes: u32,
}

/// What the gateway told about a subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) rung: Rung,
    max_rate: u64,
    tick_ms: TickMs,
}

impl From<&Subscribed> for Granted {
    fn from(frame: &Subscribed) -> Self {
        Self { rung: frame.rung, max_rate: frame.max_rate, tick_ms: frame.tick_ms }
    }
}

impl Account {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self {
            subscription,
            phase: Phase::Wanted,
            ledger: None,
            closed: VecDeque::new(),
            granted: None,
            reset_due: None,
            attached: false,
            violations: 0,
            strikes: 0,
        }
    }

    /// The ledger as it stands. `None` before the first attach, and after a violation until the next attach. While
    /// disconnected it is the one that will be resumed.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// The ledgers that ended before, the oldest first; the last [`CLOSED_LEDGERS_MAX`] of them.
    pub fn closed(&self) -> impl ExactSizeIterator<Item = &Ledger> {
        self.closed.iter().map(|ledger| &**ledger)
    }

    /// Frames of this channel that broke a law, since it was subscribed.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// Events per second at `full`, as granted by the last `subscribed`.
    #[must_use]
    pub fn max_rate(&self) -> Option<u64> {
        self.granted.map(|granted| granted.max_rate)
    }

    /// How often a counts frame may come, as granted by the last `subscribed`.
    #[must_use]
    pub fn tick_ms(&self) -> Option<TickMs> {
        self.granted.map(|granted| granted.tick_ms)
    }

    /// What was asked for, with the changes made by `set_rung`.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Whether frames of the channel are due: it is attached on the present connection.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        match self.phase {
            Phase::Live { .. } => true,
            Phase::Leaving { unanswered, .. } => unanswered.is_none() && self.ledger.is_some(),
            Phase::Wanted | Phase::Asked(_) | Phase::Over => false,
        }
    }

    pub(super) fn open_ledger(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
        self.attached = true;
    }

    /// Ends the ledger and keeps it among the closed ones.
    pub(super) fn close_ledger(&mut self) -> Option<Arc<Ledger>> {
        self.ledger.take().map(|ledger| self.keep_closed(ledger))
    }

    pub(super) fn keep_closed(&mut self, ledger: Ledger) -> Arc<Ledger> {
        if self.closed.len() == CLOSED_LEDGERS_MAX {
            self.closed.pop_front();
        }
        let ledger = Arc::new(ledger);
        self.closed.push_back(Arc::clone(&ledger));
        ledger
    }

    pub(super) fn last_closed(&self) -> Option<Arc<Ledger>> {
        self.closed.back().cloned()
    }

    /// The channel is to be unsubscribed. An attach that is on its way is waited for, except after a violation.
    pub(super) fn leave(&mut self, then: Then) {
        let unanswered = match self.phase {
            Phase::Asked(unanswered) if then != Then::Afresh => Some(unanswered),
            _ => None,
        };
        self.phase = Phase::Leaving { id: None, then, unanswered };
    }

    /// The account of a channel that starts over because the application said so.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.subscription.clone());
    }

    /// What to ask for now. A ledger is resumed from its cursor. One of a channel that had no events yet has no epoch
    /// to resume with; going back by as many events as the gateway allows is the nearest thing. After a violation
    /// it is neither.
    pub(super) fn request(&self, last_max: u64) -> SubscribeChannel {
        let mut request = self.subscription.request();
        match &self.ledger {
            Some(ledger) => match ledger.epoch() {
                Some(epoch) => request.after = Some(After { epoch: epoch.clone(), seq: ledger.cursor() }),
                None => request.last = (last_max > 0).then_some(last_max),
            },
            None if self.attached => {}
            None => request.last = self.subscription.last,
        }
        request
    }
}
