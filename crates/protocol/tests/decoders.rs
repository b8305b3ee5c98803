//! The fuzz targets as bounded property tests: random bytes, and golden vectors with random damage.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "decoders/targets.rs"]
mod targets;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The inputs among the golden vectors: the field that a decoder reads, of each case.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let (file, field) = match target {
        "record" => ("records", "hex"),
        "client_frame" => ("client_frames", "text"),
        "server_frame" => ("server_frames", "text"),
        "ledger" => ("ledger", "frames"),
        "intake" => ("intake", "body"),
        other => panic!("{other}"),
    };
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Value| match value {
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n"),
        value => value.as_str().unwrap_or_default().to_owned(),
    };
    let from_hex = |hex: &str| -> Vec<u8> {
        hex.as_bytes()
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let inputs = file["cases"].as_array().unwrap().iter().map(|case| text(&case[field]));
    // Long ones only slow the damage down.
    let inputs = inputs.filter(|input| input.len() < 4_000);
    inputs.map(|input| if field == "hex" { from_hex(&input) } else { input.into_bytes() }).collect()
}

#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let token = select(
        &["\"", "{", "}", "[", "]", ",", ":", "0", "-1", "null", "1e400", "\n", "\\", "\\ud800", "\u{1}"][..],
    );
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), 1..8usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        (any::<Index>(), token).prop_map(|(at, token)| Damage::Insert(at, token.into())),
        (any::<Index>(), vec(any::<u8>(), 1..10)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), 1..40usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn apply(input: &mut Vec<u8>, damage: &Damage) {
    if input.is_empty() {
        return;
    }
    let end = |at: usize, n: usize, len: usize| (at + n).min(len);
    match damage {
        Damage::Set(at, byte) => {
            let at = at.index(input.len());
            input[at] = *byte;
        }
        Damage::Remove(at, n) => {
            let at = at.index(input.len());
            input.drain(at..end(at, *n, input.len()));
        }
        Damage::Insert(at, bytes) => {
            let at = at.index(input.len());
            input.splice(at..at, bytes.iter().copied());
        }
        Damage::Repeat(at, n) => {
            let at = at.index(input.len());
            let part = input[at..end(at, *n, input.len())].to_vec();
            input.splice(at..at, part);
        }
        Damage::Cut(at) => input.truncate(at.index(input.len())),
    }
}

fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds(target)), vec(damage(), 0..4)).prop_map(|(mut input, damages)| {
        damages.iter().for_each(|damage| apply(&mut input, damage));
        input
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn record(input in prop_oneof![1 => any_bytes(), 9 => damaged("record")]) {
        targets::record(&input);
    }

    #[test]
    fn client_frame(input in prop_oneof![1 => any_bytes(), 9 => damaged("client_frame")]) {
        targets::client_frame(&input);
    }

    #[test]
    fn server_frame(input in prop_oneof![1 => any_bytes(), 5 => damaged("server_frame"), 5 => damaged("ledger")]) {
        targets::server_frame(&input);
    }

    #[test]
    fn intake(input in prop_oneof![1 => any_bytes(), 9 => damaged("intake")]) {
        targets::intake(&input);
    }

    #[test]
    fn names(text in "\\PC{0,40}|[ -~]{0,40}|[A-Za-z0-9._:@~=+,-]{0,210}") {
        targets::names(&text);
    }
}

/// Puts the golden vectors where cargo-fuzz begins.
#[test]
#[ignore = "writes into fuzz/corpus; run by hand before fuzzing"]
fn write_seeds() {
    for (target, sources) in [
        ("record", &["record"][..]),
        ("client_frame", &["client_frame"]),
        ("server_frame", &["server_frame", "ledger"]),
        ("intake", &["intake"]),
    ] {
        let folder = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&folder).unwrap();
        for source in sources {
            for (i, seed) in seeds(source).iter().enumerate() {
                std::fs::write(format!("{folder}/{source}-{i}"), seed).unwrap();
            }
        }
    }
}
