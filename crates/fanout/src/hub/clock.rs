//! What happens by time alone: ticks, ages, climbs, recoveries, and channels that nobody listens to any more.

use super::Hub;
use crate::output::Request;
use crate::time::Time;
use std::time::Duration;
use tally_protocol::{Rung, TickMs};

/// What a timer is for. Each thing has at most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A blocked connection: how old is what is due to it?
    Age(u32),
    /// A connection below `full`: has it been calm long enough?
    Climb(u32),
    /// A throttled subscription: has its bucket filled?
    Recovery(u32),
    /// A channel without listeners: the grace period is over.
    Idle(u32),
}

impl Hub {
    /// To be called when [`Hub::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Time) {
        for grid in 0..3 {
            if self.tick_at[grid].is_some_and(|at| at <= now) {
                self.tick_at[grid] = None;
                self.tick(grid, now);
            }
        }
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Age(conn) => {
                    self.conns[conn].age_timer_at = None;
                    self.check_age(conn, now);
                }
                Timer::Climb(conn) => {
                    self.conns[conn].climb_timer_at = None;
                    self.try_climb(conn, now);
                }
                Timer::Recovery(sub) => {
                    self.subs[sub].timer_at = None;
                    self.try_recover(sub, now);
                }
                Timer::Idle(channel) => {
                    self.channels[channel].idle_timer_at = None;
                    self.forget_channel(channel);
                }
            }
        }
    }

    /// Every channel of the grid that changed: one point for all its listeners there, who are then due.
    fn tick(&mut self, grid: usize, now: Time) {
        self.ticks += 1;
        let mut changed = std::mem::take(&mut self.changed[grid]);
        // In an order that nobody else's rung has a part in.
        changed.sort_unstable();
        for channel in changed {
            let Some(held) = self.channels.get_mut(channel) else { continue };
            held.changed[grid] = false;
            let listeners = std::mem::take(&mut held.reduced[grid]);
            if !listeners.is_empty() {
                let point = held.point(held.log.end(), now).map(|mut point| {
                    point.tick = self.ticks;
                    if held.tails > 0 {
                        point.tail = held.tail();
                    }
                    point
                });
                held.points[grid] = point;
            }
            let seq = held.seq;
            for sub in &listeners {
                if self.subs[*sub].cursor < seq {
                    self.tell_reduced(*sub);
                }
            }
            self.channels[channel].reduced[grid] = listeners;
        }
        debug_assert!(TickMs::ALL.len() == self.changed.len());
    }

    fn tell_reduced(&mut self, sub: u32) {
        if self.effective_rung(sub) != Rung::Summary {
            return self.mark_due(sub);
        }
        let held = &mut self.subs[sub];
        let conn = held.conn;
        if !held.in_summary {
            held.in_summary = true;
            self.conns[conn].summaries.push_back(sub);
        }
        self.wake(conn);
    }

    fn forget_channel(&mut self, channel: u32) {
        if self.channels[channel].has_listeners() {
            return;
        }
        self.cool(channel);
        let held = self.channels.remove(channel).expect("its timer was removed together with it");
        self.log_bytes -= held.log.bytes();
        for (grid, changed) in held.changed.iter().enumerate() {
            if *changed {
                self.changed[grid].retain(|listed| *listed != channel);
            }
        }
        self.names.remove(&held.name);
        self.requests.push_back(Request::Unwatch(held.name));
    }

    /// Whether a throttled subscription may go back to `full`: what came meanwhile would have fitted its rate until
    /// the bucket was full again, and the connection has room for it.
    fn try_recover(&mut self, sub: u32, now: Time) {
        let held = &mut self.subs[sub];
        if !held.throttled {
            return;
        }
        let channel = &self.channels[held.channel];
        held.bucket.shadow(channel.seq.since(held.shadow_seq), now);
        held.shadow_seq = channel.seq;
        if !held.bucket.is_full() {
            let at = now + held.bucket.full_in().max(Duration::from_millis(TickMs::Ms250.as_millis()));
            return self.set_recovery_timer(sub, Some(at));
        }
        let (conn, rate) = (held.conn, channel.rate(now));
        if !self.has_room(conn, rate, now) {
            return self.set_recovery_timer(sub, Some(now + Duration::from_secs(1)));
        }
        self.subs[sub].throttled = false;
        self.place(sub, now);
        self.mark_due(sub);
    }

    /// Whether the connection's rate has room for one more subscription of `rate` events per second at `full`.
    fn has_room(&mut self, conn: u32, rate: u64, now: Time) -> bool {
        let used: u64 = self.full_of(conn).map(|sub| self.channels[self.subs[sub].channel].rate(now)).sum();
        let bucket = &mut self.conns[conn].bucket;
        bucket.is_half_full(now) && used.saturating_add(rate) <= bucket.rate() / 10 * 9
    }

    pub(super) fn full_of(&self, conn: u32) -> impl Iterator<Item = u32> + '_ {
        let subs = self.conns[conn].subscriptions.values().copied();
        subs.filter(|sub| matches!(self.subs[*sub].place, crate::subscription::Place::Full(_)))
    }

    pub(super) fn set_age_timer(&mut self, conn: u32, at: Option<Time>) {
        let before = std::mem::replace(&mut self.conns[conn].age_timer_at, at);
        self.set_timer(Timer::Age(conn), before, at);
    }

    pub(super) fn set_climb_timer(&mut self, conn: u32, at: Option<Time>) {
        let before = std::mem::replace(&mut self.conns[conn].climb_timer_at, at);
        self.set_timer(Timer::Climb(conn), before, at);
    }

    pub(super) fn set_recovery_timer(&mut self, sub: u32, at: Option<Time>) {
        let before = std::mem::replace(&mut self.subs[sub].timer_at, at);
        self.set_timer(Timer::Recovery(sub), before, at);
    }

    pub(super) fn set_idle_timer(&mut self, channel: u32, at: Option<Time>) {
        let before = std::mem::replace(&mut self.channels[channel].idle_timer_at, at);
        self.set_timer(Timer::Idle(channel), before, at);
    }

    fn set_timer(&mut self, timer: Timer, before: Option<Time>, at: Option<Time>) {
        if let Some(before) = before {
            self.timers.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.timers.insert((at, timer));
        }
    }
}
