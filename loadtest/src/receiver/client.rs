//! One client: the bytes of its connection taken apart, and every frame booked.
//!
//! The hot path is a comparison: what a channel's next frame is, another client has mostly shown already. Law 1 and 2
//! are checked by the account of each subscription; a frame that breaks one is told, and the subscription is booked
//! no further. Bounded: at most one frame that has not ended is held.

mod frames;

use super::hall::Hall;
use crate::account::Account;
use crate::audience::Seat;
use crate::gauge::Gauge;
use crate::known::Known;
use crate::wire::{self, Parsed};
use std::rc::Rc;
use tally_protocol::{After, ChannelName, ClientFrame, Rung, SubscribeChannel, SubscribeRequest};

/// Channels of one `subscribe` frame, well below what one may hold.
const SUBSCRIBE_CHANNELS: usize = 100;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) seat: Seat,
    pub(super) subscriptions: Vec<Subscription>,
    partial: Partial,
    /// Bytes for the socket.
    pub(super) out: Vec<u8>,
    upgraded: bool,
    /// It was attached once.
    seated: bool,
    ceiling: Rung,
    /// Where the gateway put this connection, once it has said so.
    shard: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: usize,
    pub(super) account: Option<Account>,
    /// Attached on this connection.
    attached: bool,
    /// A law was broken: nothing more is booked.
    broken: bool,
    rung: Rung,
    /// Where publishers look for this cursor.
    slot: Option<usize>,
}

/// A frame that has begun and not ended.
#[derive(Debug, Default)]
enum Partial {
    #[default]
    None,
    Bytes(Vec<u8>),
    /// So far it is what `known` begins with.
    Like {
        known: Rc<Known>,
        subscription: usize,
        matched: usize,
    },
}

/// What a client has at hand while it takes bytes.
pub(super) struct Round<'a> {
    pub(super) hall: &'a mut Hall,
    pub(super) gauge: &'a mut Gauge,
    pub(super) now_us: u64,
}

impl Client {
    pub(super) fn new(seat: Seat, hall: &mut Hall) -> Self {
        let waited_for = seat.is_healthy() && seat.rung == Rung::Full;
        let subscriptions = seat.channels.iter().map(|channel| Subscription {
            channel: *channel,
            account: None,
            attached: false,
            broken: false,
            rung: Rung::Full,
            slot: waited_for.then(|| hall.slot(*channel)),
        });
        Self {
            subscriptions: subscriptions.collect(),
            seat,
            partial: Partial::None,
            out: Vec::new(),
            upgraded: false,
            seated: false,
            ceiling: Rung::Full,
            shard: None,
        }
    }

    /// The socket is connected.
    pub(super) fn handle_connected(&mut self) {
        self.out.clear();
        self.partial = Partial::None;
        self.upgraded = false;
        self.ceiling = Rung::Full;
        self.out.extend_from_slice(wire::upgrade_request(self.seat.to).as_bytes());
    }

    /// Asks for everything, with the ledgers that are held.
    fn subscribe(&mut self, hall: &Hall) {
        let channels: Vec<SubscribeChannel> =
            self.subscriptions.iter().map(|it| self.ask(it, hall)).collect();
        for (i, channels) in channels.chunks(SUBSCRIBE_CHANNELS).enumerate() {
            let request = SubscribeRequest { id: i as u64 + 1, channels: channels.to_vec() };
            self.send(wire::TEXT, ClientFrame::Subscribe(request).encode().as_bytes());
        }
    }

    fn ask(&self, subscription: &Subscription, hall: &Hall) -> SubscribeChannel {
        let account = subscription.account.as_ref().filter(|_| !subscription.broken);
        let after = account.and_then(|account| {
            let seq = tally_protocol::Seq::new(account.cursor())?;
            Some(After { epoch: account.epoch()?.clone(), seq })
        });
        SubscribeChannel {
            rung: self.seat.rung,
            max_rate: hall.ask.max_rate,
            tick_ms: hall.ask.tick_ms,
            tail: hall.ask.tail,
            after,
            ..SubscribeChannel::new(&hall.channels[subscription.channel])
        }
    }

