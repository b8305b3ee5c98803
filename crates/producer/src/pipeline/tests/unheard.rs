//! Listener awareness on a virtual clock: each rule of what is withheld, for how long, and what never is.

use super::*;
use crate::limits::{HEARING_AGE_MAX, PROBE_INTERVAL, SLOW_EVENTS_MAX, UNHEARD_SPANS_MAX};

const RTT: Duration = Duration::from_millis(10);
/// 100 events/s.
const GAP: Duration = Duration::from_millis(10);

/// A pipeline with a fast channel `a` that has just learned that nobody listens; nothing waits.
fn unheard() -> Bench {
    unheard_with(|_| {})
}

fn unheard_with(set: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = Bench::new(set);
    bench.bulk("a", SLOW_EVENTS_MAX + 5);
    let attempt = bench.pass(BATCH_AGE).send_one();
    assert!(!is_counts(&attempt));
    bench.accept_heard(&attempt, Heard::No);
    bench
}

fn is_counts(attempt: &Attempt) -> bool {
    matches!(&*attempt.content, Content::Counts(_))
}

fn state_of(attempt: &Attempt) -> Option<String> {
    match &*attempt.content {
        Content::Counts(counts) => counts.state().map(|state| state.data.as_str().to_owned()),
        Content::Events(_) => panic!("{attempt:?}"),
    }
}

fn is_unheard(receipt: &Receipt) -> bool {
    matches!(receipt.peek(), Some(Outcome::Counted { why: Why::Unheard, .. }))
}

fn waiting(bench: &Bench) -> Vec<(Option<Why>, u64)> {
    bench.pipeline.channels["a"].queue.iter().map(|span| (span.why(), span.len())).collect()
}

#[test]
fn a_fast_channel_that_nobody_hears_is_counted() {
    let mut bench = unheard();
    let receipts = bench.bulk("a", 100);
    assert!(bench.pass(PROBE_INTERVAL - BATCH_AGE - MS).send().is_empty());
    let attempt = bench.next();
    assert_eq!(kinds(&attempt), [("k".into(), 100)]);
    bench.accept_heard(&attempt, Heard::No);
    assert!(receipts.iter().all(is_unheard));
    let stats = bench.pipeline.stats();
    assert_eq!((stats.full, stats.counted, stats.unheard), (15, 100, 100));
    assert_eq!(stats.counts_bytes, 0);
}

#[test]
fn counts_are_flushed_every_200_ms_whatever_the_batch_age_is() {
    for batch_age in [Duration::ZERO, BATCH_AGE, 10 * SECOND] {
        let mut bench = Bench::new(|settings| {
            settings.batch_age = batch_age;
            settings.batch_events_max = 20;
        });
        bench.bulk("a", 20);
        let mut attempt = bench.send_one();
        let mut sent_at = bench.now;
        for _ in 0..20 {
            // The answer takes a while, in which events come too.
            bench.bulk("a", 1);
            bench.pass(RTT).accept_heard(&attempt, Heard::No);
            bench.bulk("a", 1);
            attempt = loop {
                match bench.pass(MS).send().pop() {
                    Some(attempt) => break attempt,
                    None => drop(bench.bulk("a", 1)),
                }
            };
            let was_first = bench.now - sent_at < PROBE_INTERVAL;
            assert!(was_first || bench.now == sent_at + PROBE_INTERVAL, "{:?}", bench.now - sent_at);
            sent_at = bench.now;
        }
        assert!(is_counts(&attempt));
    }
}

#[test]
fn a_slow_channel_is_always_sent_whole() {
    let mut bench = Bench::new(|_| {});
    for _ in 0..100 {
        bench.bulk("a", 1);
        let attempt = bench.pass(BATCH_AGE).send_one();
        assert!(!is_counts(&attempt));
        bench.accept_heard(&attempt, Heard::No);
        // Ten in a second, and not one more.
        bench.pass(SECOND / 10 - BATCH_AGE);
    }
    let mut bench = unheard();
    assert_eq!(bench.bulk("a", 1).len(), 1);
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 1)]);
    // One event in 180 ms is slow after a second, though the answers stay fresh.
    let mut waited = Vec::new();
    for _ in 0..10 {
        bench.pass(180 * MS);
        for attempt in bench.send() {
            bench.accept_heard(&attempt, Heard::No);
        }
        bench.bulk("a", 1);
        waited.extend(waiting(&bench).last().copied());
    }
    assert_eq!(waited[9], (None, 1), "{waited:?}");
}

