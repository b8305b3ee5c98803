//! What a gateway counts and measures: one recorder per gateway, cached handles, no channel or connection as a label.
//!
//! The table [`METRICS`] is the list; docs/metrics.md has one row for each, which a test compares.

mod delta;

pub(crate) use delta::{OutTotals, ShardReport};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tally_protocol::{Rung, Why};

/// One metric: name, unit, meaning.
struct Metric(&'static str, Unit, &'static str);

const METRICS: &[Metric] = &[
    Metric("tally_start_time_seconds", Unit::Seconds, "When the gateway started, in seconds since 1970."),
    Metric("tally_ready", Unit::Count, "1 while the gateway takes new connections, 0 while it drains."),
    Metric("tally_sockets", Unit::Count, "Accepted connections that are open, HTTP and websocket."),
    Metric("tally_connections", Unit::Count, "Websocket connections."),
    Metric("tally_subscriptions", Unit::Count, "Subscriptions, by the rung they are on now."),
    Metric(
        "tally_pending_subscriptions",
        Unit::Count,
        "Subscriptions that wait for their channel's first snapshot.",
    ),
    Metric("tally_channels", Unit::Count, "Channels held, summed over shards."),
    Metric("tally_log_bytes", Unit::Bytes, "Bytes in the logs of all channels."),
    Metric("tally_inbox_bytes", Unit::Bytes, "Bytes waiting for shards."),
    Metric("tally_upstream_up", Unit::Count, "1 while the broker can be heard."),
    Metric(
        "tally_upstream_reconnects_total",
        Unit::Count,
        "Times that the broker was there again after it was away.",
    ),
    Metric(
        "tally_upstream_gaps_total",
        Unit::Count,
        "Channels of which messages were dropped on their way in.",
    ),
    Metric(
        "tally_upstream_lost_messages_total",
        Unit::Count,
        "Messages that this process was too busy to take from Redis.",
    ),
    Metric("tally_interest_channels", Unit::Count, "Channels with at least one listener on this gateway."),
    Metric("tally_records_total", Unit::Count, "Records that came from the broker."),
    Metric("tally_record_events_total", Unit::Count, "Events in them."),
    Metric("tally_bad_records_total", Unit::Count, "Messages that could not be used whole, by problem."),
    Metric(
        "tally_unnumbered_messages_total",
        Unit::Count,
        "Messages that are no records of Tally, by outcome.",
    ),
    Metric(
        "tally_unnumbered_events_total",
        Unit::Count,
        "Events in them, summed over listeners at `full`, by outcome.",
    ),
    Metric("tally_inbox_drops_total", Unit::Count, "Records dropped for a shard whose inbox was full."),
    Metric("tally_snapshots_total", Unit::Count, "Snapshots read from the broker, by outcome."),
    Metric("tally_audits_total", Unit::Count, "Quiet channels whose head was compared with the broker's."),
    Metric(
        "tally_audit_repairs_total",
        Unit::Count,
        "Audited channels whose head was another one, so that they were read again.",
    ),
    Metric("tally_rereads_total", Unit::Count, "Channels that a hub asked to be read again."),
    Metric(
        "tally_misfits_total",
        Unit::Count,
        "Records dropped by a hub because they did not follow its position.",
    ),
    Metric(
        "tally_waiting_overflows_total",
        Unit::Count,
        "Records dropped because too much waited for a snapshot.",
    ),
    Metric("tally_resets_total", Unit::Count, "Channels whose continuity broke."),
    Metric("tally_jumps_total", Unit::Count, "Cursors that fell out of a log."),
    Metric("tally_evicted_records_total", Unit::Count, "Records that left a log because of a limit."),
    Metric("tally_gaps_total", Unit::Count, "Spans that came without payloads, by why."),
    Metric(
        "tally_gap_events_total",
        Unit::Count,
        "Events in those spans, by why; `unheard` are those that nobody listened to.",
    ),
    Metric(
        "tally_rung_changes_total",
        Unit::Count,
        "Changes of rung of subscriptions and connections, by rung and why.",
    ),
    Metric("tally_deliveries_total", Unit::Count, "Frames that sockets took, by form."),
    Metric("tally_delivered_bytes_total", Unit::Bytes, "Bytes that sockets of websocket connections took."),
    Metric(
        "tally_delivered_events_total",
        Unit::Count,
        "Events delivered, summed over listeners, by column of the ledger.",
    ),
    Metric("tally_partial_writes_total", Unit::Count, "Writes that a socket did not take whole."),
    Metric(
        "tally_delivery_seconds",
        Unit::Seconds,
        "From a record's sending to the socket's taking it; a sample of full deliveries.",
    ),
    Metric("tally_client_frames_total", Unit::Count, "Frames that came from clients."),
    Metric(
        "tally_refused_total",
        Unit::Count,
        "Connections, requests and frames that were refused, by code.",
    ),
    Metric("tally_closed_total", Unit::Count, "Websocket connections that ended, by code."),
    Metric("tally_law_violations_total", Unit::Count, "Broken laws that clients reported, by law."),
    Metric("tally_publishes_total", Unit::Count, "Publish requests over HTTP, by outcome."),
    Metric(
        "tally_publish_seconds",
        Unit::Seconds,
        "From a publish request's last byte to the broker's answer.",
    ),
];

