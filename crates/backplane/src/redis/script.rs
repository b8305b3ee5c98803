//! The publish script: its text, its arguments, and what it answers.

use super::keys::{Key, Keys};
use super::reply;
use crate::{Content, PRODUCER_MEMORY, PRODUCERS_MAX, Publish, Refusal};
use bytes::Bytes;
use fred::interfaces::Resp3Frame;
use fred::types::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tally_protocol::{CHANNEL_KINDS_MAX, Draft, Epoch, Heard, Published, Seq, UnixMs};

/// Keys come first: meta, both producers, log.
const KEYS: [Key; 4] = [Key::Meta, Key::Producers0, Key::Producers1, Key::Log];

/// The text of the script.
pub(super) fn text() -> String {
    include_str!("publish.lua")
        .replace("@MEMORY@", &PRODUCER_MEMORY.as_millis().to_string())
        .replace("@PRODUCERS_MAX@", &PRODUCERS_MAX.to_string())
        .replace("@KINDS_MAX@", &CHANNEL_KINDS_MAX.to_string())
}

/// A publish call made ready to be sent, again and again if need be.
#[derive(Debug)]
pub(super) struct Call {
    /// The number given, for a refusal.
    number: Option<u64>,
    /// What follows the script's name: the number of keys, keys, arguments.
    arguments: Vec<Value>,
    /// Of all arguments, about.
    pub(super) bytes: usize,
}

/// What the script answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Published(Published),
    /// Published, but PUBLISH itself failed: nobody got it.
    Untold(Published, String),
    Refused(Refusal),
}

impl Call {
    pub(super) fn new(keys: &Keys, publish: &Publish, expiry: Duration) -> Self {
        let sent_at = now();
        let drafts = match &publish.content {
            Content::Events(batch) => Draft::from_batch(batch, sent_at),
            Content::Counts(counts) => vec![Draft::from_counts(counts, sent_at)],
        };
        let channel = &publish.channel;
        let mut list = List::default();
        list.number(KEYS.len() as u64);
        KEYS.iter().for_each(|key| list.text(keys.key(channel, *key)));
        list.text(keys.pubsub(channel));
        list.text(publish.epoch.as_str().to_owned());
        list.number(u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX));
        match &publish.batch {
            Some(batch) => {
                list.text(batch.producer.as_str().to_owned());
                list.number(batch.number);
                list.text(format!("{:016x}", fingerprint(&drafts)));
            }
            None => ["", "0", ""].into_iter().for_each(|text| list.text(text.to_owned())),
        }
        list.number(drafts.iter().map(Draft::len).sum());
        list.state(&publish.content, &drafts);
        list.number(drafts.len() as u64);
        drafts.iter().for_each(|draft| list.record(draft));
        let number = publish.batch.as_ref().map(|batch| batch.number);
        Self { number, arguments: list.values, bytes: list.bytes }
    }

    /// For `EVALSHA`.
    pub(super) fn arguments(&self, sha: &str) -> Vec<Value> {
        let mut all = Vec::with_capacity(1 + self.arguments.len());
        all.push(Value::from(sha));
        all.extend(self.arguments.iter().cloned());
        all
    }

    /// `None` where the reply is none of the script's.
    pub(super) fn answer(&self, reply: &Resp3Frame) -> Option<Answer> {
        let parts = reply::texts(reply)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["ok", epoch, from, to, heard, problem] => {
                let heard = match *heard {
                    "y" => Heard::Yes,
                    "n" => Heard::No,
                    _ => Heard::Unknown,
                };
                let (epoch, from, to) = (Epoch::new(epoch).ok()?, seq(from)?, seq(to)?);
                let published = Published { epoch, from, to, heard };
                Some(if problem.is_empty() {
                    Answer::Published(published)
                } else {
                    Answer::Untold(published, (*problem).to_owned())
                })
            }
            ["no", code, rest @ ..] => self.refusal(code, rest).map(Answer::Refused),
            _ => None,
        }
    }

    fn refusal(&self, code: &str, rest: &[&str]) -> Option<Refusal> {
        let given = self.number.unwrap_or_default();
        Some(match (code, rest) {
            ("number", [expected, last]) => Refusal::BatchNumber {
                given,
                expected: expected.parse().ok()?,
                repeatable: last.parse().ok(),
            },
            ("changed", []) => Refusal::ChangedBatch(given),
            ("producers", []) => Refusal::TooManyProducers(PRODUCERS_MAX),
            ("full", []) => Refusal::ChannelFull,
            ("type", [key]) => Refusal::Unusable(format!(
                "the key {key} is not a hash: some other program wrote it; delete it, or use another prefix"
            )),
            ("damaged", [key]) => Refusal::Unusable(format!(
                "what {key} holds is not Tally's; delete the key to start the channel anew"
            )),
            ("call", [problem]) => Refusal::Unusable(format!("the call does not keep the rules: {problem}")),
            _ => return None,
        })
    }
}

fn seq(text: &str) -> Option<Seq> {
    text.parse().ok().and_then(Seq::new)
}

/// Arguments as they are collected.
#[derive(Default)]
struct List {
    values: Vec<Value>,
    bytes: usize,
}

impl List {
    fn text(&mut self, text: String) {
        self.bytes += text.len() + 16;
        self.values.push(Value::String(text.into()));
    }

    fn number(&mut self, number: u64) {
        self.text(number.to_string());
    }

    fn bytes(&mut self, bytes: Bytes) {
        self.bytes += bytes.len() + 16;
        self.values.push(Value::Bytes(bytes));
    }

    /// Where the newest state event lies: its data is cut out of the record, so that it travels once.
    fn state(&mut self, content: &Content, drafts: &[Draft]) {
        let mut before: u64 = drafts.iter().map(Draft::len).sum();
        for (record, draft) in drafts.iter().enumerate().rev() {
            before -= draft.len();
            let Some(state) = draft.state() else { continue };
            let behind = match content {
                Content::Counts(_) => 0,
                Content::Events(batch) => {
                    let [next, end] = [before + state.offset + 1, before + draft.len()];
                    let [next, end] = [next, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                    batch.events()[next..end].iter().map(|event| event.data.len()).sum()
                }
            };
            let end = draft.part().len() - behind;
            self.number(record as u64 + 1);
            self.number(before + state.offset);
            self.text(state.kind.as_str().to_owned());
            self.number(state.at.get());
            // Lua counts from 1 and names the last byte.
            self.number((end - state.data.len() + 1) as u64);
            self.number(end as u64);
            return;
        }
        (0..6).for_each(|_| self.number(0));
    }

    fn record(&mut self, draft: &Draft) {
        self.number(u64::from(draft.is_counts_only()));
        self.number(draft.len());
        self.number(draft.kinds().len() as u64);
        for (kind, n) in draft.kinds() {
            self.text(kind.as_str().to_owned());
            self.number(*n);
        }
        self.bytes(draft.part().clone());
    }
}

/// Stands for kinds with their counts over all records: the same for events and for the counts that may replace them,
/// and the same in every build (FNV-1a), because a retry may come from another one.
fn fingerprint(drafts: &[Draft]) -> u64 {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, n) in drafts.iter().flat_map(Draft::kinds) {
        *counts.entry(kind.as_str()).or_default() += n;
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (kind, n) in counts {
        kind.bytes().for_each(&mut add);
        add(b' ');
        n.to_be_bytes().into_iter().for_each(&mut add);
    }
    hash
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
