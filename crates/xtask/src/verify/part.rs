//! The table of parts: what `cargo verify` runs, in this order.

/// One check with a name, a verdict and a time of its own.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) role: &'static str,
    pub(super) work: Work,
}

/// How a part comes to its verdict.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// The system packages that the other selected parts need.
    Packages,
    /// The layout rules.
    Tidy,
    /// The exit status of a cargo command.
    Cargo { arguments: &'static [&'static str], environment: Environment },
    /// The same of a command that runs tests, at least one of which must have run.
    CargoTest { arguments: &'static [&'static str], environment: Environment },
    /// A cargo command, then a script of an npm package that runs tests, at least one of which must have run.
    Npm { before: &'static [&'static str], folder: &'static str, script: &'static str },
}

type Environment = &'static [(&'static str, &'static str)];

/// Seeded plans that the simulator runs in a release build; a debug build of the same test runs fewer.
const SIMULATOR_SEEDS: &str = "1000";

pub(super) const PARTS: &[Part] = &[
    Part { name: "packages", role: "system packages that the parts below need", work: Work::Packages },
    Part {
        name: "format",
        role: "every file as rustfmt writes it",
        work: Work::Cargo { arguments: &["fmt", "--all", "--check"], environment: &[] },
    },
    Part { name: "tidy", role: "layout rules: names, lengths, edges, bounds, map", work: Work::Tidy },
    Part {
        name: "lints",
        role: "clippy on all targets, warnings denied",
        work: Work::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            environment: &[],
        },
    },
    Part {
        name: "tests",
        role: "every test of the workspace",
        work: Work::CargoTest {
            arguments: &["test", "--workspace", "--locked", "--no-fail-fast"],
            environment: &[],
        },
    },
    Part {
        name: "simulator",
        role: "the delivery core against its reference model",
        work: Work::CargoTest {
            arguments: &["test", "--package", "tally-fanout", "--release", "--locked", "--test", "simulator"],
            environment: &[("TALLY_SIM_SEEDS", SIMULATOR_SEEDS)],
        },
    },
    Part {
        name: "release",
        role: "gateway and load test as they are measured",
        work: Work::Cargo {
            arguments: &[
                "build",
                "--release",
                "--locked",
                "--package",
                "tally-cli",
                "--package",
                "tally-loadtest",
            ],
            environment: &[],
        },
    },
    Part {
        name: "loadtest",
        role: "the smoke scenario: every ledger closes",
        work: Work::Cargo {
            arguments: &["run", "--release", "--locked", "--package", "tally-loadtest", "--", "run", "smoke"],
            environment: &[],
        },
    },
    Part {
        name: "ansible",
        role: "a real playbook through ansible-runner",
        work: Work::CargoTest {
            arguments: &[
                "test",
                "--package",
                "tally-cli",
                "--locked",
                "--test",
                "ansible",
                "--",
                "--ignored",
            ],
            environment: &[],
        },
    },
    Part {
        name: "browser",
        role: "SDK and pages: checks, tests, sizes, real browser",
        work: Work::Npm {
            before: &["build", "--package", "tally-cli", "--locked"],
            folder: "crates/browser",
            script: "verify",
        },
    },
    Part {
        name: "docs",
        role: "rustdoc with private items, warnings denied",
        work: Work::Cargo {
            arguments: &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
        },
    },
];

impl Part {
    /// What a developer would type to run this part alone, without the verdict of others.
    pub(super) fn command_line(&self) -> String {
        match self.work {
            Work::Packages | Work::Tidy => format!("cargo verify --only {}", self.name),
            Work::Cargo { arguments, environment } | Work::CargoTest { arguments, environment } => {
                let settings = environment.iter().map(|(name, value)| format!("{name}='{value}' "));
                format!("{}cargo {}", settings.collect::<String>(), arguments.join(" "))
            }
            Work::Npm { before, folder, script } => {
                format!("cargo {} && npm --prefix {folder} run {script}", before.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = PARTS.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), PARTS.len());
    }

    #[test]
    fn a_command_line_can_be_pasted() {
        let docs = PARTS.iter().find(|part| part.name == "docs").unwrap();
        assert!(docs.command_line().starts_with("RUSTDOCFLAGS='-D warnings' cargo doc "));
        let tidy = PARTS.iter().find(|part| part.name == "tidy").unwrap();
        assert_eq!(tidy.command_line(), "cargo verify --only tidy");
        let browser = PARTS.iter().find(|part| part.name == "browser").unwrap();
        assert!(browser.command_line().ends_with(" --locked && npm --prefix crates/browser run verify"));
    }
}
