//! One loop that makes the broker's subscriptions what the table says, and reads snapshots for who needs them.
//!
//! Desired is the table, applied is what the broker has confirmed; a reconnect is an empty applied set. One call at a
//! time, so that a late unsubscribe never ends a fresh subscription. The order is: subscribe, its return as the
//! barrier, the snapshot, the shard's inbox.

use super::Interest;
use super::reads::{Reads, Wants};
use crate::clock::unix_ms;
use crate::inbox::{Arrival, Inbox};
use crate::limits::{INTEREST_BATCH_MAX, RETRY_MAX, RETRY_MIN};
use crate::metrics::Metrics;
use crate::statistics::link::Link;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_backplane::{Away, Backplane, BoxFuture, Head};
use tally_fanout::Backlog;
use tally_protocol::{ChannelName, Snapshot, UpstreamStatus};
use tokio::sync::mpsc;

/// What shards, ingest and the audit ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// A shard has its first listener of the channel, and stands in the table.
    Watch(usize, ChannelName),
    /// What one shard has of a channel that another one begins to listen to.
    HandedOver {
        to: usize,
        channel: ChannelName,
        head: Option<Head>,
        backlog: Option<Box<Backlog>>,
    },
    /// The last shard is gone from the table.
    Unwatch(ChannelName),
    /// These shards miss something.
    Reread(ChannelName, Wants),
    /// The subscription is deaf.
    Anew(ChannelName),
    Up,
    Down(String),
}

/// Where commands go.
#[derive(Debug, Clone)]
pub(crate) struct Commands(mpsc::UnboundedSender<Command>);

impl Commands {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Command>) {
        // bounded: one watch or unwatch per channel, shard and grace period; one hand-over per watch; one reread per channel and shard until
        // its read begins; one per audited channel and look; link changes are few.
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// The loop ends only with the gateway, and then nobody needs an answer.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

type ReadEnd = (ChannelName, Wants, Result<Option<Snapshot>, Away>);

/// The loop's state.
pub(crate) struct Reconcile {
    backplane: Arc<dyn Backplane>,
    interest: Arc<Interest>,
    inboxes: Vec<Inbox>,
    metrics: Arc<Metrics>,
    /// What operators see of the link.
    link: Arc<Link>,
    applied: HashSet<ChannelName>,
    /// To be subscribed, for shards that need a snapshot then.
    subscribe: BTreeMap<ChannelName, Wants>,
    unsubscribe: BTreeSet<ChannelName>,
    /// After a failed call the next one waits.
    pause: Option<Instant>,
    pause_time: Duration,
    reads: Reads,
    /// The link is up, and shards are told when everything is subscribed again.
    up_untold: bool,
    /// Why the broker is away, as far as it was ever heard of.
    down: Option<String>,
}

/// A call to the broker, and what it was for.
enum Call {
    Subscribed(Vec<(ChannelName, Wants)>, Result<(), Away>),
    Unsubscribed(Vec<ChannelName>, Result<(), Away>),
}

impl Reconcile {
    pub(crate) fn new(
        backplane: Arc<dyn Backplane>,
        interest: Arc<Interest>,
        inboxes: Vec<Inbox>,
        metrics: Arc<Metrics>,
        link: Arc<Link>,
    ) -> Self {
        Self {
            backplane,
            interest,
            inboxes,
            metrics,
            link,
            applied: HashSet::new(),
            subscribe: BTreeMap::new(),
            unsubscribe: BTreeSet::new(),
            pause: None,
            pause_time: Duration::ZERO,
            reads: Reads::default(),
            up_untold: false,
            down: None,
        }
    }

