//! The system packages that parts need: a table, a probe for each, and the line that installs the missing.

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
}

const PACKAGES: &[Package] = &[
    Package { name: "python3", shown_by: Probe::Program("python3"), needed_by: &["tests", "ansible"] },
    Package {
        name: "python3-venv",
        shown_by: Probe::Python(&["venv", "ensurepip"]),
        needed_by: &["ansible"],
    },
    Package { name: "redis-server", shown_by: Probe::Program("redis-server"), needed_by: &["tests"] },
];

/// Looks for what the selected parts need, and installs what is missing where that was asked for.
pub(super) fn check(selected: &[&Part], place: &Place, screen: &Screen) -> Result<Verdict> {
    let missing = missing(selected);
    if missing.is_empty() {
        return Ok(Verdict::Passed);
    }
    if !place.install {
        return Ok(Verdict::Failed(vec![
            format!("missing: {}", missing.join(" ")),
            "install with:".to_owned(),
            format!("  {}", install_line(&missing)),
            "or let `cargo verify --install` do it".to_owned(),
        ]));
    }
    for arguments in [vec!["update"], install_arguments(&missing)] {
        let mut apt = apt_get(&arguments);
        let ended = command::run(&mut apt, "packages", place, screen)?;
        if let failed @ Verdict::Failed(_) = ended.verdict() {
            return Ok(failed);
        }
    }
    let missing = self::missing(selected);
    if missing.is_empty() {
        return Ok(Verdict::Passed);
    }
    Ok(Verdict::Failed(vec![format!("installed, and still not usable: {}", missing.join(" "))]))
}

/// Of what the selected parts need; of the whole table where no part is selected that could need anything.
fn missing(selected: &[&Part]) -> Vec<&'static str> {
    let is_alone = selected.iter().all(|part| matches!(part.work, Work::Packages));
    let is_needed = |package: &Package| selected.iter().any(|part| package.needed_by.contains(&part.name));
    let wanted = PACKAGES.iter().filter(|package| is_alone || is_needed(package));
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
        }
    }
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
    fn a_program_is_looked_for_on_the_search_path() {
        assert!(Probe::Program("sh").succeeds());
        assert!(!Probe::Program("no-such-program-here").succeeds());
    }
}
