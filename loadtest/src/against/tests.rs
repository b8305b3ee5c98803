//! Ratios, differences and what is taken out, from runs whose figures are round numbers.

use super::*;
use crate::report::tests::sample;
use crate::scenario::Scenario;

/// A gateway's run of 10 s with so much CPU, and so many published events.
fn run(cpu_us: u64, events: u64) -> Run {
    let mut run = sample().runs.remove(0);
    run.seconds = 10.0;
    run.published.events = events;
    run.checks.clear();
    for process in &mut run.processes {
        (process.user_us, process.sys_us) = if process.role == Role::Subject { (cpu_us, 0) } else { (0, 0) };
    }
    run
}

fn against(lines: &str) -> anyhow::Result<Vec<Against>> {
    let text = format!(
        "about = \"one\"\nseconds = 1.0\n[publish]\nchannels = 1\nper_channel = 1.0\n[listen]\nper_channel = 1\n\
         [[expect.against]]\n{lines}"
    );
    Ok(Scenario::read("test", &text, &[])?.expect.against)
}

#[test]
fn what_others_cost_is_taken_out_before_the_ratio_is_made() {
    let (ticks, one) = (run(200_000, 400), run(500_000, 50_000));
    let other = |name: &str| match name {
        "ticks" => Some(&ticks),
        "one" => Some(&one),
        _ => None,
    };
    let against =
        against("of = \"cpu_per_event\"\nscenario = \"one\"\nbesides = \"ticks\"\nratio_max = 1.2").unwrap();
    // 750,000 µs, of which 200,000 are the ticks', over 50,000 events of which 400 are the ticks': 11.09 µs to 10 µs.
    let mut good = run(750_000, 50_000);
    compare(&mut good, &against, other);
    assert!((good.compared[0].value - 550_000.0 / 49_600.0).abs() < 1e-9, "{:?}", good.compared);
    assert_eq!(good.compared[0].reference, Some(("one".to_owned(), 10.0)));
    let (name, taken) = good.compared[0].besides.as_ref().unwrap();
    assert_eq!((name.as_str(), taken.value, taken.unit.as_str()), ("ticks", 2.0, "% of a core"));
    assert!(good.checks[0].holds, "{:?}", good.checks);
    let mut bad = run(850_000, 50_000);
    compare(&mut bad, &against, other);
    assert!(!bad.checks[0].holds && bad.checks[0].name.contains("÷ that of one"), "{:?}", bad.checks);
}

#[test]
fn a_difference_a_least_ratio_and_a_bare_limit_are_checked_too() {
    let base = run(100_000, 10_000);
    let checks = |lines: &str, run: &Run| {
        let mut run = run.clone();
        compare(&mut run, &against(lines).unwrap(), |_| Some(&base));
        run.checks.iter().map(|check| check.holds).collect::<Vec<_>>()
    };
    let twice = run(200_000, 10_000);
    assert_eq!(checks("of = \"cpu_percent\"\nscenario = \"base\"\ndifference_max = 1.01", &twice), [true]);
    assert_eq!(checks("of = \"cpu_percent\"\nscenario = \"base\"\ndifference_max = 0.99", &twice), [false]);
    assert_eq!(checks("of = \"cpu_percent\"\nscenario = \"base\"\nratio_min = 2.1", &twice), [false]);
    let more = run(150_000, 60_000);
    assert_eq!(checks("of = \"cpu_per_event\"\nbesides = \"base\"\nmax = 1.1", &more), [true]);
    assert_eq!(checks("of = \"cpu_per_event\"\nbesides = \"base\"\nmax = 0.9", &more), [false]);
    assert!(checks("of = \"cpu_per_event\"\nscenario = \"base\"", &more).is_empty(), "only shown");
}

#[test]
fn comparisons_that_say_nothing_are_refused() {
    for (lines, words) in [
        ("of = \"p99\"\nratio_max = 1.0", "names no other scenario"),
        (
            "of = \"cpu_per_event\"\nbesides = \"x\"\nscenario_besides = \"y\"",
            "no `scenario` to take it out of",
        ),
        ("of = \"p99\"\nbesides = \"x\"", "`besides`, but that is for cpu_per_event"),
        ("of = \"cpu_per_event\"\nbesides = \"x\"\nratio_max = 1.0", "names no `scenario`"),
        ("of = \"p99\"\nscenario = \"test\"", "cannot be held against itself"),
        ("of = \"beauty\"\nscenario = \"x\"", "unknown variant `beauty`"),
    ] {
        let refused = format!("{:#}", against(lines).unwrap_err());
        assert!(refused.contains(words), "{lines}: {refused}");
    }
}