    /// The connection is over; the accounts stay for a resume.
    pub(super) fn handle_disconnected(&mut self, gauge: &mut Gauge) {
        if let Some(shard) = self.shard.take() {
            *gauge.shards.entry((self.seat.to, shard)).or_default() -= 1;
        }
        for subscription in &mut self.subscriptions {
            if std::mem::take(&mut subscription.attached) {
                gauge.attached -= 1;
                gauge.rungs[place(subscription.rung.min(self.ceiling))] -= 1;
            }
        }
        self.out.clear();
    }

    /// Another client takes this place: the accounts are closed.
    pub(super) fn handle_replaced(&mut self, hall: &mut Hall) {
        for subscription in &mut self.subscriptions {
            if let Some(account) = subscription.account.take() {
                hall.retire(subscription.channel, &account);
            }
        }
    }

    /// Takes what the socket had.
    ///
    /// # Errors
    /// The connection cannot go on, for the reason in words.
    pub(super) fn take(&mut self, mut bytes: &[u8], round: &mut Round<'_>) -> Result<(), String> {
        round.gauge.delivered.bytes += bytes.len() as u64;
        bytes = match std::mem::take(&mut self.partial) {
            Partial::None => bytes,
            Partial::Bytes(held) => return self.take_after(held, bytes, round),
            Partial::Like { known, subscription, matched } => {
                let rest = &known.wire[matched..];
                if let Some(behind) = bytes.strip_prefix(rest) {
                    self.book(subscription, &known, round);
                    behind
                } else if rest.starts_with(bytes) {
                    self.partial = Partial::Like { matched: matched + bytes.len(), known, subscription };
                    return Ok(());
                } else {
                    return self.take_after(known.wire[..matched].to_vec(), bytes, round);
                }
            }
        };
        self.take_frames(bytes, round)
    }

    /// Completes the frame that `held` begins, then goes on in place.
    fn take_after(
        &mut self,
        mut held: Vec<u8>,
        mut bytes: &[u8],
        round: &mut Round<'_>,
    ) -> Result<(), String> {
        if !self.upgraded {
            held.extend_from_slice(bytes);
            return self.take_frames(&held, round);
        }
        while !bytes.is_empty() {
            // Before the header is whole, only as much as a header may need.
            let wanted =
                wire::frame_bytes(&held).map_or(held.len() + 1, |all| usize::try_from(all).unwrap_or(0));
            let (mine, rest) = bytes.split_at(wanted.saturating_sub(held.len()).min(bytes.len()));
            held.extend_from_slice(mine);
            bytes = rest;
            match wire::parse(&held) {
                Parsed::Part => {}
                Parsed::Bad(problem) => return Err(problem.to_owned()),
                Parsed::Whole { .. } => {
                    self.take_frames(&held, round)?;
                    return self.take_frames(bytes, round);
                }
            }
        }
        self.partial = Partial::Bytes(held);
        Ok(())
    }

    fn take_frames(&mut self, mut bytes: &[u8], round: &mut Round<'_>) -> Result<(), String> {
        if !self.upgraded {
            let Some(answer) = wire::upgrade_answer(bytes)? else {
                self.partial = Partial::Bytes(bytes.to_vec());
                return Ok(());
            };
            self.upgraded = true;
            self.subscribe(round.hall);
            bytes = &bytes[answer..];
        }
        while !bytes.is_empty() {
            if let Some((subscription, known)) = self.expected(bytes, round.hall) {
                if let Some(rest) = bytes.strip_prefix(&*known.wire) {
                    self.book(subscription, &known, round);
                    bytes = rest;
                    continue;
                }
                if known.wire.starts_with(bytes) {
                    self.partial = Partial::Like { known, subscription, matched: bytes.len() };
                    return Ok(());
                }
            }
            match wire::parse(bytes) {
                Parsed::Whole { opcode, payload } => {
                    let end = payload.end;
                    self.handle_frame(opcode, &bytes[..end], &bytes[payload], round)?;
                    bytes = &bytes[end..];
                }
                Parsed::Part => {
                    self.partial = Partial::Bytes(bytes.to_vec());
                    return Ok(());
                }
                Parsed::Bad(problem) => return Err(problem.to_owned()),
            }
        }
        Ok(())
    }

