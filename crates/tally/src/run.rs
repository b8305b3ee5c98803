//! `tally run`: a command whose output is published line by line, and passed on as if we were not there.
//!
//! Threads read the outputs and the signals and never wait for the network; one loop owns the command, decides what
//! becomes of each signal, and ends when the command and its outputs have ended. Publishing has its own runtime, a
//! bounded buffer, and a bounded time at the end.

mod child;
mod journal;
pub(crate) mod lines;
mod notes;
mod reading;
mod signals;
mod status;
mod tee;
mod terminal;

use crate::publish::target::{Target, channel, duration};
use child::{Outputs, Running, spawn_on_pipes, spawn_on_terminal};
use journal::{Description, Journal};
use nix::sys::signal::Signal;
use notes::{Notes, Trouble};
use reading::Stream;
use signals::Asked;
use status::{Ended, OWN_FAILURE};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use tally_producer::{ChannelName, Notice, NoticeReceiver, Producer};
use tee::{Closing, Tee};
use tokio::sync::mpsc;

/// Signals and ends of outputs that wait to be handled. More: those who report them wait.
const INPUTS_MAX: usize = 64;

/// Run a command and publish each line it prints as an event.
///
/// Output, standard input, signals and the exit status are those of the command. Trouble in publishing never stops,
/// breaks or slows it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Where `run_started` and `run_finished` are published as well; `none` for nowhere.
    #[arg(long, value_name = "NAME|none", default_value = "jobs", value_parser = index)]
    index: Index,
    /// Give the command a terminal: colours, progress bars, prompts. Both its outputs are then one, kind `stdout`.
    #[arg(long)]
    tty: bool,
    /// How long to go on publishing after the command has ended; then what is left is counted and told.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    flush_within: Duration,
    /// Say nothing of our own on standard error.
    #[arg(long, short)]
    quiet: bool,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Events:
  run_started   class state: command, pid, cwd, host
  stdout        a line as a JSON string; where it is over 64 KiB or not UTF-8, an object
  stderr        {text, cut, lossy, bytes}
  (any kind)    a line that is a JSON object: its kind is taken from its field event, kind, type
                or status; with kind and no key beyond kind, class, data and at, it is the event
  run_finished  class state: as run_started, with exit_code, signal, duration_ms

Output is passed on raw and at once. Trouble in publishing never stops, breaks or slows the command:
what gateway or Redis does not take in time is published as counts or not at all, and told at the end.
A signal sent to tally alone is passed on to the command, which has Ctrl-C from the terminal itself.

Exit status:
  that of the command; 128 and the signal's number if a signal ended it; 127 if it was not found,
  126 if it could not be executed, 125 if tally itself could not begin.";

#[derive(Debug, Clone)]
struct Index(Option<ChannelName>);

fn index(name: &str) -> Result<Index, String> {
    if name == "none" { Ok(Index(None)) } else { Ok(Index(Some(channel(name)?))) }
}

/// What the loop is told by the threads.
#[derive(Debug)]
enum Input {
    Signal(Asked),
    /// An output has ended.
    Closed(Stream, Closing),
    /// Our terminal is gone, and the command's is still there.
    TerminalLost,
}

pub(crate) fn main(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let notes = Arc::new(Notes::new(arguments.quiet));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let started = {
        let _within = runtime.enter();
        arguments.target.connect(Producer::builder().name("tally-run"))
    };
    let producer = match started {
        Ok(producer) => producer,
        Err(error) => {
            notes.say(&error.to_string());
            return Ok(ExitCode::from(OWN_FAILURE));
        }
    };
    let code = runtime.block_on(run(arguments, producer, notes));
    // A thread may still wait for a terminal that stands still.
    runtime.shutdown_background();
    code.map(ExitCode::from)
}

async fn run(arguments: Arguments, producer: Producer, notes: Arc<Notes>) -> anyhow::Result<u8> {
    let (input_sender, inputs) = mpsc::channel(INPUTS_MAX);
    // Before the command is there, so that no signal finds us without ears and leaves it alone.
    signals::listen(input_sender.clone())?;
    let notices = producer.notices();
    let Index(index) = arguments.index;
    let Target { to, channel, drop: dropped_keys, .. } = arguments.target;
    let journal = Arc::new(Journal::new(producer, channel, index, dropped_keys));
    let mut description = Description::new(&arguments.command);
    let started_at = Instant::now();
    let spawned = if arguments.tty {
        spawn_on_terminal(&arguments.command)
    } else {
        spawn_on_pipes(&arguments.command)
    };
    let mut run = Run { inputs, notices, trouble: Trouble::default(), notes, has_been_asked_to_leave: false };
    let ended = match spawned {
        Err(error) => {
            let ended = Ended::of_spawn_error(&arguments.command[0], &error);
            run.notes.say(ended.error.as_deref().unwrap_or_default());
            journal.publish_started(&description);
            ended
        }
        Ok((running, outputs)) => {
            description.pid = Some(running.pid());
            run.notes.is_raw.store(running.is_raw(), Ordering::Relaxed);
            journal.publish_started(&description);
            let running_until = run.tee(outputs, &journal, &input_sender)?;
            let ended = run.follow(running, running_until).await;
            run.notes.is_raw.store(false, Ordering::Relaxed);
            ended
        }
    };
    journal.publish_finished(&description, &ended, started_at.elapsed());
    run.finish(&journal, &to, arguments.flush_within).await;
    Ok(ended.exit_code)
}

