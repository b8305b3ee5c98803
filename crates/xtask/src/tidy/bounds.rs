//! Law 3 in the sources: a queue that can grow without limit says nearby what limits it.

use super::Finding;
use super::tree::{Tree, code_of};

/// Constructors of queues without a capacity: tokio's, and the standard library's, which takes no argument.
const UNBOUNDED: &[&str] =
    &["unbounded_channel(", "unbounded_channel::<", "mpsc::channel()", "mpsc::channel::<"];

/// The comment that answers, and how many lines above the call it may stand.
const ANSWER: &str = "bounded:";
const ANSWER_ABOVE_MAX: usize = 3;

pub(super) fn stated_bounds(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        let lines = file.production_lines();
        for (at, (number, line)) in lines.iter().enumerate() {
            if makes_unbounded_queue(line) && !is_answered(&lines[at.saturating_sub(ANSWER_ABOVE_MAX)..at]) {
                let problem = "a queue without a capacity needs `// bounded: …` above it: what limits it?";
                findings.push(Finding::of_line(&file.path, *number, problem));
            }
        }
    }
    findings
}

/// `mpsc::channel::<T>(8)` is tokio's and has a capacity; the standard library's ends in `()`.
fn makes_unbounded_queue(line: &str) -> bool {
    let code = code_of(line);
    UNBOUNDED.iter().any(|call| match code.split_once(call) {
        Some((before, _)) if quoted(before) => false,
        Some((_, rest)) if *call == "mpsc::channel::<" => rest.contains(">()"),
        found => found.is_some(),
    })
}

/// Inside a string literal, as the patterns of this very file are.
fn quoted(before: &str) -> bool {
    before.matches('"').count() % 2 == 1
}

fn is_answered(above: &[(usize, &str)]) -> bool {
    above.iter().any(|(_, line)| line.split_once("//").is_some_and(|(_, comment)| comment.contains(ANSWER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Option<usize>> {
        let tree = Tree::of(&[("crates/gateway/src/ingest.rs", text)]);
        stated_bounds(&tree).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_queue_without_a_capacity_is_found() {
        assert_eq!(lines("let (a, b) = mpsc::unbounded_channel();\n"), [Some(1)]);
        assert_eq!(lines("let (a, b) = mpsc::unbounded_channel::<u8>();\n"), [Some(1)]);
        assert_eq!(lines("let (a, b) = std::sync::mpsc::channel();\n"), [Some(1)]);
        assert_eq!(lines("let (a, b) = mpsc::channel::<Vec<u8>>();\n"), [Some(1)]);
    }

    #[test]
    fn one_with_a_capacity_or_an_answer_passes() {
        assert_eq!(lines("let (a, b) = mpsc::channel(8);\n"), []);
        assert_eq!(lines("let (a, b) = mpsc::channel::<u8>(8);\n"), []);
        assert_eq!(
            lines("// bounded: one message per shard\n\n\nlet (a, b) = mpsc::unbounded_channel();\n"),
            []
        );
    }

    #[test]
    fn the_answer_stands_near_and_in_a_comment() {
        let far = "// bounded: one message per shard\n\n\n\nlet (a, b) = mpsc::unbounded_channel();\n";
        assert_eq!(lines(far), [Some(5)]);
        assert_eq!(lines("let bounded: u8 = 1;\nlet (a, b) = mpsc::unbounded_channel();\n"), [Some(2)]);
    }
}
