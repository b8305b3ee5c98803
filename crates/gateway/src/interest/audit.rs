//! Quiet channels are compared with the broker, in batches, so that a deaf subscription is noticed within 4 s.
//!
//! A channel that was quiet for 2 s is due; what the broker has beyond what came is looked at again a second later,
//! and is lost if it still has not come.

use super::Interest;
use super::reconcile::{Command, Commands};
use crate::limits::{AUDIT_TIME, INTEREST_BATCH_MAX, QUIET_TIME};
use crate::metrics::Metrics;
use std::sync::Arc;
use tally_backplane::Backplane;
use tally_protocol::ChannelName;
use tokio::time::{MissedTickBehavior, interval};

/// Audits for ever.
pub(crate) async fn run(
    backplane: Arc<dyn Backplane>,
    interest: Arc<Interest>,
    commands: Commands,
    metrics: Arc<Metrics>,
) {
    let mut ticks = interval(AUDIT_TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let quiet = interest.quiet(QUIET_TIME);
        for batch in quiet.chunks(INTEREST_BATCH_MAX) {
            audit(backplane.as_ref(), &interest, &commands, &metrics, batch).await;
        }
    }
}

async fn audit(
    backplane: &dyn Backplane,
    interest: &Interest,
    commands: &Commands,
    metrics: &Metrics,
    batch: &[ChannelName],
) {
    let heads = match backplane.audit(batch.to_vec()).await {
        Ok(heads) => heads,
        Err(away) => return tracing::debug!(%away, channels = batch.len(), "audit left out"),
    };
    metrics.audits.increment(batch.len() as u64);
    for (channel, head) in batch.iter().zip(heads) {
        if interest.audit(channel, head.as_ref()) {
            metrics.audit_repairs.increment(1);
            tracing::warn!(%channel, "the broker has what did not arrive; subscribing anew");
            commands.send(Command::Anew(channel.clone()));
        }
    }
}
