//! The layout rules that no compiler checks: each is a function from the repository's files to findings.
//!
//! Rules see only what `.gitignore` leaves, so build outputs are never judged.

mod bounds;
mod documents;
mod edges;
mod layout;
mod paths;
mod purity;
mod tree;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use self::tree::Tree;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Relative to the root of the repository.
    path: String,
    /// From 1; absent where the whole file is meant.
    line: Option<usize>,
    problem: String,
}

impl Finding {
    fn of_file(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, problem: problem.into() }
    }

    fn of_line(path: &str, line: usize, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.problem),
            None => write!(f, "{}: {}", self.path, self.problem),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    layout::module_lines,
    layout::lengths,
    layout::names,
    edges::crate_edges,
    edges::core_dependencies,
    purity::pure_core,
    bounds::stated_bounds,
    documents::present,
    documents::map,
    paths::machine_paths,
];

/// Everything that breaks a rule in the repository at `root`.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let tree = Tree::read(root)?;
    Ok(RULES.iter().flat_map(|rule| rule(&tree)).collect())
}
