//! What a watch comes to: per channel its last ledger, resets and violations, and from these the exit status.
//!
//! It keeps what the client forgets: the ledger of a subscription that the gateway ended, and whether every ledger that
//! a reset closed had closed. Bounded by the channels that were asked for.

use std::sync::Arc;
use tally_client::{ChannelName, Client, Disconnect, Ledger, Update, Violation};

#[derive(Debug)]
pub(super) struct Outcome {
    channels: Vec<ChannelOutcome>,
    /// The first one; all of them are counted.
    violation: Option<Violation>,
    violations: u64,
    /// Why there will be no further attempt to connect.
    given_up: Option<Disconnect>,
    /// What the gateway said to the last request that it refused.
    refusal: Option<String>,
}

/// The account of one channel beyond its ledger of the moment.
#[derive(Debug)]
pub(super) struct ChannelOutcome {
    pub(super) channel: ChannelName,
    /// The ledger that ended last, for when there is none open.
    closed: Option<Arc<Ledger>>,
    /// All ledgers that ended did close.
    all_closed: bool,
    pub(super) resets: u64,
    pub(super) violations: u64,
    /// Why the subscription ended, where it did.
    ended: Option<String>,
}

impl Outcome {
    pub(super) fn new(channels: &[ChannelName]) -> Self {
        let channels = channels.iter().map(|channel| ChannelOutcome {
            channel: channel.clone(),
            closed: None,
            all_closed: true,
            resets: 0,
            violations: 0,
            ended: None,
        });
        Self { channels: channels.collect(), violation: None, violations: 0, given_up: None, refusal: None }
    }

    pub(super) fn handle(&mut self, update: &Update) {
        match update {
            Update::Reset { frame, closed } => self.change(&frame.channel, |one| {
                one.resets += 1;
                one.keep(Some(closed));
            }),
            Update::Unsubscribed { channel, code, ledger, .. } => self.change(channel, |one| {
                one.ended = Some(code.clone());
                one.keep(ledger.as_ref());
            }),
            Update::Violation { violation, closed, .. } => {
                self.violations += 1;
                self.violation.get_or_insert_with(|| violation.clone());
                self.change(&violation.channel, |one| {
                    one.violations += 1;
                    one.keep(closed.as_ref());
                });
            }
            Update::Error(frame) => self.refusal = Some(frame.message.clone()),
            Update::Disconnected { cause, retry_in: None } => self.given_up = Some(cause.clone()),
            _ => {}
        }
    }

    /// Takes the ledgers as they stand.
    pub(super) fn close(&mut self, client: &Client) {
        for one in &mut self.channels {
            if let Some(ledger) = client.ledger(&one.channel) {
                one.keep(Some(&Arc::new(ledger.clone())));
            }
        }
    }

    pub(super) fn channels(&self) -> &[ChannelOutcome] {
        &self.channels
    }

    /// Whether the gateway has ended every subscription, so that nothing can follow.
    pub(super) fn is_over(&self) -> bool {
        self.channels.iter().all(|one| one.ended.is_some())
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Over all channels, and those that were not asked for.
    pub(super) fn violations(&self) -> u64 {
        self.violations
    }

    pub(super) fn given_up(&self) -> Option<&Disconnect> {
        self.given_up.as_ref()
    }

    /// What keeps the end from being a good one.
    pub(super) fn failure(&self) -> Option<String> {
        self.channels.iter().find_map(|one| {
            let name = &one.channel;
            match (&one.ended, &one.closed) {
                (Some(code), _) => {
                    let words = self.refusal.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
                    Some(format!("the gateway ended channel {name} ({code}){words}"))
                }
                (None, None) => Some(format!("channel {name} was never attached")),
                (None, Some(_)) if !one.closes() => {
                    Some(format!("the ledger of channel {name} does not close"))
                }
                (None, Some(_)) => None,
            }
        })
    }

    fn change(&mut self, channel: &ChannelName, change: impl FnOnce(&mut ChannelOutcome)) {
        if let Some(one) = self.channels.iter_mut().find(|one| one.channel == *channel) {
            change(one);
        }
    }
}

impl ChannelOutcome {
    /// The last ledger, once [`Outcome::close`] took it; `None` where the channel was never attached.
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.closed.as_deref()
    }

    /// Whether there was a ledger, and this one and all before it closed.
    pub(super) fn closes(&self) -> bool {
        self.all_closed && self.closed.is_some()
    }

    fn keep(&mut self, ledger: Option<&Arc<Ledger>>) {
        if let Some(ledger) = ledger {
            self.all_closed &= ledger.closes();
            self.closed = Some(Arc::clone(ledger));
        }
    }
}
