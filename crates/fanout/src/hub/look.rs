//! A look at everything once a second: sizes, the account, rates of channels, and the rung of each connection.
//!
//! One walk over channels, subscriptions and connections; what it notes makes the views that are asked for in between
//! cheap. Bounded: per connection the last [`CONNECTION_RUNGS_MAX`] changes of its rung.

use super::Hub;
use super::account::Account;
use crate::limits::CONNECTION_RUNGS_MAX;
use crate::output::HubStats;
use crate::time::Time;
use std::collections::VecDeque;
use tally_protocol::{Rung, Why};

/// What one look saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    pub stats: HubStats,
    /// By the lowest effective rung among a connection's subscriptions, in the order of [`Rung::ALL`]; one without
    /// any is at `full`.
    pub connections: [usize; 3],
    pub account: Account,
}

/// The rung of a connection from some moment on, as looks saw it. No why: it is at `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub since: Time,
    pub rung: Rung,
    pub why: Option<Why>,
}

/// How a connection stood, as looks saw it; and what the look under way has found so far.
#[derive(Debug)]
pub(crate) struct Standings {
    pub(crate) now: Standing,
    /// Those before, the oldest first.
    pub(crate) past: VecDeque<Standing>,
    found: (Rung, Option<Why>),
}

impl Standings {
    pub(crate) fn new(now: Time) -> Self {
        let now = Standing { since: now, rung: Rung::Full, why: None };
        Self { now, past: VecDeque::new(), found: (Rung::Full, None) }
    }

    fn note(&mut self, rung: Rung, why: Why) {
        if rung < self.found.0 {
            self.found = (rung, Some(why));
        }
    }

    fn turn(&mut self, now: Time) {
        let (rung, why) = std::mem::replace(&mut self.found, (Rung::Full, None));
        if (rung, why) == (self.now.rung, self.now.why) {
            return;
        }
        let before = std::mem::replace(&mut self.now, Standing { since: now, rung, why });
        if self.past.len() == CONNECTION_RUNGS_MAX {
            self.past.pop_front();
        }
        self.past.push_back(before);
    }
}

impl Hub {
    /// To be called about once a second: figures per second are those between the last two looks.
    pub fn look(&mut self, now: Time) -> Look {
        let time = now.since(std::mem::replace(&mut self.looked_at, now));
        for (_, channel) in self.channels.iter_mut() {
            channel.meter.turn(time);
            channel.listeners = [0; 3];
        }
        let mut look = Look { stats: self.sizes(), ..Look::default() };
        let mut advanced = 0;
        for (index, sub) in self.subs.iter() {
            if !sub.is_attached() {
                look.stats.pending += 1;
                continue;
            }
            let rung = self.effective_rung(index);
            let why = self.effective_why(index);
            advanced += sub.cursor.since(sub.opened_at);
            look.stats.subscriptions[rung as usize] += 1;
            self.channels[sub.channel].listeners[rung as usize] += 1;
            self.conns[sub.conn].standings.note(rung, why);
        }
        for (_, conn) in self.conns.iter_mut() {
            conn.standings.turn(now);
            look.connections[conn.standings.now.rung as usize] += 1;
        }
        look.account = self.account(advanced);
        look
    }

    pub(super) fn sizes(&self) -> HubStats {
        HubStats {
            connections: self.conns.len(),
            channels: self.channels.len(),
            log_bytes: self.log_bytes,
            ..HubStats::default()
        }
    }
}
