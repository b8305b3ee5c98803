//! One run: stage, receivers, publishers, warm-up, the measured window, and the end at which every ledger closes.

mod figures;
mod window;

use crate::audience;
use crate::expect;
use crate::gauge::{Loop, percentiles};
use crate::http;
use crate::progress::Progress;
use crate::publisher::Publishers;
use crate::receiver::{Ask, Dialect, Receivers, Setting};
use crate::result::{Published, Run, Subject};
use crate::scenario::Scenario;
use crate::signal;
use crate::stage::{Means, Stage};
use crate::usage::{self, Census};
use anyhow::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_protocol::{ChannelName, Position, TickMs};
use window::Window;

/// Names of figures that others look for.
pub(crate) const CPU_BEFORE_BURST: &str = "CPU before the burst";
pub(crate) const MAKING: &str = "of that, making the event";
pub(crate) const REDIS_BYTES_PER_EVENT: &str = "bytes into Redis per event";

/// How often a wait looks around.
const LOOK: Duration = Duration::from_millis(10);
/// How long everybody may take to attach, and to get to the end.
const ATTACH: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(40);

/// Everything that lives during a run.
struct Performance<'a> {
    scenario: &'a Scenario,
    subject: Subject,
    progress: &'a Progress,
    // Declared in the order in which they have to end.
    publishers: Option<Publishers>,
    receivers: Receivers,
    stage: Stage,
    channels: Arc<[ChannelName]>,
}

pub(crate) fn run(
    scenario: &Scenario,
    subject: Subject,
    round: u32,
    means: &Means,
    progress: &Progress,
) -> anyhow::Result<Run> {
    let title = format!("{} · {} · round {round}", scenario.name, subject_name(subject));
    progress.step(&format!("{title}: starting what it needs"), 0);
    let stage = Stage::set(scenario, subject, means)?;
    let nobody_yet = usage::census(&stage.actors);
    let run_name = format!("{:08x}", fastrand::u32(..));
    let channels: Arc<[ChannelName]> = audience::channel_names(scenario, &run_name).into();
    let closed_loop =
        Arc::new(Loop::new(scenario.listen.threads, scenario.publish.threads, scenario.publish.channels));
    let setting = Setting {
        dialect: if subject == Subject::Gateway { Dialect::Gateway } else { Dialect::Floor },
        channels: Arc::clone(&channels),
        ask: Ask {
            max_rate: scenario.listen.max_rate,
            tick_ms: TickMs::try_from(scenario.listen.tick_ms).map_err(|error| anyhow::anyhow!("{error}"))?,
            tail: scenario.listen.tail,
        },
        threads: scenario.listen.threads,
        closed_loop: Arc::clone(&closed_loop),
    };
    let seats = match scenario.connections() {
        0 => Vec::new(),
        _ => audience::seats(scenario, subject, &stage.doors)?,
    };
    let receivers = Receivers::start(&setting, seats)?;
    let mut performance =
        Performance { scenario, subject, progress, publishers: None, receivers, stage, channels };
    progress.step(&format!("{title}: connecting"), scenario.connections() as u64);
    performance.wait_attached()?;
    let (url, channels) = (performance.stage.publish_url.clone(), Arc::clone(&performance.channels));
    performance.publishers = Some(Publishers::start(scenario, &url, &means.prefix, &channels, &closed_loop)?);
    progress.step(&format!("{title}: warming up"), 0);
    performance.pause(Duration::from_secs_f64(scenario.warm_up_s))?;
    progress.step(&format!("{title}: measuring"), scenario.seconds.ceil() as u64);
    let window = performance.measure()?;
    progress.step(&format!("{title}: waiting for the last frames"), 0);
    performance.end(round, window, &nobody_yet)
}

pub(crate) fn subject_name(subject: Subject) -> &'static str {
    match subject {
        Subject::Gateway => "gateway",
        Subject::FloorEach => "floor-each",
        Subject::FloorJoined => "floor-joined",
    }
}

