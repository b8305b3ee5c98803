//! Rules on single files: the module line, the length, the name.

use super::Finding;
use super::tree::Tree;

/// Lines of one source file without its tests.
const LINES_MAX: usize = 400;

/// A file that may be longer, with its own bound and the reason.
struct LongFile {
    path: &'static str,
    lines_max: usize,
    reason: &'static str,
}

/// Each entry must still be needed: one whose file is gone or short enough is itself a finding.
const LONG_FILES: &[LongFile] = &[];

/// Names that say nothing of the step or the thing a file holds.
const EMPTY_NAMES: &[&str] = &["manager", "util", "utils", "common", "helper", "helpers", "types", "core"];

/// Each source file opens with one `//!` sentence that says its role.
pub(super) fn module_lines(tree: &Tree) -> Vec<Finding> {
    tree.sources()
        .filter_map(|file| {
            let role =
                file.text.lines().next().and_then(|line| line.strip_prefix("//!")).unwrap_or_default().trim();
            let stated = !role.is_empty() && role != "(empty)";
            (!stated)
                .then(|| Finding::of_line(&file.path, 1, "must begin with a `//!` line that says its role"))
        })
        .collect()
}

/// No source file is longer than its bound, and no exception outlives its need.
pub(super) fn lengths(tree: &Tree) -> Vec<Finding> {
    lengths_except(tree, LONG_FILES)
}

/// No file or folder of source code has a name that could stand for anything.
pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    tree.files()
        .filter(|file| is_code(&file.path))
        .filter_map(|file| {
            let problem = file.path.split('/').find_map(|part| {
                let stem = part.split_once('.').map_or(part, |(stem, _)| stem);
                EMPTY_NAMES.contains(&stem).then(|| format!("`{stem}` names no step and no thing"))
            });
            let problem = problem.or_else(|| {
                is_mod_file(&file.path).then(|| "is `foo.rs` beside `foo/`, not `mod.rs`".into())
            });
            problem.map(|problem| Finding::of_file(&file.path, problem))
        })
        .collect()
}

fn lengths_except(tree: &Tree, long_files: &[LongFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.sources() {
        let lines = file.production_lines().len();
        let exception = long_files.iter().find(|long| long.path == file.path);
        let lines_max = exception.map_or(LINES_MAX, |long| long.lines_max);
        if lines > lines_max {
            findings.push(Finding::of_file(
                &file.path,
                format!("{lines} lines without tests, at most {lines_max}"),
            ));
        }
        if let Some(long) = exception.filter(|_| lines <= LINES_MAX) {
            findings.push(Finding::of_file(
                long.path,
                format!("needs no exception for its length ({})", long.reason),
            ));
        }
    }
    let gone = long_files.iter().filter(|long| tree.find(long.path).is_none());
    findings
        .extend(gone.map(|long| Finding::of_file(long.path, "has an exception for its length, and is gone")));
    findings
}

fn is_code(path: &str) -> bool {
    [".rs", ".ts", ".tsx", ".js", ".py"].iter().any(|ending| path.ends_with(ending))
}

/// Below `tests/` a `mod.rs` is the one way for cargo to see a module and not a test of its own.
fn is_mod_file(path: &str) -> bool {
    path.ends_with("/mod.rs") && !path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_role_is_found() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "//! Says what it is.\n"),
            ("crates/a/src/b.rs", "use std::fmt;\n"),
            ("crates/a/src/c.rs", "//! (empty)\n"),
            ("crates/a/src/d.rs", ""),
            ("crates/a/tests/e.rs", "fn not_a_source() {}\n"),
        ]);
        let found: Vec<_> = module_lines(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/a/src/b.rs", "crates/a/src/c.rs", "crates/a/src/d.rs"]);
    }

    #[test]
    fn length_counts_no_tests() {
        let body = "fn a() {}\n".repeat(LINES_MAX);
        let fits = format!("{body}#[cfg(test)]\nmod tests {{\n{body}}}\n");
        let long = format!("{body}fn one_more() {{}}\n");
        let tree = Tree::of(&[("crates/a/src/fits.rs", &fits), ("crates/a/src/long.rs", &long)]);
        let found = lengths_except(&tree, &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "crates/a/src/long.rs: 401 lines without tests, at most 400");
    }

    #[test]
    fn an_exception_holds_only_while_it_is_needed() {
        let exception = |path| LongFile { path, lines_max: 450, reason: "one closed table" };
        let long = "fn a() {}\n".repeat(450);
        let tree = Tree::of(&[("crates/a/src/long.rs", &long), ("crates/a/src/short.rs", "//! S.\n")]);
        let table = [exception("crates/a/src/long.rs")];
        assert_eq!(lengths_except(&tree, &table), []);
        let table = [
            exception("crates/a/src/long.rs"),
            exception("crates/a/src/short.rs"),
            exception("crates/a/src/gone.rs"),
        ];
        let found: Vec<_> = lengths_except(&tree, &table).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/a/src/short.rs", "crates/a/src/gone.rs"]);
    }

    #[test]
    fn empty_names_are_found_in_files_and_folders() {
        let tree = Tree::of(&[
            ("crates/a/src/hub.rs", ""),
            ("crates/a/src/utils.rs", ""),
            ("crates/a/src/common/x.rs", ""),
            ("crates/a/src/hub/mod.rs", ""),
            ("crates/a/tests/plans/mod.rs", ""),
            ("docs/types.md", ""),
        ]);
        let found: Vec<_> = names(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/a/src/utils.rs", "crates/a/src/common/x.rs", "crates/a/src/hub/mod.rs"]);
    }
}
