//! The publish script: its text, its arguments for one or many batches, and what it answers to each.

use super::keys::{Key, Keys};
use super::reply;
use crate::{Content, PRODUCER_MEMORY, PRODUCERS_MAX, Publish, Refusal};
use bytes::{BufMut, Bytes, BytesMut};
use fred::interfaces::Resp3Frame;
use fred::types::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tally_protocol::{CHANNEL_KINDS_MAX, Draft, Epoch, Heard, Place, Published, Seq, UnixMs};

/// Keys come first: meta, both producers, log.
const KEYS: [Key; 4] = [Key::Meta, Key::Producers0, Key::Producers1, Key::Log];

/// How often a channel that is published to has its expiry renewed and its log deleted.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The text of the script.
pub(super) fn text() -> String {
    include_str!("publish.lua")
        .replace("@MEMORY@", &PRODUCER_MEMORY.as_millis().to_string())
        .replace("@PRODUCERS_MAX@", &PRODUCERS_MAX.to_string())
        .replace("@KINDS_MAX@", &CHANNEL_KINDS_MAX.to_string())
        .replace("@LOOK@", &LOOK_AFTER.as_millis().to_string())
}

/// A publish call made ready to be sent, again and again if need be, alone or with others.
#[derive(Debug)]
pub(super) struct Call {
    /// The number given, for a refusal.
    number: Option<u64>,
    /// Keys, then arguments.
    values: Vec<Value>,
    /// Of all of them, about.
    pub(super) bytes: usize,
}

/// What the script answered to a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Published(Told),
    Refused(Refusal),
}

/// A command failed in the middle of a batch, as Redis says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) problem: String,
    /// Something of the batch was written before.
    pub(super) is_written: bool,
}

/// A call that was published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) published: Published,
    /// A kind of the batch has no place in the channel.
    pub(super) is_folded: bool,
    /// Why PUBLISH itself failed: nobody got it. Empty where it did not.
    pub(super) problem: String,
}

impl Call {
    /// `place` is where the batch is expected to lie. Where that is so, the records go out as they are sent; otherwise
    /// the script puts another front before each.
    pub(super) fn new(keys: &Keys, publish: &Publish, expiry: Duration, place: Option<&Place>) -> Self {
        let sent_at = now();
        let drafts = match &publish.content {
            Content::Events(batch) => Draft::from_batch_at(batch, sent_at, place),
            Content::Counts(counts) => vec![Draft::from_counts_at(counts, sent_at, place)],
        };
        let channel = &publish.channel;
        let kinds: usize = drafts.iter().map(|draft| draft.kinds().len()).sum();
        let mut list = List::with_capacity(KEYS.len() + 7 + 2 * drafts.len() + kinds);
        KEYS.iter().for_each(|key| list.text(keys.key(channel, *key)));
        list.text(keys.pubsub(channel));
        list.text(publish.epoch.as_str().to_owned());
        match &publish.batch {
            Some(batch) => {
                list.text(batch.producer.as_str().to_owned());
                list.text(format!("{:016x}", fingerprint(&drafts)));
            }
            None => [String::new(), String::new()].into_iter().for_each(|text| list.text(text)),
        }
        let number = publish.batch.as_ref().map(|batch| batch.number);
        let mut numbers = BytesMut::with_capacity(28);
        numbers.put_u64(number.unwrap_or_default());
        numbers.put_u64(drafts.iter().map(Draft::len).sum());
        numbers.put_u64(u64::try_from(expiry.as_millis()).unwrap_or(u64::MAX));
        numbers.put_u32(u32::try_from(drafts.len()).expect("a batch has at most 65,536 records"));
        list.bytes(numbers.freeze());
        list.state(&publish.content, &drafts);
        drafts.iter().for_each(|draft| list.record(draft));
        Self { number, values: list.values, bytes: list.bytes }
    }

