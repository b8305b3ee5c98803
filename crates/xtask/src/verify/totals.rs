//! Test counts, summed from the lines in which each test binary states its own.

use std::fmt;
use std::ops::AddAssign;

/// Sums over the lines of a command in which cargo's test binaries (`test result:`) and vitest (`Tests`) sum up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestTotals {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
}

impl TestTotals {
    /// Adds what `line` states; any other line adds nothing.
    pub(super) fn add_line(&mut self, line: &str) {
        if let Some((_, counts)) = line.split_once("test result: ") {
            self.add_counts(counts.split_once(". ").map_or("", |(_, counts)| counts), "; ");
        } else if let Some(counts) = line.trim_start().strip_prefix("Tests  ") {
            self.add_counts(counts.rsplit_once(" (").map_or("", |(counts, _)| counts), " | ");
        }
    }

    fn add_counts(&mut self, counts: &str, separator: &str) {
        for count in counts.split(separator) {
            let Some((number, word)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "skipped" | "todo" => self.ignored += number,
                _ => {}
            }
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for TestTotals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl fmt::Display for TestTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 {
            write!(f, ", {} ignored", self.ignored)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_others_are_not() {
        let mut totals = TestTotals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
            "test result: \u{1b}[32mok\u{1b}[m. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "99 passed",
            " Tests for 3 passed",
            "      Tests  2 failed | 9 passed | 4 skipped (15)",
            "      Tests  7 passed (7)",
        ] {
            totals.add_line(line);
        }
        assert_eq!(totals, TestTotals { passed: 36, failed: 4, ignored: 5 });
        assert_eq!(totals.to_string(), "36 passed, 4 failed, 5 ignored");
    }
}
