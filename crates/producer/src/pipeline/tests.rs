//! The pipeline on a virtual clock, one behaviour per test; its account is checked after every step.

mod unheard;

use super::channel::{Phase, Sent};
use super::*;
use crate::limits::{BACKOFF_MAX, BATCH_AGE, RETRY_WINDOW};
use crate::receipt::Outcome;
use crate::stats::Remaining;
use bytes::Bytes;
use std::time::Duration;
use tally_protocol::{Class, Epoch, Heard, Kind, Published, RawJson, Seq, UnixMs};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A pipeline with its clock, and a broker that numbers whatever is said to be published.
struct Bench {
    pipeline: Pipeline,
    now: Instant,
    head: HashMap<ChannelName, u64>,
}

impl Bench {
    fn new(set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        set(&mut settings);
        Self { pipeline: Pipeline::new(settings, 7), now: Instant::now(), head: HashMap::new() }
    }

    fn publish(&mut self, channel: &str, event: Event) -> Result<Receipt, PublishError> {
        let receipt = self.pipeline.handle_publish(self.now, &name(channel), event);
        self.check();
        receipt
    }

    fn bulk(&mut self, channel: &str, n: usize) -> Vec<Receipt> {
        (0..n).map(|_| self.publish(channel, bulk("k", 1)).unwrap()).collect()
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn send(&mut self) -> Vec<Attempt> {
        let attempts = std::iter::from_fn(|| self.pipeline.poll_send(self.now)).collect();
        self.check();
        attempts
    }

    fn send_one(&mut self) -> Attempt {
        let mut attempts = self.send();
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        attempts.remove(0)
    }

    /// Waits as long as the pipeline asks for.
    fn next(&mut self) -> Attempt {
        self.now = self.pipeline.poll_deadline().expect("something waits").max(self.now);
        self.send_one()
    }

    fn answer(&mut self, attempt: &Attempt, answer: &Answer) {
        self.pipeline.handle_answer(self.now, &attempt.ticket, answer);
        self.check();
    }

    fn accept(&mut self, attempt: &Attempt) {
        self.accept_heard(attempt, Heard::Yes);
    }

    fn accept_heard(&mut self, attempt: &Attempt, heard: Heard) {
        let head = self.head.entry(attempt.ticket.channel.clone()).or_default();
        let from = *head + 1;
        *head += attempt.content.len();
        let published = Published { heard, ..published(from, *head) };
        self.answer(attempt, &Answer::Published(published));
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.pipeline.poll_notice()).collect()
    }

    /// Every event in one column, everything held within its bound, nothing left behind.
    fn check(&self) {
        let p = &self.pipeline;
        let waiting: u64 = p
            .channels
            .values()
            .map(|c| c.queue.iter().map(Span::len).sum::<u64>() + c.sent.as_ref().map_or(0, Sent::events))
            .sum();
        let stats = p.stats();
        assert_eq!(stats.waiting, waiting);
        assert!(stats.buffer_bytes <= p.settings.buffer_bytes_max, "{stats:?}");
        assert!(stats.counts_bytes <= p.settings.counts_bytes_max, "{stats:?}");
        let held = p.channels.values().fold(Cost::default(), |sum, c| {
            let costs = c.queue.iter().map(Span::cost).chain(c.sent.as_ref().map(|sent| sent.sealed.cost));
            costs.fold(sum, |sum, cost| Cost {
                buffer: sum.buffer + cost.buffer,
                counts: sum.counts + cost.counts,
            })
        });
        assert_eq!(p.room.used(), held);
        let on_wire =
            p.channels.values().filter_map(|c| c.sent.as_ref()).filter(|s| s.phase == Phase::OnWire).count();
        assert_eq!(p.on_wire, on_wire);
        assert!(on_wire <= p.settings.in_flight_max);
    }
}

fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

fn bulk(kind: &str, bytes: usize) -> Event {
    let data = RawJson::new(&Bytes::from("1".repeat(bytes))).unwrap();
    Event { kind: Kind::new(kind).unwrap(), class: Class::Bulk, at: UnixMs::new(1), data }
}

