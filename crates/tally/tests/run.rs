//! `tally run` from outside: real commands, a recording gateway that may be absent, slow or unwilling.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it is broken; clippy's allowance does not reach helpers"
)]

#[path = "run/gateway.rs"]
mod gateway;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use gateway::{Answers, Gateway};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Nobody listens there: the port is for one process at a time, and bound by none.
const NOWHERE: &str = "http://127.0.0.1:1";

fn tally(to: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
    command.args(["run", "--to", to, "--channel", "job:1"]).env_remove("TALLY_PUBLISH_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn sh(to: &str, script: &str) -> Command {
    let mut command = tally(to);
    command.args(["--", "sh", "-c", script]);
    command
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn read_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn strings(lines: &[&str], kind: &str) -> Vec<(String, String)> {
    lines.iter().map(|line| (kind.to_owned(), Value::from(*line).to_string())).collect()
}

#[test]
fn lines_are_events_between_the_start_and_the_end() {
    let gateway = Gateway::start(Answers::Published);
    let done = output(&mut sh(
        &gateway.url,
        "echo one; echo; echo '  {\"event\":\"x\", \"n\":1}'; printf last; exit 3",
    ));
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(3), String::new()));
    assert_eq!(text(&done.stdout), "one\n\n  {\"event\":\"x\", \"n\":1}\nlast");

    let events = gateway.events("job:1");
    let lines = gateway.lines("job:1");
    assert_eq!(lines[1..3], strings(&["one", ""], "stdout"));
    assert_eq!(lines[3], ("x".to_owned(), r#"{"event":"x","n":1}"#.to_owned()));
    assert_eq!(lines[4..lines.len() - 1], strings(&["last"], "stdout"));

    let (first, last) = (&events[0], &events[events.len() - 1]);
    assert_eq!((first.kind.as_str(), first.class.as_str()), ("run_started", "state"));
    assert_eq!((last.kind.as_str(), last.class.as_str()), ("run_finished", "state"));
    assert_eq!(first.data["command"][0], "sh");
    assert!(first.data["pid"].is_u64() && first.data["cwd"].is_string(), "{}", first.data);
    assert_eq!((&last.data["exit_code"], &last.data["pid"]), (&Value::from(3), &first.data["pid"]));
    assert!(last.data["duration_ms"].is_u64() && last.data.get("signal").is_none(), "{}", last.data);

    let index = gateway.events("jobs");
    let kinds: Vec<&str> = index.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["run_started", "run_finished"]);
    assert!(index.iter().all(|event| event.data["channel"] == "job:1"));
}

#[test]
fn the_index_is_another_channel_or_none() {
    for (index, channels) in [("none", vec!["job:1"]), ("all:runs", vec!["all:runs", "job:1"])] {
        let gateway = Gateway::start(Answers::Published);
        assert!(output(tally(&gateway.url).args(["--index", index, "true"])).status.success());
        assert_eq!(gateway.channels(), channels);
    }
}

#[test]
fn output_is_passed_through_byte_for_byte() {
    let gateway = Gateway::start(Answers::Published);
    let done = output(&mut sh(&gateway.url, r"printf 'a\0b\377\r\n\n\nend'; printf '\200 err\n\033[1m' >&2"));
    assert_eq!(done.stdout, b"a\0b\xff\r\n\n\nend");
    assert_eq!(done.stderr, b"\x80 err\n\x1b[1m");
    let lines = gateway.lines("job:1");
    let marked = r#"{"bytes":5,"lossy":true,"text":"a\u0000b�\r"}"#;
    assert!(lines.contains(&("stdout".to_owned(), marked.to_owned())), "{lines:?}");
}

#[test]
fn secrets_are_not_the_commands() {
    let gateway = Gateway::start(Answers::Published);
    let mut command = sh(&gateway.url, "printf '%s' \"${TALLY_PUBLISH_KEY-none}\"");
    let output = output(command.env("TALLY_PUBLISH_KEY", "0123456789abcdef-secret"));
    assert_eq!(text(&output.stdout), "none");
    let mut command =
        sh(&gateway.url, "printf '%s' \"${TALLY_REDIS-none} ${TALLY_REDIS_PASSWORD-none} $TALLY_TO\"");
    command.envs([("TALLY_REDIS", "redis://u:p@h"), ("TALLY_REDIS_PASSWORD", "p"), ("TALLY_TO", "http://h")]);
    assert_eq!(text(&self::output(&mut command).stdout), "none none http://h");
}

#[test]
fn standard_input_is_the_commands() {
    let gateway = Gateway::start(Answers::Published);
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut child = tally(&gateway.url).arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let to_write = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&to_write).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(done.stdout == bytes, "{} bytes came back, not as they were", done.stdout.len());
}

