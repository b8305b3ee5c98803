//! What a run publishes: its lines, and how it began and ended. Never waits for the network.
//!
//! The order on the channel is the order in which lines were read; after the end nothing more is taken.

use super::lines::Line;
use super::reading::{Stream, read_line};
use super::status::Ended;
use serde::Serialize;
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tally_producer::{ChannelName, Class, Event, Producer, RawJson, UnixMs};

/// Bytes of the command's words that its events carry. More: the rest is left out, and the event says so.
const COMMAND_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Journal {
    pub(super) producer: Producer,
    channel: ChannelName,
    index: Option<ChannelName>,
    drop: Vec<String>,
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    has_ended: bool,
    /// Events that not even a count could be kept of.
    not_taken: u64,
}

/// Data of `run_started` and the beginning of `run_finished`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Description {
    command: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    command_cut: bool,
    /// `None` where it could not be started.
    pub(super) pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

#[derive(Serialize)]
struct Started<'a> {
    #[serde(flatten)]
    description: &'a Description,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a ChannelName>,
}

#[derive(Serialize)]
struct Finished<'a> {
    #[serde(flatten)]
    started: Started<'a>,
    /// As a shell says it: 128 and the signal's number where a signal ended the command.
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    duration_ms: u64,
}

impl Description {
    pub(super) fn new(command: &[OsString]) -> Self {
        let mut room = COMMAND_BYTES_MAX;
        let words = command.iter().map_while(|word| {
            room = room.checked_sub(word.len() + 1)?;
            Some(word.to_string_lossy().into_owned())
        });
        let words: Vec<String> = words.collect();
        Self {
            command_cut: words.len() < command.len(),
            command: words,
            pid: None,
            cwd: std::env::current_dir().ok().map(|dir| dir.to_string_lossy().into_owned()),
            host: nix::unistd::gethostname().ok().map(|host| host.to_string_lossy().into_owned()),
        }
    }
}

impl Journal {
    pub(super) fn new(
        producer: Producer,
        channel: ChannelName,
        index: Option<ChannelName>,
        drop: Vec<String>,
    ) -> Self {
        let index = index.filter(|index| *index != channel);
        Self { producer, channel, index, drop, account: Mutex::default() }
    }

    pub(super) fn publish_line(&self, line: &Line, stream: Stream) {
        self.publish(&self.channel, read_line(line, stream, now(), &self.drop));
    }

    pub(super) fn publish_started(&self, description: &Description) {
        self.publish_state("run_started", |channel| {
            RawJson::from_serialize(&Started { description, channel })
        });
    }

    /// The last event: what comes later is not taken.
    pub(super) fn publish_finished(&self, description: &Description, ended: &Ended, took: Duration) {
        self.publish_state("run_finished", |channel| {
            RawJson::from_serialize(&Finished {
                started: Started { description, channel },
                exit_code: ended.exit_code,
                signal: ended.signal.as_deref(),
                error: ended.error.as_deref(),
                duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })
        });
        self.account.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
    }

    /// Events that are in no other account.
    pub(super) fn not_taken(&self) -> u64 {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).not_taken
    }

    /// On the run's channel, and on the index with the run's channel in its data.
    fn publish_state<E: std::fmt::Debug>(
        &self,
        kind: &str,
        data: impl Fn(Option<&ChannelName>) -> Result<RawJson, E>,
    ) {
        let at = now();
        let event = |channel| Event {
            kind: kind.parse().expect("the kinds of a run are valid"),
            class: Class::State,
            at,
            data: data(channel).expect("an object of strings and numbers always has a JSON form"),
        };
        self.publish(&self.channel, event(None));
        if let Some(index) = &self.index {
            self.publish(index, event(Some(&self.channel)));
        }
    }

    fn publish(&self, channel: &ChannelName, event: Event) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        if !account.has_ended && self.producer.publish(channel, event).is_err() {
            account.not_taken += 1;
        }
    }
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
