//! Backpressure: what a socket does not take becomes summaries, and calm sockets climb back one rung at a time.

use super::Hub;
use crate::session::ConnId;
use crate::subscription::Place;
use crate::time::Time;
use std::time::Duration;
use tally_protocol::{Rung, Why};

/// A socket that took as long as this to drain was not calm: the calm period starts again.
const NOT_CALM: Duration = Duration::from_millis(250);

impl Hub {
    /// The socket did not take everything that was pulled.
    pub fn handle_blocked(&mut self, now: Time, conn: ConnId) {
        let Some(index) = self.index(conn) else { return };
        let held = &mut self.conns[index];
        if held.blocked_at.is_some() {
            return;
        }
        held.blocked_at = Some(now);
        if held.in_ready {
            held.in_ready = false;
            self.ready.retain(|ready| *ready != index);
        }
        self.set_age_timer(index, Some(now + self.limits.due_age_max));
    }

    /// Everything pulled so far is written.
    pub fn handle_drained(&mut self, now: Time, conn: ConnId) {
        let Some(index) = self.index(conn) else { return };
        let held = &mut self.conns[index];
        let blocked_for = held.blocked_at.take().map(|blocked_at| now.since(blocked_at));
        self.wake(index);
        let Some(blocked_for) = blocked_for else { return };
        self.set_age_timer(index, None);
        let held = &self.conns[index];
        let calm_is_over = held.climb_timer_at.is_none() || blocked_for >= NOT_CALM;
        if held.pressed < Rung::Full && calm_is_over {
            self.set_climb_timer(index, Some(now + held.calm));
        }
    }

    /// A blocked connection: too old is when even the second-oldest thing due to it has waited too long.
    pub(super) fn check_age(&mut self, conn: u32, now: Time) {
        if self.conns[conn].blocked_at.is_none() {
            return;
        }
        let due_age_max = self.limits.due_age_max;
        match self.oldest_due(conn).1 {
            Time::NEVER => self.set_age_timer(conn, Some(now + due_age_max)),
            came_at if now.since(came_at) >= due_age_max => self.press(conn, now),
            came_at => self.set_age_timer(conn, Some(came_at + due_age_max)),
        }
    }

    /// When the oldest and the second-oldest record or counts frame became due, or never; what is charged to no limit is
    /// left out.
    pub(super) fn oldest_due(&self, conn: u32) -> (Time, Time) {
        let (mut oldest, mut second) = (Time::NEVER, Time::NEVER);
        let mut note = |at: Time| {
            if at < oldest {
                second = std::mem::replace(&mut oldest, at);
            } else if at < second {
                second = at;
            }
        };
        for sub in &self.conns[conn].due {
            let held = &self.subs[*sub];
            match held.place {
                Place::Full(_) if held.reset.is_none() => {
                    let log = &self.channels[held.channel].log;
                    let first = held.next.max(log.number_after(held.free_until)).max(log.base());
                    for number in [first, first + 1] {
                        if let Some(entry) = log.get(number) {
                            note(entry.came_at.max(held.full_since));
                        }
                    }
                }
                Place::Reduced(..) if self.effective_rung(*sub) == Rung::Counts => {
                    let point = self.channels[held.channel].points[Self::grid(held.tick)].as_ref();
                    if let Some(point) = point.filter(|point| point.seq > held.cursor) {
                        note(point.made_at);
                    }
                }
                Place::Full(_) | Place::Reduced(..) | Place::Unattached(_) | Place::Nowhere => {}
            }
        }
        (oldest, second)
    }

    /// The connection's ceiling becomes `summary`.
    pub(super) fn press(&mut self, conn: u32, now: Time) {
        let (calm_min, calm_max) = (self.limits.calm_min, self.limits.calm_max);
        let held = &mut self.conns[conn];
        if held.pressed == Rung::Summary {
            return;
        }
        let failed = held.climbed_at.is_some_and(|climbed_at| now.since(climbed_at) < calm_max);
        held.calm = if failed { (held.calm * 2).min(calm_max) } else { calm_min };
        held.pressed = Rung::Summary;
        let calm = held.calm;
        self.counters.count_rung(Rung::Summary, Why::Backpressure);
        self.set_age_timer(conn, None);
        self.set_climb_timer(conn, Some(now + calm));
        self.place_all(conn, now);
    }

    /// One rung up, if the socket takes what it gets; else the calm period starts when it has drained.
    pub(super) fn try_climb(&mut self, conn: u32, now: Time) {
        let held = &mut self.conns[conn];
        if held.blocked_at.is_some() {
            return;
        }
        held.pressed = held.pressed.up();
        held.climbed_at = Some(now);
        let (pressed, calm) = (held.pressed, held.calm);
        self.counters.count_rung(pressed, Why::Backpressure);
        if pressed < Rung::Full {
            self.set_climb_timer(conn, Some(now + calm));
        }
        self.place_all(conn, now);
    }

    fn place_all(&mut self, conn: u32, now: Time) {
        let subs: Vec<u32> = self.conns[conn].subscriptions.values().copied().collect();
        for sub in subs {
            self.place(sub, now);
        }
        self.wake(conn);
    }
}
