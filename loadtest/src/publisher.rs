//! Publishers: threads that publish through the producer SDK, at a rate or as fast as the slowest listener takes it.
//!
//! Bounded: events on their way, by the window of a closed loop or the producer's own buffer, half of which stays
//! free, so that no event becomes a count for want of room.

use crate::clock::now_us;
use crate::gauge::Loop;
use crate::known::Padding;
use crate::scenario::{Publish, Scenario};
use anyhow::Context;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tally_producer::{ChannelName, Class, Event, Kind, Producer, RawJson, Stats, UnixMs};

/// Events of one channel before the next one has its turn.
const TURN_EVENTS: u64 = 64;
/// Of so many events, one is looked at for what it costs to make it; that takes no longer than this.
const MAKING_EVERY: u64 = 16;
const MAKING_NS_MAX: u64 = 1_000_000;
/// How long a publisher that may not go on waits before it looks again by itself.
const LOOK: Duration = Duration::from_millis(5);
/// How long is waited for the answers to what is on its way at the end.
const CLOSE: Duration = Duration::from_secs(20);
/// Of the producer's default buffer of 8 MiB, what is filled when as fast as possible.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What the run and the publishing threads share.
#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// 0 until the measured window begins.
    window_us: AtomicU64,
    /// By channel: events that a producer has accepted.
    accepted: Vec<AtomicU64>,
    closed_loop: Arc<Loop>,
    failed: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Publishers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<anyhow::Result<Account>>>,
}

/// What publishing came to.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) stats: Stats,
    /// What it costs to make an event before it is published, in nanoseconds.
    pub(crate) making_ns: Histogram<u64>,
}

impl Account {
    fn new() -> Self {
        let making_ns = Histogram::new_with_bounds(1, MAKING_NS_MAX, 3);
        Self {
            stats: Stats::default(),
            making_ns: making_ns.expect("the bounds are in order, and the digits few"),
        }
    }

    fn add(&mut self, stats: &Stats) {
        self.stats.accepted += stats.accepted;
        self.stats.full += stats.full;
        self.stats.counted += stats.counted;
        self.stats.unheard += stats.unheard;
        self.stats.refused += stats.refused;
        self.stats.unknown += stats.unknown;
    }
}

/// One thread's part of a scenario.
struct Work {
    number: usize,
    url: String,
    prefix: String,
    publish: Publish,
    /// Events per second of each pair; `None`: as fast as possible.
    rate: Option<f64>,
    window: u64,
    /// Number of the producer, and channel.
    pairs: Vec<(usize, usize)>,
    producers: usize,
    channels: Arc<[ChannelName]>,
    shared: Arc<Shared>,
}

