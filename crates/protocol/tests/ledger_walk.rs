//! The ledger along random walks of a simulated channel: true frames close it, and each false one is caught.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tally_protocol::*;

const KINDS: [&str; 4] = ["done", "failed", "ok", "_other"];

/// What happens next on the channel, and how the listener is told.
#[derive(Debug, Clone)]
enum Step {
    Full(Vec<(usize, Class)>),
    Counted {
        counts: Vec<(usize, u64)>,
        why: Why,
        has_state: bool,
        tail: u64,
    },
    Summarised {
        counts: Vec<(usize, u64)>,
        why: Why,
        has_state: bool,
    },
    /// The broker failed over and nothing is lost.
    Continue,
    Reset(Vec<(usize, u64)>),
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || 0..KINDS.len();
    let class = select(vec![Class::Bulk, Class::Bulk, Class::State]);
    let counts = || vec((kind(), 1..50u64), 1..4);
    let why = || select(Why::ALL.to_vec());
    prop_oneof![
        4 => vec((kind(), class), 1..6).prop_map(Step::Full),
        4 => (counts(), why(), any::<bool>(), 0..4u64)
            .prop_map(|(counts, why, has_state, tail)| Step::Counted { counts, why, has_state, tail }),
        2 => (counts(), why(), any::<bool>())
            .prop_map(|(counts, why, has_state)| Step::Summarised { counts, why, has_state }),
        1 => Just(Step::Continue),
        1 => vec((kind(), 1..50u64), 0..4).prop_map(Step::Reset),
        1 => Just(Step::Resume),
    ]
}

fn kind(index: usize) -> Kind {
    Kind::new(KINDS[index]).unwrap()
}

fn totals(counts: &[(usize, u64)]) -> Totals {
    let mut totals = Totals::new();
    counts.iter().for_each(|(index, n)| totals.add(&kind(*index), *n));
    totals
}

fn null() -> RawJson {
    RawJson::string("x")
}

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

/// The channel as the broker has it.
struct Channel {
    name: ChannelName,
    epochs: u64,
    seq: Seq,
    totals: Totals,
}

impl Channel {
    fn epoch(&self) -> Epoch {
        Epoch::new(&format!("e{}", self.epochs)).unwrap()
    }

    fn position(&self) -> Position {
        let is_new = self.seq == Seq::ZERO;
        let epoch = (!is_new).then(|| self.epoch());
        Position { epoch, seq: self.seq, totals: self.totals.clone(), state: None }
    }

    fn publish(&mut self, counts: &Totals) {
        self.totals.add_all(counts);
        self.seq = self.seq.plus(counts.sum());
    }

    /// A state of the newest event's position, of a kind that the span has.
    fn state(&self, span: &Totals) -> State {
        let kind = span.iter().next().unwrap().0.clone();
        State { seq: self.seq, kind, sent_as: None, at: UnixMs::new(1), data: null() }
    }

    /// The frame that tells of a step; publishes what it tells.
    fn frame(&mut self, step: &Step) -> Option<ServerFrame> {
        let channel = self.name.clone();
        match step {
            Step::Full(events) => {
                let from = self.seq.next();
                let counts: Vec<_> = events.iter().map(|(index, _)| (*index, 1)).collect();
                self.publish(&totals(&counts));
                let event = |(index, class): &(usize, Class)| WireEvent {
                    kind: kind(*index),
                    sent_as: None,
                    class: *class,
                    at: UnixMs::new(1),
                    data: null(),
                };
                let events = events.iter().map(event).collect();
                Some(Events { channel, epoch: self.epoch(), from, to: self.seq, events }.into())
            }
            Step::Counted { counts, why, has_state, tail } => {
                let span = totals(counts);
                self.publish(&span);
                let state = has_state.then(|| self.state(&span));
                let tail = (*tail).min(span.sum());
                let event = |seq: u64| TailEvent {
                    seq: self::seq(seq),
                    kind: span.iter().next().unwrap().0.clone(),
                    sent_as: None,
                    class: Class::Bulk,
                    at: UnixMs::new(1),
                    data: null(),
                };
                let first = self.seq.get() - tail + 1;
                let tail = (tail > 0).then(|| (first..=self.seq.get()).map(event).collect());
                let (seq, totals) = (self.seq, self.totals.clone());
                Some(Counts { channel, epoch: self.epoch(), seq, totals, why: *why, state, tail }.into())
            }
            Step::Summarised { counts, why, has_state } => {
                let span = totals(counts);
                self.publish(&span);
                let state = has_state.then(|| self.state(&span));
                let (seq, totals) = (self.seq, self.totals.clone());
                let one = SummaryChannel { channel, epoch: self.epoch(), seq, totals, state };
                Some(Summary { why: *why, channels: vec![one] }.into())
            }
            Step::Continue => {
                self.epochs += 1;
                None
            }
            Step::Reset(counts) => {
                self.epochs += 1;
                (self.seq, self.totals) = (Seq::ZERO, Totals::new());
                self.publish(&totals(counts));
                let Position { epoch, seq, totals, state } = self.position();
                Some(Reset { channel, epoch, seq, totals, state }.into())
            }
            Step::Resume => None,
        }
    }
}

