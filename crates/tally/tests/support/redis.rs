//! A redis-server of a test's own, on a free loopback port and in a folder of its own; ended with its handle.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INSTALL: &str = "these tests need redis-server; install it with: apt-get install redis-server";

pub(crate) struct Redis {
    child: Option<Child>,
    dir: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let mut redis = Self::absent();
        // Between the choice of a port and its use somebody else may take it.
        for _ in 0..10 {
            if redis.try_start() {
                return redis;
            }
            redis.port = free_port();
        }
        panic!("redis-server does not start");
    }

    /// Does not run yet; its port is free now.
    pub(crate) fn absent() -> Self {
        Self { child: None, dir: tempfile::tempdir().unwrap(), port: free_port() }
    }

    /// Starts on the same port, with the dump that it finds in its folder.
    pub(crate) fn start_again(&mut self) {
        assert!(self.try_start(), "redis-server does not start again");
    }

    /// Ends it as a crash would: nothing is saved.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_ended = child.kill();
            let _already_waited = child.wait();
        }
    }

    fn try_start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--unixsocket",
            "redis.sock",
        ]);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.child.insert(command.spawn().expect(INSTALL));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// Runs one command, as a program would that knows nothing of Tally.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        let mut connection = Connection::open(self.port);
        connection.send(arguments);
        connection.read()
    }

    /// Pub/sub channels with a subscriber, apart from those that gateways have of their own.
    pub(crate) fn listened(&self) -> Vec<String> {
        let Answer::Many(names) = self.run(&["PUBSUB", "CHANNELS"]) else { panic!("no list") };
        let mut names: Vec<_> = names.into_iter().map(Answer::text).collect();
        names.retain(|name| !name.contains("{$"));
        names.sort();
        names
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What Redis answers, or pushes to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Text(Vec<u8>),
    Number(i64),
    Many(Vec<Answer>),
    Nothing,
}

impl Answer {
    pub(crate) fn text(self) -> String {
        let Self::Text(bytes) = self else { panic!("no text but {self:?}") };
        String::from_utf8(bytes).unwrap()
    }
}

/// A few lines of RESP2: enough to run commands and to be pushed messages.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, arguments: &[&str]) {
        let mut out = format!("*{}\r\n", arguments.len());
        for argument in arguments {
            out += &format!("${}\r\n{argument}\r\n", argument.len());
        }
        self.0.get_mut().write_all(out.as_bytes()).unwrap();
    }

    pub(crate) fn read(&mut self) -> Answer {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let (form, rest) = line.trim_end().split_at(1);
        match form {
            "+" => Answer::Text(rest.into()),
            ":" => Answer::Number(rest.parse().unwrap()),
            "$" | "*" if rest == "-1" => Answer::Nothing,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Answer::Text(bytes)
            }
            "*" => Answer::Many((0..rest.parse().unwrap()).map(|_| self.read()).collect()),
            _ => panic!("Redis answers {line}"),
        }
    }
}
