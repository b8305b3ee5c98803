//! The repository's text files in memory, and the few ways in which rules look at them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use ignore::WalkBuilder;

/// Every text file that git would track.
#[derive(Debug)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// A text file; `path` is relative to the root and uses `/`.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    /// Reads what the repository's own `.gitignore` files leave; needs no git, so an archive will do.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut walk = WalkBuilder::new(root);
        walk.hidden(false).parents(false).git_global(false).git_exclude(false).require_git(false);
        walk.filter_entry(|entry| entry.file_name() != ".git").sort_by_file_path(Path::cmp);
        let mut files = Vec::new();
        for entry in walk.build() {
            let entry = entry?;
            let path = entry.path().strip_prefix(root).expect("the walk began at the root");
            let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            if let Some(text) = text_of(entry.path())? {
                files.push(File { path: path.to_owned(), text });
            }
        }
        Ok(Self { files })
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Rust files below the `src` of a crate.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.crate_and_module().is_some())
    }

    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}

impl File {
    /// `("crates/fanout", "hub/rungs.rs")` for `crates/fanout/src/hub/rungs.rs`.
    pub(crate) fn crate_and_module(&self) -> Option<(&str, &str)> {
        let (folder, module) = self.path.split_once("/src/")?;
        let of_workspace =
            folder == "loadtest" || folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
        (of_workspace && module.ends_with(".rs")).then_some((folder, module))
    }

    /// Numbered lines without the `#[cfg(test)] mod … { }` blocks; nothing of a file that holds only tests.
    pub(crate) fn production_lines(&self) -> Vec<(usize, &str)> {
        if self.is_test_module() {
            return Vec::new();
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let mut kept = Vec::with_capacity(lines.len());
        let mut at = 0;
        while at < lines.len() {
            if starts_test_block(&lines[at..]) {
                at +=
                    lines[at..].iter().position(|line| *line == "}").map_or(lines.len() - at, |end| end + 1);
                continue;
            }
            kept.push((at + 1, lines[at]));
            at += 1;
        }
        kept
    }

    /// `tests.rs`, `foo_tests.rs` and what lies below a folder `tests`.
    fn is_test_module(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs") || self.path.contains("/tests/")
    }
}

/// The code of a line, without a trailing `//` comment. A `//` inside a string literal cuts too: rules look
/// for calls, and nothing that follows a URL on its line is one.
pub(crate) fn code_of(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Whether `line` has `word` with no letter, digit or `_` on either side.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(joins) && !line[at + word.len()..].starts_with(joins))
}

/// True on `#[cfg(test)]` at the margin, where the item below it is a module with a body.
fn starts_test_block(lines: &[&str]) -> bool {
    let Some((&"#[cfg(test)]", rest)) = lines.split_first() else { return false };
    let item = rest.iter().find(|line| !line.starts_with("#["));
    item.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
}

/// `None` for a file that is not UTF-8, or that went away while we walked.
fn text_of(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let tree = Tree::of(&[(path, text)]);
        tree.find(path).unwrap().production_lines().iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_test_block_is_not_production() {
        let text = "//! A.\n\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n    fn a() {}\n}\nfn after() {}\n";
        assert_eq!(lines("crates/a/src/a.rs", text), [1, 2, 8]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_two_lines_here_and_none_there() {
        assert_eq!(lines("crates/a/src/a.rs", "//! A.\n#[cfg(test)]\nmod tests;\n"), [1, 2, 3]);
        assert_eq!(lines("crates/a/src/a/tests.rs", "//! A.\nfn a() {}\n"), [0; 0]);
    }

    #[test]
    fn a_test_only_method_does_not_hide_the_rest() {
        assert_eq!(lines("crates/a/src/a.rs", "#[cfg(test)]\nfn a() {\n}\nfn b() {}\n"), [1, 2, 3, 4]);
    }

    #[test]
    fn sources_are_rust_files_below_a_crates_src() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", ""),
            ("crates/a/src/x/y.rs", ""),
            ("crates/a/tests/z.rs", ""),
            ("crates/a/src/page.html", ""),
            ("loadtest/src/main.rs", ""),
            ("fuzz/src/main.rs", ""),
        ]);
        let found: Vec<_> = tree.sources().filter_map(File::crate_and_module).collect();
        assert_eq!(found, [("crates/a", "lib.rs"), ("crates/a", "x/y.rs"), ("loadtest", "main.rs")]);
    }

    #[test]
    fn words_end_where_identifiers_end() {
        assert!(has_word("use std::sync::{Arc, Mutex};", "Mutex"));
        assert!(!has_word("struct MutexFree;", "Mutex"));
        assert!(!has_word("let a_rand = 1;", "rand"));
    }
}