#[test]
fn a_prompt_is_shown_before_its_line_ends() {
    let gateway = Gateway::start(Answers::Published);
    let mut command = sh(&gateway.url, "printf 'name? '; read name; echo \"hi $name\"");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut prompt = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut prompt).unwrap();
    assert_eq!(&prompt, b"name? ");
    child.stdin.take().unwrap().write_all(b"ann\n").unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.stdout, b"hi ann\n");
    let lines = gateway.lines("job:1");
    assert_eq!(lines[1..lines.len() - 1], strings(&["name? hi ann"], "stdout"));
}

#[test]
fn the_exit_status_is_the_commands() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["true"], 0, ""),
        (&["sh", "-c", "exit 255"], 255, ""),
        (&["sh", "-c", "kill -KILL $$"], 137, ""),
        (&["sh", "-c", "kill -SEGV $$"], 139, ""),
        (&["no-such-command"], 127, "tally: no-such-command: command not found\n"),
        (&["/"], 126, "tally: /: permission denied; it is not executable\n"),
    ];
    for (words, code, stderr) in cases {
        let gateway = Gateway::start(Answers::Published);
        let done = output(tally(&gateway.url).arg("--").args(*words));
        assert_eq!(
            (done.status.code(), text(&done.stderr)),
            (Some(*code), (*stderr).to_owned()),
            "{words:?}"
        );
        let last = gateway.events("job:1").pop().unwrap();
        assert_eq!((last.kind.as_str(), &last.data["exit_code"]), ("run_finished", &Value::from(*code)));
        assert_eq!(last.data["pid"].is_null(), last.data["error"].is_string());
        let by_signal = last.data.get("signal").is_some();
        assert_eq!(by_signal, (129..=165).contains(code), "{}", last.data);
    }
    let done = output(tally("not a url").arg("true"));
    assert_eq!(done.status.code(), Some(125));
}

#[test]
fn long_lines_are_cut_in_the_event_only() {
    let gateway = Gateway::start(Answers::Published);
    let done = output(&mut sh(&gateway.url, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo next"));
    assert_eq!(done.stdout.len(), 200_006);
    let events = gateway.events("job:1");
    let data = &events[1].data;
    assert_eq!((data["cut"].as_bool(), data["bytes"].as_u64()), (Some(true), Some(200_000)));
    assert_eq!(data["text"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!(events[2].data, "next");
}

/// Says `ready`, then one word for each signal, until SIGTERM. It waits by reading, which each signal ends; without
/// anybody there it ends soon.
const SIGNALLED: &str = "
    for s in INT HUP QUIT USR1 USR2; do trap \"echo $s\" $s; done
    trap 'echo TERM; exit 7' TERM
    echo ready
    n=0; while [ $n -lt 100 ]; do n=$((n+1)); read line; done";

#[test]
fn signals_sent_to_us_are_the_commands_once() {
    let gateway = Gateway::start(Answers::Published);
    let mut child = sh(&gateway.url, SIGNALLED).stdin(Stdio::piped()).spawn().unwrap();
    let _open = child.stdin.take();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(read_line(&mut stdout), "ready");
    for (signal, word) in [
        (Signal::SIGINT, "INT"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGTERM, "TERM"),
    ] {
        kill(pid(&child), signal).unwrap();
        assert_eq!(read_line(&mut stdout), word);
    }
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(read_line(&mut stdout), "", "each came once");
}

#[test]
fn a_command_ended_by_a_signal_is_told_as_such() {
    let gateway = Gateway::start(Answers::Published);
    let mut child = sh(&gateway.url, "echo ready; exec sleep 600").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(read_line(&mut stdout), "ready");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let last = gateway.events("job:1").pop().unwrap();
    assert_eq!((&last.data["exit_code"], &last.data["signal"]), (&143.into(), &"SIGTERM".into()));
}

#[test]
fn what_was_ignored_before_us_stays_ignored() {
    let gateway = Gateway::start(Answers::Published);
    let script = format!(
        "trap '' HUP; exec {} run --to {} --channel job:1 -- sh -c 'kill -HUP $$; kill -HUP $PPID; echo alive'",
        env!("CARGO_BIN_EXE_tally"),
        gateway.url
    );
    let done = output(Command::new("sh").args(["-c", &script]));
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), "alive\n".to_owned()));
}

#[test]
fn a_gateway_that_is_away_changes_nothing_but_one_line_at_the_end() {
    let done = output(tally(NOWHERE).args([
        "--flush-within",
        "300ms",
        "--",
        "sh",
        "-c",
        "echo a; echo b >&2; exit 4",
    ]));
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(4), "a\n".to_owned()));
    let stderr = text(&done.stderr);
    let (passed, ours) = stderr.split_once('\n').unwrap();
    assert_eq!(passed, "b");
    assert!(ours.starts_with("tally: 6 of 6 events were not sent (http://127.0.0.1:1: "), "{ours}");
    assert_eq!(ours.lines().count(), 1);

    let done = output(tally(NOWHERE).args([
        "--quiet",
        "--flush-within",
        "0",
        "--",
        "sh",
        "-c",
        "echo b >&2; exit 4",
    ]));
    assert_eq!((done.status.code(), text(&done.stderr)), (Some(4), "b\n".to_owned()));
}