#[test]
fn an_answer_that_somebody_listens_sends_payloads_again_at_once() {
    let mut bench = unheard();
    let counted = bench.bulk("a", 3);
    let probe = bench.next();
    let meanwhile = bench.pass(RTT / 2).bulk("a", 2);
    bench.pass(RTT / 2).accept_heard(&probe, Heard::Yes);
    let listened = bench.bulk("a", 4);
    // What was counted while the answer was on its way goes first, and waits for nothing.
    let leftover = bench.send_one();
    assert_eq!(leftover.content.len(), 2);
    bench.pass(RTT).accept(&leftover);
    let full = bench.next();
    assert!(!is_counts(&full));
    bench.pass(RTT).accept(&full);
    assert!(counted.iter().chain(&meanwhile).all(is_unheard));
    assert_eq!(listened.iter().map(full_seq).collect::<Vec<_>>(), [21, 22, 23, 24]);
}

#[test]
fn counts_wait_for_no_more_once_somebody_listens() {
    let mut bench = unheard();
    bench.bulk("a", 1);
    let probe = bench.next();
    bench.bulk("a", 1);
    bench.pass(RTT).accept_heard(&probe, Heard::Yes);
    assert_eq!(bench.pipeline.poll_deadline(), Some(bench.now - RTT));
}

/// A listener attaches at any moment: what is published from 300 ms on is not withheld, and reaches it in time.
#[test]
fn a_listener_that_attaches_gets_full_events_within_300_ms() {
    for attaches_after in (0..400).map(Duration::from_millis) {
        let mut bench = unheard();
        let (began, mut attempt, mut sent_at) = (bench.now, None, bench.now);
        let attached_at = began + attaches_after;
        let first_full = loop {
            bench.pass(MS);
            if (bench.now - began).as_millis().is_multiple_of(GAP.as_millis()) {
                bench.bulk("a", 1);
            }
            if bench.now >= sent_at + RTT
                && let Some(attempt) = attempt.take()
            {
                // The broker looks half way.
                let heard = if sent_at + RTT / 2 >= attached_at { Heard::Yes } else { Heard::No };
                bench.accept_heard(&attempt, heard);
            }
            if let Some(sent) = bench.send().pop() {
                if !is_counts(&sent) {
                    break bench.now + RTT / 2;
                }
                (attempt, sent_at) = (Some(sent), bench.now);
            }
            assert!(bench.now < began + 10 * SECOND);
        };
        assert!(first_full > attached_at, "after {attaches_after:?}");
        assert!(first_full <= attached_at + 300 * MS, "{:?}", first_full - attached_at);
    }
}

#[test]
fn an_answer_older_than_a_second_is_none() {
    let mut bench = unheard();
    // Counts ask, and their answer does not come.
    bench.bulk("a", 1);
    let probe = bench.next();
    assert_eq!(bench.pipeline.channels["a"].sent.as_ref().unwrap().attempt_at, bench.now);
    for _ in 0..20 {
        bench.pass((HEARING_AGE_MAX - PROBE_INTERVAL) / 20).bulk("a", 1);
    }
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 19), (None, 1)]);
    // The answer that comes in the end is as old as its attempt.
    bench.pass(PROBE_INTERVAL).bulk("a", 20);
    bench.accept_heard(&probe, Heard::No);
    bench.bulk("a", 1);
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 19), (None, 22)]);
}

#[test]
fn an_answer_to_a_retry_is_as_old_as_the_first_attempt_in_doubt() {
    let mut bench = unheard();
    bench.bulk("a", 1);
    let probe = bench.next();
    bench.answer(&probe, &perhaps());
    let retry = bench.pass(HEARING_AGE_MAX).send_one();
    assert_eq!(retry.batch, probe.batch);
    // The broker answers a repeated batch with its first result.
    bench.accept_heard(&retry, Heard::No);
    bench.bulk("a", 20);
    assert_eq!(waiting(&bench), [(None, 20)]);
}

