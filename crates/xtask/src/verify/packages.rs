//! The system packages that parts need: a table, a probe for each, and the line that installs the missing.
//!
//! Node.js stands apart: Debian's own is too old, so it is asked for and never installed.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::part::{Part, Work};
use super::report::Screen;
use super::{Place, Verdict, command};

/// A Debian package, how its presence shows, and the parts that need it.
struct Package {
    name: &'static str,
    shown_by: Probe,
    needed_by: &'static [&'static str],
}

/// How to tell that a package is there, whoever installed it.
enum Probe {
    /// A program on the search path.
    Program(&'static str),
    /// Modules that `python3` can import.
    Python(&'static [&'static str]),
    /// Node.js of at least this version, with npm.
    Node(u32, u32),
}

const NODE: Probe = Probe::Node(20, 19);
const NODE_NEEDED_BY: &[&str] = &["browser"];
const NODE_MISSING: &str =
    "missing: Node.js 20.19 or newer, with npm on the search path; take it from nodejs.org";

const PACKAGES: &[Package] = &[
    Package { name: "python3", shown_by: Probe::Program("python3"), needed_by: &["tests", "ansible"] },
    Package {
        name: "python3-venv",
        shown_by: Probe::Python(&["venv", "ensurepip"]),
        needed_by: &["ansible"],
    },
    Package {
        name: "redis-server",
        shown_by: Probe::Program("redis-server"),
        needed_by: &["tests", "browser"],
    },
    Package { name: "chromium", shown_by: Probe::Program("chromium"), needed_by: &["browser"] },
];

/// Looks for what the selected parts need, and installs what is missing where that was asked for.
pub(super) fn check(selected: &[&Part], place: &Place, screen: &Screen) -> Result<Verdict> {
    let missing = missing(selected);
    if missing.is_empty() {
        return Ok(with_node(selected, Verdict::Passed));
    }
    if !place.install {
        let lines = vec![
            format!("missing: {}", missing.join(" ")),
            "install with:".to_owned(),
            format!("  {}", install_line(&missing)),
            "or let `cargo verify --install` do it".to_owned(),
        ];
        return Ok(with_node(selected, Verdict::Failed(lines)));
    }
    for arguments in [vec!["update"], install_arguments(&missing)] {
        let mut apt = apt_get(&arguments);
        let ended = command::run(&mut apt, "packages", place, screen)?;
        if let failed @ Verdict::Failed(_) = ended.verdict() {
            return Ok(failed);
        }
    }
    let missing = self::missing(selected);
    let verdict = if missing.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(vec![format!("installed, and still not usable: {}", missing.join(" "))])
    };
    Ok(with_node(selected, verdict))
}

/// The verdict, and what cannot be installed here.
fn with_node(selected: &[&Part], verdict: Verdict) -> Verdict {
    if !is_wanted(selected, NODE_NEEDED_BY) || NODE.succeeds() {
        return verdict;
    }
    let mut lines = match verdict {
        Verdict::Passed => Vec::new(),
        Verdict::Failed(lines) => lines,
    };
    lines.push(NODE_MISSING.to_owned());
    Verdict::Failed(lines)
}

/// By a selected part; everything is where no part is selected that could need anything.
fn is_wanted(selected: &[&Part], needed_by: &[&str]) -> bool {
    let is_alone = selected.iter().all(|part| matches!(part.work, Work::Packages));
    is_alone || selected.iter().any(|part| needed_by.contains(&part.name))
}

/// Of what the selected parts need.
fn missing(selected: &[&Part]) -> Vec<&'static str> {
    let wanted = PACKAGES.iter().filter(|package| is_wanted(selected, package.needed_by));
    wanted.filter(|package| !package.shown_by.succeeds()).map(|package| package.name).collect()
}

impl Probe {
    fn succeeds(&self) -> bool {
        match self {
            Self::Program(name) => is_on_path(name),
            Self::Python(modules) => Command::new("python3")
                .args(["-c", &format!("import {}", modules.join(", "))])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Self::Node(major, minor) => {
                let output = Command::new("node").arg("--version").stderr(Stdio::null()).output();
                let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                is_on_path("npm") && said.is_ok_and(|said| node_version(&said) >= Some((*major, *minor)))
            }
        }
    }
}

/// `(20, 19)` of `v20.19.4`.
fn node_version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn is_on_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// The one line that a person pastes.
fn install_line(missing: &[&str]) -> String {
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get update && {sudo}apt-get {}", install_arguments(missing).join(" "))
}

fn install_arguments<'a>(missing: &[&'a str]) -> Vec<&'a str> {
    [&["install", "--yes", "--no-install-recommends"], missing].concat()
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut apt = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        apt.args(["--non-interactive", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// The owner of our own process is its effective user.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::part::PARTS;

    #[test]
    fn needed_by_names_parts_that_exist() {
        let known = |name: &&str| PARTS.iter().any(|part| part.name == *name);
        assert!(PACKAGES.iter().all(|package| package.needed_by.iter().all(known)));
        assert!(NODE_NEEDED_BY.iter().all(known));
    }

    #[test]
    fn the_install_line_names_every_missing_package() {
        let line = install_line(&["python3", "python3-venv"]);
        assert!(
            line.ends_with("apt-get install --yes --no-install-recommends python3 python3-venv"),
            "{line}"
        );
    }

    #[test]
    fn parts_that_are_left_out_need_nothing() {
        let tidy = PARTS.iter().find(|part| matches!(part.work, Work::Tidy)).unwrap();
        assert_eq!(missing(&[tidy]), [""; 0]);
    }

    #[test]
    fn versions_of_node_are_compared_as_numbers() {
        assert_eq!(node_version("v20.19.4\n"), Some((20, 19)));
        assert!(node_version("v18.20.4") < Some((20, 19)));
        assert!(node_version("v22.0.0") > Some((20, 19)));
        assert_eq!((node_version(""), node_version("v20"), node_version("20.1.2")), (None, None, None));
        assert!(node_version("no version") < Some((0, 0)));
    }

    #[test]
    fn node_is_asked_for_where_a_part_needs_it() {
        let tidy = PARTS.iter().find(|part| matches!(part.work, Work::Tidy)).unwrap();
        assert!(!is_wanted(&[tidy], NODE_NEEDED_BY));
        let browser = PARTS.iter().find(|part| part.name == "browser").unwrap();
        assert!(is_wanted(&[tidy, browser], NODE_NEEDED_BY));
    }

    #[test]
    fn a_program_is_looked_for_on_the_search_path() {
        assert!(Probe::Program("sh").succeeds());
        assert!(!Probe::Program("no-such-program-here").succeeds());
    }
}
