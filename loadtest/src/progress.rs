//! What a person sees while a run runs: a bar on a terminal, a line per step elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { bar, terminal }
    }

    /// A step begins: `total` is what its bar goes up to, 0 where nobody knows.
    pub(crate) fn step(&self, what: &str, total: u64) {
        // On a narrow terminal the words are cut off, not the bar.
        let template =
            if total > 0 { "{spinner} {wide_msg} {bar:16} {pos}/{len}" } else { "{spinner} {wide_msg}" };
        self.bar.set_style(ProgressStyle::with_template(template).expect("the templates are ours"));
        self.bar.set_length(total);
        self.bar.set_position(0);
        self.bar.set_message(what.to_owned());
        if self.terminal {
            self.bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            line(what);
        }
    }

    pub(crate) fn at(&self, position: u64, what: Option<String>) {
        self.bar.set_position(position);
        if let Some(what) = what {
            self.bar.set_message(what);
        }
    }

    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::print_stderr, reason = "results go to standard output, and this is none")]
fn line(what: &str) {
    eprintln!("{what}");
}