/// While nothing asks, nobody would be told of a listener: the first event after a pause is sent whole.
#[test]
fn after_a_pause_of_the_channel_nothing_is_withheld_unasked() {
    let mut bench = unheard();
    bench.pass(PROBE_INTERVAL - BATCH_AGE).bulk("a", 20);
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 20)]);
    let mut bench = unheard();
    bench.pass(PROBE_INTERVAL).bulk("a", 20);
    assert_eq!(waiting(&bench), [(None, 20)]);
    let attempt = bench.next();
    bench.accept_heard(&attempt, Heard::No);
    bench.bulk("a", 1);
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 1)]);
}

#[test]
fn what_the_broker_does_not_know_is_sent_whole() {
    for heard in [Heard::Unknown, Heard::Yes] {
        let mut bench = unheard();
        bench.bulk("a", 20);
        let probe = bench.next();
        bench.accept_heard(&probe, heard);
        bench.bulk("a", 20);
        assert_eq!(waiting(&bench), [(None, 20)]);
    }
}

#[test]
fn one_channel_says_nothing_of_another() {
    let mut bench = unheard();
    bench.bulk("b", 20);
    let b = bench.pass(BATCH_AGE).send_one();
    assert!(!is_counts(&b));
}

#[test]
fn a_state_event_ends_the_counts_and_goes_with_them_at_once() {
    let mut bench = unheard();
    let before = bench.bulk("a", 2);
    let first = bench.publish("a", state("s", "first")).unwrap();
    let between = bench.bulk("a", 3);
    let second = bench.publish("a", state("s", "second")).unwrap();
    let after = bench.bulk("a", 1);
    let unheard = |n| (Some(Why::Unheard), n);
    assert_eq!(waiting(&bench), [unheard(3), unheard(4), unheard(1)]);
    let mut told = Vec::new();
    for _ in 0..2 {
        let attempt = bench.send_one();
        told.push((kinds(&attempt), state_of(&attempt)));
        bench.accept_heard(&attempt, Heard::No);
    }
    assert_eq!(told[0], (vec![("k".into(), 2), ("s".into(), 1)], Some("\"first\"".into())));
    assert_eq!(told[1], (vec![("k".into(), 3), ("s".into(), 1)], Some("\"second\"".into())));
    // The rest waits for its time.
    assert!(bench.send().is_empty());
    let last = bench.next();
    assert_eq!(state_of(&last), None);
    bench.accept_heard(&last, Heard::No);
    for receipt in [&first, &second] {
        let Some(Outcome::Counted { carried: true, to, why: Why::Unheard, .. }) = receipt.peek() else {
            panic!("{receipt:?}")
        };
        assert!([18, 22].contains(&to.get()));
    }
    assert!(before.iter().chain(&between).chain(&after).all(is_unheard));
}

#[test]
fn a_state_event_with_nothing_counted_before_it_is_sent_whole() {
    let mut bench = unheard();
    let receipt = bench.publish("a", state("s", "x")).unwrap();
    bench.bulk("a", 2);
    let attempt = bench.send_one();
    assert!(!is_counts(&attempt));
    bench.accept_heard(&attempt, Heard::No);
    assert_eq!(full_seq(&receipt), 16);
    assert_eq!(kinds(&bench.next()), [("k".into(), 2)]);
}

