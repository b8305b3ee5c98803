//! One gateway's top channels and slowest connections, every two seconds; in full only while somebody listens.
//!
//! Bounded: [`DETAIL_CHANNELS_MAX`] channels, [`DETAIL_CONNECTIONS_MAX`] connections, and in all what one record holds.

use super::shards::Shards;
use super::unheard::UnheardChannel;
use super::{channels, publish};
use crate::clock::unix_ms;
use crate::http::App;
use crate::limits::{
    DETAIL_BYTES_MAX, DETAIL_CHANNELS_MAX, DETAIL_CONNECTIONS_MAX, DETAIL_EACH_MAX, DETAIL_TIME,
    UNHEARD_SHOWN_MAX,
};
use crate::shard::{ConnectionRow, Question};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tally_fanout::ChannelView;
use tally_protocol::{ChannelName, Heard, RawJson, Rung};
use tokio::time::{MissedTickBehavior, interval};

#[derive(Debug, Serialize)]
struct Detail<'a> {
    gateway: &'a str,
    at: u64,
    channels_n: usize,
    channels: Vec<ChannelRow>,
    unheard_n: usize,
    unheard: Vec<UnheardChannel>,
    connections_n: usize,
    connections: Vec<ConnectionRow>,
}

/// One channel as pages show it; figures per second.
#[derive(Debug, Serialize)]
pub(super) struct ChannelRow {
    channel: ChannelName,
    rate: u64,
    listeners: Listeners,
    in_bytes: u64,
    out_bytes: u64,
    full_events: u64,
    counted_events: u64,
    seq: u64,
    epoch: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listeners {
    full: usize,
    counts: usize,
    summary: usize,
}

impl From<ChannelView> for ChannelRow {
    fn from(view: ChannelView) -> Self {
        let n = |rung: Rung| view.listeners[rung as usize];
        Self {
            rate: view.flow.events,
            listeners: Listeners { full: n(Rung::Full), counts: n(Rung::Counts), summary: n(Rung::Summary) },
            in_bytes: view.flow.in_bytes,
            out_bytes: view.flow.out_bytes,
            full_events: view.flow.full_events,
            counted_events: view.flow.counted_events,
            seq: view.seq.get(),
            epoch: view.epoch.map(|epoch| epoch.as_str().to_owned()),
            channel: view.name,
        }
    }
}

/// What one shard has to say for a detail.
#[derive(Debug)]
pub(crate) struct ShardTop {
    pub(crate) channels_n: usize,
    /// Names of those that lead by some criterion.
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) connections_n: usize,
    pub(crate) connections: Vec<ConnectionRow>,
}

/// Publishes for ever.
pub(super) async fn run(app: Arc<App>, shards: Shards) {
    let id = app.statistics.id.clone();
    let (channel, kind) = (channels::gateway(&id), channels::kind("detail"));
    let mut ticks = interval(DETAIL_TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_heard = false;
    loop {
        ticks.tick().await;
        let unheard = app.statistics.unheard.turn(UNHEARD_SHOWN_MAX);
        if !is_heard {
            match publish::unheard(&app, channel.clone(), &kind).await {
                Ok(heard) => is_heard = heard == Heard::Yes,
                Err(error) => tracing::debug!(%error, "a detail was not counted"),
            }
            if !is_heard {
                continue;
            }
        }
        let data = detail(&app, &shards, &id, unheard).await;
        match publish::event(&app, channel.clone(), kind.clone(), data).await {
            Ok(published) => is_heard = published.heard != Heard::No,
            Err(error) => tracing::debug!(%error, "a detail was not published"),
        }
    }
}

async fn detail(app: &App, shards: &Shards, id: &str, unheard: (usize, Vec<UnheardChannel>)) -> RawJson {
    let tops = shards.ask(|reply| Question::Top { reply }).await;
    let tops: Vec<ShardTop> = tops.into_iter().flatten().collect();
    let names: BTreeSet<ChannelName> = tops.iter().flat_map(|top| top.channels.iter().cloned()).collect();
    let views = shards.channels(names.into_iter().collect()).await;
    let views = lead(views);
    {
        let (now, mut tracks) = (Instant::now(), app.statistics.tracks());
        views.iter().for_each(|view| tracks.look_at(&view.name, now));
    }
    let (channels_n, connections_n) =
        tops.iter().fold((0, 0), |n, top| (n.0 + top.channels_n, n.1 + top.connections_n));
    let mut connections: Vec<_> = tops.into_iter().flat_map(|top| top.connections).collect();
    connections.sort_by_key(|row| Reverse(row.slowness()));
    connections.truncate(DETAIL_CONNECTIONS_MAX);
    let mut detail = Detail {
        gateway: id,
        at: unix_ms().get(),
        channels_n,
        channels: views.into_iter().map(ChannelRow::from).collect(),
        unheard_n: unheard.0,
        unheard: unheard.1,
        connections_n,
        connections,
    };
    loop {
        let json = RawJson::from_serialize(&detail).expect("rows have string keys only");
        if json.len() <= DETAIL_BYTES_MAX {
            return json;
        }
        // Only with the longest names and user agents everywhere.
        detail.channels.truncate(detail.channels.len() / 2);
        detail.connections.truncate(detail.connections.len() / 2);
    }
}

/// Those that lead by rate, listeners, bytes out or share told by number, at most [`DETAIL_CHANNELS_MAX`]; the highest
/// rate first. `views` are few: the leaders of each shard.
fn lead(views: Vec<ChannelView>) -> Vec<ChannelView> {
    let mut chosen = BTreeSet::new();
    for criterion in 0..4 {
        let key = |view: &ChannelView| {
            let told = (view.flow.full_events + view.flow.counted_events).max(1);
            match criterion {
                0 => view.flow.events,
                1 => view.listeners.iter().sum::<usize>() as u64,
                2 => view.flow.out_bytes,
                _ => view.flow.counted_events * 1_000 / told,
            }
        };
        let mut order: Vec<usize> = (0..views.len()).filter(|at| key(&views[*at]) > 0).collect();
        order.sort_by_key(|at| Reverse(key(&views[*at])));
        chosen.extend(order.into_iter().take(DETAIL_EACH_MAX));
    }
    let mut chosen: Vec<ChannelView> =
        views.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, view)| view).collect();
    chosen.sort_by_key(|view| Reverse(view.flow.events));
    chosen.truncate(DETAIL_CHANNELS_MAX);
    chosen
}
