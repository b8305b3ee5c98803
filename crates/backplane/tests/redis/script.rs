//! What the script writes and sends: records byte by byte, keys of other types, calls that break the rules.

use crate::calls::{batch, by, channel, counts, event, events};
use crate::support::{PATIENCE, Server, up};
use std::process::Command;
use std::time::Duration;
use tally_backplane::redis::RedisNode;
use tally_backplane::{Backplane, Content, Incoming, Publish, PublishError, Refusal, Stream};
use tally_protocol::{Body, Class, Draft, Epoch, Heard, Record, RecordHeader, SEQ_END};
use tokio::time::timeout;

/// The broker's part must be what `Draft::assemble` writes.
#[tokio::test]
async fn records_are_written_byte_by_byte_as_the_protocol_says() {
    let server = Server::start();
    let (node, mut stream) = up(server.redis()).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    let many: Vec<_> = (0..70).map(|n| event(&format!("k{n}"), Class::Bulk, "[1, 2]")).collect();
    let mixed = vec![event("late", Class::State, "{\"a\" : 1}"), event("k0", Class::Bulk, "null")];
    let large = vec![event("k1", Class::Bulk, &format!("\"{}\"", "é".repeat(40_000)))];
    let calls = [
        batch("a", many),
        batch("a", mixed),
        batch("a", large),
        counts("a", &[("late", 3), ("k2", SEQ_END - 1_000)]),
    ];
    for call in calls {
        let published = node.publish(call.clone()).await.unwrap();
        let mut from = published.from;
        while from <= published.to {
            let Some(Incoming::Message { payload, .. }) = timeout(PATIENCE, stream.next()).await.unwrap()
            else {
                panic!("a record arrives")
            };
            let header = RecordHeader::decode(&payload).unwrap();
            Record::decode(&payload).unwrap();
            let drafts = match &call.content {
                Content::Events(batch) => Draft::from_batch(batch, header.sent_at),
                Content::Counts(counts) => vec![Draft::from_counts(counts, header.sent_at)],
            };
            let folded: Vec<u16> = (0..)
                .zip(drafts[0].kinds())
                .filter(|(_, (kind, _))| {
                    ["late", "k64", "k65", "k66", "k67", "k68", "k69"].contains(&kind.as_str())
                })
                .map(|(index, _)| index)
                .collect();
            assert_eq!(payload, drafts[0].assemble(&published.epoch, from, &folded));
            from = header.to.next();
        }
    }
}

#[tokio::test]
async fn the_keys_are_as_documented_and_expire() {
    let server = Server::start();
    let (node, _stream) = up(server.redis().with_prefix("env1").unwrap()).await;
    let state = event("k", Class::State, "{\"x\": 1}");
    let call = by("p:1", 1, batch("job:7", vec![state]));
    let call = Publish { epoch: Epoch::new("first").unwrap(), ..call };
    node.publish(call).await.unwrap();
    let keys = || {
        let keys = server.cli(&["KEYS", "env1:{job:7}*"]);
        let mut keys: Vec<_> = keys.lines().map(str::to_owned).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(), ["env1:{job:7}:meta"]);
    let field = |name| server.cli(&["HGET", "env1:{job:7}:meta", name]);
    let head = server.cli(&["--no-raw", "HGET", "env1:{job:7}:meta", "head"]);
    let front = format!("\"\\x05\\x03n\\x01{}\\x01", "\\x00".repeat(7));
    assert!(head.starts_with(&front), "{head}");
    assert!(head.ends_with("firstp:1\""), "{head}");
    let id = server.cli(&["INFO", "replication"]);
    let id = id.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().trim();
    assert!(head.contains(id), "{head}");
    assert_eq!(field("k:k"), "1");
    assert_eq!(field("state"), "1 k / 1700000000123 {\"x\": 1}");
    let life = |key: &str| server.cli(&["PTTL", key]).parse::<u64>().unwrap();
    let day = 24 * 60 * 60 * 1_000;
    assert!((day - 60_000..=day + 500).contains(&life("env1:{job:7}:meta")));
    // Another producer: the one before moves.
    node.publish(by("p:2", 1, events("job:7", &["k"]))).await.unwrap();
    assert_eq!(keys(), ["env1:{job:7}:meta", "env1:{job:7}:producers:1"]);
    assert!((180_000..=240_000).contains(&life("env1:{job:7}:producers:1")));
    // The node's own channel goes soon after it.
    let probe = server.cli(&["KEYS", "env1:{$probe:*"]);
    assert!(life(&probe) <= 60_500, "{probe}");
}