fn state(kind: &str, data: &str) -> Event {
    Event { class: Class::State, data: RawJson::string(data), ..bulk(kind, 1) }
}

fn published(from: u64, to: u64) -> Published {
    let seq = |n| Seq::new(n).unwrap();
    Published { epoch: Epoch::new("e").unwrap(), from: seq(from), to: seq(to), heard: Heard::Yes }
}

fn perhaps() -> Answer {
    Answer::Perhaps { message: "no answer".into() }
}

fn unavailable() -> Answer {
    Answer::Unavailable { message: "the broker is away".into(), retry_after: None }
}

fn unreachable_() -> Answer {
    Answer::Unreachable { message: "connection refused".into() }
}

fn refused() -> Answer {
    Answer::Refused { code: "forbidden".into(), message: "no".into() }
}

fn full_seq(receipt: &Receipt) -> u64 {
    match receipt.peek() {
        Some(Outcome::Full { seq, .. }) => seq.get(),
        other => panic!("{other:?}"),
    }
}

fn is_unknown(receipt: &Receipt) -> bool {
    matches!(receipt.peek(), Some(Outcome::Unknown { .. }))
}

fn kinds(attempt: &Attempt) -> Vec<(String, u64)> {
    match &*attempt.content {
        Content::Counts(counts) => counts.counts().iter().map(|(k, n)| (k.to_string(), n)).collect(),
        Content::Events(_) => panic!("events"),
    }
}

/// A pipeline whose buffer holds a handful of 1 KiB events; `counting` fills it.
fn small() -> Bench {
    Bench::new(|settings| settings.buffer_bytes_max = 64 * 1024)
}

/// Fills the buffer from channel `filler`, so that the next event anywhere is counted.
fn fill(bench: &mut Bench) {
    while !bench.pipeline.room.is_counting() {
        bench.publish("filler", bulk("k", 8_000)).unwrap();
    }
}

