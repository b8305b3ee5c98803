//! A report as a run makes it, and what its table and page must say.

use super::table::Look;
use super::{page, table, write};
use crate::expect::limit;
use crate::result::{
    Balance, Bound, Check, Compared, Delivered, FORMAT, Figure, Machine, Percentiles, ProcessUse, Published,
    Reference, Report, Role, Run, Sample, Subject,
};
use std::collections::BTreeMap;

const SECONDS: u32 = 30;

/// Two rounds of gateway and both floors, 100 clients of one channel, some of them slow.
pub(crate) fn sample() -> Report {
    let mut runs = Vec::new();
    for round in 1..=2 {
        runs.push(run(Subject::Gateway, round, 0.92, 1_080_000));
        runs.push(run(Subject::FloorEach, round, 3.81, 255_000));
        runs.push(run(Subject::FloorJoined, round, 0.27, 3_410_000));
    }
    Report {
        format: FORMAT,
        scenario: "fast-1x100".into(),
        about: "One channel, 100 clients, 2 KB events as fast as they are taken <b>&</b>.".into(),
        scenario_toml: "about = \"…\"\nclients = 100\n[publish]\nrate = \"max\"\n".into(),
        command: "tally-loadtest run fast-1x100 --pin --rounds 2 --subjects gateway,floor-each,floor-joined"
            .into(),
        started_unix_ms: 1_795_161_600_000,
        machine: Machine {
            cpu: "A processor of some make @ 2.40GHz".into(),
            cores: 2,
            kernel: "Linux 6.18.5".into(),
            memory_bytes: 24 << 30,
            tally_version: "0.1.0 (20ddf1c)".into(),
            redis_version: "7.0.15".into(),
        },
        runs,
        references: Vec::new(),
    }
}

#[expect(clippy::too_many_lines, reason = "one value, written out")]
fn run(subject: Subject, round: u32, cpu_us: f64, per_s: u64) -> Run {
    let seconds = f64::from(SECONDS);
    // Not two rounds alike, and no chance in it.
    let wave = |i: u32| 1.0 + 0.05 * (f64::from(i * 5 + round * 3) * 1.7).sin() + 0.02 * f64::from(i % 3);
    let events = per_s * u64::from(SECONDS);
    let cpu = cpu_us * events as f64 * wave(round);
    let of_scale = |scale: f64| Percentiles {
        n: per_s,
        p50_us: 900.0 * scale,
        p90_us: 1_500.0 * scale,
        p99_us: 3_100.0 * scale * scale,
        p999_us: 7_900.0 * scale * scale,
        max_us: 15_000.0 * scale,
    };
    let name = match subject {
        Subject::Gateway => "gateway-0",
        Subject::FloorEach | Subject::FloorJoined => "floor",
    };
    let process = |name: &str, role: Role, us: f64, mib: u64| ProcessUse {
        name: name.into(),
        role,
        user_us: (0.2 * us) as u64,
        sys_us: (0.8 * us) as u64,
        rss_start_bytes: mib << 20,
        rss_peak_bytes: (mib + 9) << 20,
        rss_end_bytes: (mib + 4) << 20,
        threads: BTreeMap::new(),
    };
    let is_gateway = subject == Subject::Gateway;
    let reduced = if is_gateway { 12_000 } else { 0 };
    let series = (0..SECONDS).map(|at| {
        let low = if is_gateway && (8..20).contains(&at) { u64::from(at) - 7 } else { 0 };
        Sample {
            at_s: f64::from(at + 1),
            published: per_s / 100,
            deliveries: (per_s as f64 * wave(at)) as u64,
            delivered_bytes: per_s * 2_100,
            latency: of_scale(wave(at)),
            rungs: [100 - low, low / 2, low - low / 2],
            connections: 100,
            cpu_percent: [(name, 97.0), ("redis", 21.0), ("publishers", 34.0), ("receivers", 61.0)]
                .map(|(name, percent)| (name.to_owned(), (percent * wave(at)).min(100.0)))
                .into(),
            rss_bytes: [(name, 14_u64), ("redis", 22), ("publishers", 40), ("receivers", 40)]
                .map(|(name, mib)| (name.to_owned(), (mib << 20) + u64::from(at) * 200_000))
                .into(),
        }
    });
    Run {
        subject,
        round,
        seconds,
        published: Published {
            events: events / 100,
            bytes: events / 100 * 2_048,
            acknowledged: events / 100,
            ..Published::default()
        },
        delivered: Delivered {
            events,
            events_frames: events / 16,
            bytes: events * 2_100,
            ..Delivered::default()
        },
        latency: of_scale(wave(round)),
        healthy_latency: None,
        processes: vec![
            process(name, Role::Subject, cpu, 14),
            process("redis", Role::Redis, 0.21 * seconds * 1e6, 22),
            process("publishers", Role::Load, 0.34 * seconds * 1e6, 40),
            process("receivers", Role::Load, 0.61 * seconds * 1e6, 40),
        ],
        series: series.collect(),
        ledger: is_gateway.then(|| Balance {
            clients: 100,
            ledgers: 100,
            frames_checked: events / 16,
            accounted: events + reduced,
            full: events,
            counted: [("throttled".to_owned(), 8_000), ("asked".to_owned(), 1_000)].into(),
            summarised: [("backpressure".to_owned(), 3_000)].into(),
            rung_changes: [("summary backpressure".to_owned(), 12), ("full backpressure".to_owned(), 12)]
                .into(),
            ..Balance::default()
        }),
        figures: vec![Figure { name: "growth per stalled client".into(), value: 41.3, unit: "KiB".into() }],
        compared: Vec::new(),
        checks: vec![
            Check { name: "lost".into(), measured: "0".into(), wanted: "0".into(), holds: true, limit: None },
            limit("CPU per delivery, µs", cpu_us * wave(round), Bound::AtMost(1.0)),
        ],
    }
}

