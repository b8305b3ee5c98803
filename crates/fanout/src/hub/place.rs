//! Which list of its channel a subscription stands in: only those at `full` are touched by an event.

use super::Hub;
use crate::limits::{ASKED_SUMMARY_TICK_MS, PRESSED_SUMMARY_TICK_MS};
use crate::subscription::Place;
use crate::time::Time;
use tally_protocol::{Rung, Seq, TickMs, Why};

/// The grids of summaries, as indexes into the arrays of three.
const PRESSED_GRID: usize = TickMs::Ms1000 as usize;
const ASKED_GRID: usize = TickMs::Ms5000 as usize;
const _: () = assert!(TickMs::Ms1000.as_millis() == PRESSED_SUMMARY_TICK_MS);
const _: () = assert!(TickMs::Ms5000.as_millis() == ASKED_SUMMARY_TICK_MS);

/// A list without the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Unattached,
    Full,
    Reduced(usize),
}

impl Hub {
    /// Puts a subscription where its effective rung has it served, after whatever may have changed that.
    pub(super) fn place(&mut self, sub: u32, now: Time) {
        let wanted = self.wanted_list(sub);
        let held = &self.subs[sub];
        let current = match held.place {
            Place::Nowhere => None,
            Place::Unattached(_) => Some(List::Unattached),
            Place::Full(_) => Some(List::Full),
            Place::Reduced(grid, _) => Some(List::Reduced(grid)),
        };
        if current == Some(wanted) {
            // Another rung or reason may be served on the same grid.
            if let List::Reduced(grid) = wanted {
                self.enter_reduced(sub, grid, now);
            }
            return;
        }
        let why_before = self.subs[sub].jump_why;
        self.unplace(sub);
        let channel = self.subs[sub].channel;
        let list = match wanted {
            List::Unattached => &mut self.channels[channel].unattached,
            List::Full => &mut self.channels[channel].full,
            List::Reduced(grid) => &mut self.channels[channel].reduced[grid],
        };
        let at = list.len();
        list.push(sub);
        self.subs[sub].place = match wanted {
            List::Unattached => Place::Unattached(at),
            List::Full => Place::Full(at),
            List::Reduced(grid) => Place::Reduced(grid, at),
        };
        match wanted {
            List::Unattached => {}
            List::Full => self.enter_full(sub, why_before, now),
            List::Reduced(grid) => self.enter_reduced(sub, grid, now),
        }
    }

    fn wanted_list(&self, sub: u32) -> List {
        if !self.subs[sub].is_attached() {
            return List::Unattached;
        }
        match (self.effective_rung(sub), self.effective_why(sub)) {
            (Rung::Full, _) => List::Full,
            (Rung::Counts, _) => List::Reduced(Self::grid(self.subs[sub].tick)),
            (Rung::Summary, Why::Asked) => List::Reduced(ASKED_GRID),
            (Rung::Summary, _) => List::Reduced(PRESSED_GRID),
        }
    }

    /// What came since the cursor is caught up with; charged to no limit, unless the client itself chose to wait.
    fn enter_full(&mut self, sub: u32, why: Why, now: Time) {
        let held = &mut self.subs[sub];
        let channel = &self.channels[held.channel];
        held.full_since = now;
        if why != Why::Asked {
            held.free_until = held.free_until.max(channel.seq);
        }
        held.jump_why = if held.cursor < channel.seq { why } else { Why::Backpressure };
        if held.cursor < channel.seq {
            self.charge_anew(sub);
            self.mark_due(sub);
        }
    }

    /// What the log has for a listener at `full` is due to its connection, except what is free.
    pub(super) fn charge_anew(&mut self, sub: u32) {
        let held = &mut self.subs[sub];
        let log = &self.channels[held.channel].log;
        let next = held.next.max(log.number_after(held.free_until));
        let due = log.iter_back().take_while(|(number, _)| *number >= next);
        let owed = due.map(|(_, entry)| entry.weight).sum();
        let before = std::mem::replace(&mut held.owed, owed);
        let conn = &mut self.conns[held.conn];
        conn.owed = conn.owed - before + owed;
    }

    /// What came since the cursor is told on the next tick, even if nothing more comes.
    fn enter_reduced(&mut self, sub: u32, grid: usize, now: Time) {
        let why = self.effective_why(sub);
        let ticks = self.ticks;
        let held = &mut self.subs[sub];
        held.jump_why = why;
        held.reduced_since = ticks;
        if held.replay.take().is_some() {
            // The log from the replay's start on does not follow the cursor: back at full, it would be a jump.
            held.next = self.channels[held.channel].log.base() - 1;
        }
        held.free_until = Seq::ZERO;
        let owed = std::mem::take(&mut held.owed);
        let (conn, channel, cursor) = (held.conn, held.channel, held.cursor);
        self.conns[conn].owed -= owed;
        if self.channels[channel].seq > cursor {
            self.mark_changed(channel, grid, now);
        }
    }

    pub(super) fn unplace(&mut self, sub: u32) {
        let held = &self.subs[sub];
        let (channel, place) = (held.channel, held.place);
        let channel = &mut self.channels[channel];
        let (list, at) = match place {
            Place::Nowhere => return,
            Place::Unattached(at) => (&mut channel.unattached, at),
            Place::Full(at) => (&mut channel.full, at),
            Place::Reduced(grid, at) => (&mut channel.reduced[grid], at),
        };
        list.swap_remove(at);
        let moved = list.get(at).copied();
        self.subs[sub].place = Place::Nowhere;
        if let Some(moved) = moved {
            self.subs[moved].place = match place {
                Place::Nowhere => Place::Nowhere,
                Place::Unattached(_) => Place::Unattached(at),
                Place::Full(_) => Place::Full(at),
                Place::Reduced(grid, _) => Place::Reduced(grid, at),
            };
        }
    }

    /// Lists a channel for the next tick of a grid.
    pub(super) fn mark_changed(&mut self, channel: u32, grid: usize, now: Time) {
        let held = &mut self.channels[channel];
        if !std::mem::replace(&mut held.changed[grid], true) {
            self.changed[grid].push(channel);
            let step = TickMs::ALL[grid].as_millis();
            self.tick_at[grid].get_or_insert(now.next_on_grid(step));
        }
    }
}
