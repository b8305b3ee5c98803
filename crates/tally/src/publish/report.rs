//! What a person sees: progress on a terminal, single lines, and the totals.

use indicatif::{ProgressBar, ProgressStyle};
use std::convert::Infallible;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tally_producer::{ChannelName, Closed};

use super::position::Position;

/// How often the progress is brought up to date.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    counters: Arc<Counters>,
    began_at: Instant,
}

#[derive(Debug, Default)]
struct Counters {
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// `bytes`: of the whole input, where it is known.
    pub(super) fn new(bytes: Option<u64>, quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else if let Some(bytes) = bytes {
            let template = "{bar:30} {bytes}/{total_bytes}  {msg}  ETA {eta}";
            ProgressBar::new(bytes).with_style(style(template))
        } else {
            ProgressBar::new_spinner().with_style(style("{spinner} {bytes}  {msg}"))
        };
        Self { bar, quiet, counters: Arc::default(), began_at: Instant::now() }
    }

    pub(super) fn handle_bytes(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn handle_event(&self) {
        self.counters.events.fetch_add(1, Ordering::Relaxed);
    }

    /// Shows progress for as long as it is polled.
    pub(super) async fn show(&self) -> Infallible {
        let mut ticks = tokio::time::interval(SHOWN_EVERY);
        loop {
            ticks.tick().await;
            let events = self.counters.events.load(Ordering::Relaxed);
            let rate = per_second(events, self.began_at.elapsed());
            self.bar.set_position(self.counters.bytes.load(Ordering::Relaxed));
            self.bar.set_message(format!("{events} events  {rate:.0}/s"));
            self.bar.tick();
        }
    }

    /// One line about what went wrong.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| {
            let _nobody_reads = std::io::stderr().write_all(format!("tally: {text}\n").as_bytes());
        });
    }

    /// The last line, unless it is good news for somebody who wants none.
    pub(super) fn finish(&self, totals: &Totals) {
        self.bar.finish_and_clear();
        if !self.quiet || !totals.are_clean() {
            self.say(&totals.to_string());
        }
    }

    pub(super) fn took(&self) -> Duration {
        self.began_at.elapsed()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are valid")
}

fn per_second(events: u64, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let events = events as f64;
    events / took.as_secs_f64().max(0.001)
}

/// The account at the end, as one line.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) channel: ChannelName,
    pub(super) closed: Closed,
    pub(super) skipped_lines: u64,
    pub(super) position: Position,
    pub(super) took: Duration,
}

impl Totals {
    /// Of what was read, all is on the channel.
    pub(super) fn are_clean(&self) -> bool {
        self.closed.stats.refused == 0 && self.closed.stats.unknown == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.closed.stats;
        let unsent = self.closed.cut_off.unsent;
        let refused = stats.refused.saturating_sub(unsent);
        write!(f, "{} {} for {}: ", stats.accepted, plural(stats.accepted), self.channel)?;
        write!(
            f,
            "{} in full, {} counted{}, {} unknown, {refused} refused",
            stats.full,
            stats.counted,
            unheard(stats.unheard),
            stats.unknown
        )?;
        if unsent > 0 {
            write!(f, ", {unsent} not sent")?;
        }
        if self.skipped_lines > 0 {
            let lines = if self.skipped_lines == 1 { "line" } else { "lines" };
            write!(f, "; {} bad {lines} skipped", self.skipped_lines)?;
        }
        let rate = per_second(stats.full + stats.counted, self.took);
        write!(f, "{}; {:.1} s, {rate:.0}/s", self.position, self.took.as_secs_f64())
    }
}

/// That nobody listened is the usual reason for counts, and no trouble.
fn unheard(events: u64) -> String {
    if events == 0 { String::new() } else { format!(" ({events} with nobody listening)") }
}

fn plural(events: u64) -> &'static str {
    if events == 1 { "event" } else { "events" }
}
