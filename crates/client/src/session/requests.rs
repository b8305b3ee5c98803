//! What the client wants of the gateway: commands change what is wanted, `poll_transmit` derives the next frame.
//!
//! Nothing is queued: each channel is at most once in each set, so that what is unsent is bounded by the channels.

use super::channel::{Account, Phase, Then, Unanswered};
use super::{Link, Session};
use crate::limits::{CHANNELS_MAX, REPORT_DETAIL_MAX, REPORTS_MAX};
use crate::subscription::{SubscribeError, Subscription};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;
use tally_protocol::{
    ChannelName, ClientFrame, FRAME_CHANNELS_MAX, Rung, RungRequest, SubscribeRequest, TickMs,
    UnsubscribeRequest, Violation, ViolationReport,
};

/// Bytes of one channel in a `subscribe` frame beside its name: every field present, every number at its longest.
const SUBSCRIBE_CHANNEL_BYTES_MAX: usize = 220;
/// Bytes of a `subscribe` or `unsubscribe` frame beside its channels.
const REQUEST_BYTES_MAX: usize = 64;

/// What waits for the socket.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    reports: VecDeque<ViolationReport>,
    rungs: BTreeMap<Option<ChannelName>, RungRequest>,
    leaves: BTreeSet<ChannelName>,
    joins: BTreeSet<ChannelName>,
    /// Channels that broke before: subscribed anew at that time.
    paused: BTreeSet<(Instant, ChannelName)>,
}

impl Unsent {
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.paused.first().map(|(due_at, _)| *due_at)
    }

    pub(super) fn release(&mut self, now: Instant) {
        while self.due_at().is_some_and(|due_at| due_at <= now) {
            self.joins.extend(self.paused.pop_first().map(|(_, channel)| channel));
        }
    }

    /// Reports outlive the connection; everything else is derived anew for the next one.
    pub(super) fn forget_connection(&mut self) {
        let reports = std::mem::take(&mut self.reports);
        *self = Self { reports, ..Self::default() };
    }

    pub(super) fn greet(&mut self, wanted: impl Iterator<Item = ChannelName>, for_all: Option<RungRequest>) {
        self.joins.extend(wanted);
        self.rungs.extend(for_all.map(|request| (None, request)));
    }

    pub(super) fn join_at(&mut self, due_at: Instant, channel: ChannelName) {
        self.paused.insert((due_at, channel));
    }

    pub(super) fn leave(&mut self, channel: &ChannelName) {
        self.leaves.insert(channel.clone());
    }

    pub(super) fn report(&mut self, violation: &Violation) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push_back(ViolationReport {
                channel: violation.channel.clone(),
                law: violation.law.as_str().into(),
                detail: violation.detail.chars().take(REPORT_DETAIL_MAX).collect(),
            });
        }
    }

    /// The newest wish counts; what it leaves open stays from the wish before. One for all channels also paces those
    /// that wait for themselves.
    fn ask_rung(&mut self, mut request: RungRequest) {
        if request.channel.is_none() {
            for waiting in self.rungs.values_mut() {
                waiting.max_rate = request.max_rate.or(waiting.max_rate);
                waiting.tick_ms = request.tick_ms.or(waiting.tick_ms);
            }
        }
        if let Some(before) = self.rungs.get(&request.channel) {
            request.max_rate = request.max_rate.or(before.max_rate);
            request.tick_ms = request.tick_ms.or(before.tick_ms);
        }
        self.rungs.insert(request.channel.clone(), request);
    }

    /// Whatever is unsent of a channel that is over or starts anew.
    pub(super) fn forget(&mut self, channel: &ChannelName) {
        self.leaves.remove(channel);
        self.joins.remove(channel);
        self.rungs.remove(&Some(channel.clone()));
        self.paused.retain(|(_, paused)| paused != channel);
    }
}

