//! The end of a shard: goodbye to its clients one after the other, then a deadline.
//!
//! ```text
//!   Goodbyes ── all told ──> Waiting ── nothing open ──> Done
//!      └──────── deadline ──────┴───────────────────────> Done
//! ```
//!
//! Goodbyes are spread at a thousand per second and over at most half of the time, so that the clients of a large
//! gateway do not come back elsewhere at the same moment.

use std::time::{Duration, Instant};

/// Between two goodbyes.
const GOODBYE_TIME: Duration = Duration::from_millis(1);

/// The state machine; it says what to do and closes nothing itself.
#[derive(Debug)]
pub(crate) struct Drain {
    started: Instant,
    deadline: Instant,
    /// Clients when it began.
    clients: u32,
    spread: Duration,
    told: u32,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Say goodbye to so many, and ask again.
    Goodbye(usize),
    /// Ask again at this moment, or when something has closed.
    Wait(Instant),
    /// Nothing is open, or time is up.
    Done,
}

impl Drain {
    pub(crate) fn new(now: Instant, time: Duration, clients: usize) -> Self {
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        Self {
            started: now,
            deadline: now + time,
            clients,
            spread: (GOODBYE_TIME * clients).min(time / 2),
            told: 0,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// `open` are all connections that are not gone, `untold` the clients among them without a goodbye. Those that
    /// came after the beginning are told at once, when all others are.
    pub(crate) fn poll(&mut self, now: Instant, open: usize, untold: usize) -> Step {
        if open == 0 || now >= self.deadline {
            return Step::Done;
        }
        if untold == 0 {
            return Step::Wait(self.deadline);
        }
        let due = self.due(now.saturating_duration_since(self.started));
        let goodbyes = (due.saturating_sub(self.told) as usize).min(untold);
        if due == self.clients && goodbyes < untold {
            self.told = self.clients;
            return Step::Goodbye(untold);
        }
        if goodbyes == 0 {
            let next = self.started + self.spread * (self.told + 1) / self.clients.max(1);
            return Step::Wait(next.clamp(now + GOODBYE_TIME, self.deadline));
        }
        self.told += goodbyes as u32;
        Step::Goodbye(goodbyes)
    }

    /// How many should have been told after so long; the first at once.
    fn due(&self, elapsed: Duration) -> u32 {
        if elapsed >= self.spread {
            return self.clients;
        }
        let share = elapsed.as_nanos() * u128::from(self.clients) / self.spread.as_nanos();
        u32::try_from(share).unwrap_or(u32::MAX).saturating_add(1).min(self.clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs a drain of clients that leave as soon as they are told; the answer is when the last was told.
    fn run(clients: usize, time: Duration) -> (Duration, usize) {
        let started = Instant::now();
        let (mut drain, mut now, mut open, mut most) =
            (Drain::new(started, time, clients), started, clients, 0);
        loop {
            match drain.poll(now, open, open) {
                Step::Goodbye(n) => {
                    most = most.max(n);
                    open -= n;
                }
                Step::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Step::Done => return (now - started, most),
            }
        }
    }

    #[test]
    fn goodbyes_are_spread_over_at_most_half_the_time() {
        assert_eq!(run(0, 25 * SECOND).0, Duration::ZERO);
        assert_eq!(run(1, 25 * SECOND).0, Duration::ZERO);
        let (took, most) = run(1_000, 25 * SECOND);
        assert!(took <= SECOND && took > SECOND / 2, "{took:?}");
        assert!(most <= 3, "{most}");
        let (took, _) = run(100_000, 20 * SECOND);
        assert!(took <= 10 * SECOND && took > 9 * SECOND, "{took:?}");
    }

    #[test]
    fn what_does_not_leave_is_cut_off_at_the_deadline() {
        let started = Instant::now();
        let mut drain = Drain::new(started, 25 * SECOND, 1);
        assert_eq!(drain.poll(started, 2, 1), Step::Goodbye(1));
        assert_eq!(drain.poll(started, 2, 0), Step::Wait(started + 25 * SECOND));
        assert_eq!(drain.poll(started + 24 * SECOND, 1, 0), Step::Wait(started + 25 * SECOND));
        assert_eq!(drain.poll(started + 25 * SECOND, 1, 0), Step::Done);
    }

    #[test]
    fn who_comes_during_the_drain_is_told_too() {
        let started = Instant::now();
        let mut drain = Drain::new(started, 25 * SECOND, 0);
        assert_eq!(drain.poll(started, 1, 0), Step::Wait(started + 25 * SECOND));
        assert_eq!(drain.poll(started + SECOND, 1, 1), Step::Goodbye(1));
        assert_eq!(drain.poll(started + 2 * SECOND, 0, 0), Step::Done);
    }

    #[test]
    fn no_time_is_no_goodbye() {
        let started = Instant::now();
        assert_eq!(Drain::new(started, Duration::ZERO, 5).poll(started, 5, 5), Step::Done);
    }
}
