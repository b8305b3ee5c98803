//! What the end-to-end tests share: a real gateway process, a real Redis, plain HTTP, listeners, and bad networks.
#![expect(clippy::unwrap_used, reason = "a test helper fails by panicking")]
#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod listener;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod slow;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here should take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A `tally serve` process on free ports. Ended when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", more)
    }

    pub(crate) fn start_on(listen: &str, more: &[&str]) -> Self {
        Self::start_with(listen, more, Stdio::null())
    }

    /// Writes what it logs into this file.
    pub(crate) fn start_logged(log: &Path, more: &[&str]) -> Self {
        Self::start_with("127.0.0.1:0", more, std::fs::File::create(log).unwrap().into())
    }

    fn start_with(listen: &str, more: &[&str], log: Stdio) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses = dir.path().join("addresses.json");
        let child = Command::new(env!("CARGO_BIN_EXE_tally"))
            .args(["serve", "--listen", listen, "--admin", "127.0.0.1:0", "--addresses-file"])
            .arg(&addresses)
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut gateway = Self { child, listen: ([0, 0, 0, 0], 0).into(), admin: ([0, 0, 0, 0], 0).into() };
        let text = gateway.wait_for_file(&addresses);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        gateway.listen = value["listen"].as_str().unwrap().parse().unwrap();
        gateway.admin = value["admin"].as_str().unwrap().parse().unwrap();
        gateway
    }

    fn wait_for_file(&mut self, path: &Path) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = std::fs::read_to_string(path)
                && text.ends_with('\n')
            {
                return text;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the gateway ended before it listened");
            assert!(Instant::now() < deadline, "the gateway did not listen in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Resident memory of the process in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The account of the broker: `GET /v1/channels/{channel}`.
    pub(crate) fn channel(&self, channel: &str) -> serde_json::Value {
        let (status, body) = get(self.listen, &format!("/v1/channels/{channel}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn metrics(&self) -> String {
        get(self.admin, "/metrics").1
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends the process at once, as a crash would.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listen
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