impl Session {
    pub(crate) fn subscribe(&mut self, subscription: Subscription) -> Result<(), SubscribeError> {
        if matches!(self.link, Link::Ended) {
            return Err(SubscribeError::Ended);
        }
        subscription.check()?;
        let channel = subscription.channel.clone();
        let full = self.channels.len() >= CHANNELS_MAX;
        match self.channels.get_mut(&channel) {
            None if full => return Err(SubscribeError::TooManyChannels),
            None => {
                self.channels.insert(channel.clone(), Account::new(subscription));
                self.unsent.joins.insert(channel);
            }
            Some(account) => match &mut account.phase {
                Phase::Over => {
                    *account = Account::new(subscription);
                    self.over.remove(&channel);
                    self.unsent.joins.insert(channel);
                }
                Phase::Leaving { then: then @ Then::Forget, .. } => {
                    *then = Then::Restart;
                    account.subscription = subscription;
                }
                Phase::Wanted | Phase::Asked(_) | Phase::Live { .. } | Phase::Leaving { .. } => {
                    return Err(SubscribeError::AlreadySubscribed(channel));
                }
            },
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, channel: &ChannelName) -> Result<(), SubscribeError> {
        let not_subscribed = || SubscribeError::NotSubscribed(channel.clone());
        let account = self.channels.get_mut(channel).ok_or_else(not_subscribed)?;
        match &mut account.phase {
            Phase::Wanted => {
                account.phase = Phase::Over;
                self.unsent.forget(channel);
                self.over.insert(channel.clone());
            }
            Phase::Asked(_) | Phase::Live { .. } => {
                account.leave(Then::Forget);
                self.unsent.forget(channel);
                self.unsent.leave(channel);
            }
            Phase::Leaving { then: then @ (Then::Restart | Then::Afresh), .. } => *then = Then::Forget,
            Phase::Leaving { .. } | Phase::Over => return Err(not_subscribed()),
        }
        Ok(())
    }

    pub(crate) fn set_rung(
        &mut self,
        channel: Option<&ChannelName>,
        rung: Rung,
        max_rate: Option<u64>,
        tick_ms: Option<TickMs>,
    ) -> Result<(), SubscribeError> {
        if max_rate == Some(0) {
            return Err(SubscribeError::NoRate);
        }
        let request = RungRequest { channel: channel.cloned(), rung, max_rate, tick_ms };
        let Some(name) = channel else {
            // The rung is a ceiling beside what each channel asked for; rate and tick go to each channel of now.
            self.channels.values_mut().for_each(|account| account.subscription.pace(max_rate, tick_ms));
            self.asked_for_all = Some(RungRequest { max_rate: None, tick_ms: None, ..request.clone() });
            if matches!(self.link, Link::Up(_)) {
                self.unsent.ask_rung(request);
            }
            return Ok(());
        };
        match self.channels.get_mut(name) {
            Some(account) if account.phase != Phase::Over => {
                account.subscription.rung = rung;
                account.subscription.pace(max_rate, tick_ms);
                if matches!(account.phase, Phase::Asked(_) | Phase::Live { .. }) {
                    self.unsent.ask_rung(request);
                }
                Ok(())
            }
            Some(_) | None => Err(SubscribeError::NotSubscribed(name.clone())),
        }
    }

    /// The next frame for the gateway. Rungs of the whole connection go before the subscribes that they hold for.
    pub(crate) fn poll_transmit(&mut self) -> Option<String> {
        let Link::Up(up) = &self.link else { return None };
        let (frame_bytes, last_max) = (up.frame_bytes, up.last_max);
        let frame = if let Some(report) = self.unsent.reports.pop_front() {
            ClientFrame::Violation(report)
        } else if let Some((_, request)) = self.unsent.rungs.pop_first() {
            ClientFrame::Rung(request)
        } else if !self.unsent.leaves.is_empty() {
            self.next_unsubscribe(frame_bytes)
        } else if !self.unsent.joins.is_empty() {
            self.next_subscribe(frame_bytes, last_max)
        } else {
            return None;
        };
        Some(frame.encode())
    }

    fn next_unsubscribe(&mut self, frame_bytes: usize) -> ClientFrame {
        let id = self.next_id();
        let mut room = Room::new(frame_bytes);
        let mut channels = Vec::new();
        while let Some(name) = self.unsent.leaves.pop_first() {
            if !room.take(name.as_str().len() + 3) {
                self.unsent.leaves.insert(name);
                break;
            }
            let account = self.channels.get_mut(&name);
            if let Some(Phase::Leaving { id: asked, .. }) = account.map(|account| &mut account.phase) {
                *asked = Some(id);
            }
            channels.push(name.to_string());
        }
        ClientFrame::Unsubscribe(UnsubscribeRequest { id, channels })
    }

    fn next_subscribe(&mut self, frame_bytes: usize, last_max: u64) -> ClientFrame {
        let id = self.next_id();
        let mut room = Room::new(frame_bytes);
        let mut channels = Vec::new();
        while let Some(name) = self.unsent.joins.pop_first() {
            if !room.take(name.as_str().len() + SUBSCRIBE_CHANNEL_BYTES_MAX) {
                self.unsent.joins.insert(name);
                break;
            }
            if let Some(account) = self.channels.get_mut(&name) {
                let request = account.request(last_max);
                account.phase = Phase::Asked(Unanswered { id, resumes: request.after.is_some() });
                channels.push(request);
            }
        }
        ClientFrame::Subscribe(SubscribeRequest { id, channels })
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// What still fits into a request: one channel always does.
struct Room {
    channels: usize,
    bytes: usize,
    first: bool,
}

impl Room {
    fn new(frame_bytes: usize) -> Self {
        Self {
            channels: FRAME_CHANNELS_MAX,
            bytes: frame_bytes.saturating_sub(REQUEST_BYTES_MAX),
            first: true,
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.first || (self.channels > 0 && bytes <= self.bytes);
        if fits {
            self.channels -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.first = false;
        }
        fits
    }
}