fn book(ledger: &mut Ledger, frame: &ServerFrame) -> Result<(), Violation> {
    match frame {
        ServerFrame::Events(frame) => ledger.handle_events(frame),
        ServerFrame::Counts(frame) => ledger.handle_counts(frame),
        ServerFrame::Summary(frame) => ledger.handle_summary(frame.why, &frame.channels[0]),
        ServerFrame::Reset(frame) => ledger.handle_reset(frame).map(drop),
        other => panic!("{other:?}"),
    }
}

/// Each way in which a position with totals can be false, at a cursor and the totals kept with it.
fn false_positions(seq_told: Seq, told: &Totals, kept: &Ledger) -> Vec<(&'static str, Seq, Totals)> {
    let mut more = told.clone();
    more.add(&kind(2), 1);
    let mut all = vec![
        ("a total too many", seq_told, more.clone()),
        ("a total too few", seq_told.next(), told.clone()),
        ("told again", kept.cursor(), kept.totals().clone()),
    ];
    // One event moved from a kind that was told before to another: the sum is right, the kind went back.
    if let Some((first, n)) = kept.totals().iter().next() {
        let mut moved = Totals::new();
        moved.add(first, n - 1);
        let other = kind((0..KINDS.len()).find(|index| KINDS[*index] != first.as_str()).unwrap());
        moved.add(&other, seq_told.get() - (n - 1));
        all.push(("a kind went back", seq_told, moved));
    }
    all
}

fn false_states(state: &State, cursor: Seq, to: Seq) -> Vec<(&'static str, Option<State>)> {
    let at = |seq| Some(State { seq, ..state.clone() });
    let absent = Kind::new("absent").unwrap();
    vec![
        ("a state at the cursor", at(cursor)),
        ("a state ahead of the frame", at(to.next())),
        ("a state that nobody counted", Some(State { kind: absent, ..state.clone() })),
    ]
}

