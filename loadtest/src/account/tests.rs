//! The account against the ledger of the protocol: the same frames, right and wrong, get the same verdicts.

use super::*;
use proptest::prelude::*;
use tally_protocol::{ChannelName, Class, Events, Kind, Ledger, RawJson, Reset, Seq, UnixMs, WireEvent};

fn kind(number: u64) -> Kind {
    format!("k{number}").parse().unwrap()
}

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

/// The channel as it truly is: the kind of each event, and which are state.
fn truth(seq: u64) -> (Kind, bool) {
    (kind(seq * 7 % 5), seq.is_multiple_of(11))
}

fn totals_at(seq: u64) -> Totals {
    let mut totals = Totals::new();
    for seq in 1..=seq {
        totals.add(&truth(seq).0, 1);
    }
    totals
}

fn events(from: u64, to: u64) -> Events {
    let event = |seq| {
        let (kind, state) = truth(seq);
        let class = if state { Class::State } else { Class::Bulk };
        WireEvent { kind, sent_as: None, class, at: UnixMs::new(1), data: RawJson::string("x") }
    };
    Events {
        channel: ChannelName::new("job:1").unwrap(),
        epoch: Epoch::new("e").unwrap(),
        from: seq(from),
        to: seq(to),
        events: (from..=to).map(event).collect(),
    }
}

fn state_in(after: u64, to: u64) -> Option<State> {
    let at = (after + 1..=to).rev().find(|seq| truth(*seq).1)?;
    Some(State {
        seq: seq(at),
        kind: truth(at).0,
        sent_as: None,
        at: UnixMs::new(1),
        data: RawJson::string("x"),
    })
}

fn counts(after: u64, to: u64) -> Counts {
    Counts {
        channel: ChannelName::new("job:1").unwrap(),
        epoch: Epoch::new("e").unwrap(),
        seq: seq(to),
        totals: totals_at(to),
        why: Why::Throttled,
        state: state_in(after, to),
        tail: None,
    }
}

/// What comes next: how many events, in which form, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Events { n: u64, hole: i64 },
    Counts { n: u64, wrong: Wrong },
    Summary { n: u64, wrong: Wrong },
    Reset,
}

#[derive(Debug, Clone, Copy)]
enum Wrong {
    Nothing,
    /// One event too many of a kind.
    Sum,
    /// A kind has lost an event, and another has won it.
    Kinds,
    /// The frame is that of the cursor: nothing new.
    Repeated,
    /// The state lies before the span.
    State,
}

fn spoil(totals: &mut Totals, state: &mut Option<State>, wrong: Wrong) {
    match wrong {
        Wrong::Nothing | Wrong::Repeated => {}
        Wrong::Sum => totals.add(&kind(0), 1),
        Wrong::Kinds => {
            let mut moved: Vec<(Kind, u64)> = totals.iter().map(|(kind, n)| (kind.clone(), n)).collect();
            let all: u64 = moved.iter().map(|(_, n)| n).sum();
            moved.truncate(1);
            *totals = Totals::new();
            totals.add(&kind(9), all);
        }
        Wrong::State => {
            *state = Some(State {
                seq: seq(1),
                kind: truth(1).0,
                sent_as: None,
                at: UnixMs::new(1),
                data: RawJson::string("x"),
            });
        }
    }
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        6 => Just(Wrong::Nothing),
        1 => Just(Wrong::Sum),
        1 => Just(Wrong::Kinds),
        1 => Just(Wrong::Repeated),
        1 => Just(Wrong::State),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..9u64, prop_oneof![6 => Just(0i64), 1 => -3..4i64]).prop_map(|(n, hole)| Step::Events { n, hole }),
        3 => (1..30u64, wrong()).prop_map(|(n, wrong)| Step::Counts { n, wrong }),
        2 => (1..30u64, wrong()).prop_map(|(n, wrong)| Step::Summary { n, wrong }),
        1 => Just(Step::Reset),
    ]
}

