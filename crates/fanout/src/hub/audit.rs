//! A look at everything the hub holds: sizes, and what does not fit together. For tests: it walks everything.

use super::Hub;
use super::clock::Timer;
use crate::session::ConnId;
use crate::subscription::{Place, Subscription};
use tally_protocol::{ChannelName, Epoch, Rung, Seq};

/// What a hub holds now. `problems` names broken invariants; it is empty unless there is a bug.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    pub connections: usize,
    pub subscriptions: usize,
    pub channels: Vec<ChannelAudit>,
    pub timers: usize,
    pub ready: usize,
    pub requests: usize,
    pub replies: usize,
    pub log_bytes: u64,
    pub problems: Vec<String>,
}

/// What a hub holds of one channel.
#[derive(Debug, Clone)]
pub struct ChannelAudit {
    pub name: ChannelName,
    pub log_entries: usize,
    pub log_events: u64,
    pub log_bytes: u64,
    pub held_bytes: u64,
    /// Bytes of the newest entry and of the newest held message: they may exceed a limit alone.
    pub newest_bytes: u64,
}

impl Hub {
    /// Where the hub is in a channel that it watches.
    #[must_use]
    pub fn head(&self, channel: &ChannelName) -> Option<(Option<&Epoch>, Seq)> {
        let held = &self.channels[*self.names.get(channel)?];
        Some((held.epoch.as_ref(), held.seq))
    }

    /// The highest rung that the socket of a connection takes, whatever was asked for.
    #[must_use]
    pub fn pressed(&self, conn: ConnId) -> Option<Rung> {
        Some(self.conns[self.index(conn)?].pressed)
    }

    /// The rung of a subscription without its connection's ceiling, and that ceiling.
    #[must_use]
    pub fn rungs(&self, conn: ConnId, channel: &ChannelName) -> Option<(Rung, Rung)> {
        let held = &self.conns[self.index(conn)?];
        let sub = held.subscriptions.get(self.names.get(channel)?)?;
        Some((self.subs[*sub].own_rung(), held.ceiling()))
    }

