//! The live view of `tally watch` under a pseudo terminal: what stands there, what the keys do, what remains.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where it is broken; clippy's allowance does not reach helpers"
)]

#[path = "watch/gateway.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod gateway;

use gateway::{Connection, Gateway, PATIENCE, event, within};
use nix::sys::termios::{LocalFlags, tcgetattr};
use pty_process::blocking::{Command, Pty};
use serde_json::json;
use std::io::{Read, Write};
use std::process::Child;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Leaves the alternate screen.
const LEAVE: &str = "\u{1b}[?1049l";

struct Screen {
    pty: Arc<Pty>,
    child: Child,
    bytes: mpsc::UnboundedReceiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn start(gateway: &Gateway, environment: &[(&str, &str)]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(24, 80)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tally"));
        command =
            command.args(["watch", "--gateway", &gateway.url(), "job:42"]).env("TERM", "xterm-256color");
        command = command.env_remove("NO_COLOR").envs(environment.iter().copied());
        let child = command.spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let (sender, bytes) = mpsc::unbounded_channel();
        let reader = Arc::clone(&pty);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = (&*reader).read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pty, child, bytes, seen: String::new() }
    }

    async fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match tokio::time::timeout(PATIENCE, self.bytes.recv()).await {
                Ok(Some(bytes)) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                _ => panic!("{text:?} never came: {}", self.seen),
            }
        }
    }

    fn press(&self, key: &str) {
        (&*self.pty).write_all(key.as_bytes()).unwrap();
    }

    async fn end(mut self) -> (i32, String) {
        let status = within("the end", tokio::task::spawn_blocking(move || self.child.wait())).await;
        while let Ok(Some(bytes)) = tokio::time::timeout(PATIENCE, self.bytes.recv()).await {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.unwrap().unwrap().code().unwrap(), self.seen)
    }
}

async fn attached(gateway: &Gateway) -> Connection {
    let mut connection = gateway.accept().await;
    connection.attach("job:42").await;
    connection.send(event(3)).await;
    connection
}

#[tokio::test]
async fn the_live_view_shows_asks_and_leaves_the_ledger_behind() {
    let gateway = Gateway::start().await;
    let mut screen = Screen::start(&gateway, &[]);
    let mut connection = attached(&gateway).await;
    screen.wait_for("\u{1b}[?1049h").await;
    screen.wait_for("cursor 3").await;
    screen.wait_for("\u{1b}[38;5;").await;
    assert!(
        !tcgetattr(&*screen.pty).unwrap().local_flags.contains(LocalFlags::ICANON),
        "keys come one by one"
    );

    screen.press("c");
    let request = connection.receive().await;
    assert_eq!(
        (&request["type"], &request["rung"], &request["channel"]),
        (&json!("rung"), &json!("counts"), &json!(null))
    );
    connection.send(json!({"type": "rung", "channel": "job:42", "rung": "counts", "why": "asked"})).await;
    screen.wait_for("as asked: exact counts").await;
    let mut evil = event(4);
    evil["events"][0]["data"] = json!("\u{1b}]0;owned\u{7}\u{1b}[2J");
    connection.send(evil).await;
    screen.wait_for("\\u{1b}]0;owned\\u{7}\\u{1b}[2J").await;
    assert!(!screen.seen.contains("\u{1b}]0;"), "nothing foreign reaches the terminal");

    screen.pty.resize(pty_process::Size::new(30, 120)).unwrap();
    screen.wait_for(&"─".repeat(118)).await;
    screen.press("q");
    screen.wait_for(LEAVE).await;
    connection.drain().await;
    let (code, seen) = screen.end().await;
    assert_eq!(code, 0);
    let (_, after) = seen.rsplit_once(LEAVE).unwrap();
    for part in ["job:42", "attached ", "full ", "counted ", "summarised ", "✓ cursor 4"] {
        assert!(after.contains(part), "{part}: {after:?}");
    }
}

#[tokio::test]
async fn without_colour_and_after_a_signal_the_terminal_is_as_before() {
    let gateway = Gateway::start().await;
    let mut screen = Screen::start(&gateway, &[("NO_COLOR", "1")]);
    let connection = attached(&gateway).await;
    screen.wait_for("cursor 3").await;
    let pid = nix::unistd::Pid::from_raw(screen.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    screen.wait_for(LEAVE).await;
    screen.wait_for("\u{1b}[?25h").await;
    let pty = Arc::clone(&screen.pty);
    connection.drain().await;
    let (code, seen) = screen.end().await;
    assert_eq!(code, 0);
    assert!(tcgetattr(&*pty).unwrap().local_flags.contains(LocalFlags::ICANON), "lines are edited again");
    for colour in ["\u{1b}[38;", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[36m"] {
        assert!(!seen.contains(colour), "{colour:?} in {seen:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_is_shown_until_control_c() {
    let gateway = Gateway::start().await;
    let mut screen = Screen::start(&gateway, &[]);
    drop(gateway);
    screen.wait_for("reconnecting").await;
    screen.wait_for("next attempt in ").await;
    screen.press("\u{3}");
    screen.wait_for(LEAVE).await;
    let (code, seen) = screen.end().await;
    assert_eq!(code, 1);
    assert!(seen.contains("was never attached"), "{seen}");
}
