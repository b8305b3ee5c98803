//! One sample a second: what all shards count, made into figures per second and totals, as one JSON object.
//!
//! Every figure comes from the counters that `/metrics` shows as well. A shard that does not answer in time stands in
//! with what it last said, and with nothing per second.

use super::link::LinkFigures;
use super::{Shards, Statistics, process};
use crate::clock::unix_ms;
use crate::http::App;
use crate::interest::Interest;
use crate::limits::{LATENCY_MAX_MS, SAMPLE_TIME};
use crate::shard::{Phase, Question, ShardFigures};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_fanout::{Account, Look};
use tally_protocol::{RawJson, Rung, Why};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    gateway: String,
    name: String,
    version: &'static str,
    started_at: u64,
    at: u64,
    uptime_s: u64,
    listen: String,
    admin: String,
    state: &'static str,
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) rss_bytes: Option<u64>,
    cores: usize,
    shards: Vec<ShardSample>,
    pub(crate) connections: usize,
    channels: usize,
    interest: usize,
    subscriptions: Subscriptions,
    pub(crate) connections_by_rung: ByRung,
    #[serde(rename = "in")]
    pub(crate) intake: In,
    pub(crate) out: Out,
    pub(crate) latency_ms: Latency,
    pub(crate) redis: Option<LinkFigures>,
    pub(crate) account: AccountSample,
    rung_changes_total: BTreeMap<String, u64>,
    refused_total: BTreeMap<&'static str, u64>,
    closed_total: BTreeMap<&'static str, u64>,
    partial_writes: u64,
    evicted: u64,
    inbox_bytes: u64,
    log_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ShardSample {
    connections: usize,
    subscriptions: usize,
    busy_percent: f64,
    events_per_s: u64,
    deliveries_per_s: u64,
}

