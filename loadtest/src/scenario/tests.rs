//! Scenarios that can be run, and files that cannot with the words that say why.

use super::*;

const SMALL: &str = r#"
about = "one and one"
seconds = 1.0
[publish]
channels = 1
per_channel = 10.0
[listen]
per_channel = 1
"#;

fn refused(text: &str, changes: &[&str]) -> String {
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    let error = Scenario::read("test", text, &changes).expect_err("the scenario was taken");
    format!("{error:#}")
}

#[test]
fn every_file_of_the_folder_can_be_run() {
    let names = names().unwrap();
    for name in [
        "smoke",
        "fast-1x100",
        "fast-1x1000",
        "fast-100x10",
        "steady-100x10",
        "calm-1x100",
        "idle-10k",
        "wide-30k",
        "counts-1000",
        "stalled-10",
        "unheard-1000",
        "two-shards",
    ] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
    for name in names {
        let scenario = Scenario::load(&name, &[]).unwrap();
        assert_eq!(scenario.name, name);
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    for (key, text) in [
        ("colour", format!("colour = 1\n{SMALL}")),
        ("color", SMALL.replace("channels = 1", "channels = 1\ncolor = 2")),
        ("paste", format!("{SMALL}[expect]\npaste = 1")),
    ] {
        let words = refused(&text, &[]);
        assert!(words.contains(&format!("unknown field `{key}`")) && words.contains("line"), "{words}");
    }
}

#[test]
fn a_value_that_breaks_a_rule_is_named_with_both() {
    let cases = [
        ("seconds=0.0", "seconds is 0, but it is from 1 to 86400"),
        ("publish.channels=0", "publish.channels is 0"),
        ("publish.fast=true", "publish is given 2 rates, but exactly one of"),
        ("publish.data_bytes=8", "publish.data_bytes is 8, but it is from 32"),
        ("publish.state_share=1.5", "publish.state_share is 1.5"),
        ("listen.channels=2", "listen.channels is 2, but it is from 0 to 1"),
        ("listen.tick_ms=300", "listen.tick_ms is 300, but it is 250, 1000 or 5000"),
        (
            "listen.rungs={ full = 0.5 }",
            "listen.rungs is 0.5 in all, but its shares are from 0 and add up to 1",
        ),
        ("listen.rungs={ full = 1.5, counts = -0.5 }", "listen.rungs is 1 in all, but its shares"),
        ("listen.slow={ share = 0.6, bytes_per_s = 0 }", "listen.slow.bytes_per_s is 0"),
        ("gateways=0", "gateways is 0, but listeners need at least one gateway"),
        (
            "gateway.listen=\"0.0.0.0:1\"",
            "gateway.listen is \"0.0.0.0:1\", but it is a setting with one value, other",
        ),
    ];
    for (change, words) in cases {
        let refused = refused(SMALL, &[change]);
        assert!(refused.contains(words), "{change}: {refused}");
    }
    let both = "listen.stalled={ share = 0.6, from_s = 0.0, for_s = 1.0 }";
    let words = refused(SMALL, &["listen.slow={ share = 0.6, bytes_per_s = 10 }", both]);
    assert!(words.contains("1.2 slow, stalled, flapping and churning"), "{words}");
    let words = refused(SMALL, &["gateways=2", "backplane=embedded"]);
    assert!(words.contains("exactly one gateway"), "{words}");
}

#[test]
fn changes_of_the_command_line_need_a_key_and_a_value() {
    assert!(refused(SMALL, &["seconds"]).contains("--set \"seconds\" must be KEY=VALUE"));
    assert!(refused(SMALL, &["about.x=1"]).contains("about is no table"));
    let scenario = Scenario::read("test", SMALL, &["publish.data_bytes=512".to_owned()]).unwrap();
    assert_eq!(scenario.publish.data_bytes, 512);
    assert!(scenario.text.contains("data_bytes = 512"), "{}", scenario.text);
}

#[test]
fn a_file_that_is_not_there_is_named_with_those_that_are() {
    let words = format!("{:#}", Scenario::load("fast", &[]).unwrap_err());
    assert!(words.contains("no scenario \"fast\"") && words.contains("smoke"), "{words}");
    let words = format!("{:#}", Scenario::load("./nowhere.toml", &[]).unwrap_err());
    assert!(words.contains("./nowhere.toml"), "{words}");
}

#[test]
fn the_window_is_the_smaller_of_events_and_bytes() {
    let window = |changes: &[&str]| {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Scenario::read("test", SMALL, &changes).unwrap().window()
    };
    assert_eq!(window(&["publish.window_bytes=20480"]), 10);
    assert_eq!(window(&["publish.window_bytes=20480", "publish.window_events=3"]), 3);
    assert_eq!(window(&["publish.window_bytes=1"]), 1);
}
