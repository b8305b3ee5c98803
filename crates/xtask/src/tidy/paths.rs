//! Nothing in the repository names a folder of the machine it was written on.

use super::Finding;
use super::tree::Tree;

/// Folders of one machine. In two halves, so that this file passes its own rule.
const MACHINE_FOLDERS: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];

pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        for (at, line) in file.text.lines().enumerate() {
            let found = MACHINE_FOLDERS.iter().find(|folder| has_absolute(line, folder));
            findings.extend(found.map(|folder| {
                Finding::of_line(&file.path, at + 1, format!("an absolute path of one machine ({folder}…)"))
            }));
        }
    }
    findings
}

/// Whether `folder` begins a path here, and is not the middle of a longer one.
fn has_absolute(line: &str, folder: &str) -> bool {
    let of_longer_path = |c: char| c.is_alphanumeric() || ['.', '_', '-', '}', '~', '$', '*'].contains(&c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(of_longer_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> bool {
        !machine_paths(&Tree::of(&[("docs/a.md", line)])).is_empty()
    }

    #[test]
    fn an_absolute_path_is_found() {
        for folder in MACHINE_FOLDERS {
            assert!(found(&format!("see `{folder}x`")), "{folder}");
            assert!(found(&format!("url=file://{folder}x")), "{folder}");
            assert!(found(&format!("{folder}x")), "{folder}");
        }
    }

    #[test]
    fn the_same_name_inside_a_longer_path_passes() {
        for folder in MACHINE_FOLDERS {
            assert!(!found(&format!("docs{folder}x")), "{folder}");
            assert!(!found(&format!("../x{folder}x")), "{folder}");
            assert!(!found(&format!("$DIR{folder}x")), "{folder}");
        }
        assert!(!found("/var/lib/tally"));
    }
}