const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The handles of one gateway.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    /// By code, for those who read them from within.
    refused: ByCode,
    closed: ByCode,
    violations: AtomicU64,
    pub(crate) ready: Gauge,
    pub(crate) sockets: Gauge,
    pub(crate) connections: Gauge,
    /// In the order of [`Rung::ALL`].
    pub(crate) subscriptions: [Gauge; 3],
    pub(crate) pending: Gauge,
    pub(crate) channels: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) inbox_bytes: Gauge,
    pub(crate) upstream_up: Gauge,
    pub(crate) upstream_reconnects: Counter,
    pub(crate) upstream_gaps: Counter,
    pub(crate) upstream_lost_messages: Counter,
    pub(crate) interest_channels: Gauge,
    pub(crate) records: Counter,
    pub(crate) record_events: Counter,
    pub(crate) bad_body: Counter,
    pub(crate) bad_header: Counter,
    pub(crate) bad_version: Counter,
    /// `passed`, `not_json`, `too_large`, `no_room`.
    pub(crate) unnumbered: [Counter; 4],
    /// `delivered`, `dropped`.
    pub(crate) unnumbered_events: [Counter; 2],
    pub(crate) inbox_drops: Counter,
    pub(crate) snapshots_read: Counter,
    pub(crate) snapshots_failed: Counter,
    pub(crate) audits: Counter,
    pub(crate) audit_repairs: Counter,
    pub(crate) rereads: Counter,
    pub(crate) misfits: Counter,
    pub(crate) waiting_overflows: Counter,
    pub(crate) resets: Counter,
    pub(crate) jumps: Counter,
    pub(crate) evicted: Counter,
    /// In the order of [`Why::ALL`].
    pub(crate) gaps: [Counter; 6],
    pub(crate) gap_events: [Counter; 6],
    /// `[to][why]`.
    pub(crate) rung_changes: [[Counter; 6]; 3],
    /// In the order of [`Form`].
    pub(crate) deliveries: [Counter; 5],
    pub(crate) delivered_bytes: Counter,
    /// `full`, `counted`, `summarised`.
    pub(crate) delivered_events: [Counter; 3],
    pub(crate) partial_writes: Counter,
    pub(crate) delivery_seconds: Histogram,
    pub(crate) client_frames: Counter,
    pub(crate) publish_seconds: Histogram,
}