impl Publishers {
    /// Begins at once.
    pub(crate) fn start(
        scenario: &Scenario,
        url: &str,
        prefix: &str,
        channels: &Arc<[ChannelName]>,
        closed_loop: &Arc<Loop>,
    ) -> anyhow::Result<Self> {
        let publish = &scenario.publish;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            window_us: AtomicU64::new(0),
            accepted: channels.iter().map(|_| AtomicU64::new(0)).collect(),
            closed_loop: Arc::clone(closed_loop),
            failed: AtomicBool::new(false),
        });
        let producers = publish.threads.max(publish.producers_per_channel);
        let mut works: Vec<Vec<(usize, usize)>> = vec![Vec::new(); publish.threads];
        for channel in 0..channels.len() {
            for turn in 0..publish.producers_per_channel {
                let producer = (channel + turn) % producers;
                works[producer % publish.threads].push((producer, channel));
            }
        }
        let mut publishers = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for (number, pairs) in works.into_iter().enumerate() {
            let work = Work {
                number,
                url: url.to_owned(),
                prefix: prefix.to_owned(),
                publish: publish.clone(),
                rate: scenario.rate().map(|rate| rate / publish.producers_per_channel as f64),
                window: scenario.window(),
                pairs,
                producers,
                channels: Arc::clone(channels),
                shared: Arc::clone(&shared),
            };
            let named = std::thread::Builder::new().name(format!("publish-{number}"));
            publishers.threads.push(named.spawn(move || main(&work))?);
        }
        Ok(publishers)
    }

    pub(crate) fn window_begins(&self, now_us: u64) {
        self.shared.window_us.store(now_us, Ordering::Release);
    }

    /// Events accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.shared.accepted.iter().map(|channel| channel.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Publishes nothing more, waits for all answers, and tells the account of all producers and, by channel, what
    /// they accepted.
    pub(crate) fn finish(mut self) -> anyhow::Result<(Account, Vec<u64>)> {
        self.shared.stop.store(true, Ordering::Release);
        let mut all = Account::new();
        for thread in std::mem::take(&mut self.threads) {
            let account = thread.join().map_err(|_| anyhow::anyhow!("a publishing thread panicked"))??;
            all.add(&account.stats);
            all.making_ns.add(&account.making_ns).expect("made with the same bounds");
        }
        let accepted = self.shared.accepted.iter().map(|channel| channel.load(Ordering::Acquire)).collect();
        Ok((all, accepted))
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

fn main(work: &Work) -> anyhow::Result<Account> {
    let published = run(work);
    if published.is_err() {
        work.shared.failed.store(true, Ordering::Relaxed);
    }
    published
}

fn run(work: &Work) -> anyhow::Result<Account> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mine: Vec<usize> =
            (0..work.producers).filter(|producer| producer % work.publish.threads == work.number).collect();
        let producers: Vec<Producer> = mine.iter().map(|_| connect(work)).collect::<anyhow::Result<_>>()?;
        // A producer's place among those of this thread.
        let place = |producer: usize| producer / work.publish.threads;
        let pairs: Vec<(Producer, usize)> = work
            .pairs
            .iter()
            .map(|(producer, channel)| (producers[place(*producer)].clone(), *channel))
            .collect();
        let mut pen = Pen::new(&work.publish);
        match work.rate {
            Some(rate) => paced(work, rate, &pairs, &mut pen).await?,
            None => fast(work, &producers, &pairs, &mut pen).await?,
        }
        drop(pairs);
        let mut all = Account::new();
        for producer in producers {
            all.add(&producer.close(CLOSE).await.stats);
        }
        all.making_ns = pen.making_ns;
        Ok(all)
    })
}

fn connect(work: &Work) -> anyhow::Result<Producer> {
    let publish = &work.publish;
    let mut builder = Producer::builder().name("loadtest").redis_prefix(&work.prefix);
    if let Some(age) = publish.batch_age_ms {
        builder = builder.batch_age(Duration::from_millis(age));
    }
    if let Some(events) = publish.batch_events_max {
        builder = builder.batch_events_max(events);
    }
    if let Some(batches) = publish.in_flight_max {
        builder = builder.in_flight_max(batches);
    }
    if let Some(aware) = publish.listener_aware {
        builder = builder.listener_aware(aware);
    }
    builder
        .connect(&work.url)
        .context("a publisher cannot start; check the [publish] settings of the scenario")
}

/// At a rate, evenly over the pairs; what a late wake missed is published at once.
async fn paced(work: &Work, rate: f64, pairs: &[(Producer, usize)], pen: &mut Pen) -> anyhow::Result<()> {
    let per_s = rate * pairs.len() as f64;
    let began_us = now_us();
    let mut published = 0u64;
    while !work.shared.stop.load(Ordering::Acquire) {
        burst(work, pairs, pen)?;
        let due = ((now_us() - began_us) as f64 / 1e6 * per_s) as u64;
        for turn in published..due {
            let (producer, channel) = &pairs[usize::try_from(turn).expect("64 bits") % pairs.len()];
            pen.publish(work, producer, *channel)?;
            // The producer works on this thread too.
            if turn % TURN_EVENTS == 0 {
                tokio::task::yield_now().await;
            }
        }
        published = published.max(due);
        let next_us = if per_s > 0.0 { ((published + 1) as f64 / per_s * 1e6) as u64 } else { u64::MAX };
        let wait_us = next_us.saturating_sub(now_us() - began_us);
        tokio::time::sleep(Duration::from_micros(wait_us).min(LOOK)).await;
    }
    Ok(())
}