/// Feeds both with one step; whether each took it.
fn feed(account: &mut Account, ledger: &mut Ledger, step: Step) -> (bool, bool) {
    let at = account.cursor();
    match step {
        Step::Events { n, hole } => {
            let from = (at + 1).saturating_add_signed(hole).max(1);
            let frame = events(from, from + n - 1);
            let known = Known::of_frame(b"", &frame).unwrap();
            (account.handle_events(&known).is_ok(), ledger.handle_events(&frame).is_ok())
        }
        Step::Counts { n, wrong } => {
            let mut frame = counts(at, if matches!(wrong, Wrong::Repeated) { at } else { at + n });
            spoil(&mut frame.totals, &mut frame.state, wrong);
            (account.handle_counts(&frame).is_ok(), ledger.handle_counts(&frame).is_ok())
        }
        Step::Summary { n, wrong } => {
            let to = if matches!(wrong, Wrong::Repeated) { at } else { at + n };
            let mut frame = SummaryChannel {
                channel: ChannelName::new("job:1").unwrap(),
                epoch: Epoch::new("e").unwrap(),
                seq: seq(to),
                totals: totals_at(to),
                state: state_in(at, to),
            };
            spoil(&mut frame.totals, &mut frame.state, wrong);
            let why = Why::Backpressure;
            (account.handle_summary(why, &frame).is_ok(), ledger.handle_summary(why, &frame).is_ok())
        }
        Step::Reset => {
            let position = Position {
                epoch: Some(Epoch::new("e").unwrap()),
                seq: seq(at),
                totals: totals_at(at),
                state: state_in(0, at),
            };
            let Position { epoch, seq, totals, state } = position.clone();
            let frame = Reset { channel: ChannelName::new("job:1").unwrap(), epoch, seq, totals, state };
            let opened = Account::open(&position);
            let taken = opened.is_ok();
            *account = opened.unwrap();
            (taken, ledger.handle_reset(&frame).is_ok())
        }
    }
}

proptest! {
    #[test]
    fn it_judges_as_the_ledger_of_the_protocol_does(start in 0..40u64, steps in proptest::collection::vec(step(), 1..60)) {
        let position = Position {
            epoch: (start > 0).then(|| Epoch::new("e").unwrap()),
            seq: seq(start),
            totals: totals_at(start),
            state: state_in(0, start),
        };
        let mut account = Account::open(&position).unwrap();
        let mut ledger = Ledger::open(&ChannelName::new("job:1").unwrap(), &position).unwrap();
        for step in steps {
            let (ours, theirs) = feed(&mut account, &mut ledger, step);
            prop_assert_eq!(ours, theirs, "{:?}", step);
            prop_assert_eq!(account.cursor(), ledger.cursor().get());
            prop_assert_eq!(&account.totals(), ledger.totals());
            prop_assert_eq!(account.full(), ledger.full().sum());
            prop_assert_eq!(account.counted(), ledger.counted());
            prop_assert_eq!(account.summarised(), ledger.summarised());
            prop_assert_eq!(account.epoch(), ledger.epoch());
            prop_assert_eq!(account.state, ledger.state().map(|state| state.seq.get()));
            prop_assert!(account.closes() && ledger.closes());
        }
    }
}

#[test]
fn conservation_a_ledger_that_ends_elsewhere_is_told() {
    let end = Position {
        epoch: Some(Epoch::new("e").unwrap()),
        seq: seq(22),
        totals: totals_at(22),
        state: state_in(0, 22),
    };
    let mut account = Account::open(&Position::default()).unwrap();
    account.handle_events(&Known::of_frame(b"", &events(1, 20)).unwrap()).unwrap();
    assert!(account.differs_from(&end).unwrap().contains("cursor 20 in place of 22"));
    account.handle_counts(&counts(20, 22)).unwrap();
    assert_eq!(account.differs_from(&end), None);
    assert_eq!((account.accounted(), account.full()), (22, 20));
    let mut other = end.clone();
    other.totals = Totals::new();
    other.totals.add(&kind(1), 22);
    assert!(account.differs_from(&other).unwrap().contains("totals"));
    let mut other = end;
    other.state = state_in(0, 11);
    assert!(account.differs_from(&other).unwrap().contains("state of seq Some(22)"));
}
