//! docs/wire.md, held to the golden vectors and to the code: its examples are theirs, and no code is missing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde::Deserialize;
use serde_json::Value;
use tally_protocol::*;

fn page() -> String {
    std::fs::read_to_string(format!("{}/../../docs/wire.md", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The lines of all code blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(opened) => is_inside = !is_inside && opened == language,
            None if is_inside => lines.push(line.to_owned()),
            None => {}
        }
    }
    lines
}

fn vectors(file: &str, field: &str) -> Vec<String> {
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().iter();
    cases
        .filter(|case| case.get("refused").is_none())
        .map(|case| case[field].as_str().unwrap().into())
        .collect()
}

#[derive(Deserialize)]
struct Tag {
    r#type: String,
}

#[test]
fn examples_are_those_of_the_vectors() {
    let frames: Vec<String> =
        [vectors("server_frames", "text"), vectors("client_frames", "text")].into_iter().flatten().collect();
    let examples = blocks(&page(), "json");
    assert!(examples.len() > 25);
    for example in &examples {
        assert!(frames.contains(example), "no vector has {example}");
    }
    let tag = |frame: &str| serde_json::from_str::<Tag>(frame).unwrap().r#type;
    for frame in frames.iter().filter(|frame| is_known(frame)) {
        assert!(examples.iter().any(|example| tag(example) == tag(frame)), "no example of {}", tag(frame));
    }
}

fn is_known(frame: &str) -> bool {
    !matches!(ServerFrame::decode(frame), Ok(ServerFrame::Unknown(_))) || ClientFrame::decode(frame).is_ok()
}

#[test]
fn the_worked_record_is_that_of_the_vectors() {
    let digits: String = blocks(&page(), "hex")
        .iter()
        .flat_map(|line| line.chars().take(21).filter(|c| !c.is_whitespace()).collect::<Vec<_>>())
        .collect();
    assert_eq!(digits, vectors("records", "hex")[0]);
}

#[test]
fn every_code_and_word_is_explained() {
    let page = page();
    for code in ErrorCode::ALL {
        assert!(page.contains(&format!("\n| `{}` | ", code.as_str())), "{code:?}");
    }
    for code in CLOSE_CODES {
        assert!(page.contains(&format!("| {} | `{}` |", code.number(), code.as_str())), "{code:?}");
    }
    for why in Why::ALL {
        assert!(page.contains(&format!("| `{why}` | ")), "{why}");
    }
}
