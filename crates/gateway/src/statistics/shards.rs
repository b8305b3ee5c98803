//! Questions to all shards, or to one: asked by message, answered between two turns, and not waited for for long.

use crate::limits::SHARD_ANSWER_TIME;
use crate::shard::Question;
use futures_util::future::join_all;
use std::sync::Arc;
use tally_fanout::ChannelView;
use tally_protocol::ChannelName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Where each shard takes its questions.
#[derive(Debug, Clone)]
pub(crate) struct Shards(Arc<[mpsc::Sender<Question>]>);

impl Shards {
    pub(crate) fn new(shards: Vec<mpsc::Sender<Question>>) -> Self {
        Self(shards.into())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each shard's answer, in order; none from one that is gone or too busy.
    pub(super) async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Question) -> Vec<Option<T>> {
        join_all((0..self.0.len()).map(|shard| self.ask_one(shard, &question))).await
    }

    pub(super) async fn ask_one<T>(
        &self,
        shard: usize,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // A full queue is a shard that has not looked for long.
        self.0.get(shard)?.try_send(question(reply)).ok()?;
        timeout(SHARD_ANSWER_TIME, answer).await.ok()?.ok()
    }

    /// What all shards together have of these channels.
    pub(super) async fn channels(&self, names: Arc<[ChannelName]>) -> Vec<ChannelView> {
        if names.is_empty() {
            return Vec::new();
        }
        let views = self.ask(|reply| Question::Channels { names: names.clone(), reply }).await;
        merge(views.into_iter().flatten().flatten())
    }
}

/// Views of the same channel become one.
pub(super) fn merge(views: impl Iterator<Item = ChannelView>) -> Vec<ChannelView> {
    let mut merged = std::collections::BTreeMap::<ChannelName, ChannelView>::new();
    for view in views {
        match merged.get_mut(&view.name) {
            Some(held) => held.add(&view),
            None => {
                merged.insert(view.name.clone(), view);
            }
        }
    }
    merged.into_values().collect()
}