    /// The known frame that these bytes probably are.
    fn expected(&self, bytes: &[u8], hall: &Hall) -> Option<(usize, Rc<Known>)> {
        let at = match self.subscriptions.len() {
            1 => 0,
            _ => self.subscription(hall.number_of(channel_of(bytes)?)?)?,
        };
        let subscription = &self.subscriptions[at];
        let account = subscription.account.as_ref().filter(|_| subscription.attached)?;
        let known = hall.cache.get(subscription.channel, account.cursor() + 1)?;
        Some((at, Rc::clone(known)))
    }

    /// Where the subscription of a channel stands: channels of a connection are consecutive.
    fn subscription(&self, channel: usize) -> Option<usize> {
        let at = channel.checked_sub(self.subscriptions.first()?.channel)?;
        (at < self.subscriptions.len()).then_some(at)
    }

    fn find(&self, channel: &ChannelName, hall: &Hall) -> Result<usize, String> {
        let number = hall.number_of(channel.as_str());
        number
            .and_then(|number| self.subscription(number))
            .ok_or_else(|| format!("a frame of channel {channel} came, which this client did not ask for"))
    }

    /// Books a frame of events.
    fn book(&mut self, at: usize, known: &Known, round: &mut Round<'_>) {
        let subscription = &mut self.subscriptions[at];
        round.gauge.delivered.events_frames += 1;
        round.gauge.delivered.events += known.events();
        let Some(account) = subscription.account.as_mut().filter(|_| subscription.attached) else {
            return self.broke(at, "events came before the attach", round);
        };
        if subscription.broken {
            return;
        }
        if let Err(problem) = account.handle_events(known) {
            return self.broke(at, &problem, round);
        }
        round.gauge.frames_checked += 1;
        if let Some(published_us) = known.published_us {
            round.gauge.latency(self.seat.is_healthy(), round.now_us.saturating_sub(published_us));
        }
        if let Some(slot) = subscription.slot {
            round.hall.cursor_moved(subscription.channel, slot, known.to);
        }
    }

    fn broke(&mut self, at: usize, problem: &str, round: &mut Round<'_>) {
        let subscription = &mut self.subscriptions[at];
        if !std::mem::replace(&mut subscription.broken, true) {
            let channel = &round.hall.channels[subscription.channel];
            round.gauge.violation(format!("channel {channel}: {problem}"));
        }
    }

    /// Tells once when this client has its first attach.
    pub(super) fn seated(&mut self, attached: bool) -> bool {
        attached && !std::mem::replace(&mut self.seated, true)
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        wire::write_frame(&mut self.out, opcode, payload, fastrand::u32(..).to_be_bytes());
    }

    /// Whether all its subscriptions have got to where `end` says, or are broken and will not.
    pub(super) fn subscriptions_behind(&self, end: impl Fn(usize) -> u64) -> usize {
        let behind = |it: &&Subscription| {
            let at = it.account.as_ref().filter(|_| it.attached).map(Account::cursor);
            !it.broken && at.is_none_or(|at| at < end(it.channel))
        };
        self.subscriptions.iter().filter(behind).count()
    }
}

/// Where a rung stands in `[full, counts, summary]`.
fn place(rung: Rung) -> usize {
    match rung {
        Rung::Full => 0,
        Rung::Counts => 1,
        Rung::Summary => 2,
    }
}

/// The channel of an `events` frame, read from its first bytes.
fn channel_of(bytes: &[u8]) -> Option<&str> {
    let payload = bytes.get(wire::payload_at(bytes)..)?;
    let name = payload.strip_prefix(b"{\"type\":\"events\",\"channel\":\"")?;
    let end = name.iter().take(tally_protocol::CHANNEL_BYTES_MAX + 1).position(|byte| *byte == b'"')?;
    std::str::from_utf8(&name[..end]).ok()
}

#[cfg(test)]
mod tests;