#[test]
fn a_batch_waits_for_its_age_and_no_longer() {
    let mut bench = Bench::new(|_| {});
    let receipts = bench.bulk("a", 3);
    assert_eq!(bench.pipeline.poll_deadline(), Some(bench.now + BATCH_AGE));
    assert!(bench.pass(BATCH_AGE - MS).send().is_empty());
    let attempt = bench.pass(MS).send_one();
    assert_eq!((attempt.content.len(), attempt.batch.number), (3, 1));
    assert!(receipts[0].peek().is_none());
    bench.accept(&attempt);
    assert_eq!(receipts.iter().map(full_seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(bench.pipeline.poll_deadline(), None);
    assert_eq!(bench.pipeline.stats(), Stats { accepted: 3, full: 3, ..Stats::default() });
}

#[test]
fn a_batch_that_is_full_goes_at_once() {
    let mut bench = Bench::new(|settings| {
        settings.batch_events_max = 2;
        settings.batch_bytes_max = 100;
    });
    bench.bulk("events", 2);
    bench.publish("bytes", bulk("k", 60)).unwrap();
    bench.publish("bytes", bulk("k", 60)).unwrap();
    bench.publish("one", bulk("k", 1_000)).unwrap();
    let mut sent: Vec<_> =
        bench.send().iter().map(|a| (a.ticket.channel.to_string(), a.content.len())).collect();
    sent.sort();
    assert_eq!(sent, [("bytes".into(), 1), ("events".into(), 2), ("one".into(), 1)]);
}

#[test]
fn a_channel_has_one_unanswered_batch_and_channels_do_not_wait_for_each_other() {
    let mut bench = Bench::new(|settings| {
        settings.batch_events_max = 1;
        settings.in_flight_max = 2;
    });
    let a = bench.bulk("a", 3);
    bench.pass(MS).bulk("b", 1);
    bench.pass(MS).bulk("c", 1);
    let sent = bench.send();
    assert_eq!(sent.iter().map(|s| s.ticket.channel.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    bench.accept(&sent[0]);
    // The channel that has waited for longest is next: `a` was first to publish its second event.
    let second = bench.send_one();
    assert_eq!((second.ticket.channel.as_str(), second.batch.number), ("a", 2));
    bench.accept(&sent[1]);
    let third = bench.send_one();
    assert_eq!(third.ticket.channel.as_str(), "c");
    bench.accept(&second);
    bench.accept(&third);
    let last = bench.send_one();
    bench.accept(&last);
    assert_eq!(a.iter().map(full_seq).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_refused_batch_leaves_its_number_to_the_next() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let first = bench.send_one();
    bench.answer(&first, &refused());
    assert!(matches!(receipts[0].peek(), Some(Outcome::Refused { code, .. }) if &*code == "forbidden"));
    let second = bench.send_one();
    assert_eq!(second.batch, first.batch);
    bench.accept(&second);
    assert_eq!(full_seq(&receipts[1]), 1);
    assert_eq!(bench.notices().len(), 1);
}

#[test]
fn a_batch_refused_after_waiting_for_the_broker_leaves_its_number_too() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let first = bench.send_one();
    bench.answer(&first, &unavailable());
    let again = bench.next();
    bench.answer(&again, &refused());
    assert!(matches!(receipts[0].peek(), Some(Outcome::Refused { .. })));
    assert_eq!(bench.send_one().batch, first.batch);
}

#[test]
fn a_retry_keeps_producer_number_and_content() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let mut attempt = bench.send_one();
    for answer in [perhaps(), unavailable(), unreachable_(), perhaps()] {
        bench.answer(&attempt, &answer);
        let retry = bench.next();
        assert_eq!((&retry.batch, &retry.content), (&attempt.batch, &attempt.content));
        attempt = retry;
    }
    bench.accept(&attempt);
    assert_eq!(full_seq(&receipts[0]), 1);
    assert_eq!(bench.send_one().batch.number, 2);
}

#[test]
fn in_doubt_for_a_minute_is_unknown_and_begins_anew() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let mut attempt = bench.send_one();
    let (began, old) = (bench.now, attempt.batch.clone());
    bench.answer(&attempt, &perhaps());
    loop {
        bench.now = bench.pipeline.poll_deadline().unwrap().max(bench.now);
        attempt = bench.send_one();
        if attempt.batch != old {
            break;
        }
        assert!(bench.now < began + RETRY_WINDOW);
        bench.answer(&attempt, &unavailable());
    }
    assert_eq!(bench.now, began + RETRY_WINDOW);
    assert!(is_unknown(&receipts[0]));
    assert_ne!(attempt.batch.producer, old.producer);
    assert_eq!(attempt.batch.number, 1);
    bench.accept(&attempt);
    assert_eq!(full_seq(&receipts[1]), 1);
    assert_eq!(bench.pipeline.stats().unknown, 1);
}

#[test]
fn an_attempt_under_way_when_the_minute_ends_may_still_be_answered() {
    let mut bench = Bench::new(|_| {});
    let receipts = bench.bulk("a", 1);
    let first = bench.pass(BATCH_AGE).send_one();
    bench.answer(&first, &perhaps());
    let last = bench.pass(RETRY_WINDOW - MS).send_one();
    assert!(bench.pass(SECOND).send().is_empty());
    assert!(receipts[0].peek().is_none());
    bench.accept(&last);
    assert_eq!(full_seq(&receipts[0]), 1);
}

#[test]
fn a_number_that_is_refused_is_unknown_and_begins_anew() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 3);
    let others = bench.bulk("b", 2);
    let sent = bench.send();
    bench.accept(&sent[0]);
    bench.accept(&sent[1]);
    let sent = bench.send();
    bench.answer(&sent[0], &Answer::NumberRefused { message: "expected 1".into() });
    assert!(is_unknown(&receipts[1]));
    let next = bench.send_one();
    assert_ne!(next.batch.producer, sent[0].batch.producer);
    assert_eq!(next.batch.number, 1);
    // Another channel's unanswered batch goes on as it was sent.
    bench.answer(&sent[1], &perhaps());
    assert_eq!(bench.next().batch, sent[1].batch);
    assert!(others[1].peek().is_none());
}