    /// Runs until nobody can send commands.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut call: Option<BoxFuture<'static, Call>> = None;
        let mut reading: FuturesUnordered<BoxFuture<'static, ReadEnd>> = FuturesUnordered::new();
        loop {
            if call.is_none() {
                call = self.poll_call();
            }
            while let Some((channel, wants)) = self.reads.poll(Instant::now()) {
                reading.push(self.read(channel, wants));
            }
            let wake =
                self.pause.filter(|_| call.is_none()).into_iter().chain(self.reads.poll_timeout()).min();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return,
                },
                done = async { call.as_mut().expect("only polled where there is one").await }, if call.is_some() => {
                    call = None;
                    self.handle_call(done);
                }
                Some((channel, wants, result)) = reading.next(), if !reading.is_empty() => {
                    self.handle_read(&channel, wants, result);
                }
                () = sleep_until(wake), if wake.is_some() => {}
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Watch(shard, channel) => {
                if self.applied.contains(&channel) {
                    self.hand_over(shard, &channel);
                } else {
                    self.subscribe.entry(channel).or_default().add(Wants::one(shard, 0));
                }
            }
            Command::HandedOver { to, channel, head, backlog } => {
                self.handle_backlog(to, &channel, head, backlog);
            }
            Command::Unwatch(channel) => {
                self.subscribe.remove(&channel);
                self.unsubscribe.insert(channel);
            }
            Command::Reread(channel, wants) => self.reads.request(&channel, wants),
            Command::Anew(channel) => {
                self.applied.remove(&channel);
                self.subscribe_for_all(channel);
            }
            Command::Up => self.handle_up(),
            Command::Down(reason) => {
                if self.down.as_ref() != Some(&reason) {
                    tracing::warn!(reason, "the broker is away");
                }
                self.down = Some(reason);
                self.up_untold = false;
                self.applied.clear();
                self.unsubscribe.clear();
                self.tell(UpstreamStatus::Down);
            }
        }
        self.metrics.interest_channels.set(self.interest.len() as f64);
    }

    /// A shard that has the channel is asked for what it knows; the broker, where there is none.
    fn hand_over(&mut self, to: usize, channel: &ChannelName) {
        let from = self.interest.shards(channel).iter().find(|shard| *shard != to);
        let asked = from.map(|from| {
            let head = self.interest.head(channel);
            let arrival = Arrival::HandOver { channel: channel.clone(), to, head };
            self.inboxes[from].put(arrival)
        });
        if !matches!(asked, Some(Ok(()))) {
            self.reads.request(channel, Wants::one(to, 0));
        }
    }

    /// The backlog has everything if it reaches as far as the channel had come when it was asked for: what came later
    /// went to the asking shard as well, which stood in the table by then. Else (an inbox was full, or a record was
    /// just on its way) the broker is asked too.
    fn handle_backlog(
        &mut self,
        to: usize,
        channel: &ChannelName,
        head: Option<Head>,
        backlog: Option<Box<Backlog>>,
    ) {
        let reaches = backlog.as_ref().is_some_and(|backlog| {
            let position = backlog.position();
            head.is_none_or(|head| head.epoch == position.epoch && head.seq <= position.seq)
        });
        let put = backlog.map(|backlog| self.inboxes[to].put(Arrival::Backlog(backlog)));
        if !reaches || !matches!(put, Some(Ok(()))) {
            self.reads.request(channel, Wants::one(to, 0));
        }
    }

    fn handle_up(&mut self) {
        match self.down.take() {
            // The first time: what is subscribed already is so by this link, and read as well.
            None => tracing::info!("the broker is there"),
            Some(_) => {
                tracing::info!("the broker is there again");
                self.metrics.upstream_reconnects.increment(1);
                self.link.note_reconnect();
                self.applied.clear();
                self.unsubscribe.clear();
                for channel in self.interest.channels() {
                    self.subscribe_for_all(channel);
                }
            }
        }
        (self.pause, self.up_untold) = (None, true);
        self.tell_up_if_whole();
    }

    fn subscribe_for_all(&mut self, channel: ChannelName) {
        let wants = Wants::all(self.interest.shards(&channel));
        self.subscribe.entry(channel).or_default().add(wants);
    }

    fn tell_up_if_whole(&mut self) {
        if self.up_untold && self.subscribe.is_empty() {
            self.up_untold = false;
            self.tell(UpstreamStatus::Up);
        }
    }

    fn tell(&self, status: UpstreamStatus) {
        self.metrics.upstream_up.set(if status == UpstreamStatus::Up { 1.0 } else { 0.0 });
        let since = unix_ms();
        self.link.note(status, since, self.down.as_deref());
        for inbox in &self.inboxes {
            // Refused only by a shard that is gone.
            let _ = inbox.put(Arrival::Upstream { status, since });
        }
    }

    /// The next call to make: subscribe before unsubscribe, because a client waits for it.
    fn poll_call(&mut self) -> Option<BoxFuture<'static, Call>> {
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        self.pause = None;
        let interest = self.interest.clone();
        self.subscribe.retain(|channel, _| interest.contains(channel));
        self.tell_up_if_whole();
        let names: Vec<_> = self.subscribe.keys().take(INTEREST_BATCH_MAX).cloned().collect();
        let backplane = self.backplane.clone();
        if !names.is_empty() {
            let wanted = names.iter().filter_map(|name| self.subscribe.remove_entry(name)).collect();
            for name in &names {
                self.unsubscribe.remove(name);
            }
            return Some(Box::pin(async move {
                let result = backplane.subscribe(names).await;
                Call::Subscribed(wanted, result)
            }));
        }
        // Somebody may listen again since: the table is asked once more, right before the call.
        self.unsubscribe.retain(|channel| !interest.contains(channel));
        let channels: Vec<_> = self.unsubscribe.iter().take(INTEREST_BATCH_MAX).cloned().collect();
        if channels.is_empty() {
            return None;
        }
        for channel in &channels {
            self.unsubscribe.remove(channel);
            self.applied.remove(channel);
        }
        Some(Box::pin(async move {
            let result = backplane.unsubscribe(channels.clone()).await;
            Call::Unsubscribed(channels, result)
        }))
    }

    fn handle_call(&mut self, call: Call) {
        match call {
            Call::Subscribed(wanted, Ok(())) => {
                self.pause_time = Duration::ZERO;
                for (channel, wants) in wanted {
                    self.reads.request(&channel, wants);
                    self.applied.insert(channel);
                }
                self.tell_up_if_whole();
            }
            Call::Subscribed(wanted, Err(away)) => {
                for (channel, wants) in wanted {
                    self.subscribe.entry(channel).or_default().add(wants);
                }
                self.handle_failure(&away);
            }
            Call::Unsubscribed(_, Ok(())) => self.pause_time = Duration::ZERO,
            Call::Unsubscribed(channels, Err(away)) => {
                self.unsubscribe.extend(channels);
                self.handle_failure(&away);
            }
        }
    }

    fn handle_failure(&mut self, away: &Away) {
        self.pause_time = (self.pause_time * 2).clamp(RETRY_MIN, RETRY_MAX);
        self.pause = Some(Instant::now() + self.pause_time);
        tracing::debug!(%away, "asking again later");
    }

    fn read(&self, channel: ChannelName, wants: Wants) -> BoxFuture<'static, ReadEnd> {
        self.interest.clear_gaps(&channel, wants.shards());
        let backplane = self.backplane.clone();
        Box::pin(async move {
            let result = backplane.snapshot(channel.clone()).await;
            (channel, wants, result)
        })
    }

    fn handle_read(
        &mut self,
        channel: &ChannelName,
        mut wants: Wants,
        result: Result<Option<Snapshot>, Away>,
    ) {
        // Who has stopped listening needs nothing.
        wants.retain(self.interest.shards(channel));
        let missed = match result {
            Ok(snapshot) => {
                self.metrics.snapshots_read.increment(1);
                self.hand_out(channel, &wants, snapshot.as_ref())
            }
            Err(away) => {
                self.metrics.snapshots_failed.increment(1);
                tracing::debug!(%channel, %away, "reading again later");
                wants
            }
        };
        self.reads.handle_end(channel, missed, Instant::now());
    }

    /// The answer is those whose inbox was full.
    fn hand_out(&self, channel: &ChannelName, wants: &Wants, snapshot: Option<&Snapshot>) -> Wants {
        let head = snapshot.map(|found| Head { epoch: found.epoch.clone(), seq: found.seq });
        self.interest.note_snapshot(channel, head);
        let mut missed = Wants::default();
        for (shard, read) in wants.iter() {
            let arrival = Arrival::Snapshot { channel: channel.clone(), snapshot: snapshot.cloned(), read };
            if self.inboxes[shard].put(arrival).is_err() {
                missed.add(Wants::one(shard, read));
            }
        }
        missed
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