#[test]
fn a_gateway_that_says_no_is_told_and_the_command_goes_on() {
    // What has no broker is asked again until the deadline, and may be asked at that very moment.
    let cases =
        [(401, "60s", &["1004 of 1004 events were refused"][..]), (503, "500ms", &["not sent", "perhaps"])];
    for (status, within, told) in cases {
        let gateway = Gateway::start(Answers::Status(status));
        let done = output(tally(&gateway.url).args(["--flush-within", within, "--", "seq", "1000"]));
        assert!(done.status.success());
        assert_eq!(text(&done.stdout).lines().count(), 1000);
        let stderr = text(&done.stderr);
        let last = stderr.lines().last().unwrap();
        assert!(last.contains(" of 1004 events ") && told.iter().any(|told| last.contains(told)), "{stderr}");
        assert!(last.contains("not today") || status == 503, "{stderr}");
        assert!(stderr.lines().count() <= 2, "one line at first and one at the end:\n{stderr}");
    }
}

#[test]
fn a_gateway_that_hangs_holds_nothing_up() {
    let gateway = Gateway::start(Answers::Never);
    // More than the buffer holds: the rest becomes counts, and all of it comes through.
    let script = "i=0; while [ $i -lt 200 ]; do head -c 65000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done";
    let done = output(tally(&gateway.url).args(["--flush-within", "0", "--", "sh", "-c", script]));
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 200 * 65_001));
    let stderr = text(&done.stderr);
    assert!(stderr.contains("of 204 events") && stderr.contains("perhaps published"), "{stderr}");
}

#[test]
fn a_signal_after_the_end_ends_the_flush() {
    let gateway = Gateway::start(Answers::Never);
    let mut command = tally(&gateway.url);
    let child = command.args(["--flush-within", "1000s", "--", "echo", "x"]).spawn().unwrap();
    // Its two channels have one unanswered request each, so the run may have ended by then, or not; asked again
    // and again, it leaves at the first signal after the command's end.
    gateway.wait_for_request();
    let pid = pid(&child);
    let asking = std::thread::spawn(move || {
        while kill(pid, Signal::SIGTERM).is_ok() {
            std::thread::yield_now();
        }
    });
    let done = child.wait_with_output().unwrap();
    asking.join().unwrap();
    assert!(matches!(done.status.code(), Some(0 | 143)), "{:?}", done.status);
    assert!(text(&done.stderr).contains("perhaps published"), "{}", text(&done.stderr));
}

