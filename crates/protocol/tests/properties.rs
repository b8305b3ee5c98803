//! Round trips of random values, and the ledger against a simulated channel.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tally_protocol::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn channel() -> impl Strategy<Value = ChannelName> {
    "\\$?[A-Za-z0-9._:@~=+,-]{1,199}".prop_map(|name| ChannelName::new(&name).unwrap())
}

/// Few, so that they meet.
fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![9 => "[ab]", 1 => "[A-Za-z0-9.:-][A-Za-z0-9._:-]{0,63}"]
        .prop_map(|name| Kind::from_producer(&name).unwrap())
}

fn epoch() -> impl Strategy<Value = Epoch> {
    "[!#-\\[\\]-~]{1,32}".prop_map(|epoch| Epoch::new(&epoch).unwrap())
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![1..100u64, 0..SEQ_END].prop_map(|seq| Seq::new(seq).unwrap())
}

fn at() -> impl Strategy<Value = UnixMs> {
    prop_oneof![Just(0), 0..SEQ_END, Just(SEQ_END - 1)].prop_map(UnixMs::new)
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// JSON text as nobody would write it.
fn json_text() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"(\\\\u[0-9a-fA-F]{4}|\\\\[\"\\\\/bfnrt]|[a-z]){0,6}\"",
    ];
    let leaf = prop_oneof![
        select(&["null", "true", "false"][..]).prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        text.clone(),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        let item = (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}")).boxed();
        let field = (space(), text.clone(), space(), item.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

fn data() -> impl Strategy<Value = RawJson> {
    json_text().prop_map(|text| RawJson::new(&Bytes::from(text)).unwrap())
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![4 => Just(Class::Bulk), 1 => Just(Class::State)]
}

fn event() -> impl Strategy<Value = Event> {
    (kind(), class(), at(), data()).prop_map(|(kind, class, at, data)| Event { kind, class, at, data })
}

fn state() -> impl Strategy<Value = State> {
    (seq(), kind(), option::of(kind()), at(), data()).prop_map(|(seq, kind, sent_as, at, data)| State {
        seq,
        kind,
        sent_as,
        at,
        data,
    })
}

fn totals() -> impl Strategy<Value = Totals> {
    vec((kind(), prop_oneof![1..100u64, 1..SEQ_END / 8]), 0..6)
        .prop_map(|counts| counts.iter().map(|(kind, n)| (kind, *n)).collect())
}

fn position() -> impl Strategy<Value = Position> {
    (option::of(epoch()), seq(), totals(), option::of(state()))
        .prop_map(|(epoch, seq, totals, state)| Position { epoch, seq, totals, state })
}

fn rung() -> impl Strategy<Value = Rung> {
    select(Rung::ALL.to_vec())
}

fn why() -> impl Strategy<Value = Why> {
    select(Why::ALL.to_vec())
}

fn tick_ms() -> impl Strategy<Value = TickMs> {
    select(TickMs::ALL.to_vec())
}

fn subscribed() -> impl Strategy<Value = ServerFrame> {
    let attach = prop_oneof![
        Just(Attach::Pending),
        (epoch(), seq()).prop_map(|(epoch, seq)| Attach::Resumed { epoch, seq }),
        position().prop_map(Attach::At),
    ];
    let fields = (0..SEQ_END, channel(), attach, rung(), 1..SEQ_END, tick_ms(), any::<bool>());
    fields.prop_map(|(id, channel, attach, rung, max_rate, tick_ms, is_up)| {
        let is_up = is_up && attach != Attach::Pending;
        let upstream = if is_up { UpstreamStatus::Up } else { UpstreamStatus::Down };
        Subscribed { id, channel, attach, rung, max_rate, tick_ms, upstream }.into()
    })
}

fn wire_event() -> impl Strategy<Value = WireEvent> {
    (kind(), option::of(kind()), class(), at(), data())
        .prop_map(|(kind, sent_as, class, at, data)| WireEvent { kind, sent_as, class, at, data })
}

fn tail_event() -> impl Strategy<Value = TailEvent> {
    (seq(), wire_event()).prop_map(|(seq, WireEvent { kind, sent_as, class, at, data })| TailEvent {
        seq,
        kind,
        sent_as,
        class,
        at,
        data,
    })
}

fn delivery() -> impl Strategy<Value = ServerFrame> {
    let counts = (seq(), totals(), why(), option::of(state()), option::of(vec(tail_event(), 0..5)));
    let one = (channel(), epoch(), seq(), totals(), option::of(state())).prop_map(
        |(channel, epoch, seq, totals, state)| SummaryChannel { channel, epoch, seq, totals, state },
    );
    prop_oneof![
        (channel(), epoch(), seq(), seq(), vec(wire_event(), 0..5)).prop_map(
            |(channel, epoch, from, to, events)| Events { channel, epoch, from, to, events }.into()
        ),
        (channel(), epoch(), counts).prop_map(|(channel, epoch, (seq, totals, why, state, tail))| {
            Counts { channel, epoch, seq, totals, why, state, tail }.into()
        }),
        (why(), vec(one, 1..4)).prop_map(|(why, channels)| Summary { why, channels }.into()),
        (channel(), position()).prop_map(|(channel, Position { epoch, seq, totals, state })| {
            Reset { channel, epoch, seq, totals, state }.into()
        }),
        (channel(), vec(data(), 0..4), 0..SEQ_END)
            .prop_map(|(channel, events, dropped)| Unnumbered { channel, events, dropped }.into()),
    ]
}

fn control() -> impl Strategy<Value = ServerFrame> {
    let id = || option::of(0..SEQ_END);
    let limits = (0..SEQ_END, 0..SEQ_END, 0..SEQ_END, 0..SEQ_END, 0..SEQ_END).prop_map(
        |(frame_bytes, subscriptions, max_rate_default, max_rate, last)| HelloLimits {
            frame_bytes,
            subscriptions,
            max_rate_default,
            max_rate,
            last,
        },
    );
    let status = prop_oneof![Just(UpstreamStatus::Up), Just(UpstreamStatus::Down)];
    let text = any::<String>;
    prop_oneof![
        (text(), text(), 0..SEQ_END, limits).prop_map(|(protocol, connection, heartbeat_ms, limits)| {
            Hello { protocol, connection, heartbeat_ms, limits }.into()
        }),
        (id(), channel(), text(), option::of((epoch(), seq(), totals()))).prop_map(
            |(id, channel, code, told)| {
                let (epoch, seq, totals) = match told {
                    Some((epoch, seq, totals)) => (Some(epoch), Some(seq), Some(totals)),
                    None => (None, None, None),
                };
                Unsubscribed { id, channel, code, epoch, seq, totals }.into()
            }
        ),
        (option::of(channel()), rung(), why()).prop_map(|(channel, rung, why)| RungFrame {
            channel,
            rung,
            why
        }
        .into()),
        (status, at(), option::of(vec(channel(), 0..4)))
            .prop_map(|(status, since, channels)| UpstreamFrame { status, since, channels }.into()),
        at().prop_map(|at| Heartbeat { at }.into()),
        (id(), option::of(channel()), text(), text()).prop_map(|(id, channel, code, message)| ErrorFrame {
            id,
            channel,
            code,
            message
        }
        .into()),
        (text(), text(), [0..SEQ_END, 0..SEQ_END]).prop_map(|(code, reason, retry_after_ms)| Goodbye {
            code,
            reason,
            retry_after_ms
        }
        .into()),
        "[a-z\"\\\\ä]{0,3}x".prop_map(ServerFrame::Unknown),
    ]
}

fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let start = prop_oneof![
        Just((None, None)),
        (0..=REPLAY_EVENTS_MAX).prop_map(|last| (Some(last), None)),
        (epoch(), seq()).prop_map(|(epoch, seq)| (None, Some(After { epoch, seq }))),
    ];
    let rate = || option::of(1..SEQ_END);
    let one = ("\\PC{0,20}", rung(), rate(), tick_ms(), any::<bool>(), start).prop_map(
        |(channel, rung, max_rate, tick_ms, tail, (last, after))| SubscribeChannel {
            channel,
            rung,
            max_rate,
            tick_ms,
            tail,
            last,
            after,
        },
    );
    let text = any::<String>;
    prop_oneof![
        (0..SEQ_END, vec(one, 1..4))
            .prop_map(|(id, channels)| ClientFrame::Subscribe(SubscribeRequest { id, channels })),
        (0..SEQ_END, vec(text(), 1..4))
            .prop_map(|(id, channels)| ClientFrame::Unsubscribe(UnsubscribeRequest { id, channels })),
        (option::of(channel()), rung(), rate(), option::of(tick_ms())).prop_map(
            |(channel, rung, max_rate, tick_ms)| {
                ClientFrame::Rung(RungRequest { channel, rung, max_rate, tick_ms })
            }
        ),
        text().prop_map(|token| ClientFrame::Auth(AuthRequest { token })),
        (channel(), text(), text()).prop_map(|(channel, law, detail)| {
            ClientFrame::Violation(ViolationReport { channel, law, detail })
        }),
    ]
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn data_stays_as_it_came(text in json_text(), before in space(), after in space()) {
        let raw = RawJson::new(&Bytes::from(format!("{before}{text}{after}"))).unwrap();
        prop_assert_eq!(raw.as_str(), &text);
        prop_assert_eq!(&serde_json::to_string(&raw).unwrap(), &text);
        prop_assert_eq!(serde_json::from_str::<RawJson>(&text).unwrap(), raw);
    }

    #[test]
    fn server_frames_come_back(frame in prop_oneof![subscribed(), delivery(), control()]) {
        let text = frame.encode();
        prop_assert_eq!(&ServerFrame::decode(&text).unwrap(), &frame);
    }

    #[test]
    fn client_frames_come_back(frame in client_frame()) {
        prop_assert_eq!(&ClientFrame::decode(&frame.encode()).unwrap(), &frame);
    }

    #[test]
    fn totals_add_and_subtract(a in totals(), b in totals()) {
        let mut sum = a.clone();
        sum.add_all(&b);
        prop_assert_eq!(sum.since(&a).unwrap(), b.clone());
        prop_assert_eq!(sum.sum(), a.sum() + b.sum());
        prop_assert_eq!(a.since(&sum).is_none(), !b.is_empty());
        let text = serde_json::to_string(&sum).unwrap();
        prop_assert_eq!(serde_json::from_str::<Totals>(&text).unwrap(), sum);
    }

    #[test]
    fn batches_come_back_from_their_records(
        events in vec(event(), 1..40),
        times in 1..30usize,
        epoch in epoch(),
        from in 1..SEQ_END - 10_000,
        fold in any::<u64>(),
    ) {
        let events: Vec<Event> = events.iter().cycle().take(events.len() * times).cloned().collect();
        let batch = Batch::new(events.clone()).unwrap();
        let mut next = Seq::new(from).unwrap();
        let mut rest = &events[..];
        for draft in Draft::from_batch(&batch, UnixMs::new(3)) {
            let folded: Vec<u16> = (0..draft.kinds().len() as u16).filter(|i| fold >> (i % 64) & 1 == 1).collect();
            let bytes = draft.assemble(&epoch, next, &folded);
            let record = Record::decode(&bytes).unwrap();
            let Body::Events(told) = &record.body else { panic!("payloads") };
            prop_assert_eq!((record.from, record.len(), &record.epoch), (next, draft.len(), &epoch));
            prop_assert!(told.len() <= RECORD_EVENTS_MAX);
            prop_assert!(told.len() == 1 || record.data_bytes() <= RECORD_BYTES_MAX);
            for (told, event) in told.iter().zip(rest) {
                let row = draft.kinds().iter().position(|(kind, _)| *kind == event.kind).unwrap();
                let is_folded = folded.contains(&(row as u16));
                prop_assert_eq!(&told.kind, if is_folded { &OTHER } else { &event.kind });
                prop_assert_eq!(told.sent_as.as_ref(), is_folded.then_some(&event.kind));
                prop_assert_eq!((told.class, told.at, &told.data), (event.class, event.at, &event.data));
            }
            let state = draft.state().map(|state| (next.plus(state.offset), state.data.clone()));
            prop_assert_eq!(record.state().map(|state| (state.seq, state.data)), state);
            rest = &rest[told.len()..];
            next = record.to.next();
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn counts_come_back_from_their_record(
        counts in totals(),
        state in option::of(event()),
        is_unheard in any::<bool>(),
        fold in any::<u64>(),
    ) {
        let state = state.map(|event| Event { class: Class::State, ..event });
        let mut counts = counts;
        state.iter().for_each(|state| counts.add(&state.kind, 1));
        prop_assume!(!counts.is_empty());
        let why = if is_unheard { Why::Unheard } else { Why::Upstream };
        let draft = Draft::from_counts(&CountsOnly::new(counts.clone(), why, state.clone()).unwrap(), UnixMs::new(3));
        let folded: Vec<u16> = (0..counts.len() as u16).filter(|i| fold >> (i % 64) & 1 == 1).collect();
        let record = Record::decode(&draft.assemble(&Epoch::new("e").unwrap(), Seq::ZERO.next(), &folded)).unwrap();
        prop_assert_eq!((record.len(), record.counts.sum()), (counts.sum(), counts.sum()));
        let told = record.state();
        prop_assert_eq!(told.as_ref().map(|state| &state.data), state.as_ref().map(|event| &event.data));
        prop_assert!(told.is_none_or(|state| state.seq == record.to));
        let Body::Counts { why: told, .. } = record.body else { panic!("counts") };
        prop_assert_eq!(told, why);
    }

    #[test]
    fn the_hot_path_writes_what_the_frame_type_writes(
        channel in channel(), epoch in epoch(), from in 1..1_000u64, events in vec(wire_event(), 1..6),
    ) {
        let from = Seq::new(from).unwrap();
        let record = Record {
            epoch: epoch.clone(),
            from,
            to: from.plus(events.len() as u64 - 1),
            sent_at: UnixMs::new(0),
            counts: events.iter().map(|event| (&event.kind, 1)).collect(),
            body: Body::Events(events.iter().cloned().map(|WireEvent { kind, sent_as, class, at, data }| {
                RecordEvent { kind, sent_as, class, at, data }
            }).collect()),
        };
        let text = String::from_utf8(write_events_frame(&channel, &record).unwrap()).unwrap();
        let frame = ServerFrame::Events(Events { channel, epoch, from, to: record.to, events });
        prop_assert_eq!(&text, &frame.encode());
        prop_assert_eq!(ServerFrame::decode(&text).unwrap(), frame);
    }
}

static OTHER: std::sync::LazyLock<Kind> = std::sync::LazyLock::new(Kind::other);