    /// `None` where the reply is none of the script's.
    fn answer(&self, reply: &Resp3Frame) -> Option<Result<Answer, Broken>> {
        if let Some(text) = reply::text(reply) {
            return told(&text).map(Answer::Published).map(Ok);
        }
        let parts = reply::texts(reply)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["no", code, rest @ ..] => self.refusal(code, rest).map(Answer::Refused).map(Ok),
            ["failed", is_written @ ("y" | "n"), problem] => {
                Some(Err(Broken { problem: (*problem).to_owned(), is_written: *is_written == "y" }))
            }
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

/// What `EVALSHA` is given for some calls: the script, the number of keys, the keys of all, how many arguments each has,
/// the arguments of all. Their channels lie in different slots: on a cluster only calls of one slot could travel together.
pub(super) fn arguments<'a>(sha: &str, calls: impl Iterator<Item = &'a Call> + Clone) -> Vec<Value> {
    let (calls_n, values_n) =
        calls.clone().fold((0, 0), |(n, values), call| (n + 1, values + call.values.len()));
    let mut all = Vec::with_capacity(3 + values_n);
    all.push(Value::from(sha));
    all.push(Value::String((calls_n * KEYS.len()).to_string().into()));
    calls.clone().for_each(|call| all.extend_from_slice(&call.values[..KEYS.len()]));
    let mut lens = BytesMut::with_capacity(4 * calls_n);
    calls.clone().for_each(|call| lens.put_u32(length(call.values.len() - KEYS.len())));
    all.push(Value::Bytes(lens.freeze()));
    calls.for_each(|call| all.extend_from_slice(&call.values[KEYS.len()..]));
    all
}

/// What was answered to each of the calls, in their order; `None` for those to which the script cannot have said it.
pub(super) fn answers<'a>(
    calls: impl ExactSizeIterator<Item = &'a Call>,
    reply: &Resp3Frame,
) -> Vec<Option<Result<Answer, Broken>>> {
    match reply {
        Resp3Frame::Array { data, .. } if data.len() == calls.len() => {
            calls.zip(data).map(|(call, reply)| call.answer(reply)).collect()
        }
        _ => calls.map(|_| None).collect(),
    }
}

/// `ok from to heard folded epoch problem`.
fn told(text: &str) -> Option<Told> {
    let mut parts = text.strip_prefix("ok ")?.splitn(6, ' ');
    let (from, to) = (seq(parts.next()?)?, seq(parts.next()?)?);
    let heard = match parts.next()? {
        "y" => Heard::Yes,
        "n" => Heard::No,
        _ => Heard::Unknown,
    };
    let is_folded = parts.next()? == "1";
    let epoch = Epoch::new(parts.next()?).ok()?;
    let published = Published { epoch, from, to, heard };
    Some(Told { published, is_folded, problem: parts.next()?.to_owned() })
}

fn seq(text: &str) -> Option<Seq> {
    text.parse().ok().and_then(Seq::new)
}

/// Arguments as they are collected: keys, then the pub/sub channel, the epoch drawn, producer, hash of the kinds,
/// numbers, state, state's `at`; then for each record its numbers, its kinds and its bytes.
struct List {
    values: Vec<Value>,
    bytes: usize,
}

impl List {
    fn with_capacity(values: usize) -> Self {
        Self { values: Vec::with_capacity(values), bytes: 0 }
    }

    fn text(&mut self, text: String) {
        self.bytes += text.len() + 16;
        self.values.push(Value::String(text.into()));
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
            let mut numbers = BytesMut::with_capacity(20 + state.kind.as_str().len());
            numbers.put_u32(length(record + 1));
            numbers.put_u64(before + state.offset);
            // Lua counts from 1 and names the last byte.
            numbers.put_u32(length(end - state.data.len() + 1));
            numbers.put_u32(length(end));
            numbers.put_slice(state.kind.as_str().as_bytes());
            self.bytes(numbers.freeze());
            self.text(state.at.get().to_string());
            return;
        }
        (0..2).for_each(|_| self.text(String::new()));
    }

    fn record(&mut self, draft: &Draft) {
        let kinds = draft.kinds();
        let mut numbers = BytesMut::with_capacity(15 + 8 * kinds.len());
        numbers.put_u8(u8::from(draft.is_counts_only()));
        numbers.put_u32(length(draft.front_len()));
        numbers.put_u16(u16::try_from(kinds.len()).expect("a record has at most 256 kinds"));
        numbers.put_u64(draft.len());
        kinds.iter().for_each(|(_, n)| numbers.put_u64(*n));
        self.bytes(numbers.freeze());
        kinds.iter().for_each(|(kind, _)| self.text(kind.as_str().to_owned()));
        self.bytes(draft.bytes().clone());
    }
}

fn length(n: usize) -> u32 {
    u32::try_from(n).expect("a batch has at most 8 MiB of data")
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