#[test]
fn refused_after_an_attempt_in_doubt_is_unknown() {
    let mut bench = Bench::new(|_| {});
    let receipts = bench.bulk("a", 1);
    let first = bench.pass(BATCH_AGE).send_one();
    bench.answer(&first, &perhaps());
    let second = bench.next();
    bench.answer(&second, &refused());
    assert!(is_unknown(&receipts[0]));
}

#[test]
fn an_answer_that_does_not_cover_the_batch_is_unknown() {
    let mut bench = Bench::new(|_| {});
    let receipts = bench.bulk("a", 2);
    let attempt = bench.pass(BATCH_AGE).send_one();
    bench.answer(&attempt, &Answer::Published(published(1, 3)));
    assert!(is_unknown(&receipts[0]));
}

#[test]
fn what_surely_was_not_published_is_tried_for_as_long_as_it_takes() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let first = bench.send_one();
    bench.accept(&first);
    let mut attempt = bench.send_one();
    assert_eq!((&attempt.batch.producer, attempt.batch.number), (&first.batch.producer, 2));
    let end = bench.now + 10 * RETRY_WINDOW;
    while bench.now < end {
        bench.answer(&attempt, &unavailable());
        let asked = bench.now;
        attempt = bench.next();
        assert!(bench.now <= asked + BACKOFF_MAX);
    }
    // By now the broker may have forgotten the producer.
    assert_ne!(attempt.batch.producer, first.batch.producer);
    assert_eq!(attempt.batch.number, 1);
    bench.accept(&attempt);
    assert_eq!(full_seq(&receipts[1]), 2);
}

#[test]
fn a_batch_in_doubt_keeps_its_identity_past_the_age_of_others() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    bench.bulk("a", 1);
    let first = bench.send_one();
    bench.accept(&first);
    bench.pass(IDENTITY_AGE_MAX - SECOND).bulk("a", 1);
    let second = bench.send_one();
    bench.answer(&second, &perhaps());
    let retry = bench.pass(RETRY_WINDOW / 2).send_one();
    assert_eq!((&retry.batch, retry.batch.number), (&second.batch, 2));
    bench.accept(&retry);
    // It may have been accepted half a minute ago, which is not long enough to begin anew.
    bench.bulk("a", 1);
    let third = bench.send_one();
    assert_eq!((&third.batch.producer, third.batch.number), (&first.batch.producer, 3));
}

#[test]
fn a_batch_that_may_have_been_accepted_long_ago_is_the_last_of_its_identity() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    bench.bulk("a", 2);
    let first = bench.send_one();
    bench.answer(&first, &perhaps());
    let retry = bench.pass(IDENTITY_AGE_MAX).send_one();
    bench.accept(&retry);
    let second = bench.send_one();
    assert_ne!(second.batch.producer, first.batch.producer);
    assert_eq!(second.batch.number, 1);
}

#[test]
fn retry_after_is_waited_for() {
    let mut bench = Bench::new(|_| {});
    bench.bulk("a", 1);
    let attempt = bench.pass(BATCH_AGE).send_one();
    let retry_after = Some(3 * SECOND);
    bench.answer(&attempt, &Answer::Unavailable { message: "away".into(), retry_after });
    let began = bench.now;
    bench.next();
    assert!(bench.now >= began + 3 * SECOND && bench.now <= began + 4 * SECOND);
}

#[test]
fn an_address_that_cannot_be_reached_is_probed_by_one_attempt_at_a_time() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    for channel in 0..10 {
        bench.bulk(&format!("c{channel}"), 1);
    }
    for attempt in bench.send() {
        bench.answer(&attempt, &unreachable_());
    }
    let began = bench.now;
    let mut probes = 0;
    while bench.now < began + 60 * SECOND {
        let probe = bench.next();
        bench.answer(&probe, &unreachable_());
        probes += 1;
    }
    assert!((15..120).contains(&probes), "{probes}");
    let probe = bench.next();
    bench.accept(&probe);
    assert_eq!(bench.send().len(), 9);
    let notices = bench.notices();
    assert!(matches!(notices[..], [Notice::Away { .. }, Notice::Back { after }] if after >= 60 * SECOND));
}

