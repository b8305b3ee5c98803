//! `tally publish`: lines of JSON from a file or standard input, each an event of one channel.
//!
//! A thread reads, `feed` makes events and hands them to the producer's buffer no faster than it empties, and what
//! comes first of the end of the input, a bad line, a refusal and a signal stops it. Then what was handed over is
//! flushed, and the account told.

mod feed;
mod input;
mod pace;
mod position;
mod report;
pub(crate) mod target;

use feed::{Feed, Stop};
use input::Input;
use pace::{Metronome, Rate, Receipts};
use report::{Progress, Totals};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tally_producer::{Notice, NoticeReceiver, Producer, RecvError};
use target::{Target, duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long to go on publishing when somebody wants to leave.
const LEAVING_MAX: Duration = Duration::from_secs(2);
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Publish NDJSON from a file or standard input.
///
/// One JSON value per line. An object with `kind` and no key beyond kind, class, data and at is the event; any other
/// value becomes the data of one, and its kind is that of its field event, kind, type or status.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Events per second, evenly spread. As fast as the gateway takes them if not given.
    #[arg(long, value_name = "N")]
    rate: Option<Rate>,
    /// What to do with a line that is no event.
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    on_error: OnError,
    /// How long to go on trying after the end of the input; then what is left is counted and told.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    flush_within: Duration,
    /// Neither progress nor totals; only what went wrong.
    #[arg(long, short)]
    quiet: bool,
    /// `-` is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

const AFTER_HELP: &str = "\
Input:
  one JSON value per line, at most 1 MiB. An object with kind and no key beyond kind, class, data and
  at is the event; any other value is the data of one, whose kind is its field event, kind, type or
  status (then of class state), else message. Blank lines are left out.

Exit status:
  0 all that was read is published (bad lines that were skipped are not counted as read);
  1 a bad line, or something was refused, not sent, or is unknown; 130 interrupted, 143 terminated.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    /// Publish what came before, name the line, and end.
    Stop,
    /// Leave it out; the first ones are named.
    Skip,
}

pub(crate) fn main(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let code = runtime.block_on(publish(arguments));
    // The thread that reads may wait for a line that never comes.
    runtime.shutdown_background();
    code.map(ExitCode::from)
}

async fn publish(arguments: Arguments) -> anyhow::Result<u8> {
    let mut signals = Signals::listen()?;
    let mut input = Input::open(&arguments.file)?;
    let producer = arguments.target.connect(Producer::builder().name("tally-publish"))?;
    let mut notices = producer.notices();
    let progress = Progress::new(input.bytes, arguments.quiet);
    let mut feed = Feed {
        producer: producer.clone(),
        channel: arguments.target.channel.clone(),
        drop: arguments.target.drop,
        on_error: arguments.on_error,
        metronome: arguments.rate.map(Metronome::new),
        receipts: Receipts::default(),
        progress: progress.clone(),
        line_number: 0,
        skipped: 0,
    };
    let stop = tokio::select! {
        stop = feed.run(&mut input) => stop,
        exit_code = signals.next() => Stop::Interrupted { exit_code },
        () = tell_until_refused(&mut notices, &progress) => Stop::Refused,
        never = progress.show() => match never {},
    };
    let within = match stop {
        Stop::InputEnded | Stop::BadLine { .. } | Stop::Unreadable(_) => arguments.flush_within,
        Stop::Interrupted { .. } | Stop::Refused | Stop::NotAccepted(_) => {
            LEAVING_MAX.min(arguments.flush_within)
        }
    };
    let mut exit_code = tell_stop(&stop, &progress);
    tokio::select! {
        _remaining = producer.flush_within(within) => {}
        signalled = signals.next() => exit_code = signalled,
        () = tell_until_refused(&mut notices, &progress) => {}
        never = progress.show() => match never {},
    }
    // Those that come with the end say no more than that it came.
    while let Ok(notice) = notices.try_recv() {
        progress.say(&notice.to_string());
    }
    let closed = producer.close(Duration::ZERO).await;
    let Feed { channel, receipts, skipped, .. } = feed;
    let position = receipts.into_position();
    let totals = Totals { channel, closed, skipped_lines: skipped, position, took: progress.took() };
    progress.finish(&totals);
    if exit_code == 0 && !totals.are_clean() {
        exit_code = crate::exit::FAILED;
    }
    Ok(exit_code)
}

/// Says why no more is read, where that is not as it should be.
fn tell_stop(stop: &Stop, progress: &Progress) -> u8 {
    let problem = match stop {
        Stop::InputEnded => return 0,
        Stop::Interrupted { exit_code } => return *exit_code,
        // The notice has been told.
        Stop::Refused => return crate::exit::FAILED,
        Stop::BadLine { line, problem } => format!("line {line}: {problem}; nothing after it was read"),
        Stop::Unreadable(error) => format!("the input cannot be read any further: {error}"),
        Stop::NotAccepted(error) => error.to_string(),
    };
    progress.say(&problem);
    crate::exit::FAILED
}

/// Tells what goes wrong on the way, and returns when the gateway says no: it would say so again.
async fn tell_until_refused(notices: &mut NoticeReceiver<Notice>, progress: &Progress) {
    loop {
        match notices.recv().await {
            Ok(notice) => {
                progress.say(&notice.to_string());
                if matches!(notice, Notice::Refused { .. }) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending::<()>().await,
        }
    }
}

/// Those that ask us to leave.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The exit status that the next one asks for.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}
