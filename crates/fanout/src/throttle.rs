//! The token bucket behind `max_rate`: exact, in integers, two seconds deep.

use crate::limits::BURST_SECONDS;
use crate::time::Time;
use std::time::Duration;

/// One event costs this many tokens; a rate of one event per second gives one token per microsecond.
const EVENT_TOKENS: i64 = 1_000_000;

/// Tokens may be negative: a connection's bucket can be overdrawn by a record (see [`Bucket::may_overdraw`]).
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: i64,
    tokens: i64,
    at: Time,
}

impl Bucket {
    /// A full bucket of `rate` events per second.
    pub(crate) fn new(rate: u64, now: Time) -> Self {
        let rate = i64::try_from(rate).unwrap_or(i64::MAX).clamp(1, 1_000_000_000);
        Self { rate, tokens: rate * BURST_SECONDS as i64 * EVENT_TOKENS, at: now }
    }

    pub(crate) fn rate(&self) -> u64 {
        self.rate.unsigned_abs()
    }

    /// Another rate; it stays as full as it was, so that changing the rate to and fro gains nothing.
    pub(crate) fn change_rate(&mut self, rate: u64, now: Time) {
        self.refill(now);
        let new = Self::new(rate, now);
        let tokens = i128::from(self.tokens) * i128::from(new.rate) / i128::from(self.rate);
        self.tokens = i64::try_from(tokens).unwrap_or(i64::MAX).min(new.burst());
        self.rate = new.rate;
    }

    fn burst(&self) -> i64 {
        self.rate * BURST_SECONDS as i64 * EVENT_TOKENS
    }

    fn refill(&mut self, now: Time) {
        let micros = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(micros.saturating_mul(self.rate)).min(self.burst());
        self.at = self.at.max(now);
    }

    pub(crate) fn can_pay(&mut self, events: u64, now: Time) -> bool {
        self.refill(now);
        self.tokens >= cost(events)
    }

    pub(crate) fn pay(&mut self, events: u64) {
        self.tokens = self.tokens.saturating_sub(cost(events));
    }

    /// Whether the debt after paying would stay within one burst.
    pub(crate) fn may_overdraw(&self, events: u64) -> bool {
        self.tokens.saturating_sub(cost(events)) >= -self.burst()
    }

    pub(crate) fn is_half_full(&mut self, now: Time) -> bool {
        self.refill(now);
        self.tokens >= self.burst() / 2
    }

    /// Starts the way back: empty, so that a subscription stays reduced for two seconds at least.
    pub(crate) fn drain(&mut self, now: Time) {
        self.tokens = 0;
        self.at = now;
    }

    /// Books what went by while nothing was sent, as if it had been. Filling and spending are netted first, so that
    /// the result does not depend on how often this is called.
    pub(crate) fn shadow(&mut self, events: u64, now: Time) {
        let micros = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        let net = micros.saturating_mul(self.rate).saturating_sub(cost(events));
        self.tokens = self.tokens.saturating_add(net).clamp(0, self.burst());
        self.at = now;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.tokens >= self.burst()
    }

    /// How long until it is full if nothing is spent.
    pub(crate) fn full_in(&self) -> Duration {
        let missing = (self.burst() - self.tokens).max(0).unsigned_abs();
        Duration::from_micros(missing.div_ceil(self.rate()))
    }
}

fn cost(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX).saturating_mul(EVENT_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pays_its_rate_and_two_seconds_at_once() {
        let mut bucket = Bucket::new(10, Time::from_micros(0));
        assert!(bucket.can_pay(20, Time::from_micros(0)));
        bucket.pay(20);
        assert!(!bucket.can_pay(1, Time::from_micros(99_999)));
        assert!(bucket.can_pay(1, Time::from_micros(100_000)));
        assert!(!bucket.can_pay(21, Time::from_micros(60_000_000)));
    }

    #[test]
    fn shadow_does_not_depend_on_how_often_it_looks() {
        for step in [1u64, 2, 4] {
            let mut bucket = Bucket::new(200, Time::from_micros(0));
            bucket.drain(Time::from_micros(0));
            let mut at = 0;
            while !bucket.is_full() {
                at += step;
                bucket.shadow(150 * step, Time::from_micros(at * 1_000_000));
                assert!(at < 100);
            }
            assert_eq!(at, 8, "50 of 200 per second are left to fill 400");
        }
    }
}
