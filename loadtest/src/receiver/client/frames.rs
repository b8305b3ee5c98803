//! What one whole frame says: decoded in full, checked and booked.

use super::super::hall::Dialect;
use super::{Client, Round, place};
use crate::account::Account;
use crate::gauge::{Gauge, SHARDS_MAX};
use crate::known::Known;
use crate::wire;
use std::rc::Rc;
use tally_protocol::{Attach, Position, Reset, Rung, RungFrame, ServerFrame, Subscribed};

impl Client {
    pub(super) fn handle_frame(
        &mut self,
        opcode: u8,
        whole: &[u8],
        payload: &[u8],
        round: &mut Round<'_>,
    ) -> Result<(), String> {
        match opcode {
            wire::TEXT => self.handle_text(whole, payload, round),
            wire::BINARY if round.hall.dialect == Dialect::Floor => {
                let known = Rc::new(Known::of_record(whole, payload)?);
                // A floor has one channel for each client.
                let at = 0;
                round.hall.cache.put(self.subscriptions[at].channel, Rc::clone(&known));
                self.book(at, &known, round);
                Ok(())
            }
            wire::PING => {
                self.send(wire::PONG, payload);
                Ok(())
            }
            wire::PONG => Ok(()),
            wire::CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                Err(format!("the server closed it with {code} {reason}"))
            }
            _ => Err("a binary frame came from a gateway, which sends text only".to_owned()),
        }
    }

    fn handle_text(&mut self, whole: &[u8], payload: &[u8], round: &mut Round<'_>) -> Result<(), String> {
        let text = std::str::from_utf8(payload).map_err(|_| "a text frame is not UTF-8".to_owned())?;
        if round.hall.dialect == Dialect::Floor {
            return self.handle_floor_text(text, round);
        }
        let frame = ServerFrame::decode(text).map_err(|error| format!("a frame cannot be read: {error}"))?;
        match frame {
            ServerFrame::Events(frame) => {
                let at = self.find(&frame.channel, round.hall)?;
                match Known::of_frame(whole, &frame) {
                    Ok(known) => {
                        let known = Rc::new(known);
                        round.hall.cache.put(self.subscriptions[at].channel, Rc::clone(&known));
                        self.book(at, &known, round);
                    }
                    Err(problem) => self.broke(at, &problem, round),
                }
                return Ok(());
            }
            ServerFrame::Counts(frame) => {
                round.gauge.delivered.counts_frames += 1;
                let at = self.find(&frame.channel, round.hall)?;
                self.told(at, round, |account| account.handle_counts(&frame));
                return Ok(());
            }
            ServerFrame::Summary(frame) => {
                round.gauge.delivered.summary_frames += 1;
                for channel in &frame.channels {
                    let at = self.find(&channel.channel, round.hall)?;
                    self.told(at, round, |account| account.handle_summary(frame.why, channel));
                }
                return Ok(());
            }
            ServerFrame::Subscribed(frame) => self.handle_subscribed(&frame, round)?,
            ServerFrame::Reset(frame) => {
                let at = self.find(&frame.channel, round.hall)?;
                let Reset { epoch, seq, totals, state, .. } = frame;
                self.open(at, &Position { epoch, seq, totals, state }, round);
                round.gauge.resets += 1;
            }
            ServerFrame::Rung(frame) => self.handle_rung(&frame, round)?,
            ServerFrame::Unsubscribed(frame) => {
                let at = self.find(&frame.channel, round.hall)?;
                self.broke(at, &format!("the gateway ended the subscription: {}", frame.code), round);
            }
            ServerFrame::Error(frame) => {
                round.gauge.violation(format!("the gateway refused with {}: {}", frame.code, frame.message));
            }
            ServerFrame::Hello(frame) => self.handle_hello(&frame.connection, round.gauge),
            ServerFrame::Unnumbered(_)
            | ServerFrame::Upstream(_)
            | ServerFrame::Heartbeat(_)
            | ServerFrame::Goodbye(_)
            | ServerFrame::Unknown(_) => {}
        }
        round.gauge.delivered.other_frames += 1;
        Ok(())
    }

    /// The name of a connection begins with its shard and a dash. That is no promise of the protocol, so a name that
    /// does not is one that says nothing.
    fn handle_hello(&mut self, connection: &str, gauge: &mut Gauge) {
        let shard = connection.split_once('-').and_then(|(shard, _)| shard.parse().ok());
        if let Some(shard) = shard.filter(|shard| *shard < SHARDS_MAX && self.shard.is_none()) {
            self.shard = Some(shard);
            *gauge.shards.entry((self.seat.to, shard)).or_default() += 1;
        }
    }

    /// A floor attaches at nothing, for nothing is published before everybody listens.
    fn handle_floor_text(&mut self, text: &str, round: &mut Round<'_>) -> Result<(), String> {
        round.gauge.delivered.other_frames += 1;
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("a frame cannot be read: {error}"))?;
        if value.get("type").and_then(serde_json::Value::as_str) == Some("subscribed") {
            self.open(0, &Position::default(), round);
            self.attach(0, Rung::Full, round.gauge);
        }
        Ok(())
    }

    fn handle_subscribed(&mut self, frame: &Subscribed, round: &mut Round<'_>) -> Result<(), String> {
        let at = self.find(&frame.channel, round.hall)?;
        match &frame.attach {
            Attach::Pending => return Ok(()),
            Attach::Resumed { epoch, seq } => {
                let resumed = match &self.subscriptions[at].account {
                    Some(account) => account.resumes_at(epoch, seq.get()),
                    None => Err("resumed without a ledger".to_owned()),
                };
                if let Err(problem) = resumed {
                    self.broke(at, &problem, round);
                }
            }
            Attach::At(position) => self.open(at, position, round),
        }
        self.attach(at, frame.rung, round.gauge);
        Ok(())
    }

    /// Closes the account that is held, if one is, and opens the next.
    fn open(&mut self, at: usize, position: &Position, round: &mut Round<'_>) {
        let subscription = &mut self.subscriptions[at];
        if let Some(account) = subscription.account.take() {
            round.hall.retire(subscription.channel, &account);
        }
        match Account::open(position) {
            Ok(account) => {
                if let Some(slot) = subscription.slot {
                    round.hall.cursor_moved(subscription.channel, slot, account.cursor());
                }
                subscription.account = Some(account);
            }
            Err(problem) => self.broke(at, &problem, round),
        }
    }

    fn attach(&mut self, at: usize, rung: Rung, gauge: &mut Gauge) {
        let subscription = &mut self.subscriptions[at];
        if !std::mem::replace(&mut subscription.attached, true) {
            gauge.attached += 1;
        } else {
            gauge.rungs[place(subscription.rung.min(self.ceiling))] -= 1;
        }
        subscription.rung = rung;
        gauge.rungs[place(rung.min(self.ceiling))] += 1;
    }

    fn handle_rung(&mut self, frame: &RungFrame, round: &mut Round<'_>) -> Result<(), String> {
        round.gauge.rung_change(format!("{} {}", frame.rung, frame.why));
        let at = frame.channel.as_ref().map(|channel| self.find(channel, round.hall)).transpose()?;
        let rungs = &mut round.gauge.rungs;
        let before = self.ceiling;
        if at.is_none() {
            self.ceiling = frame.rung;
        }
        for (i, subscription) in self.subscriptions.iter_mut().enumerate() {
            if !subscription.attached || at.is_some_and(|at| at != i) {
                continue;
            }
            rungs[place(subscription.rung.min(before))] -= 1;
            if at.is_some() {
                subscription.rung = frame.rung;
            }
            rungs[place(subscription.rung.min(self.ceiling))] += 1;
        }
        Ok(())
    }

    /// Books a frame that tells totals.
    fn told(
        &mut self,
        at: usize,
        round: &mut Round<'_>,
        book: impl FnOnce(&mut Account) -> Result<(), String>,
    ) {
        let subscription = &mut self.subscriptions[at];
        let Some(account) = subscription.account.as_mut().filter(|_| subscription.attached) else {
            return self.broke(at, "totals came before the attach", round);
        };
        if subscription.broken {
            return;
        }
        if let Err(problem) = book(account) {
            return self.broke(at, &problem, round);
        }
        round.gauge.frames_checked += 1;
        if let Some(slot) = subscription.slot {
            round.hall.cursor_moved(subscription.channel, slot, account.cursor());
        }
    }
}