#[test]
fn an_answer_that_comes_late_or_twice_changes_nothing() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 1);
    let receipts = bench.bulk("a", 2);
    let first = bench.send_one();
    bench.answer(&first, &perhaps());
    let retry = bench.next();
    bench.answer(&first, &refused());
    assert!(receipts[0].peek().is_none());
    bench.accept(&retry);
    bench.answer(&retry, &refused());
    bench.answer(&first, &perhaps());
    assert_eq!(full_seq(&receipts[0]), 1);
    assert_eq!(bench.pipeline.stats().full, 1);
}

#[test]
fn what_does_not_fit_is_counted_in_its_place() {
    let mut bench = small();
    let before = bench.bulk("a", 2);
    fill(&mut bench);
    let counted: Vec<_> = ["x", "y", "x"].map(|kind| bench.publish("a", bulk(kind, 1)).unwrap()).into();
    let sent = bench.pass(BATCH_AGE).send();
    for attempt in &sent {
        bench.accept(attempt);
    }
    while let Some(attempt) = bench.pipeline.poll_send(bench.now) {
        if attempt.ticket.channel.as_str() == "a" {
            assert_eq!(kinds(&attempt), [("x".into(), 2), ("y".into(), 1)]);
        }
        bench.accept(&attempt);
    }
    let after = bench.bulk("a", 1);
    let attempt = bench.pass(BATCH_AGE).send_one();
    bench.accept(&attempt);
    assert_eq!(before.iter().map(full_seq).collect::<Vec<_>>(), [1, 2]);
    for receipt in &counted {
        let Some(Outcome::Counted { from, to, carried, .. }) = receipt.peek() else { panic!("{receipt:?}") };
        assert_eq!((from.get(), to.get(), carried), (3, 5, false));
    }
    assert_eq!(full_seq(&after[0]), 6);
    let notices = bench.notices();
    // Four: three here, and the event that did not fit in the first place.
    assert!(
        matches!(notices[..], [Notice::CountingBegan { .. }, Notice::CountingEnded { counted: 4 }]),
        "{notices:?}"
    );
}