#[test]
fn the_table_has_a_row_per_subject_and_the_ratio_of_the_rounds() {
    let text = table::render(&sample(), Look::Plain);
    let row = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    // 0.92 / 3.81 and 0.92 / 0.27, both with the same wave in the same round.
    assert!(row("| gateway ").contains(" 0.241 ") && row("| gateway ").contains(" 3.41 "), "{text}");
    assert!(row("| floor, each ").contains(" 255,000 "), "{text}");
    assert!(text.contains("closes") && !text.contains("DOES NOT CLOSE"), "{text}");
    assert!(text.contains("FAILS: median "), "{text}");
    assert!(text.contains("holds in all 2 rounds"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where nobody asked for it");
}

#[test]
fn an_account_that_does_not_close_is_told_in_words() {
    let mut report = sample();
    let ledger = report.runs[0].ledger.as_mut().unwrap();
    ledger.full -= 1;
    ledger.violations.push("client 7: a hole <script>".into());
    let text = table::render(&report, Look::Plain);
    assert!(text.contains("DOES NOT CLOSE") && text.contains("client 7"), "{text}");
    let html = page::render(&report).unwrap();
    assert!(html.contains("does not close") && html.contains("a hole &lt;script&gt;"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_escapes() {
    let html = page::render(&sample()).unwrap();
    for foreign in ["<script", "<link", "@import", "url(", " src=", "<b>&"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let addresses = html.matches("http").count();
    assert_eq!(addresses, html.matches("xmlns=\"http://www.w3.org/2000/svg\"").count(), "only names of SVG");
    assert!(html.contains("&lt;b&gt;&amp;&lt;/b&gt;"));
    assert!(html.contains(include_str!("page/style.css")), "the style sheet as it is");
    // Latency, CPU and memory of three subjects each; deliveries and rungs wide and narrow; legends aside.
    assert_eq!(html.matches("xmlns=").count(), 3 * 3 + 2 * 2);
}

#[test]
fn a_report_comes_back_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut report = sample();
    report.scenario = "../odd name".into();
    let written = write(&report, &dir.path().join("reports")).unwrap();
    assert!(written.json.ends_with("reports/..-odd-name-20261120-080000.json"), "{written:?}");
    let back: Report = serde_json::from_slice(&std::fs::read(&written.json).unwrap()).unwrap();
    assert_eq!(back.runs.len(), 6);
    assert_eq!(back.runs[0].cpu_us_per_delivery(), report.runs[0].cpu_us_per_delivery());
    assert!(written.html.exists());
}

#[test]
fn an_empty_run_is_a_report_too() {
    let mut report = sample();
    report.runs.truncate(1);
    let run = &mut report.runs[0];
    (run.delivered, run.series, run.ledger) = (Delivered::default(), Vec::new(), None);
    (run.figures, run.checks, run.processes) = (Vec::new(), Vec::new(), Vec::new());
    run.latency = Percentiles::default();
    assert!(page::render(&report).unwrap().contains("a floor keeps no account"));
    assert!(table::render(&report, Look::Plain).contains("gateway"));
    report.runs.clear();
    assert!(page::render(&report).is_ok());
}

#[test]
fn references_are_told_with_ratio_difference_and_what_was_taken_out() {
    let mut report = sample();
    for run in &mut report.runs {
        run.compared.push(Compared {
            name: "CPU per published event".into(),
            unit: "µs".into(),
            value: 11.0 + f64::from(run.round),
            besides: Some((
                "ticks".into(),
                Figure { name: "CPU".into(), value: 8.25, unit: "% of a core".into() },
            )),
            reference: Some(("counts-1".into(), 10.0)),
        });
    }
    let mut runs = sample().runs;
    runs.retain(|run| run.subject == Subject::Gateway);
    runs[0].checks[0].holds = false;
    report.references.push(Reference {
        scenario: "counts-1".into(),
        about: "one".into(),
        scenario_toml: "about = \"one\"".into(),
        runs,
    });
    let text = table::render(&report, Look::Plain);
    let html = page::render(&report).unwrap();
    for told in [&text, &html] {
        for wanted in
            ["besides ticks: 8.25 % of a core of CPU", "against counts-1", "1.25", "1.20–1.30", "2.50"]
        {
            assert!(told.contains(wanted), "{wanted}: {told}");
        }
        assert!(told.contains("FAILS in 1 of 2 rounds"), "a reference keeps its promises too: {told}");
    }
}