#[tokio::test]
async fn producers_but_the_last_are_remembered_in_two_hashes_that_alternate() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    let held = |n: u8| {
        let key = format!("tally:{{a}}:producers:{n}");
        let fields = server.cli(&["HKEYS", &key]);
        let mut fields: Vec<_> =
            fields.lines().filter(|field| !field.is_empty()).map(str::to_owned).collect();
        fields.sort_unstable();
        fields.concat()
    };
    let publish = async |producer: &str, number| {
        node.publish(by(producer, number, events("a", &["k"]))).await.unwrap();
        (held(0), held(1))
    };
    let is = |zero: &str, one: &str| (zero.to_owned(), one.to_owned());
    assert_eq!(publish("p", 1).await, is("", ""));
    assert_eq!(publish("q", 1).await, is("", "#p"));
    assert_eq!(publish("r", 1).await, is("", "#pq"));
    assert_eq!(publish("q", 2).await, is("", "#pr"), "it moves, and is counted once");
    server.elapse(Duration::from_secs(119));
    assert_eq!(publish("r", 2).await, is("", "#pq"));
    server.elapse(Duration::from_secs(2));
    assert_eq!(publish("s", 1).await, is("#r", "#pq"));
    server.elapse(Duration::from_secs(117));
    assert_eq!(publish("q", 3).await, is("#rs", "#p"), "the first hash still holds");
    // The second hash began at 120 s: at 241 s the first is over, and is emptied for the third.
    server.elapse(Duration::from_secs(3));
    assert_eq!(publish("r", 3).await, is("#s", "#q"));
    server.elapse(Duration::from_secs(1_000));
    assert_eq!(publish("s", 1).await, is("", ""), "who published last is forgotten as well");
    // Without a name nothing is remembered, and nobody is moved.
    node.publish(events("a", &["k"])).await.unwrap();
    assert_eq!(publish("s", 2).await, is("", ""));
}

#[tokio::test]
async fn a_key_that_another_program_wrote_is_a_refusal_that_names_it() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    for key in ["meta", "producers:0", "producers:1"] {
        let key = format!("tally:{{{key}}}:{key}");
        let name = key.split(['{', '}']).nth(1).unwrap();
        server.cli(&["SET", &key, "x"]);
        let refused = node.publish(by("p", 1, events(name, &["k"]))).await.unwrap_err();
        let PublishError::Refused(Refusal::Unusable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains(&key), "{why}");
        let written = server.cli(&["KEYS", &format!("tally:{{{name}}}*")]);
        assert_eq!(written, key, "nothing was written");
    }
    let foreign = "tally:{foreign}:meta";
    server.cli(&["HSET", foreign, "theirs", "1"]);
    let refused = node.publish(events("foreign", &["k"])).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Refused(Refusal::Unusable(why)) if why.contains(foreign)));
    assert!(node.snapshot(channel("foreign")).await.is_err());
    // The log is only ever deleted.
    server.cli(&["SET", "tally:{log}:log", "x"]);
    node.publish(events("log", &["k"])).await.unwrap();
    assert_eq!(server.cli(&["EXISTS", "tally:{log}:log"]), "0");
}

#[tokio::test]
async fn damaged_values_are_refused_and_nothing_is_counted() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    // Lengths that are wrong, a seq of 2^53, 65 kinds.
    let mut heads: Vec<Vec<u8>> = [0, 1, 50, 108, 109].map(|len| vec![0; len]).into();
    for (at, byte) in [(0, 33), (1, 1), (5, 0x20), (3, 65)] {
        let mut head = head_of(&server, &node).await;
        head[at] = byte;
        heads.push(head);
    }
    let counts = ["x", "0", "-1", "1.5", "nan", "2"].map(|count| ("k:k", count.as_bytes().to_vec()));
    let damages = heads.into_iter().map(|head| ("head", head)).chain(counts);
    for (n, (field, value)) in damages.enumerate() {
        let name = format!("c{n}");
        node.publish(events(&name, &["k"])).await.unwrap();
        let key = format!("tally:{{{name}}}:meta");
        server.cli_bytes(&[b"HSET", key.as_bytes(), field.as_bytes(), &value]);
        let refused = node.publish(events(&name, &["k"])).await.unwrap_err();
        assert!(
            matches!(&refused, PublishError::Refused(Refusal::Unusable(why)) if why.contains(&key)),
            "{field} {value:?}: {refused:?}"
        );
        if value.get(3) != Some(&65) {
            assert!(node.snapshot(channel(&name)).await.is_err(), "{field} {value:?}");
        }
    }
    let kinds: Vec<_> = (0..64).map(|n| format!("k{n}")).collect();
    let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
    node.publish(events("full", &kinds)).await.unwrap();
    for other in ["x", "-1", "inf", "65"] {
        server.cli(&["HSET", "tally:{full}:meta", "k:_other", other]);
        let refused = node.publish(events("full", &["late"])).await.unwrap_err();
        assert!(matches!(refused, PublishError::Refused(Refusal::Unusable(_))), "{other}: {refused:?}");
    }
    server.cli(&["HDEL", "tally:{full}:meta", "head"]);
    assert!(node.publish(events("full", &["k1"])).await.is_err(), "counts without a head");
}