#[test]
fn a_reader_that_leaves_ends_the_command_as_in_any_pipeline() {
    let gateway = Gateway::start(Answers::Published);
    let mut child = tally(&gateway.url).args(["--flush-within", "0", "yes"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(read_line(&mut stdout), "y");
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(128 + Signal::SIGPIPE as i32));
}

#[test]
fn a_process_that_keeps_the_output_open_is_left() {
    let gateway = Gateway::start(Answers::Published);
    let done = output(&mut sh(&gateway.url, "sleep 600 & echo $!"));
    let lines = text(&done.stdout);
    kill(Pid::from_raw(lines.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    assert!(done.status.success());
    assert!(text(&done.stderr).contains("another process still holds standard output and standard error"));
    assert_eq!(gateway.events("job:1").last().unwrap().kind, "run_finished");
}

#[test]
fn a_command_that_closes_its_output_is_waited_for() {
    let gateway = Gateway::start(Answers::Published);
    let mut command = sh(&gateway.url, "exec >&- 2>&-; read line; exit 5");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut rest = Vec::new();
    gateway.wait_for_events("job:1", 1);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest), (Some(5), Vec::new()));
}

#[test]
fn with_tty_the_command_has_a_terminal() {
    let gateway = Gateway::start(Answers::Published);
    let script = "test -t 1 && test -t 2 && echo yes; echo err >&2; read line; echo \"$line\"; exit 6";
    let mut command = tally(&gateway.url);
    let mut child = command.args(["--tty", "--", "sh", "-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped\n").unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(6), "yes\r\nerr\r\npiped\r\n".to_owned()));
    let lines = gateway.lines("job:1");
    assert_eq!(lines[1..lines.len() - 1], strings(&["yes", "err", "piped"], "stdout"));
}

/// `tally run` on a terminal that the test types on.
struct Typed {
    child: Child,
    keys: pty_process::blocking::Pty,
    shown: BufReader<std::fs::File>,
}

impl Typed {
    fn start(gateway: &Gateway, arguments: &[&str], script: &str) -> Self {
        let (keys, pts) = pty_process::blocking::open().unwrap();
        keys.resize(pty_process::Size::new(31, 97)).unwrap();
        let mut command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_tally"));
        command = command.args(["run", "--to", &gateway.url, "--channel", "job:1"]);
        let child = command.args(arguments).args(["--", "sh", "-c", script]).spawn(pts).unwrap();
        let shown = std::os::fd::AsFd::as_fd(&keys).try_clone_to_owned().unwrap();
        Self { child, keys, shown: BufReader::new(shown.into()) }
    }

    fn wait_for(&mut self, line: &str) {
        let mut seen = String::new();
        while !seen.lines().any(|one| one == line) {
            let read = self.shown.read_line(&mut seen).unwrap_or(0);
            assert!(read > 0, "no {line:?} in {seen:?}");
        }
    }

    fn next_size(&mut self) -> String {
        loop {
            let line = read_line(&mut self.shown);
            if line.starts_with(|first: char| first.is_ascii_digit()) {
                return line;
            }
        }
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

const INTERRUPTS: usize = 50;

#[test]
fn what_a_terminal_sends_reaches_the_command_once() {
    let gateway = Gateway::start(Answers::Published);
    let mut typed = Typed::start(&gateway, &[], SIGNALLED);
    typed.wait_for("ready");
    // A second one that comes too soon after the first is one with it: so it is tried many times.
    for _ in 0..INTERRUPTS {
        typed.keys.write_all(b"\x03").unwrap();
        typed.wait_for("^CINT");
    }
    kill(pid(&typed.child), Signal::SIGTERM).unwrap();
    typed.wait_for("TERM");
    assert_eq!(typed.end().code(), Some(7));
    let interrupts = gateway.lines("job:1").iter().filter(|(_, data)| data == "\"INT\"").count();
    assert_eq!(interrupts, INTERRUPTS);
}

#[test]
fn a_terminal_within_a_terminal_has_its_keys_and_its_size() {
    let gateway = Gateway::start(Answers::Published);
    let script =
        "trap 'echo int; exit 8' INT; stty size; while read line; do echo \"got $line\"; stty size; done";
    let mut typed = Typed::start(&gateway, &["--tty"], script);
    typed.wait_for("31 97");
    typed.keys.write_all(b"abc\r").unwrap();
    typed.wait_for("got abc");
    typed.keys.resize(pty_process::Size::new(20, 50)).unwrap();
    // The new size is passed on by another thread than keys are: asked for until it is there.
    while typed.next_size() != "20 50" {
        typed.keys.write_all(b"\r").unwrap();
    }
    typed.keys.write_all(b"\x03").unwrap();
    typed.wait_for("^Cint");
    assert_eq!(typed.end().code(), Some(8));
}