struct Run {
    inputs: mpsc::Receiver<Input>,
    notices: NoticeReceiver<Notice>,
    trouble: Trouble,
    notes: Arc<Notes>,
    /// By a signal after the command has ended.
    has_been_asked_to_leave: bool,
}

impl Run {
    /// Starts a thread for each output. Dropping what it returns tells them that the command has ended.
    fn tee(
        &self,
        outputs: Outputs,
        journal: &Arc<Journal>,
        inputs: &mpsc::Sender<Input>,
    ) -> io::Result<RunningOutputs> {
        let (running, until) = io::pipe()?;
        let open = outputs.len();
        for (stream, source) in outputs {
            let sink = match stream {
                Stream::Stdout | Stream::Terminal => io::stdout().as_fd().try_clone_to_owned()?,
                Stream::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
            };
            let tee = Tee {
                stream,
                source,
                sink: Some(File::from(sink)),
                running: running.try_clone()?,
                journal: Arc::clone(journal),
                notes: Arc::clone(&self.notes),
                inputs: inputs.clone(),
            };
            thread::Builder::new().name(stream.name().into()).spawn(move || tee.run())?;
        }
        Ok(RunningOutputs { open, held_open: Vec::new(), until: Some(until) })
    }

    /// Until the command and its outputs have ended, or somebody does not want to wait for the outputs.
    async fn follow(&mut self, mut running: Running, mut outputs: RunningOutputs) -> Ended {
        let ended = loop {
            match running.ended() {
                Some(ended) if outputs.open == 0 || self.has_been_asked_to_leave => break ended.clone(),
                Some(_) | None => {}
            }
            tokio::select! {
                Some(input) = self.inputs.recv() => self.handle_input(input, &mut running, &mut outputs),
                Ok(notice) = self.notices.recv() => {
                    if let Some(line) = self.trouble.handle_notice(&notice) {
                        self.notes.say(&line);
                    }
                }
            }
        };
        // Our terminal is as it was before anything more is said.
        drop(running);
        if !outputs.held_open.is_empty() {
            outputs.held_open.sort();
            let names: Vec<&str> = outputs.held_open.iter().map(|stream| stream.name()).collect();
            let what = names.join(" and ");
            self.notes.say(&format!(
                "the command has ended, but another process still holds {what}; no longer read"
            ));
        }
        ended
    }

    fn handle_input(&mut self, input: Input, running: &mut Running, outputs: &mut RunningOutputs) {
        match input {
            Input::Signal(asked) => {
                let had_ended = running.ended().is_some();
                if running.handle(asked) {
                    outputs.until = None;
                }
                self.has_been_asked_to_leave |= had_ended && asks_to_leave(asked);
            }
            Input::Closed(stream, closing) => {
                outputs.open -= 1;
                if matches!(closing, Closing::HeldOpen) {
                    outputs.held_open.push(stream);
                }
            }
            Input::TerminalLost => running.hang_up(),
        }
    }

    /// Publishes what is left, for a bounded time and only while nobody wants to leave; then says what is not there.
    async fn finish(mut self, journal: &Journal, to: &str, within: Duration) {
        if !self.has_been_asked_to_leave {
            tokio::select! {
                _remaining = journal.producer.flush_within(within) => {}
                () = leave(&mut self.inputs) => {}
            }
        }
        // Those that come with the end say no more than that it came.
        while let Ok(notice) = self.notices.try_recv() {
            let _the_summary_says_it = self.trouble.handle_notice(&notice);
        }
        let closed = journal.producer.clone().close(Duration::ZERO).await;
        if let Some(summary) = self.trouble.summary(&closed, journal.not_taken(), to) {
            self.notes.say(&summary);
        }
    }
}

struct RunningOutputs {
    open: usize,
    held_open: Vec<Stream>,
    /// Dropped when the command has ended.
    until: Option<PipeWriter>,
}

fn asks_to_leave(asked: Asked) -> bool {
    let Asked::Forward { signal, .. } = asked else { return false };
    matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT)
}

async fn leave(inputs: &mut mpsc::Receiver<Input>) {
    while let Some(input) = inputs.recv().await {
        if let Input::Signal(asked) = input
            && asks_to_leave(asked)
        {
            return;
        }
    }
    std::future::pending::<()>().await;
}