/// A head as it is written, of epoch `e` and no producer.
async fn head_of(server: &Server, node: &RedisNode) -> Vec<u8> {
    node.publish(events("sound", &["k"])).await.unwrap();
    head_of_channel(server, "sound")
}

fn head_of_channel(server: &Server, name: &str) -> Vec<u8> {
    let hex = "local head = redis.call('HGET', KEYS[1], 'head')
        return (string.gsub(head, '.', function(c) return string.format('%02x', string.byte(c)) end))";
    let hex = server.cli(&["EVAL", hex, "1", &format!("tally:{{{name}}}:meta")]);
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    (0..hex.len() / 2).map(byte).collect()
}

#[tokio::test]
async fn a_failing_publish_is_heard_unknown_and_repeatable() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    node.subscribe(vec![channel("a")]).await.unwrap();
    server.cli(&["ACL", "SETUSER", "default", "resetchannels", "&tally:{$probe*"]);
    // Redis closes who is subscribed to what it may not any more; the publisher's connection stays.
    let publisher = server.redis().connect_publisher();
    let first = publisher.publish(by("p", 1, events("b", &["k"]))).await.unwrap();
    assert_eq!((first.heard, first.to.get()), (Heard::Unknown, 1));
    assert_eq!(publisher.publish(by("p", 1, events("b", &["k"]))).await.unwrap(), first);
    assert_eq!(publisher.snapshot(channel("b")).await.unwrap().unwrap().seq.get(), 1, "it is counted");
}

/// Calls as no publisher of this build makes them: the script trusts nobody.
#[tokio::test]
async fn calls_that_break_the_rules_write_nothing() {
    let server = Server::start();
    let (_node, _stream) = up(server.redis()).await;
    let listed = server.cli(&["CLIENT", "LIST"]);
    assert!(listed.contains("cmd=evalsha") || listed.contains("cmd=ping"), "{listed}");
    let good = a_good_call();
    let sha = sha_of_the_script(&server);
    let call = |arguments: &[Vec<u8>]| {
        let keys = ["meta", "producers:0", "producers:1", "log"].map(|key| format!("tally:{{a}}:{key}"));
        let mut all: Vec<&[u8]> = vec![b"EVALSHA", sha.as_bytes(), b"4"];
        all.extend(keys.iter().map(String::as_bytes));
        let len = u32::try_from(arguments.len()).unwrap().to_be_bytes();
        all.push(&len);
        all.extend(arguments.iter().map(Vec::as_slice));
        server.cli_bytes(&all)
    };
    for (at, value) in bad_arguments() {
        let mut arguments = good.clone();
        arguments[at] = value.clone();
        let answer = call(&arguments);
        assert!(answer.starts_with("no\ncall"), "argument {at} as {value:?}: {answer}");
        assert_eq!(server.cli(&["KEYS", "tally:{a}*"]), "");
    }
    // The same in front of a good one, which it does not touch.
    for (n, (at, value)) in (1..).zip(bad_arguments()) {
        let mut bad = good.clone();
        bad[at] = value.clone();
        let lens = [bad.len(), good.len()].map(|len| u32::try_from(len).unwrap().to_be_bytes()).concat();
        let keys = ["a", "b"].map(|name| {
            ["meta", "producers:0", "producers:1", "log"].map(|key| format!("tally:{{{name}}}:{key}"))
        });
        let mut all: Vec<&[u8]> = vec![b"EVALSHA", sha.as_bytes(), b"8"];
        all.extend(keys.iter().flatten().map(String::as_bytes));
        all.push(&lens);
        all.extend(bad.iter().chain(&good).map(Vec::as_slice));
        let answer = server.cli_bytes(&all);
        let second = answer.lines().last().unwrap();
        assert!(answer.starts_with("no\ncall"), "argument {at} as {value:?}: {answer}");
        assert_eq!(second.trim_end(), format!("ok {} {} n 0 e", 2 * n - 1, 2 * n));
        assert_eq!(server.cli(&["KEYS", "tally:{a}*"]), "");
        // Numbers of arguments that do not fit are an error of the call as a whole.
        all[11] = &lens[..4];
        assert!(server.cli_bytes(&all).contains("do not fit"));
    }
    assert!(call(&good[..9]).starts_with("no\ncall"));
    assert!(call(&[&good[..], &[b"more".into()]].concat()).starts_with("no\ncall"));
    assert_eq!(call(&good), "ok 1 2 n 0 e");
    // A kind that exists is valid, but not everything that the hash has is a kind.
    for kind in ["_other", "head"] {
        server.cli(&["HSET", "tally:{a}:meta", "k:_other", "1"]);
        let mut arguments = good.clone();
        arguments[8] = kind.into();
        let answer = call(&arguments);
        assert_eq!(answer.starts_with("no\ncall"), kind == "_other", "{kind}: {answer}");
    }
    assert_eq!(server.cli(&["HGET", "tally:{a}:meta", "k:head"]), "2");
}

