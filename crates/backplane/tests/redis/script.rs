//! What the script writes and sends: records byte by byte, keys of other types, calls that break the rules.

use crate::calls::{batch, by, channel, counts, event, events};
use crate::support::{PATIENCE, Server, up};
use std::process::Command;
use std::time::Duration;
use tally_backplane::{Backplane, Content, Incoming, PublishError, Refusal};
use tally_protocol::{Class, Draft, Heard, Record, RecordHeader, SEQ_END};
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
    let published = node.publish(by("p:1", 1, batch("job:7", vec![state]))).await.unwrap();
    let keys = server.cli(&["KEYS", "env1:{job:7}*"]);
    let mut keys: Vec<_> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["env1:{job:7}:meta", "env1:{job:7}:producers:1"]);
    let field = |name| server.cli(&["HGET", "env1:{job:7}:meta", name]);
    assert_eq!((field("epoch"), field("seq")), (published.epoch.to_string(), "1".into()));
    assert_eq!((field("kinds"), field("k:k")), ("1".into(), "1".into()));
    assert_eq!(field("state"), "1 k / 1700000000123 {\"x\": 1}");
    assert!(server.cli(&["INFO", "replication"]).contains(&field("repl")));
    let life = |key: &str| server.cli(&["PTTL", key]).parse::<u64>().unwrap();
    let day = 24 * 60 * 60 * 1_000;
    assert!((day - 60_000..=day).contains(&life("env1:{job:7}:meta")));
    assert!((180_000..=240_000).contains(&life("env1:{job:7}:producers:1")));
    // The node's own channel goes soon after it.
    let probe = server.cli(&["KEYS", "env1:{$probe:*"]);
    assert!(life(&probe) <= 60_000, "{probe}");
}

#[tokio::test]
async fn a_producer_is_remembered_in_one_of_two_hashes_that_alternate() {
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
    assert_eq!(publish("p", 1).await, is("", "#p"));
    assert_eq!(publish("q", 1).await, is("", "#pq"));
    server.elapse(Duration::from_secs(121));
    assert_eq!(publish("p", 2).await, is("#p", "#q"), "it moves, and is counted once");
    server.elapse(Duration::from_secs(118));
    assert_eq!(publish("r", 1).await, is("#pr", "#q"));
    // The second hash began at 120 s: at 241 s the first is over, and is emptied for the third.
    server.elapse(Duration::from_secs(2));
    assert_eq!(publish("r", 2).await, is("#p", "#r"));
    server.elapse(Duration::from_secs(1_000));
    assert_eq!(publish("s", 1).await, is("", "#s"));
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
    // The log is only ever deleted.
    server.cli(&["SET", "tally:{log}:log", "x"]);
    node.publish(events("log", &["k"])).await.unwrap();
    assert_eq!(server.cli(&["EXISTS", "tally:{log}:log"]), "0");
}

#[tokio::test]
async fn damaged_values_are_refused_and_nothing_is_counted() {
    let server = Server::start();
    let (node, _stream) = up(server.redis()).await;
    let damages =
        [("seq", "x"), ("seq", "-1"), ("seq", "1.5"), ("kinds", "nan"), ("k:k", "0"), ("k:_other", "inf")];
    for (n, (field, value)) in damages.into_iter().enumerate() {
        let name = format!("c{n}");
        node.publish(events(&name, &["k"])).await.unwrap();
        server.cli(&["HSET", &format!("tally:{{{name}}}:meta"), field, value]);
        let refused = node.publish(events(&name, &["k"])).await.unwrap_err();
        assert!(matches!(refused, PublishError::Refused(Refusal::Unusable(_))), "{field}: {refused:?}");
        if field != "kinds" {
            assert!(node.snapshot(channel(&name)).await.is_err(), "{field}");
        }
    }
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
    // 0 to 13 as in script.rs; then per record: flag, events, kinds, kind, count, part.
    let good = [
        "tally:{a}",
        "e",
        "60000",
        "",
        "0",
        "",
        "2",
        "0",
        "0",
        "0",
        "0",
        "0",
        "0",
        "1",
        "0",
        "2",
        "1",
        "k",
        "2",
        "part",
    ];
    let bad: &[(usize, &str)] = &[
        (1, ""),
        (1, "a b"),
        (1, "\"q\""),
        (2, "0"),
        (6, "3"),
        (6, "9007199254740992"),
        (7, "2"),
        (13, "2"),
        (14, "x"),
        (15, "3"),
        (16, "2"),
        (16, "0"),
        (17, "_k"),
        (17, "a b"),
        (17, ""),
        (18, "0"),
        (18, "-2"),
        (18, "nan"),
        (18, "1.5"),
    ];
    let sha = sha_of_the_script(&server);
    let call = |arguments: &[&str]| {
        let keys = ["meta", "producers:0", "producers:1", "log"].map(|key| format!("tally:{{a}}:{key}"));
        let mut all = vec!["EVALSHA", &sha, "4"];
        all.extend(keys.iter().map(String::as_str));
        all.extend(arguments);
        server.cli(&all)
    };
    for (at, value) in bad {
        let mut arguments = good;
        arguments[*at] = value;
        let answer = call(&arguments);
        assert!(answer.starts_with("no\ncall"), "argument {at} as {value:?}: {answer}");
        assert_eq!(server.cli(&["KEYS", "tally:{a}*"]), "");
    }
    assert!(call(&good[..19]).starts_with("no\ncall"));
    assert!(call(&[&good[..], &["more"]].concat()).starts_with("no\ncall"));
    assert!(call(&good).starts_with("ok\ne\n1\n2\nn"));
}

fn sha_of_the_script(server: &Server) -> String {
    let text = include_str!("../../src/redis/publish.lua")
        .replace("@MEMORY@", "120000")
        .replace("@PRODUCERS_MAX@", "16384")
        .replace("@KINDS_MAX@", "64");
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
