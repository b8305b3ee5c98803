//! The few requests of a run: a channel's snapshot from a gateway, and a word with Redis.

use anyhow::Context;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tally_protocol::{ChannelName, Position};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; a snapshot has its state of at most 1 MiB.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// `GET /v1/channels/{channel}`; a channel without events is one at seq 0.
pub(crate) fn snapshot(gateway: SocketAddr, channel: &ChannelName) -> anyhow::Result<Position> {
    let mut socket = connect(gateway)?;
    write!(socket, "GET /v1/channels/{channel} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let status = head.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if code == "404" {
        return Ok(Position::default());
    }
    anyhow::ensure!(code == "200", "{gateway} answered {status:?} for {channel}: {body}");
    serde_json::from_str(body)
        .with_context(|| format!("{gateway} answered something else for {channel}: {body}"))
}

pub(crate) fn redis_answers(redis: SocketAddr) -> bool {
    redis_info(redis, "server").is_ok()
}

/// One section of `INFO`.
pub(crate) fn redis_info(redis: SocketAddr, section: &str) -> anyhow::Result<String> {
    let mut socket = connect(redis)?;
    write!(socket, "*2\r\n$4\r\nINFO\r\n${}\r\n{section}\r\n", section.len())?;
    let mut reader = BufReader::new(socket);
    let mut length = String::new();
    reader.read_line(&mut length)?;
    let length = length.trim().strip_prefix('$').and_then(|digits| digits.parse::<u64>().ok());
    let length = length.context("Redis answered INFO with something else")?;
    let mut text = String::new();
    reader.take(length.min(ANSWER_BYTES_MAX)).read_to_string(&mut text)?;
    Ok(text)
}

/// The number of one line `name:number` of `INFO`.
pub(crate) fn info_number(info: &str, name: &str) -> Option<u64> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket =
        TcpStream::connect_timeout(&to, TIMEOUT).with_context(|| format!("cannot connect to {to}"))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}