fn numbers(number: u64, total: u64, expiry: u64, records: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &total.to_be_bytes(), &expiry.to_be_bytes(), &records.to_be_bytes()].concat()
}

fn row(flag: u8, kinds: u16, events: u64, counts: &[u64]) -> Vec<u8> {
    let counts = counts.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
    [&[flag, 0, 0, 0, 0][..], &kinds.to_be_bytes(), &events.to_be_bytes(), &counts].concat()
}

fn state(record: u32) -> Vec<u8> {
    [&record.to_be_bytes()[..], &[0; 8], &[0, 0, 0, 1, 0, 0, 0, 4], b"k"].concat()
}

/// 0 to 6 as in script.rs; then per record: numbers, kinds, bytes.
fn a_good_call() -> Vec<Vec<u8>> {
    vec![
        b"tally:{a}".into(),
        b"e".into(),
        b"".into(),
        b"".into(),
        numbers(0, 2, 60_000, 1),
        b"".into(),
        b"".into(),
        row(0, 1, 2, &[2]),
        b"k".into(),
        b"part".into(),
    ]
}

/// Which argument, and what it must not be.
fn bad_arguments() -> Vec<(usize, Vec<u8>)> {
    vec![
        (1, b"".into()),
        (1, b"a b".into()),
        (1, b"\"q\"".into()),
        (2, b"p".into()),
        (2, vec![b'p'; 256]),
        (4, numbers(0, 2, 0, 1)),
        (4, numbers(0, 3, 60_000, 1)),
        (4, numbers(0, 0, 60_000, 1)),
        (4, numbers(0, SEQ_END, 60_000, 1)),
        (4, numbers(SEQ_END, 2, 60_000, 1)),
        (4, numbers(0, 2, SEQ_END, 1)),
        (4, numbers(0, 2, 60_000, 0)),
        (4, numbers(0, 2, 60_000, 2)),
        (4, numbers(0, 2, 60_000, 1)[..27].into()),
        (5, b"x".into()),
        (5, state(2)),
        (7, b"".into()),
        (7, row(2, 1, 2, &[2])),
        (7, row(0, 1, 3, &[2])),
        (7, row(0, 2, 2, &[1, 1])),
        (7, row(0, 0, 2, &[2])),
        (7, row(0, 1, 2, &[])),
        (7, row(0, 1, 2, &[0])),
        (7, row(0, 1, 2, &[SEQ_END])),
        (7, row(0, 1, 257, &[257])),
        (8, b"_k".into()),
        (8, b"_other".into()),
        (8, b"a b".into()),
        (8, b"".into()),
        (8, vec![b'k'; 65]),
    ]
}

fn sha_of_the_script(server: &Server) -> String {
    let text = include_str!("../../src/redis/publish.lua")
        .replace("@MEMORY@", "120000")
        .replace("@PRODUCERS_MAX@", "16384")
        .replace("@KINDS_MAX@", "64")
        .replace("@LOOK@", "500");
    let sha = server.cli(&["SCRIPT", "LOAD", &text]);
    assert_eq!(sha.len(), 40, "{sha}");
    sha
}

#[test]
fn the_script_never_writes_a_number_in_luas_own_way() {
    let text = include_str!("../../src/redis/publish.lua");
    assert!(!text.contains("tostring"));
    // redis-cli is what these tests look with; without it they would say nothing of use.
    Command::new("redis-cli").arg("--version").output().expect("apt-get install redis-server");
}