    /// Walks everything. After each `handle_*` and once nothing more can be polled, there are no problems.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut audit = Audit {
            connections: self.conns.len(),
            subscriptions: self.subs.len(),
            timers: self.timers.len(),
            ready: self.ready.len(),
            requests: self.requests.len(),
            log_bytes: self.log_bytes,
            ..Audit::default()
        };
        self.audit_connections(&mut audit);
        self.audit_channels(&mut audit);
        self.audit_subscriptions(&mut audit.problems);
        self.audit_timers(&mut audit.problems);
        audit
    }

    fn audit_connections(&self, audit: &mut Audit) {
        for (index, conn) in self.conns.iter() {
            audit.replies += conn.replies.len();
            let subs = || conn.subscriptions.values().map(|sub| &self.subs[*sub]);
            let owed: u64 = subs().map(|sub| sub.owed).sum();
            let due = subs().filter(|sub| sub.in_due).count();
            let summaries = subs().filter(|sub| sub.in_summary).count();
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    audit.problems.push(format!("connection {index}: {what}"));
                }
            };
            check(conn.owed == owed, "owed is not the sum of its subscriptions'");
            check(conn.due.len() == due && conn.due.iter().all(|sub| self.subs[*sub].in_due), "due list");
            check(
                conn.summaries.len() == summaries
                    && conn.summaries.iter().all(|sub| self.subs[*sub].in_summary),
                "summary list",
            );
            check(
                self.ready.iter().filter(|ready| **ready == index).count() == usize::from(conn.in_ready),
                "ready list",
            );
            check(!conn.in_ready || conn.blocked_at.is_none(), "ready while blocked");
            check(
                conn.pressed == Rung::Full || conn.climb_timer_at.is_some() || conn.blocked_at.is_some(),
                "pressed, and nothing lets it climb",
            );
        }
    }

    fn audit_channels(&self, audit: &mut Audit) {
        let mut log_bytes = 0;
        for (index, channel) in self.channels.iter() {
            let entries = || channel.log.iter_back().map(|(_, entry)| entry);
            let bytes: u64 = entries().map(|entry| entry.weight).sum();
            log_bytes += bytes;
            let newest = entries().next().map_or(0, |entry| entry.weight);
            let newest_held = channel.held.back().map_or(0, |(_, record)| record.value().weight());
            let held_bytes: u64 = channel.held.iter().map(|(_, record)| record.value().weight()).sum();
            audit.channels.push(ChannelAudit {
                name: channel.name.clone(),
                log_entries: channel.log.len(),
                log_events: entries().filter(|entry| entry.is_record()).map(|entry| entry.len()).sum(),
                log_bytes: bytes,
                held_bytes,
                newest_bytes: newest.max(newest_held),
            });
            let listed: Vec<u32> =
                self.subs.iter().filter(|(_, s)| s.channel == index).map(|(i, _)| i).collect();
            let tails = listed.iter().filter(|sub| self.subs[**sub].tail).count();
            let lists = channel.unattached.len()
                + channel.full.len()
                + channel.reduced.iter().map(Vec::len).sum::<usize>();
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    audit.problems.push(format!("channel {}: {what}", channel.name));
                }
            };
            check(bytes == channel.log.bytes(), "log bytes");
            check(held_bytes == channel.held_bytes, "held bytes");
            check(
                channel.held.is_empty() || !channel.ready || channel.read_asked > channel.read_answered,
                "holding, and no read is on its way",
            );
            check(tails == channel.tails, "listeners with a tail");
            check(lists == listed.len(), "lists of listeners");
            check(channel.totals.sum() == channel.seq.get(), "totals do not add up to the position");
            check(
                channel.warmth.is_none_or(|warmth| self.coldest.contains(&(warmth, index))),
                "coldest list",
            );
            check(listed.is_empty() != channel.idle_timer_at.is_none(), "grace period");
            for grid in 0..3 {
                let times = self.changed[grid].iter().filter(|one| **one == index).count();
                check(times == usize::from(channel.changed[grid]), "list of changed channels");
                check(times == 0 || self.tick_at[grid].is_some(), "changed, and no tick comes");
            }
        }
        if log_bytes != self.log_bytes {
            audit.problems.push(format!("logs hold {log_bytes} bytes, not {}", self.log_bytes));
        }
    }

    fn audit_subscriptions(&self, problems: &mut Vec<String>) {
        for (index, sub) in self.subs.iter() {
            let channel = &self.channels[sub.channel];
            let listed = match sub.place {
                Place::Nowhere => None,
                Place::Unattached(at) => channel.unattached.get(at),
                Place::Full(at) => channel.full.get(at),
                Place::Reduced(grid, at) => channel.reduced[grid].get(at),
            };
            let mut check = |holds: bool, what: &str| {
                if !holds {
                    problems.push(format!("subscription {index} of {}: {what}: {sub:?}", channel.name));
                }
            };
            check(listed == Some(&index), "its place in a list");
            if !sub.is_attached() || sub.reset.is_some() {
                check(sub.reset.is_none() || sub.in_due, "a reset that is not due");
                continue;
            }
            check(sub.cursor <= channel.seq, "cursor beyond the hub's position");
            if sub.next >= channel.log.base() && sub.replay.is_none() {
                check(sub.next == channel.log.number_after(sub.cursor), "the log entry after its cursor");
                check(sub.owed == self.owed_by_log(sub), "owed is not what the log has for it");
            }
            let waits = match sub.place {
                Place::Full(_) => sub.in_due,
                Place::Reduced(grid, _) => channel.changed[grid] || sub.in_due || sub.in_summary,
                Place::Nowhere | Place::Unattached(_) => true,
            };
            check(sub.cursor == channel.seq || waits, "behind, and nothing is due");
            check(!sub.throttled || sub.timer_at.is_some(), "throttled, and nothing lets it recover");
        }
    }

    fn owed_by_log(&self, sub: &Subscription) -> u64 {
        if !matches!(sub.place, Place::Full(_)) {
            return 0;
        }
        let due = self.channels[sub.channel].log.iter_back().take_while(|(number, _)| *number >= sub.next);
        due.filter(|(_, entry)| entry.to > sub.free_until).map(|(_, entry)| entry.weight).sum()
    }

    fn audit_timers(&self, problems: &mut Vec<String>) {
        for (at, timer) in &self.timers {
            let set_to = match timer {
                Timer::Age(conn) => self.conns.get(*conn).and_then(|conn| conn.age_timer_at),
                Timer::Climb(conn) => self.conns.get(*conn).and_then(|conn| conn.climb_timer_at),
                Timer::Recovery(sub) => self.subs.get(*sub).and_then(|sub| sub.timer_at),
                Timer::Idle(channel) => self.channels.get(*channel).and_then(|channel| channel.idle_timer_at),
            };
            if set_to != Some(*at) {
                problems.push(format!("{timer:?} at {at:?} belongs to nothing"));
            }
        }
    }
}