/// As fast as the slowest healthy listener of each channel takes it.
async fn fast(
    work: &Work,
    producers: &[Producer],
    pairs: &[(Producer, usize)],
    pen: &mut Pen,
) -> anyhow::Result<()> {
    let shared = &work.shared;
    let room = || {
        let stats = producers.iter().map(Producer::stats);
        stats.map(|stats| stats.buffer_bytes).max().unwrap_or(0) < BUFFER_BYTES
    };
    while !shared.stop.load(Ordering::Acquire) {
        burst(work, pairs, pen)?;
        shared.closed_loop.will_wait(work.number);
        let mut published = 0;
        for (producer, channel) in pairs {
            let accepted = shared.accepted[*channel].load(Ordering::Relaxed);
            let under_way = match shared.closed_loop.slowest(*channel) {
                Some(cursor) => accepted.saturating_sub(cursor),
                None => 0,
            };
            let turn = work.window.saturating_sub(under_way).min(TURN_EVENTS);
            if turn == 0 || !room() {
                continue;
            }
            for _ in 0..turn {
                pen.publish(work, producer, *channel)?;
            }
            published += turn;
        }
        if published > 0 {
            tokio::task::yield_now().await;
        } else if room() {
            let _either = tokio::time::timeout(LOOK, shared.closed_loop.wake(work.number).notified()).await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// The burst of the scenario, once, when its time has come.
fn burst(work: &Work, pairs: &[(Producer, usize)], pen: &mut Pen) -> anyhow::Result<()> {
    let Some(burst) = work.publish.burst.filter(|_| !pen.burst) else { return Ok(()) };
    let window_us = work.shared.window_us.load(Ordering::Acquire);
    if window_us == 0 || now_us() < window_us + (burst.at_s * 1e6) as u64 {
        return Ok(());
    }
    pen.burst = true;
    for (producer, channel) in pairs {
        for _ in 0..burst.events {
            pen.publish(work, producer, *channel)?;
        }
    }
    Ok(())
}

/// Writes events.
struct Pen {
    kinds: Vec<Kind>,
    padding: Padding,
    random: fastrand::Rng,
    burst: bool,
    made: u64,
    making_ns: Histogram<u64>,
}

impl Pen {
    fn new(publish: &Publish) -> Self {
        let kind = |i| format!("kind-{i}").parse().expect("letters, digits and a hyphen are a kind");
        Self {
            kinds: (0..publish.kinds).map(kind).collect(),
            padding: Padding::new(publish.data_bytes),
            random: fastrand::Rng::with_seed(1),
            burst: false,
            made: 0,
            making_ns: Account::new().making_ns,
        }
    }

    fn publish(&mut self, work: &Work, producer: &Producer, channel: usize) -> anyhow::Result<()> {
        self.made += 1;
        let event = if self.made.is_multiple_of(MAKING_EVERY) {
            let began = Instant::now();
            let event = self.event(&work.publish)?;
            let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.making_ns.saturating_record(ns);
            event
        } else {
            self.event(&work.publish)?
        };
        producer.publish(&work.channels[channel], event).context("an event was not accepted")?;
        work.shared.accepted[channel].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    fn event(&mut self, publish: &Publish) -> anyhow::Result<Event> {
        let state = self.random.f64() < publish.state_share;
        let now_us = now_us();
        let data = self.padding.stamped(now_us);
        Ok(Event {
            kind: self.kinds[self.random.usize(..self.kinds.len())].clone(),
            class: if state { Class::State } else { Class::Bulk },
            at: UnixMs::new(now_us / 1_000),
            data: RawJson::new(&data.into()).context("what is published is no JSON")?,
        })
    }
}