/// Many state events would each need a publish call; behind a few of them the rest goes whole, in batches.
#[test]
fn many_state_events_do_not_pile_up() {
    let mut bench = unheard();
    for n in 0..500 {
        bench.bulk("a", 1);
        bench.publish("a", state("s", &n.to_string())).unwrap();
    }
    let spans = waiting(&bench);
    assert_eq!(spans.len(), UNHEARD_SPANS_MAX + 1, "{spans:?}");
    assert_eq!(spans.iter().map(|(_, n)| n).sum::<u64>(), 1_000);
    assert_eq!(spans[UNHEARD_SPANS_MAX], (None, 992));
    let mut states = 0;
    bench.pass(BATCH_AGE);
    while let Some(attempt) = bench.send().pop() {
        states += match &*attempt.content {
            Content::Counts(counts) => usize::from(counts.state().is_some()),
            Content::Events(batch) => batch.events().iter().filter(|e| e.class == Class::State).count(),
        };
        bench.accept_heard(&attempt, Heard::No);
    }
    assert_eq!(states, 500);
}

#[test]
fn what_waits_in_full_is_reduced_when_nobody_is_heard() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 10);
    let receipts = bench.bulk("a", 40);
    let first = bench.send_one();
    bench.publish("a", state("s", "in the middle")).unwrap();
    bench.bulk("a", 9);
    bench.bulk("a", 4);
    let last = bench.publish("a", state("s", "last")).unwrap();
    let held = bench.pipeline.stats().buffer_bytes;
    bench.accept_heard(&first, Heard::No);
    let mut reduced = Vec::new();
    bench.pass(BATCH_AGE);
    while let Some(attempt) = bench.send().pop() {
        reduced.push((is_counts(&attempt), attempt.content.len()));
        bench.accept_heard(&attempt, Heard::No);
    }
    // The first was slow when it began, and its last event came fast.
    assert_eq!(reduced, [(true, 10), (true, 10), (true, 10), (false, 10), (true, 5)]);
    assert_eq!(receipts[..10].iter().map(full_seq).max(), Some(10));
    assert!(receipts[10..].iter().all(is_unheard));
    assert!(matches!(last.peek(), Some(Outcome::Counted { carried: true, .. })));
    assert!(held > 0 && bench.pipeline.stats().buffer_bytes == 0);
}

#[test]
fn what_may_have_been_published_keeps_its_payloads() {
    let mut bench = Bench::new(|_| {});
    bench.bulk("a", 20);
    let first = bench.pass(BATCH_AGE).send_one();
    bench.answer(&first, &perhaps());
    let retry = bench.next();
    assert_eq!((&retry.batch, &retry.content), (&first.batch, &first.content));
}

#[test]
fn counts_of_two_whys_do_not_mix() {
    let mut bench = unheard_with(|settings| settings.buffer_bytes_max = 64 * 1024);
    bench.bulk("a", 2);
    fill(&mut bench);
    let probe = bench.pipeline.channels["a"].queue.len();
    assert_eq!(probe, 1);
    bench.bulk("a", 2);
    // The answer is too old now: no longer unheard, and the buffer is full.
    bench.pass(HEARING_AGE_MAX).bulk("a", 3);
    assert_eq!(waiting(&bench), [(Some(Why::Unheard), 4), (Some(Why::Upstream), 3)]);
    for attempt in bench.send() {
        if attempt.ticket.channel.as_str() == "a" {
            let Content::Counts(counts) = &*attempt.content else { panic!("{attempt:?}") };
            assert_eq!((counts.why(), counts.counts().sum()), (Why::Unheard, 4));
        }
    }
}

#[test]
fn without_room_for_counts_events_are_sent_whole() {
    let mut bench = unheard_with(|settings| settings.counted_channels_max = 1);
    bench.bulk("b", 20);
    let b = bench.pass(BATCH_AGE).send_one();
    bench.accept_heard(&b, Heard::No);
    bench.bulk("b", 5);
    // Channel `b` has the only place.
    bench.bulk("a", 5);
    assert_eq!(waiting(&bench), [(None, 5)]);
}

#[test]
fn the_switch_turns_it_off() {
    let mut bench = unheard_with(|settings| settings.listener_aware = false);
    bench.bulk("a", 100);
    let attempt = bench.pass(BATCH_AGE).send_one();
    assert!(!is_counts(&attempt));
}

#[test]
fn a_flush_sends_counts_at_once() {
    let mut bench = unheard();
    bench.bulk("a", 5);
    bench.pipeline.handle_flush(bench.now);
    assert!(is_counts(&bench.send_one()));
}
