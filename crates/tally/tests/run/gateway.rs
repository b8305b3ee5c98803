//! A gateway for tests of publishing programs: it records what is posted, and answers as the test wants.

#![expect(dead_code, reason = "each program's tests need another part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Longer than any step takes on a busy machine, and short enough to name what hangs.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(60);

/// How every request is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Published,
    /// With this status, as a gateway that has no broker (503) or wants a key (401).
    Status(u16),
    Never,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) class: String,
    pub(crate) data: Value,
}

#[derive(Default)]
struct Recorded {
    events: BTreeMap<String, Vec<Event>>,
    counted: u64,
    requests: u64,
}

pub(crate) struct Gateway {
    pub(crate) url: String,
    recorded: Arc<(Mutex<Recorded>, Condvar)>,
}

impl Gateway {
    pub(crate) fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let recorded: Arc<(Mutex<Recorded>, Condvar)> = Arc::default();
        let shared = Arc::clone(&recorded);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, recorded) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || serve(&stream, answers, &recorded));
            }
        });
        Self { url, recorded }
    }

    pub(crate) fn events(&self, channel: &str) -> Vec<Event> {
        self.recorded.0.lock().unwrap().events.get(channel).cloned().unwrap_or_default()
    }

    /// Kinds and data, as text.
    pub(crate) fn lines(&self, channel: &str) -> Vec<(String, String)> {
        self.events(channel).into_iter().map(|event| (event.kind, event.data.to_string())).collect()
    }

    pub(crate) fn counted(&self) -> u64 {
        self.recorded.0.lock().unwrap().counted
    }

    pub(crate) fn channels(&self) -> Vec<String> {
        self.recorded.0.lock().unwrap().events.keys().cloned().collect()
    }

    pub(crate) fn wait_for_events(&self, channel: &str, count: usize) {
        self.wait_for(|recorded| recorded.events.get(channel).is_some_and(|events| events.len() >= count));
    }

    pub(crate) fn wait_for_request(&self) {
        self.wait_for(|recorded| recorded.requests > 0);
    }

    fn wait_for(&self, is_there: impl Fn(&Recorded) -> bool) {
        let (recorded, changed) = &*self.recorded;
        let recorded = recorded.lock().unwrap();
        let (_recorded, waited) =
            changed.wait_timeout_while(recorded, STEP_MAX, |recorded| !is_there(recorded)).unwrap();
        assert!(!waited.timed_out(), "it did not arrive within {STEP_MAX:?}");
    }
}

/// A connection of requests, one after another.
fn serve(stream: &TcpStream, answers: Answers, recorded: &(Mutex<Recorded>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = read_request(&mut reader) {
        let channel = path.split('/').nth(3).unwrap().to_owned();
        let (status, answer) = match answers {
            Answers::Published => (200, record(&channel, &path, &body, recorded)),
            Answers::Status(status) => {
                (status, r#"{"error":{"code":"no","message":"not today"}}"#.to_owned())
            }
            Answers::Never => (0, String::new()),
        };
        recorded.0.lock().unwrap().requests += 1;
        recorded.1.notify_all();
        if answers == Answers::Never {
            continue;
        }
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
        if (&mut &*stream).write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<(String, String)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first.split(' ').nth(1)?.to_owned(), String::from_utf8(body).unwrap()))
}

fn record(channel: &str, path: &str, body: &str, recorded: &(Mutex<Recorded>, Condvar)) -> String {
    let mut recorded = recorded.0.lock().unwrap();
    if path.ends_with("/counts") {
        let body: Value = serde_json::from_str(body).unwrap();
        let counts = body["counts"].as_object().unwrap();
        recorded.counted += counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>();
        return r#"{"epoch":"e1","from":1,"to":1,"heard":"yes"}"#.to_owned();
    }
    let events = recorded.events.entry(channel.to_owned()).or_default();
    let from = events.len() + 1;
    events.extend(body.lines().map(|line| serde_json::from_str::<Event>(line).unwrap()));
    format!(r#"{{"epoch":"e1","from":{from},"to":{},"heard":"yes"}}"#, events.len())
}
