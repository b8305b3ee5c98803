//! `tally publish` from outside, against a recording gateway.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it is broken; clippy's allowance does not reach helpers"
)]

#[path = "run/gateway.rs"]
mod gateway;

use std::fmt::Write as _;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use gateway::{Answers, Gateway};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn tally(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    command.args(["publish", "--to", &gateway.url, "--channel", "c"]).args(arguments);
    command.env_remove("TALLY_PUBLISH_KEY");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with `input` as standard input.
fn publish(gateway: &Gateway, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = tally(gateway, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(done.stdout, b"");
    done
}

fn stderr(done: &Output) -> Vec<String> {
    String::from_utf8(done.stderr.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn kinds(gateway: &Gateway) -> Vec<String> {
    gateway.lines("c").into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn each_line_is_an_event_and_the_totals_say_where_they_are() {
    let gateway = Gateway::start(Answers::Published);
    let input = b"{\"kind\":\"k\",\"data\":[1]}\n\n{\"event\":\"e\",\"env\":1,\"n\":2}\r\n\"text\"";
    let done = publish(&gateway, &["--drop", "env"], input);
    assert_eq!(done.status.code(), Some(0));
    let expected = [("k", "[1]"), ("e", r#"{"event":"e","n":2}"#), ("message", r#""text""#)];
    assert_eq!(gateway.lines("c"), expected.map(|(kind, data)| (kind.to_owned(), data.to_owned())));
    let lines = stderr(&done);
    let totals =
        "tally: 3 events for c: 3 in full, 0 counted, 0 unknown, 0 refused; seq 1 to 3 of epoch e1; ";
    assert!(lines.len() == 1 && lines[0].starts_with(totals), "{lines:?}");
    assert!(stderr(&publish(&gateway, &["--quiet"], b"1\n")).is_empty());
}

#[test]
fn a_file_is_read_like_standard_input() {
    let gateway = Gateway::start(Answers::Published);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"event\":\"a\"}\n{\"event\":\"b\"}").unwrap();
    let done = publish(&gateway, &[file.path().to_str().unwrap()], b"");
    assert_eq!((done.status.code(), kinds(&gateway)), (Some(0), vec!["a".to_owned(), "b".to_owned()]));
    let done = publish(&gateway, &["/no/such/file"], b"");
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done)[0].starts_with("tally: cannot read /no/such/file: No such file"));
}

#[test]
fn a_bad_line_stops_it_and_what_came_before_is_published() {
    let long = "x".repeat(3_000_000);
    let cases = [
        ("1\n2\n{\"x\n4\n", "tally: line 3: not a JSON value: "),
        ("1\n2\n{\"kind\":\"no kind\"}\n4\n", "tally: line 3: kind \"no kind\" "),
        (&format!("1\n2\n{long}\n4\n"), "tally: line 3: it has 3000000 bytes; at most 1048576 are allowed"),
    ];
    for (input, problem) in cases {
        let gateway = Gateway::start(Answers::Published);
        let done = publish(&gateway, &[], input.as_bytes());
        let lines = stderr(&done);
        assert_eq!(done.status.code(), Some(1));
        assert!(lines[0].starts_with(problem), "{lines:?}");
        assert!(lines[1].starts_with("tally: 2 events for c: 2 in full"), "{lines:?}");
        assert_eq!(kinds(&gateway).len(), 2);
    }
}

#[test]
fn bad_lines_can_be_skipped() {
    let gateway = Gateway::start(Answers::Published);
    let mut input = String::from("{\"event\":\"first\"}\n");
    for _ in 0..50 {
        input.push_str("not json\n");
    }
    input.push_str("{\"event\":\"last\"}\n");
    let done = publish(&gateway, &["--on-error", "skip"], input.as_bytes());
    let lines = stderr(&done);
    assert_eq!((done.status.code(), lines.len()), (Some(0), 12), "ten named, one for the rest, the totals");
    assert!(lines[9].starts_with("tally: line 11 is skipped: not a JSON value"), "{lines:?}");
    assert!(lines[11].contains("2 in full") && lines[11].contains("; 50 bad lines skipped"), "{lines:?}");
    assert_eq!(kinds(&gateway), ["first", "last"]);
}

#[test]
fn more_than_the_buffer_holds_goes_in_full() {
    let gateway = Gateway::start(Answers::Published);
    let mut input = String::new();
    for number in 0..200_000 {
        writeln!(input, "{{\"event\":\"e\",\"n\":{number},\"text\":\"{}\"}}", "x".repeat(60)).unwrap();
    }
    let done = publish(&gateway, &[], input.as_bytes());
    assert_eq!((done.status.code(), gateway.counted()), (Some(0), 0), "{:?}", stderr(&done));
    let events = gateway.events("c");
    assert_eq!(events.len(), 200_000);
    assert!(events.iter().enumerate().all(|(at, event)| event.data["n"] == at), "in order");
}

/// Reads from a pipe that stays open.
fn start_endless(gateway: &Gateway, arguments: &[&str], input: &[u8]) -> Child {
    let mut child = tally(gateway, arguments).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(input).unwrap();
    child
}

#[test]
fn events_go_out_while_the_input_is_open_and_a_signal_ends_it_in_order() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let gateway = Gateway::start(Answers::Published);
        let mut child = start_endless(&gateway, &["--rate", "1000"], b"1\n2\n3\nhalf");
        let stdin = child.stdin.take();
        gateway.wait_for_events("c", 3);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let done = child.wait_with_output().unwrap();
        drop(stdin);
        let lines = stderr(&done);
        assert_eq!(done.status.code(), Some(code));
        assert!(lines[0].starts_with("tally: 3 events for c: 3 in full"), "{lines:?}");
    }
}

#[test]
fn a_gateway_that_says_no_ends_it() {
    let gateway = Gateway::start(Answers::Status(401));
    let child = start_endless(&gateway, &[], b"1\n2\n");
    let done = child.wait_with_output().unwrap();
    let lines = stderr(&done);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(lines[0], "tally: 2 events of c were refused (no): not today");
    assert!(
        lines[1].starts_with("tally: 2 events for c: 0 in full, 0 counted, 0 unknown, 2 refused"),
        "{lines:?}"
    );
}

#[test]
fn what_is_not_published_in_time_is_told() {
    // At the deadline an attempt may be under way, with a gateway that has no broker just as with one that is silent.
    let told = ["3 unknown, 0 refused", "0 unknown, 0 refused, 3 not sent"];
    for (answers, told) in [(Answers::Never, &told[..1]), (Answers::Status(503), &told[..])] {
        let gateway = Gateway::start(answers);
        let done = publish(&gateway, &["--flush-within", "500ms"], b"1\n2\n3\n");
        let lines = stderr(&done);
        assert_eq!(done.status.code(), Some(1));
        assert!(told.iter().any(|told| lines.last().unwrap().contains(told)), "{lines:?}");
    }
}

#[test]
fn an_address_that_cannot_work_is_refused_at_once() {
    let gateway = Gateway::start(Answers::Published);
    for (arguments, problem) in [
        (&["--to", "redis://h/x"][..], "tally: the Redis URL is not valid"),
        (&["--publish-key", "a b"], "tally: the publish key may only have"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command.args(["publish", "--channel", "c"]).args(arguments);
        let done = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(done.status.code(), Some(1));
        assert!(stderr(&done)[0].starts_with(problem), "{:?}", stderr(&done));
    }
    let done = publish(&gateway, &["--rate", "0"], b"");
    assert_eq!(done.status.code(), Some(2), "clap's own status for usage");
}