/// Every false form of a true frame.
fn false_frames(frame: &ServerFrame, kept: &Ledger) -> Vec<(&'static str, ServerFrame)> {
    let mut all: Vec<(&'static str, ServerFrame)> = Vec::new();
    let cursor = kept.cursor();
    match frame {
        ServerFrame::Events(frame) => {
            let shifted = |by: i64| Events {
                from: seq(frame.from.get().wrapping_add_signed(by)),
                to: seq(frame.to.get().wrapping_add_signed(by)),
                ..frame.clone()
            };
            let (mut short, mut long) = (frame.clone(), frame.clone());
            short.events.pop();
            long.events.push(frame.events[0].clone());
            all.push(("an event dropped", short.into()));
            all.push(("an event twice", long.into()));
            all.push(("a frame skipped", shifted(1).into()));
            all.push(("a frame again", shifted(-1).into()));
            all.push(("a span too long", Events { to: frame.to.next(), ..frame.clone() }.into()));
            all.push(("a span too short", Events { to: cursor, ..frame.clone() }.into()));
        }
        ServerFrame::Counts(frame) => {
            for (what, seq, totals) in false_positions(frame.seq, &frame.totals, kept) {
                all.push((what, Counts { seq, totals, state: None, tail: None, ..frame.clone() }.into()));
            }
            for (what, state) in frame.state.iter().flat_map(|one| false_states(one, cursor, frame.seq)) {
                all.push((what, Counts { state, ..frame.clone() }.into()));
            }
            if let Some(tail) = frame.tail.as_ref() {
                let mut early = tail.clone();
                early.iter_mut().for_each(|event| event.seq = seq(event.seq.get() - 1));
                all.push(("a tail that ends early", Counts { tail: Some(early), ..frame.clone() }.into()));
                let mut long = tail.clone();
                while long[0].seq > cursor {
                    let first = TailEvent { seq: seq(long[0].seq.get() - 1), ..long[0].clone() };
                    long.insert(0, first);
                }
                all.push(("a tail from the cursor", Counts { tail: Some(long), ..frame.clone() }.into()));
            }
        }
        ServerFrame::Summary(frame) => {
            let one = &frame.channels[0];
            let of = |one: SummaryChannel| Summary { why: frame.why, channels: vec![one] }.into();
            for (what, seq, totals) in false_positions(one.seq, &one.totals, kept) {
                all.push((what, of(SummaryChannel { seq, totals, state: None, ..one.clone() })));
            }
            for (what, state) in one.state.iter().flat_map(|state| false_states(state, cursor, one.seq)) {
                all.push((what, of(SummaryChannel { state, ..one.clone() })));
            }
        }
        ServerFrame::Reset(frame) => {
            all.push((
                "a reset that does not add up",
                Reset { seq: frame.seq.next(), ..frame.clone() }.into(),
            ));
        }
        other => panic!("{other:?}"),
    }
    all
}

fn subscribed(channel: &ChannelName, attach: Attach) -> Subscribed {
    Subscribed {
        id: 1,
        channel: channel.clone(),
        attach,
        rung: Rung::Full,
        max_rate: 200,
        tick_ms: TickMs::Ms250,
        upstream: UpstreamStatus::Up,
    }
}

/// The client comes back with its cursor; a cursor that is not its own is caught.
fn resume(ledger: &Ledger, channel: &ChannelName) -> Ledger {
    let Some(epoch) = ledger.epoch().cloned() else { return ledger.clone() };
    let (here, there) = (ledger.cursor(), ledger.cursor().next());
    let wrong = subscribed(channel, Attach::Resumed { epoch: epoch.clone(), seq: there });
    assert_eq!(Ledger::attach(&wrong, Some(ledger.clone())).unwrap_err().law, Law::Order);
    let right = subscribed(channel, Attach::Resumed { epoch, seq: here });
    Ledger::attach(&right, Some(ledger.clone())).unwrap().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn true_frames_close_and_false_ones_are_caught(
        before in vec((0..KINDS.len(), 1..50u64), 0..4),
        steps in vec(step(), 1..30),
    ) {
        let name = ChannelName::new("job:42").unwrap();
        let mut channel = Channel { name: name.clone(), epochs: 0, seq: Seq::ZERO, totals: Totals::new() };
        channel.publish(&totals(&before));
        let attach = subscribed(&name, Attach::At(channel.position()));
        let mut ledger = Ledger::attach(&attach, None).unwrap().unwrap();
        for step in steps {
            if matches!(step, Step::Resume) {
                ledger = resume(&ledger, &name);
            }
            let Some(frame) = channel.frame(&step) else { continue };
            for (what, wrong) in false_frames(&frame, &ledger) {
                let mut tried = ledger.clone();
                prop_assert!(book(&mut tried, &wrong).is_err(), "{}: {:?} at {:?}", what, wrong, ledger);
                prop_assert_eq!(&tried, &ledger, "{}", what);
            }
            book(&mut ledger, &frame).unwrap();
            prop_assert!(ledger.closes());
            prop_assert_eq!((ledger.cursor(), ledger.totals()), (channel.seq, &channel.totals));
            if !matches!(frame, ServerFrame::Reset(_)) {
                let before = ledger.clone();
                prop_assert_eq!(book(&mut ledger, &frame).unwrap_err().law, Law::Order, "told twice");
                prop_assert_eq!(&ledger, &before);
            }
        }
    }
}
