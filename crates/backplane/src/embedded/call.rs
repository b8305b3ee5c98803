//! A publish call made ready: everything that needs no lock is done here, once.

use super::producers::Fingerprint;
use crate::{Content, ProducerBatch, Publish};
use bytes::Bytes;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};
use tally_protocol::{ChannelName, Draft, DraftState, Epoch, RawJson, UnixMs};

/// A batch cut into records, with what the numbering step asks of it as a whole.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) channel: ChannelName,
    pub(super) drafts: Vec<Draft>,
    /// Events of all drafts.
    pub(super) len: u64,
    /// The newest state event, with its offset from the first event of the batch.
    pub(super) state: Option<DraftState>,
    pub(super) batch: Option<(ProducerBatch, Fingerprint)>,
    /// For a channel that starts with this call.
    pub(super) epoch: Epoch,
}

impl Call {
    pub(super) fn new(publish: Publish) -> Self {
        let Publish { channel, content, batch, epoch } = publish;
        let sent_at = now();
        let drafts = match &content {
            Content::Events(events) => Draft::from_batch(events, sent_at),
            Content::Counts(counts) => vec![Draft::from_counts(counts, sent_at)],
        };
        let batch = batch.map(|batch| (batch, fingerprint(&drafts)));
        Self { channel, len: content.len(), state: newest_state(&drafts), batch, epoch, drafts }
    }
}

/// Kinds with their counts over all records: the same for events and for the counts that may replace them.
fn fingerprint(drafts: &[Draft]) -> Fingerprint {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for (kind, n) in drafts.iter().flat_map(Draft::kinds) {
        *counts.entry(kind.as_str()).or_default() += n;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    let mut hasher = DefaultHasher::new();
    counts.hash(&mut hasher);
    Fingerprint(hasher.finish())
}

/// Its data is copied: kept as it came, it would keep the whole request alive that it came in.
fn newest_state(drafts: &[Draft]) -> Option<DraftState> {
    let mut before = drafts.iter().map(Draft::len).sum::<u64>();
    for draft in drafts.iter().rev() {
        before -= draft.len();
        if let Some(state) = draft.state() {
            let data = Bytes::copy_from_slice(state.data.as_bytes());
            let data = RawJson::new(&data).expect("the copy of a JSON value is one");
            return Some(DraftState { offset: before + state.offset, data, ..state.clone() });
        }
    }
    None
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
