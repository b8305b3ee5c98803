//! The measured window: everything read at its beginning, once a second, and at its end.

use super::Performance;
use super::figures::Seen;
use crate::clock::now_us;
use crate::gauge::{Gauge, histogram, percentiles};
use crate::http;
use crate::publisher::Publishers;
use crate::result::{Delivered, Percentiles, Sample};
use crate::usage::{self, Census};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SAME_BOUNDS: &str = "made with the same bounds";

/// What the window measured.
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) before: Census,
    pub(super) after: Census,
    /// The most memory that any look saw, by process.
    pub(super) peaks: BTreeMap<String, u64>,
    pub(super) delivered: Delivered,
    pub(super) published: u64,
    pub(super) series: Vec<Sample>,
    pub(super) healthy: Histogram<u64>,
    pub(super) others: Histogram<u64>,
    pub(super) seen: Seen,
}

/// Everything that only grows, at one moment.
struct Look {
    at: Instant,
    census: Census,
    delivered: Delivered,
    published: u64,
    redis_in_bytes: Option<u64>,
}

impl Performance<'_> {
    /// The measured window, looked at once a second.
    pub(super) fn measure(&mut self) -> anyhow::Result<Window> {
        self.receivers.window_begins(now_us());
        if let Some(publishers) = &self.publishers {
            publishers.window_begins(now_us());
        }
        let shards = self.shards();
        let (mut healthy, mut others) = (histogram(), histogram());
        let mut unread_bytes_max = None;
        let (mut peaks, mut series) = (BTreeMap::new(), Vec::new());
        // Latencies of the warm-up end here.
        let (first, ..) = self.take();
        let (began, mut last) = (first.at, None);
        let end = began + Duration::from_secs_f64(self.scenario.seconds);
        while last.as_ref().is_none_or(|last: &Look| last.at < end) {
            let next = (began + Duration::from_secs(series.len() as u64 + 1)).min(end);
            self.pause(next.saturating_duration_since(Instant::now()))?;
            let (look, mut sample, lap_healthy, lap_others) = self.take();
            healthy.add(&lap_healthy).expect(SAME_BOUNDS);
            others.add(&lap_others).expect(SAME_BOUNDS);
            let mut both = lap_healthy;
            both.add(&lap_others).expect(SAME_BOUNDS);
            sample.latency = percentiles(&both);
            sample.at_s = look.at.duration_since(began).as_secs_f64();
            if self.scenario.listen.stalled.is_some() {
                let ports: Vec<u16> = self.stage.doors.iter().map(SocketAddr::port).collect();
                unread_bytes_max = unread_bytes_max.max(Some(usage::sent_and_unread_max(&ports)));
            }
            compare(&mut sample, &look, last.as_ref().unwrap_or(&first));
            for (name, bytes) in &sample.rss_bytes {
                let peak = peaks.entry(name.clone()).or_default();
                *peak = (*bytes).max(*peak);
            }
            let told = format!("{} · {} deliveries/s", self.scenario.name, sample.deliveries);
            series.push(sample);
            self.progress.at(series.len() as u64, Some(told));
            last = Some(look);
        }
        let last = last.expect("the window has at least one second");
        let redis = first.redis_in_bytes.zip(last.redis_in_bytes);
        Ok(Window {
            seconds: last.at.duration_since(began).as_secs_f64(),
            before: first.census,
            after: last.census,
            peaks,
            delivered: since(&last.delivered, &first.delivered),
            published: last.published - first.published,
            series,
            healthy,
            others,
            seen: Seen {
                redis_in_bytes: redis.map(|(before, after)| after.saturating_sub(before)),
                unread_bytes_max,
                shards,
            },
        })
    }

    /// Connections by gateway, then shard, as they were told in each `hello`; a shard beyond the last one that has any
    /// cannot be seen.
    fn shards(&self) -> Vec<Vec<u64>> {
        let mut by_door: BTreeMap<SocketAddr, Vec<u64>> = BTreeMap::new();
        for gauge in self.receivers.gauges() {
            for ((door, shard), connections) in &gauge.shards {
                let counts = by_door.entry(*door).or_default();
                counts.resize(counts.len().max(shard + 1), 0);
                counts[*shard] += connections;
            }
        }
        by_door.into_values().collect()
    }

    /// Everything at this moment: what only grows, a sample with rungs and connections, and the latencies of healthy
    /// clients and of others since the last call.
    fn take(&self) -> (Look, Sample, Histogram<u64>, Histogram<u64>) {
        let census = usage::census(&self.stage.actors);
        let at = Instant::now();
        let published = self.publishers.as_ref().map_or(0, Publishers::accepted);
        let mut delivered = Delivered::default();
        let (mut healthy, mut others) = (histogram(), histogram());
        let mut sample = Sample {
            at_s: 0.0,
            published: 0,
            deliveries: 0,
            delivered_bytes: 0,
            latency: Percentiles::default(),
            rungs: [0; 3],
            connections: 0,
            cpu_percent: BTreeMap::new(),
            rss_bytes: BTreeMap::new(),
        };
        for mut gauge in self.receivers.gauges() {
            let Gauge { delivered: told, rungs, connections, .. } = &*gauge;
            delivered.events_frames += told.events_frames;
            delivered.counts_frames += told.counts_frames;
            delivered.summary_frames += told.summary_frames;
            delivered.other_frames += told.other_frames;
            delivered.events += told.events;
            delivered.bytes += told.bytes;
            for (all, here) in sample.rungs.iter_mut().zip(rungs) {
                *all += here;
            }
            sample.connections += connections;
            healthy.add(&gauge.healthy).expect(SAME_BOUNDS);
            others.add(&gauge.others).expect(SAME_BOUNDS);
            gauge.healthy.reset();
            gauge.others.reset();
        }
        let info = self.stage.redis.and_then(|redis| http::redis_info(redis, "stats").ok());
        let redis_in_bytes = info.and_then(|info| http::info_number(&info, "total_net_input_bytes"));
        (Look { at, census, delivered, published, redis_in_bytes }, sample, healthy, others)
    }
}

/// Fills in what came between two looks.
fn compare(sample: &mut Sample, look: &Look, last: &Look) {
    sample.published = look.published - last.published;
    sample.deliveries = look.delivered.events - last.delivered.events;
    sample.delivered_bytes = look.delivered.bytes - last.delivered.bytes;
    let lap_us = look.at.duration_since(last.at).as_micros().max(1) as f64;
    for (name, (_, usage)) in &look.census {
        if let Some((_, before)) = last.census.get(name) {
            let percent = usage.cpu_us_since(before) as f64 / lap_us * 100.0;
            sample.cpu_percent.insert(name.clone(), percent);
        }
        if usage.rss_bytes > 0 {
            sample.rss_bytes.insert(name.clone(), usage.rss_bytes);
        }
    }
}

fn since(later: &Delivered, earlier: &Delivered) -> Delivered {
    Delivered {
        events_frames: later.events_frames - earlier.events_frames,
        counts_frames: later.counts_frames - earlier.counts_frames,
        summary_frames: later.summary_frames - earlier.summary_frames,
        other_frames: later.other_frames - earlier.other_frames,
        events: later.events - earlier.events,
        bytes: later.bytes - earlier.bytes,
    }
}