#[derive(Debug, Serialize)]
struct Subscriptions {
    #[serde(flatten)]
    by_rung: ByRung,
    pending: usize,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ByRung {
    pub(crate) full: usize,
    pub(crate) counts: usize,
    pub(crate) summary: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct In {
    records: u64,
    pub(crate) events: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Out {
    pub(crate) frames: u64,
    events: u64,
    pub(crate) bytes: u64,
    counted_events: u64,
    summarised_events: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    n: u64,
    pub(crate) p50: Option<u64>,
    p90: Option<u64>,
    pub(crate) p99: Option<u64>,
    max: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct AccountSample {
    subscriptions: u64,
    advanced: u64,
    full: u64,
    counted: BTreeMap<&'static str, u64>,
    summarised: BTreeMap<&'static str, u64>,
    residual: i64,
    violations: u64,
    resets: u64,
    pub(crate) lost: u64,
}

impl From<[usize; 3]> for ByRung {
    fn from(n: [usize; 3]) -> Self {
        Self {
            full: n[Rung::Full as usize],
            counts: n[Rung::Counts as usize],
            summary: n[Rung::Summary as usize],
        }
    }
}

/// The task, and what it remembers of the last second.
pub(super) struct Sampler {
    app: Arc<App>,
    shards: Shards,
    interest: Arc<Interest>,
    phase: watch::Receiver<Phase>,
    /// By shard; none before its first answer.
    last: Vec<Option<ShardFigures>>,
    intake: ([u64; 3], Instant),
    cpu: Option<(Duration, Instant)>,
}

/// What has changed between two answers of one shard, and in how long.
struct Step<'a> {
    before: &'a ShardFigures,
    now: &'a ShardFigures,
    seconds: f64,
}

impl Step<'_> {
    fn rate(&self, of: impl Fn(&ShardFigures) -> u64) -> u64 {
        per_second(of(self.now).saturating_sub(of(self.before)), self.seconds)
    }
}

impl Sampler {
    pub(super) fn new(
        app: Arc<App>,
        shards: Shards,
        interest: Arc<Interest>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let last = (0..shards.len()).map(|_| None).collect();
        let intake = (app.statistics.intake.totals(), Instant::now());
        Self { app, shards, interest, phase, last, intake, cpu: None }
    }

    /// Samples once a second, into the own memory and to whoever publishes.
    pub(super) async fn run(mut self, newest: watch::Sender<Option<RawJson>>) {
        let mut ticks = interval(SAMPLE_TIME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let sample = self.sample().await;
            let statistics = &self.app.statistics;
            statistics.fleet().note_own(&statistics.id, &statistics.name, &sample, unix_ms().get() / 1_000);
            let json = RawJson::from_serialize(&sample).expect("rows have string keys only");
            newest.send_replace(Some(json));
        }
    }

    async fn sample(&mut self) -> Sample {
        let tracked: Arc<[_]> = self.app.statistics.tracks().names(Instant::now()).into();
        let ask = |reply| Question::Figures { tracked: tracked.clone(), reply };
        let mut answers = self.shards.ask(ask).await;
        let views = answers.iter_mut().flatten().flat_map(|figures| std::mem::take(&mut figures.channels));
        let views = super::shards::merge(views);
        let at_s = unix_ms().get() / 1_000;
        {
            let mut tracks = self.app.statistics.tracks();
            views.iter().for_each(|view| tracks.note(view, at_s));
        }
        let mut latency = empty_histogram();
        let mut rates = Rates::default();
        let mut shards = Vec::with_capacity(answers.len());
        for (last, answer) in self.last.iter_mut().zip(answers) {
            let before = match answer {
                Some(now) => last.replace(now),
                None => None,
            };
            let step = before.as_ref().zip(last.as_ref()).map(|(before, now)| Step {
                before,
                now,
                seconds: now.at.saturating_duration_since(before.at).as_secs_f64(),
            });
            if let Some(step) = &step {
                rates.add(step);
                // Both have the same bounds.
                let _ = latency.add(&step.now.latency);
            }
            shards.push(shard_sample(last.as_ref(), step.as_ref()));
        }
        self.put_together(shards, &rates, &latency)
    }

    fn put_together(&mut self, shards: Vec<ShardSample>, rates: &Rates, latency: &Histogram<u32>) -> Sample {
        let intake = self.intake();
        let cpu_percent = self.cpu_percent();
        let app = &self.app;
        let Statistics { id, name, started_at, started, addresses, link, .. } = &app.statistics;
        let addr = |n: usize| addresses.get().map(|all| [all.0, all.1][n].to_string()).unwrap_or_default();
        let figures = || self.last.iter().flatten();
        let look = sum_of_looks(figures().map(|figures| &figures.look));
        let sum = |of: fn(&ShardFigures) -> u64| figures().map(of).sum::<u64>();
        Sample {
            gateway: id.clone(),
            name: name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: *started_at,
            at: unix_ms().get(),
            uptime_s: started.elapsed().as_secs(),
            listen: addr(0),
            admin: addr(1),
            state: if *self.phase.borrow() == Phase::Running { "running" } else { "draining" },
            cpu_percent,
            rss_bytes: process::rss_bytes(),
            cores: shards.len(),
            shards,
            connections: look.stats.connections,
            channels: look.stats.channels,
            interest: self.interest.len(),
            subscriptions: Subscriptions {
                by_rung: look.stats.subscriptions.into(),
                pending: look.stats.pending,
            },
            connections_by_rung: look.connections.into(),
            intake,
            out: rates.out(),
            latency_ms: latency_sample(latency),
            redis: link.figures(),
            account: account_sample(&look.account, app.metrics.violations()),
            rung_changes_total: rung_changes(figures()),
            refused_total: app.metrics.refused_totals(),
            closed_total: app.metrics.closed_totals(),
            partial_writes: rates.partial_writes,
            evicted: rates.evicted,
            inbox_bytes: sum(|figures| figures.inbox_bytes),
            log_bytes: look.stats.log_bytes,
        }
    }

    fn intake(&mut self) -> In {
        let now = (self.app.statistics.intake.totals(), Instant::now());
        let before = std::mem::replace(&mut self.intake, now);
        let seconds = now.1.saturating_duration_since(before.1).as_secs_f64();
        let rate = |n: usize| per_second(now.0[n] - before.0[n], seconds);
        In { records: rate(0), events: rate(1), bytes: rate(2) }
    }

    fn cpu_percent(&mut self) -> Option<f64> {
        let now = (process::cpu_time()?, Instant::now());
        let before = self.cpu.replace(now)?;
        let seconds = now.1.saturating_duration_since(before.1).as_secs_f64();
        Some(percent(now.0.saturating_sub(before.0), seconds))
    }
}

/// What all shards did per second.
#[derive(Debug, Default)]
struct Rates {
    frames: u64,
    bytes: u64,
    columns: [u64; 3],
    partial_writes: u64,
    evicted: u64,
}

impl Rates {
    fn add(&mut self, step: &Step<'_>) {
        self.frames += step.rate(|figures| figures.out.frames);
        self.bytes += step.rate(|figures| figures.out.bytes);
        self.columns[0] += step.rate(|figures| figures.counters.events_full);
        self.columns[1] += step.rate(|figures| figures.counters.events_counted());
        self.columns[2] += step.rate(|figures| figures.counters.events_summarised());
        self.partial_writes += step.rate(|figures| figures.out.partial_writes);
        self.evicted += step.rate(|figures| figures.counters.evicted);
    }

    fn out(&self) -> Out {
        let [events, counted_events, summarised_events] = self.columns;
        Out { frames: self.frames, events, bytes: self.bytes, counted_events, summarised_events }
    }
}

/// Milliseconds from a publish to the socket: 0 to [`LATENCY_MAX_MS`], to about 1 %.
pub(crate) fn empty_histogram() -> Histogram<u32> {
    Histogram::new_with_max(LATENCY_MAX_MS, 2).expect("the bounds are constants that fit")
}

fn latency_sample(latency: &Histogram<u32>) -> Latency {
    let at = |quantile: f64| (!latency.is_empty()).then(|| latency.value_at_quantile(quantile));
    Latency {
        n: latency.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: (!latency.is_empty()).then(|| latency.max()),
    }
}

fn shard_sample(figures: Option<&ShardFigures>, step: Option<&Step<'_>>) -> ShardSample {
    let stats = figures.map(|figures| figures.look.stats).unwrap_or_default();
    let rate = |of: fn(&ShardFigures) -> u64| step.map_or(0, |step| step.rate(of));
    let busy = step.map_or(0.0, |step| percent(step.now.busy.saturating_sub(step.before.busy), step.seconds));
    ShardSample {
        connections: stats.connections,
        subscriptions: stats.subscriptions.iter().sum::<usize>() + stats.pending,
        busy_percent: busy,
        events_per_s: rate(|figures| figures.counters.events_in),
        deliveries_per_s: rate(|figures| figures.out.frames),
    }
}

fn sum_of_looks<'a>(looks: impl Iterator<Item = &'a Look>) -> Look {
    let mut sum = Look::default();
    for look in looks {
        sum.stats.connections += look.stats.connections;
        sum.stats.channels += look.stats.channels;
        sum.stats.pending += look.stats.pending;
        sum.stats.log_bytes += look.stats.log_bytes;
        for rung in 0..3 {
            sum.stats.subscriptions[rung] += look.stats.subscriptions[rung];
            sum.connections[rung] += look.connections[rung];
        }
        sum.account.add(&look.account);
    }
    sum
}

fn account_sample(account: &Account, violations: u64) -> AccountSample {
    let residual = account.residual();
    AccountSample {
        subscriptions: account.subscriptions,
        advanced: account.advanced,
        full: account.full,
        counted: by_why(&account.counted),
        summarised: by_why(&account.summarised),
        residual,
        violations,
        resets: account.resets,
        lost: residual.unsigned_abs() + violations,
    }
}

fn by_why(counts: &[u64; 6]) -> BTreeMap<&'static str, u64> {
    let named = Why::ALL.into_iter().map(|why| (why.as_str(), counts[why as usize]));
    named.filter(|(_, n)| *n > 0).collect()
}

fn rung_changes<'a>(figures: impl Iterator<Item = &'a ShardFigures>) -> BTreeMap<String, u64> {
    let mut changes = BTreeMap::new();
    for figures in figures {
        for rung in Rung::ALL {
            for why in Why::ALL {
                let n = figures.counters.rung_changes[rung as usize][why as usize];
                if n > 0 {
                    *changes.entry(format!("{rung} {why}")).or_default() += n;
                }
            }
        }
    }
    changes
}

fn per_second(n: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (n as f64 / seconds).round() as u64 } else { 0 }
}

/// Of one core, with one decimal.
fn percent(busy: Duration, seconds: f64) -> f64 {
    if seconds > 0.0 { (busy.as_secs_f64() / seconds * 1_000.0).round() / 10.0 } else { 0.0 }
}
