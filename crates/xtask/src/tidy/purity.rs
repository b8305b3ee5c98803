//! The pure core reads no clock, takes no lock, starts no thread, draws nothing at random and logs nothing.

use super::Finding;
use super::tree::{Tree, code_of, has_word};

const CORE_SOURCES: &str = "crates/fanout/src/";

/// Words that have no place in the core, each with what it would bring in. `Arc` and `OnceLock` are not among
/// them: they share immutable values and never wait. Crates are kept out by the list of dependencies.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("Instant", "a clock: time comes in as a value"),
    ("SystemTime", "a clock: time comes in as a value"),
    ("Mutex", "a lock: one shard owns its hub"),
    ("RwLock", "a lock: one shard owns its hub"),
    ("Condvar", "a lock: one shard owns its hub"),
    ("thread", "a thread: shards belong to the gateway"),
    ("thread_local", "hidden state: state has an owner that is passed"),
    ("RandomState", "randomness: what happens must follow from the inputs"),
    ("rand", "randomness: what happens must follow from the inputs"),
    ("fastrand", "randomness: what happens must follow from the inputs"),
    ("tracing", "a log: the core answers with values"),
];

pub(super) fn pure_core(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources().filter(|file| file.path.starts_with(CORE_SOURCES)) {
        for (number, line) in file.production_lines() {
            let code = code_of(line);
            let found = IMPURE_WORDS.iter().filter(|(word, _)| has_word(code, word));
            findings.extend(
                found.map(|(word, why)| Finding::of_line(&file.path, number, format!("`{word}` is {why}"))),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Option<usize>> {
        let tree = Tree::of(&[("crates/fanout/src/hub.rs", text), ("crates/gateway/src/shard.rs", text)]);
        let findings = pure_core(&tree);
        assert!(
            findings.iter().all(|finding| finding.path == "crates/fanout/src/hub.rs"),
            "only the core is pure"
        );
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn clocks_locks_threads_randomness_and_logs_are_found() {
        assert_eq!(lines("use std::time::Instant;\n"), [Some(1)]);
        assert_eq!(lines("use std::time::{\n    Duration, SystemTime,\n};\n"), [Some(2)]);
        assert_eq!(lines("x: std::sync::Mutex<u8>,\n"), [Some(1)]);
        assert_eq!(lines("std::thread::spawn(f);\n"), [Some(1)]);
        assert_eq!(lines("fastrand::u8(..);\n"), [Some(1)]);
        assert_eq!(lines("tracing::info!(\"x\");\n"), [Some(1)]);
    }

    #[test]
    fn shared_immutable_values_durations_comments_and_tests_pass() {
        assert_eq!(lines("use std::sync::{Arc, OnceLock};\nuse std::time::Duration;\n"), []);
        assert_eq!(lines("// a Mutex would wait here\nuse crate::log::Log;\n"), []);
        assert_eq!(lines("#[cfg(test)]\nmod tests {\n    use std::thread;\n}\n"), []);
    }
}
