//! When each channel is next due, in order of time; at most one entry per channel and list.

use super::channel::Channel;
use crate::settings::Settings;
use std::collections::BTreeSet;
use std::time::Instant;
use tally_protocol::ChannelName;

/// Where a channel stands in each list.
#[derive(Debug, Default)]
pub(super) struct Listed {
    due: Option<Instant>,
    expiry: Option<Instant>,
    idle: Option<Instant>,
}

type List = BTreeSet<(Instant, ChannelName)>;

#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Something to send. The one waiting for longest goes first, so no channel is starved.
    due: List,
    /// An unanswered batch whose retries end.
    expiries: List,
    /// Nothing waits; the entry's time is when that began.
    idle: List,
}

impl Agenda {
    /// Brings the lists in line with the channel. To be called after every change of it.
    pub(super) fn relist(
        &mut self,
        now: Instant,
        name: &ChannelName,
        channel: &mut Channel,
        settings: &Settings,
    ) {
        let (due, expiry) = (channel.due(settings), channel.expiry());
        let idle = channel.is_idle().then(|| channel.listed.idle.unwrap_or(now));
        move_entry(&mut self.due, name, &mut channel.listed.due, due);
        move_entry(&mut self.expiries, name, &mut channel.listed.expiry, expiry);
        move_entry(&mut self.idle, name, &mut channel.listed.idle, idle);
    }

    pub(super) fn first_due(&self) -> Option<&(Instant, ChannelName)> {
        self.due.first()
    }

    pub(super) fn first_expiry(&self) -> Option<&(Instant, ChannelName)> {
        self.expiries.first()
    }

    /// Takes out the channel idle for longest, where it has been so since `before`, or there are more than `max`.
    pub(super) fn pop_idle(&mut self, before: Option<Instant>, max: usize) -> Option<ChannelName> {
        let (since, _) = self.idle.first()?;
        if self.idle.len() <= max && before.is_none_or(|before| *since > before) {
            return None;
        }
        self.idle.pop_first().map(|(_, name)| name)
    }
}

fn move_entry(list: &mut List, name: &ChannelName, from: &mut Option<Instant>, to: Option<Instant>) {
    if *from == to {
        return;
    }
    if let Some(at) = from.take() {
        list.remove(&(at, name.clone()));
    }
    if let Some(at) = to {
        list.insert((at, name.clone()));
    }
    *from = to;
}