/// Counts by a stable token: as many as there are tokens.
#[derive(Debug, Default)]
struct ByCode(Mutex<BTreeMap<&'static str, u64>>);

impl ByCode {
    fn add(&self, code: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a delivered frame is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    Counts,
    Summary,
    /// Replies, rungs, resets, heartbeats.
    Control,
    Unnumbered,
}

const FORMS: [&str; 5] = ["full", "counts", "summary", "control", "unnumbered"];

impl Metrics {
    pub(crate) fn new() -> Self {
        let buckets = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS_BUCKETS)
            .expect("the buckets are not empty");
        let recorder = buckets.build_recorder();
        for Metric(name, unit, meaning) in METRICS {
            if name.ends_with("_total") {
                recorder.describe_counter((*name).into(), Some(*unit), (*meaning).into());
            } else if is_histogram(name) {
                recorder.describe_histogram((*name).into(), Some(*unit), (*meaning).into());
            } else {
                recorder.describe_gauge((*name).into(), Some(*unit), (*meaning).into());
            }
        }
        Self::with_handles(recorder)
    }

    fn with_handles(recorder: PrometheusRecorder) -> Self {
        let r = &recorder;
        let by_why = |name| Why::ALL.map(|why| counter(r, name, &[("why", why.as_str())]));
        let bad = |problem| counter(r, "tally_bad_records_total", &[("problem", problem)]);
        let snapshots = |outcome| counter(r, "tally_snapshots_total", &[("outcome", outcome)]);
        let changes = |to: Rung, why: Why| {
            counter(r, "tally_rung_changes_total", &[("to", to.as_str()), ("why", why.as_str())])
        };
        gauge(r, "tally_start_time_seconds", &[]).set(unix_seconds());
        Self {
            ready: gauge(r, "tally_ready", &[]),
            sockets: gauge(r, "tally_sockets", &[]),
            connections: gauge(r, "tally_connections", &[]),
            subscriptions: Rung::ALL.map(|rung| gauge(r, "tally_subscriptions", &[("rung", rung.as_str())])),
            pending: gauge(r, "tally_pending_subscriptions", &[]),
            channels: gauge(r, "tally_channels", &[]),
            log_bytes: gauge(r, "tally_log_bytes", &[]),
            inbox_bytes: gauge(r, "tally_inbox_bytes", &[]),
            upstream_up: gauge(r, "tally_upstream_up", &[]),
            upstream_reconnects: counter(r, "tally_upstream_reconnects_total", &[]),
            upstream_gaps: counter(r, "tally_upstream_gaps_total", &[]),
            upstream_lost_messages: counter(r, "tally_upstream_lost_messages_total", &[]),
            interest_channels: gauge(r, "tally_interest_channels", &[]),
            records: counter(r, "tally_records_total", &[]),
            record_events: counter(r, "tally_record_events_total", &[]),
            bad_body: bad("body"),
            bad_header: bad("header"),
            bad_version: bad("version"),
            unnumbered: ["passed", "not_json", "too_large", "no_room"]
                .map(|outcome| counter(r, "tally_unnumbered_messages_total", &[("outcome", outcome)])),
            unnumbered_events: ["delivered", "dropped"]
                .map(|outcome| counter(r, "tally_unnumbered_events_total", &[("outcome", outcome)])),
            inbox_drops: counter(r, "tally_inbox_drops_total", &[]),
            snapshots_read: snapshots("read"),
            snapshots_failed: snapshots("failed"),
            audits: counter(r, "tally_audits_total", &[]),
            audit_repairs: counter(r, "tally_audit_repairs_total", &[]),
            rereads: counter(r, "tally_rereads_total", &[]),
            misfits: counter(r, "tally_misfits_total", &[]),
            waiting_overflows: counter(r, "tally_waiting_overflows_total", &[]),
            resets: counter(r, "tally_resets_total", &[]),
            jumps: counter(r, "tally_jumps_total", &[]),
            evicted: counter(r, "tally_evicted_records_total", &[]),
            gaps: by_why("tally_gaps_total"),
            gap_events: by_why("tally_gap_events_total"),
            rung_changes: Rung::ALL.map(|to| Why::ALL.map(|why| changes(to, why))),
            deliveries: FORMS.map(|form| counter(r, "tally_deliveries_total", &[("form", form)])),
            delivered_bytes: counter(r, "tally_delivered_bytes_total", &[]),
            delivered_events: ["full", "counted", "summarised"]
                .map(|column| counter(r, "tally_delivered_events_total", &[("column", column)])),
            partial_writes: counter(r, "tally_partial_writes_total", &[]),
            delivery_seconds: histogram(r, "tally_delivery_seconds"),
            client_frames: counter(r, "tally_client_frames_total", &[]),
            publish_seconds: histogram(r, "tally_publish_seconds"),
            refused: ByCode::default(),
            closed: ByCode::default(),
            violations: AtomicU64::new(0),
            recorder,
        }
    }

    /// Renders and keeps up what [`Metrics::new`] made.
    pub(crate) fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }

    /// `code` is a stable token of ours, never text from outside.
    pub(crate) fn refused(&self, code: &'static str) {
        counter(&self.recorder, "tally_refused_total", &[("code", code)]).increment(1);
        self.refused.add(code);
    }

    pub(crate) fn closed(&self, code: &'static str) {
        counter(&self.recorder, "tally_closed_total", &[("code", code)]).increment(1);
        self.closed.add(code);
    }

    pub(crate) fn violation(&self, law: &'static str) {
        counter(&self.recorder, "tally_law_violations_total", &[("law", law)]).increment(1);
        self.violations.fetch_add(1, Ordering::Relaxed);
    }

    /// All that were reported, of any law.
    pub(crate) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    pub(crate) fn refused_totals(&self) -> BTreeMap<&'static str, u64> {
        self.refused.totals()
    }

    pub(crate) fn closed_totals(&self) -> BTreeMap<&'static str, u64> {
        self.closed.totals()
    }

    pub(crate) fn publish(&self, outcome: &'static str) {
        counter(&self.recorder, "tally_publishes_total", &[("outcome", outcome)]).increment(1);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn is_histogram(name: &str) -> bool {
    matches!(name, "tally_delivery_seconds" | "tally_publish_seconds")
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
    Key::from_parts(name, labels.iter().map(|(name, value)| Label::new(*name, *value)).collect::<Vec<_>>())
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

fn counter(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: &[(&'static str, &'static str)],
) -> Counter {
    recorder.register_counter(&key(name, labels), &METADATA)
}

fn gauge(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: &[(&'static str, &'static str)],
) -> Gauge {
    recorder.register_gauge(&key(name, labels), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, name: &'static str) -> Histogram {
    recorder.register_histogram(&key(name, &[]), &METADATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn the_document_has_a_row_for_each_metric_and_no_other() {
        for Metric(name, _, meaning) in METRICS {
            let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/metrics.md lacks {name}"));
            assert!(row.contains(meaning.trim_end_matches('.')), "{row}");
        }
        let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `tally_")).count();
        assert_eq!(rows, METRICS.len());
    }

    #[test]
    fn only_what_is_listed_is_rendered() {
        let metrics = Metrics::new();
        metrics.delivery_seconds.record(0.003);
        metrics.publish_seconds.record(0.003);
        for (metric, count) in [("bad_json", 1), ("too_large", 2)] {
            (0..count).for_each(|_| metrics.refused(metric));
        }
        metrics.closed("drain");
        metrics.violation("order");
        metrics.publish("published");
        let text = metrics.handle().render();
        let typed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        for line in &typed {
            let name = line.split(' ').next().unwrap();
            assert!(METRICS.iter().any(|Metric(listed, ..)| *listed == name), "{line}");
        }
        assert_eq!(typed.len(), METRICS.len(), "{text}");
        assert!(text.contains("tally_refused_total{code=\"too_large\"} 2"), "{text}");
        assert!(text.contains("tally_delivery_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    }
}