/// Lua's stack holds no more than 8,000 values.
#[tokio::test]
async fn a_batch_may_have_more_kinds_than_luas_stack_holds() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    let kinds: Vec<_> = (0..9_000).map(|n| format!("k{n}")).collect();
    let sent = || batch("a", kinds.iter().map(|kind| event(kind, Class::Bulk, "1")).collect());
    for to in [9_000, 18_000] {
        assert_eq!(node.publish(sent()).await.unwrap().to.get(), to);
    }
    let totals = node.snapshot(channel("a")).await.unwrap().unwrap().totals;
    assert_eq!((totals.len(), totals.get("k63"), totals.get("_other")), (65, 2, 2 * (9_000 - 64)));
}

/// Each link expects its own batches to follow one another. Where they do not, what listeners get is the same.
#[tokio::test]
async fn records_are_right_where_they_were_expected_elsewhere() {
    let server = Server::start();
    let (listener, mut stream) = up(server.redis()).await;
    listener.subscribe(vec![channel("a")]).await.unwrap();
    let links = [(); 2].map(|()| server.redis().connect_publisher());
    let large = format!("\"{}\"", "x".repeat(40_000));
    let (mut epochs, mut last) = (Vec::new(), 0);
    // In turns, alone, in turns; then the table of kinds is full, and then the server's replication id is another.
    for (n, link) in [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0].into_iter().enumerate() {
        if n == 9 {
            let many: Vec<_> = (0..80).map(|n| format!("m{n}")).collect();
            let many: Vec<_> = many.iter().map(String::as_str).collect();
            last = links[0].publish(events("a", &many)).await.unwrap().to.get();
            let folded = record(&mut stream).await;
            assert_eq!((folded.to.get(), folded.counts.get("_other")), (last, 17));
        }
        if n == 12 {
            let head = head_of_channel(&server, "a");
            let other = [&head[..20], &[b'0'; 40], &head[60..]].concat();
            server.cli_bytes(&[b"HSET", b"tally:{a}:meta", b"head", &other]);
        }
        let kind = if n == 11 { "late" } else { "k" };
        // Three records in one call.
        let sent = (0..3).map(|_| event(kind, Class::Bulk, &large)).collect();
        let call = by(&format!("p{link}-{n}"), 1, batch("a", sent));
        let published = links[link].publish(call).await.unwrap();
        assert_eq!((published.from.get(), published.to.get()), (last + 1, last + 3));
        for at in 1..=3 {
            let record = record(&mut stream).await;
            assert_eq!((record.from.get(), record.to.get()), (last + at, last + at));
            assert_eq!(record.epoch, published.epoch);
            assert_eq!(record.counts.get(if n == 11 { "_other" } else { "k" }), 1);
            let Body::Events(events) = record.body else { panic!("it has its payload") };
            assert_eq!(events[0].data.as_str(), large);
        }
        last += 3;
        epochs.push(published.epoch);
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 2, "one change of the epoch");
}

async fn record(stream: &mut Stream) -> Record {
    let Some(Incoming::Message { payload, .. }) = timeout(PATIENCE, stream.next()).await.unwrap() else {
        panic!("a record arrives")
    };
    Record::decode(&payload).unwrap()
}

/// Not in every call; and a channel lives as long as it should all the same.
#[tokio::test]
async fn expiry_and_log_are_looked_after_now_and_then() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    let day = 24 * 60 * 60 * 1_000;
    let life = || server.cli(&["PTTL", "tally:{a}:meta"]).parse::<u64>().unwrap();
    node.publish(events("a", &["k"])).await.unwrap();
    server.elapse(Duration::from_secs(1_000));
    assert!(life() <= day - 999_000);
    server.cli(&["SET", "tally:{a}:log", "x"]);
    node.publish(events("a", &["k"])).await.unwrap();
    assert!(life() > day - 60_000, "a publish renews what is due");
    assert_eq!(server.cli(&["EXISTS", "tally:{a}:log"]), "0");
    // A clock that was set back must not keep it from being renewed.
    server.cli(&["PEXPIRE", "tally:{a}:meta", "100000"]);
    let head = head_of_channel(&server, "a");
    let later = [&head[..12], &(u64::MAX >> 12).to_be_bytes(), &head[20..]].concat();
    server.cli_bytes(&[b"HSET", b"tally:{a}:meta", b"head", &later]);
    node.publish(events("a", &["k"])).await.unwrap();
    assert!(life() > day - 60_000);
}