impl Performance<'_> {
    /// Whether everything that has to run runs.
    fn look(&mut self) -> anyhow::Result<()> {
        signal::check()?;
        if let Some(fallen) = self.stage.fallen() {
            anyhow::bail!(fallen);
        }
        if self.publishers.as_ref().is_some_and(Publishers::failed) {
            let publishers = self.publishers.take().expect("just looked at");
            let error = publishers.finish().err();
            return Err(error.unwrap_or_else(|| anyhow::anyhow!("a publisher ended by itself")));
        }
        anyhow::ensure!(!self.receivers.failed(), "a receiving thread ended by itself");
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look()?;
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    fn wait_attached(&mut self) -> anyhow::Result<()> {
        let groups = self.scenario.heard_channels() as u64;
        let wanted = groups * self.scenario.listen.per_channel as u64;
        let deadline = Instant::now() + ATTACH;
        loop {
            let (mut attached, mut connections, mut because) = (0, 0, None);
            for gauge in self.receivers.gauges() {
                attached += gauge.attached;
                connections += gauge.connections;
                because =
                    because.or_else(|| gauge.lost_because.first().or(gauge.violations.first()).cloned());
            }
            self.progress.at(connections, None);
            if attached >= wanted {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "only {attached} of {wanted} subscriptions were attached within {ATTACH:?}{}",
                because.map_or_else(String::new, |because| format!("; {because}"))
            );
            self.look()?;
            std::thread::sleep(LOOK);
        }
    }

    /// Stops publishing, waits until everybody is at the end, and closes the books.
    fn end(mut self, round: u32, window: Window, nobody_yet: &Census) -> anyhow::Result<Run> {
        let publishers = self.publishers.take().context("publishers run until here")?;
        let (publishing, accepted) = publishers.finish()?;
        let stats = &publishing.stats;
        let ends = self.ends(&accepted)?;
        let seqs: Vec<u64> = ends
            .iter()
            .zip(&accepted)
            .map(|(end, accepted)| end.as_ref().map_or(*accepted, |end| end.seq.get()))
            .collect();
        let (seqs_at_end, mut missing) = (seqs.clone(), Vec::new());
        missing.extend(self.settle(seqs)?);
        if stats.unknown == 0 && stats.refused == 0 {
            let differ = seqs_at_end.iter().zip(&accepted).zip(self.channels.iter());
            missing.extend(differ.filter(|((end, accepted), _)| end != accepted).map(
                |((end, accepted), name)| {
                    format!("channel {name} ends at seq {end}, and {accepted} events were published to it")
                },
            ));
        }
        let (mut lost_n, mut lost) = (0, Vec::new());
        for gauge in self.receivers.gauges() {
            lost_n += gauge.lost_connections;
            lost.extend(gauge.lost_because.iter().cloned());
        }
        let Self { scenario, subject, progress, receivers, stage, .. } = self;
        let mut balance = receivers.stop(&ends)?;
        for words in missing {
            crate::books::unclosed(&mut balance, words);
        }
        drop(stage);
        progress.done();
        let mut all = window.healthy.clone();
        all.add(&window.others).expect("made with the same bounds");
        let unhealthy = scenario.listen.has_unhealthy();
        let mut run = Run {
            subject,
            round,
            seconds: window.seconds,
            published: Published {
                events: window.published,
                bytes: window.published * scenario.publish.data_bytes as u64,
                acknowledged: window.published.saturating_sub(stats.unknown + stats.refused),
                unknown: stats.unknown,
                refused: stats.refused,
            },
            delivered: window.delivered,
            latency: percentiles(&all),
            healthy_latency: unhealthy.then(|| percentiles(&window.healthy)),
            processes: usage::between(&window.before, &window.after, &window.peaks),
            series: window.series,
            ledger: Some(balance),
            figures: Vec::new(),
            compared: Vec::new(),
            checks: Vec::new(),
        };
        run.figures = figures::figures(scenario, &run, nobody_yet, &window.seen, &publishing);
        run.checks = expect::checks(scenario, &run, stats, &lost, lost_n);
        if subject == Subject::Gateway {
            run.checks.extend(expect::shard_check(scenario, &window.seen.shards));
        } else {
            run.ledger = None;
        }
        Ok(run)
    }

    /// Waits until everybody is where the channels end; who is not by the deadline, in words.
    fn settle(&mut self, ends: Vec<u64>) -> anyhow::Result<Option<String>> {
        self.receivers.settle(ends);
        let deadline = Instant::now() + SETTLE;
        while self.receivers.gauges().map(|gauge| gauge.behind).max().unwrap_or(0) > 0 {
            if Instant::now() > deadline {
                let behind: u64 = self.receivers.gauges().map(|gauge| gauge.behind).sum();
                return Ok(Some(format!("{behind} subscriptions did not get to the end within {SETTLE:?}")));
            }
            self.look()?;
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }

    /// Each channel with listeners as the gateway tells it now; a floor cannot tell.
    fn ends(&self, accepted: &[u64]) -> anyhow::Result<Vec<Option<Position>>> {
        let door = match (self.subject, self.stage.doors.first()) {
            (Subject::Gateway, Some(door)) => *door,
            _ => return Ok(vec![None; accepted.len()]),
        };
        let heard = self.scenario.heard_channels();
        let end = |(number, name): (usize, &ChannelName)| {
            (number < heard).then(|| http::snapshot(door, name)).transpose()
        };
        self.channels.iter().enumerate().map(end).collect()
    }
}