#[test]
fn the_newest_state_event_goes_with_the_counts() {
    let mut bench = small();
    fill(&mut bench);
    let receipts: Vec<_> =
        [state("s", "old"), state("s", "new"), bulk("k", 1)].map(|e| bench.publish("a", e).unwrap()).into();
    let sent = bench.pass(BATCH_AGE).send();
    let attempt = sent.iter().find(|attempt| attempt.ticket.channel.as_str() == "a").unwrap();
    let Content::Counts(counts) = &*attempt.content else { panic!("{attempt:?}") };
    assert_eq!(counts.state().unwrap().data.as_str(), "\"new\"");
    assert_eq!(counts.why(), Why::Upstream);
    bench.accept(attempt);
    let carried = |r: &Receipt| matches!(r.peek(), Some(Outcome::Counted { carried: true, .. }));
    assert_eq!(receipts.iter().map(carried).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn counting_ends_when_a_quarter_is_free() {
    let mut bench = Bench::new(|settings| {
        settings.buffer_bytes_max = 64 * 1024;
        settings.batch_events_max = 1;
        settings.in_flight_max = 1;
    });
    fill(&mut bench);
    while bench.pipeline.room.is_counting() {
        assert!(bench.pipeline.stats().buffer_bytes > 48 * 1024);
        bench.bulk("a", 1);
        assert!(bench.pipeline.channels["a"].queue.iter().all(|span| span.why().is_some()));
        let attempt = bench.send_one();
        bench.accept(&attempt);
    }
    assert!((32 * 1024..=48 * 1024).contains(&bench.pipeline.stats().buffer_bytes));
}

#[test]
fn counts_are_bounded_by_channels_and_by_bytes() {
    let mut bench = Bench::new(|settings| {
        settings.buffer_bytes_max = 64 * 1024;
        settings.counts_bytes_max = 64 * 1024;
        settings.counted_channels_max = 3;
    });
    fill(&mut bench);
    bench.bulk("a", 5);
    bench.bulk("b", 5);
    let accepted = bench.pipeline.stats().accepted;
    assert_eq!(bench.publish("c", bulk("k", 1)).unwrap_err(), PublishError::TooManyCountedChannels(3));
    let mut n = 0;
    let error = loop {
        match bench.publish("a", bulk(&format!("kind-{n}"), 1)) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, PublishError::CountsFull(64 * 1024));
    assert_eq!(bench.pipeline.stats().accepted, accepted + n);
    let huge = Event { class: Class::State, ..bulk("k", 100_000) };
    assert_eq!(bench.publish("b", huge).unwrap_err(), PublishError::CountsFull(64 * 1024));
    // What is counted already takes no more room.
    bench.bulk("b", 1_000);
    assert!(!bench.pipeline.channels.contains_key("c"));
    // What is published makes room, here the place of channel `b`.
    let attempts = bench.pass(BATCH_AGE).send();
    bench.accept(attempts.iter().find(|attempt| attempt.ticket.channel.as_str() == "b").unwrap());
    assert!(bench.pipeline.room.is_counting());
    bench.bulk("c", 1);
}

#[test]
fn more_kinds_than_counts_may_name_begin_another_span() {
    let mut bench = small();
    fill(&mut bench);
    for n in 0..300 {
        bench.publish("a", bulk(&format!("kind-{n}"), 1)).unwrap();
    }
    let spans: Vec<_> = bench.pipeline.channels["a"].queue.iter().map(Span::len).collect();
    assert_eq!(spans, [256, 44]);
}

#[test]
fn a_retry_drops_payloads_when_the_buffer_is_needed_and_nothing_is_in_doubt() {
    for (answer, dropped) in [(unavailable(), true), (perhaps(), false)] {
        let mut bench = small();
        let first = bench.publish("a", state("s", "first")).unwrap();
        let second = bench.publish("a", bulk("k", 100)).unwrap();
        let attempt = bench.pass(BATCH_AGE).send_one();
        fill(&mut bench);
        bench.answer(&attempt, &answer);
        bench.pass(SECOND);
        let retry = bench.send().into_iter().find(|retry| retry.ticket.channel.as_str() == "a").unwrap();
        assert_eq!(retry.batch, attempt.batch);
        assert_eq!(matches!(&*retry.content, Content::Counts(_)), dropped);
        bench.accept(&retry);
        if dropped {
            assert_eq!(kinds(&retry), [("k".into(), 1), ("s".into(), 1)]);
            assert!(matches!(first.peek(), Some(Outcome::Counted { carried: true, .. })));
            assert!(matches!(second.peek(), Some(Outcome::Counted { carried: false, .. })));
        } else {
            assert_eq!(full_seq(&second), 2);
        }
    }
}

#[test]
fn a_channel_that_was_idle_begins_anew_and_is_forgotten() {
    let mut bench = Bench::new(|_| {});
    bench.bulk("a", 1);
    let first = bench.pass(BATCH_AGE).send_one();
    bench.accept(&first);
    bench.pass(IDENTITY_AGE_MAX).bulk("a", 1);
    let second = bench.pass(BATCH_AGE).send_one();
    assert_ne!(second.batch.producer, first.batch.producer);
    assert_eq!(second.batch.number, 1);
    bench.accept(&second);
    bench.pass(IDENTITY_AGE_MAX).bulk("b", 1);
    let other = bench.pass(BATCH_AGE).send_one();
    bench.accept(&other);
    assert!(!bench.pipeline.channels.contains_key("a"));
    assert_eq!(bench.pipeline.channels.len(), 1);
}

#[test]
fn idle_channels_are_bounded() {
    let mut bench = Bench::new(|settings| settings.in_flight_max = 1_024);
    for n in 0..IDLE_CHANNELS_MAX + 10 {
        let channel = name(&format!("c{n}"));
        bench.pipeline.handle_publish(bench.now, &channel, bulk("k", 1)).unwrap();
        bench.now += BATCH_AGE;
        let attempt = bench.pipeline.poll_send(bench.now).unwrap();
        bench.pipeline.handle_answer(bench.now, &attempt.ticket, &Answer::Published(published(1, 1)));
    }
    assert_eq!(bench.pipeline.channels.len(), IDLE_CHANNELS_MAX);
    bench.check();
}

#[test]
fn a_flush_waits_for_no_company() {
    let mut bench = Bench::new(|_| {});
    let receipts = bench.bulk("a", 1);
    let flush = bench.pipeline.handle_flush(bench.now);
    assert_eq!(bench.pipeline.remaining(&flush), Remaining { unsent: 1, in_doubt: 0 });
    let attempt = bench.send_one();
    assert_eq!(bench.pipeline.remaining(&flush), Remaining { unsent: 0, in_doubt: 1 });
    bench.bulk("a", 1);
    bench.accept(&attempt);
    assert!(bench.pipeline.remaining(&flush).is_none());
    assert_eq!(full_seq(&receipts[0]), 1);
}

#[test]
fn closing_sends_what_waits_and_the_deadline_ends_the_rest() {
    let mut bench = Bench::new(|settings| settings.batch_events_max = 2);
    let receipts = bench.bulk("a", 5);
    let doubtful = bench.bulk("b", 1);
    let sure = bench.bulk("c", 1);
    bench.pipeline.handle_close(bench.now, bench.now + SECOND);
    assert_eq!(bench.publish("a", bulk("k", 1)).unwrap_err(), PublishError::Closed);
    let sent = bench.send();
    bench.accept(&sent[0]);
    bench.answer(&sent[1], &perhaps());
    bench.answer(&sent[2], &Answer::Unavailable { message: "x".into(), retry_after: Some(9 * SECOND) });
    let _on_its_way = bench.send();
    assert!(bench.pipeline.poll_closed(bench.now).is_none());
    bench.pass(SECOND);
    let closed = bench.pipeline.poll_closed(bench.now).unwrap();
    assert_eq!(closed.cut_off, Remaining { unsent: 2, in_doubt: 3 });
    let stats = closed.stats;
    assert_eq!((stats.full, stats.unknown, stats.refused, stats.waiting), (2, 3, 2, 0));
    assert_eq!(full_seq(&receipts[1]), 2);
    assert!(is_unknown(&receipts[2]) && is_unknown(&doubtful[0]));
    let closed_code =
        |r: &Receipt| matches!(r.peek(), Some(Outcome::Refused { code, .. }) if &*code == "closed");
    assert!(closed_code(&receipts[4]) && closed_code(&sure[0]));
    assert!(bench.send().is_empty());
    assert_eq!(bench.pipeline.poll_deadline(), None);
}

#[test]
fn closing_with_nothing_left_ends_at_once() {
    let mut bench = Bench::new(|_| {});
    bench.bulk("a", 1);
    bench.pipeline.handle_close(bench.now, bench.now + SECOND);
    let attempt = bench.send_one();
    bench.accept(&attempt);
    let closed = bench.pipeline.poll_closed(bench.now).unwrap();
    assert!(closed.cut_off.is_none());
    assert_eq!(closed.stats.full, 1);
}

#[test]
fn what_no_broker_would_take_is_not_accepted() {
    let mut bench = Bench::new(|_| {});
    let large = bulk("k", EVENT_BYTES_MAX + 1);
    assert_eq!(bench.publish("a", large).unwrap_err(), PublishError::EventTooLarge(EVENT_BYTES_MAX + 1));
    assert!(matches!(bench.publish("a", bulk("_other", 1)).unwrap_err(), PublishError::ReservedKind(_)));
    assert_eq!(bench.pipeline.stats().accepted, 0);
}
