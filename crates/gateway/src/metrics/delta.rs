//! A shard's figures, counted without sharing and added to the gateway's once per scan.

use super::{Form, Metrics};
use metrics::{Counter, Gauge};
use tally_fanout::{Counters, HubStats};

/// What one shard has counted since its last report, and what it last said about its hub.
#[derive(Debug, Default)]
pub(crate) struct ShardReport {
    /// In the order of [`super::Form`].
    deliveries: [u64; 5],
    delivered_bytes: u64,
    partial_writes: u64,
    client_frames: u64,
    told: Counters,
    stats: HubStats,
    inbox_bytes: u64,
    /// What was flushed so far.
    flushed: OutTotals,
}

/// What the sockets of one shard took since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OutTotals {
    pub(crate) frames: u64,
    /// Of those, with events in full.
    pub(crate) full: u64,
    pub(crate) bytes: u64,
    pub(crate) partial_writes: u64,
}

impl ShardReport {
    pub(crate) fn count_frames(&mut self, forms: [u32; 5]) {
        for (total, n) in self.deliveries.iter_mut().zip(forms) {
            *total += u64::from(n);
        }
    }

    pub(crate) fn count_bytes(&mut self, bytes: usize) {
        self.delivered_bytes += bytes as u64;
    }

    pub(crate) fn count_partial_write(&mut self) {
        self.partial_writes += 1;
    }

    pub(crate) fn count_client_frame(&mut self) {
        self.client_frames += 1;
    }

    pub(crate) fn out(&self) -> OutTotals {
        OutTotals {
            frames: self.flushed.frames + self.deliveries.iter().sum::<u64>(),
            full: self.flushed.full + self.deliveries[Form::Full as usize],
            bytes: self.flushed.bytes + self.delivered_bytes,
            partial_writes: self.flushed.partial_writes + self.partial_writes,
        }
    }

    /// Adds everything to the gateway's metrics.
    pub(crate) fn flush(
        &mut self,
        metrics: &Metrics,
        stats: HubStats,
        counters: &Counters,
        inbox_bytes: u64,
    ) {
        self.flushed = self.out();
        for (counter, n) in metrics.deliveries.iter().zip(&mut self.deliveries) {
            counter.increment(std::mem::take(n));
        }
        metrics.delivered_bytes.increment(std::mem::take(&mut self.delivered_bytes));
        metrics.partial_writes.increment(std::mem::take(&mut self.partial_writes));
        metrics.client_frames.increment(std::mem::take(&mut self.client_frames));
        self.flush_counters(metrics, counters);
        self.flush_stats(metrics, stats);
        shift(&metrics.inbox_bytes, self.inbox_bytes, inbox_bytes);
        self.inbox_bytes = inbox_bytes;
    }

    fn flush_counters(&mut self, metrics: &Metrics, now: &Counters) {
        let told = &self.told;
        let each = [
            (&metrics.misfits, told.misfits, now.misfits),
            (&metrics.rereads, told.rereads, now.rereads),
            (&metrics.waiting_overflows, told.waiting_overflows, now.waiting_overflows),
            (&metrics.resets, told.resets, now.resets),
            (&metrics.jumps, told.jumps, now.jumps),
            (&metrics.evicted, told.evicted, now.evicted),
            (&metrics.unnumbered_events[0], told.unnumbered_delivered, now.unnumbered_delivered),
            (&metrics.unnumbered_events[1], told.unnumbered_dropped, now.unnumbered_dropped),
            (&metrics.delivered_events[0], told.events_full, now.events_full),
            (&metrics.delivered_events[1], told.events_counted(), now.events_counted()),
            (&metrics.delivered_events[2], told.events_summarised(), now.events_summarised()),
        ];
        for (counter, told, now) in each {
            grow(counter, told, now);
        }
        for why in 0..now.gaps.len() {
            grow(&metrics.gaps[why], told.gaps[why], now.gaps[why]);
            grow(&metrics.gap_events[why], told.gap_events[why], now.gap_events[why]);
            for to in 0..now.rung_changes.len() {
                let (told, now) = (told.rung_changes[to][why], now.rung_changes[to][why]);
                grow(&metrics.rung_changes[to][why], told, now);
            }
        }
        self.told = now.clone();
    }

    fn flush_stats(&mut self, metrics: &Metrics, now: HubStats) {
        let told = &self.stats;
        shift(&metrics.connections, told.connections as u64, now.connections as u64);
        shift(&metrics.channels, told.channels as u64, now.channels as u64);
        shift(&metrics.pending, told.pending as u64, now.pending as u64);
        shift(&metrics.log_bytes, told.log_bytes, now.log_bytes);
        for (rung, gauge) in metrics.subscriptions.iter().enumerate() {
            shift(gauge, told.subscriptions[rung] as u64, now.subscriptions[rung] as u64);
        }
        self.stats = now;
    }
}

fn grow(counter: &Counter, told: u64, now: u64) {
    if now > told {
        counter.increment(now - told);
    }
}

/// Gauges are sums over shards, so each shard adds how its own part has changed.
fn shift(gauge: &Gauge, told: u64, now: u64) {
    if now >= told {
        gauge.increment((now - told) as f64);
    } else {
        gauge.decrement((told - now) as f64);
    }
}
