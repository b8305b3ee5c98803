//! The documents that must be there, and ARCHITECTURE.md as a map on which every source file stands.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::{File, Tree};

const REQUIRED: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/wire.md",
    "docs/metrics.md",
    "docs/out-of-scope.md",
];

const MAP: &str = "ARCHITECTURE.md";

/// Each of [`REQUIRED`] exists.
pub(super) fn present(tree: &Tree) -> Vec<Finding> {
    let missing = REQUIRED.iter().filter(|path| tree.find(path).is_none());
    missing.map(|path| Finding::of_file(path, "is missing")).collect()
}

/// Each source file but tests has a row in the table of its crate, and each row its file.
///
/// A crate's table stands below a heading that names its folder; a row begins with the path below `src`:
/// ``| `hub/rungs.rs` | … |``.
pub(super) fn map(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.find(MAP) else { return Vec::new() };
    let rows = rows(&map.text);
    let mut findings = Vec::new();
    for file in tree.sources() {
        let (folder, module) = file.crate_and_module().expect("sources() yields only files of a crate");
        if is_test(module) {
            continue;
        }
        if !rows.iter().any(|row| row.folder == folder && row.module == module) {
            let problem = format!("the table of {folder} lacks: | `{module}` | {} |", role(file));
            findings.push(Finding::of_file(MAP, problem));
        }
    }
    let mut seen = BTreeSet::new();
    for row in &rows {
        let path = format!("{}/src/{}", row.folder, row.module);
        if tree.find(&path).is_none() {
            findings.push(Finding::of_line(MAP, row.line, format!("{path} does not exist")));
        } else if !seen.insert((row.folder, row.module)) {
            findings.push(Finding::of_line(MAP, row.line, format!("{path} has two rows")));
        }
    }
    findings
}

/// Tests stand beside what they test; a map needs no rows for them.
fn is_test(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or(module);
    module.starts_with("tests/")
        || module.contains("/tests/")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

/// A line of a crate's table.
struct Row<'a> {
    line: usize,
    folder: &'a str,
    module: &'a str,
}

/// Rows for Rust files below headings that name a crate's folder.
fn rows(map: &str) -> Vec<Row<'_>> {
    let mut folder = None;
    let mut rows = Vec::new();
    for (at, line) in map.lines().enumerate() {
        if line.starts_with('#') {
            folder = line.split(['`', ' ']).find(|word| word.starts_with("crates/") || *word == "loadtest");
            continue;
        }
        let module = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
        if let (Some(folder), Some(module)) = (folder, module.filter(|name| name.ends_with(".rs"))) {
            rows.push(Row { line: at + 1, folder, module });
        }
    }
    rows
}

/// The file's own module line, which is what its row should say.
fn role(file: &File) -> &str {
    file.text.lines().next().and_then(|line| line.strip_prefix("//!")).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: &str = "# Architecture\n\n### `crates/fanout`: the core\n\n| file | role |\n|---|---|\n\
                                | `lib.rs` | The words. |\n| `hub/rungs.rs` | Rungs. |\n\n\
                                ### `crates/client`\n\n| `lib.rs` | Words. |\n";

    fn findings(sources: &[&str]) -> Vec<String> {
        let mut files = vec![(MAP, ARCHITECTURE)];
        files.extend(sources.iter().map(|path| (*path, "//! One role.\n")));
        map(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_complete_map_passes() {
        let sources =
            ["crates/fanout/src/lib.rs", "crates/fanout/src/hub/rungs.rs", "crates/client/src/lib.rs"];
        assert_eq!(findings(&sources), [""; 0]);
    }

    #[test]
    fn a_missing_row_is_found_with_what_it_should_say() {
        let sources = [
            "crates/fanout/src/lib.rs",
            "crates/fanout/src/hub/rungs.rs",
            "crates/client/src/lib.rs",
            "crates/client/src/hub/rungs.rs",
        ];
        let expected = "ARCHITECTURE.md: the table of crates/client lacks: | `hub/rungs.rs` | One role. |";
        assert_eq!(findings(&sources), [expected]);
    }

    #[test]
    fn tests_need_no_row() {
        let mut sources =
            vec!["crates/fanout/src/lib.rs", "crates/fanout/src/hub/rungs.rs", "crates/client/src/lib.rs"];
        sources.extend([
            "crates/client/src/hub/tests.rs",
            "crates/client/src/tests/a.rs",
            "crates/client/src/b_tests.rs",
        ]);
        assert_eq!(findings(&sources), [""; 0]);
    }

    #[test]
    fn a_row_without_a_file_is_found() {
        let found = findings(&["crates/fanout/src/lib.rs", "crates/client/src/lib.rs"]);
        assert_eq!(found, ["ARCHITECTURE.md:8: crates/fanout/src/hub/rungs.rs does not exist"]);
    }

    #[test]
    fn a_missing_document_is_found() {
        let missing = present(&Tree::of(&[("README.md", "")]));
        assert_eq!(missing.len(), REQUIRED.len() - 1);
        assert_eq!(missing[0].to_string(), "ARCHITECTURE.md: is missing");
    }
}
