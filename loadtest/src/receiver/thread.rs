//! One receiving thread: an epoll loop over its clients' sockets, their timers, and the orders of the run.
//!
//! One read per ready socket and round, so that no client waits for another's backlog. Bounded: one read buffer for
//! all clients, and as many connections being made at once as [`CONNECTING_MAX`].

use super::client::{Client, Round};
use super::hall::{Ask, Dialect, Hall};
use super::link::{Got, Link, Pace};
use super::{Orders, Phase};
use crate::account::Account;
use crate::audience::{Behaviour, Seat};
use crate::clock::now_us;
use crate::gauge::{Gauge, Loop};
use crate::result::Balance;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tally_protocol::ChannelName;

pub(super) const WAKE: Token = Token(usize::MAX);

/// Bytes of one read: what a socket may hold of a full burst.
const READ_BYTES: usize = 512 * 1024;
/// Sockets that are told by one call.
const EVENTS_MAX: usize = 1_024;
/// Connections that wait for their upgrade's answer. More: the next ones wait.
const CONNECTING_MAX: usize = 128;
/// How often orders are looked at when nothing happens.
const IDLE: Duration = Duration::from_millis(50);
/// How long a client that was refused or cut off stays away.
const RETRY_US: u64 = 200_000;
/// How often it is counted who has still to get to the end.
const SETTLE_US: u64 = 20_000;

/// What a thread begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) number: usize,
    pub(super) poll: Poll,
    pub(super) seats: Vec<Seat>,
    pub(super) dialect: Dialect,
    pub(super) channels: Arc<[ChannelName]>,
    pub(super) ask: Ask,
    pub(super) cache_bytes: usize,
    pub(super) gauge: Arc<Mutex<Gauge>>,
    pub(super) orders: Arc<Orders>,
    pub(super) closed_loop: Arc<Loop>,
}

/// What a thread ends with.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) clients: u64,
    /// Accounts that ended before.
    pub(super) retired: Balance,
    /// By channel, those that lasted.
    pub(super) accounts: Vec<(usize, Option<Account>)>,
}

struct Thread {
    poll: Poll,
    hall: Hall,
    clients: Vec<(Client, Link)>,
    /// Clients that may have something to read.
    ready: Vec<usize>,
    /// When to look at a client again.
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    /// Clients that were never connected: from this one on.
    unseated: usize,
    connecting: usize,
    phase: Phase,
    window_us: Option<u64>,
    settled_us: u64,
    orders: Arc<Orders>,
}

pub(super) fn main(start: Start) -> anyhow::Result<Ended> {
    let orders = Arc::clone(&start.orders);
    let ended = run(start);
    if ended.is_err() {
        orders.failed.store(true, Ordering::Relaxed);
    }
    ended
}

fn run(start: Start) -> anyhow::Result<Ended> {
    let mut hall = Hall::new(start.dialect, start.ask, start.channels, start.cache_bytes);
    let clients: Vec<_> =
        start.seats.into_iter().map(|seat| (Client::new(seat, &mut hall), Link::new())).collect();
    let mut thread = Thread {
        poll: start.poll,
        hall,
        clients,
        ready: Vec::new(),
        timers: BinaryHeap::new(),
        unseated: 0,
        connecting: 0,
        phase: Phase::Running,
        window_us: None,
        settled_us: 0,
        orders: start.orders,
    };
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; READ_BYTES];
    while thread.phase != Phase::Over {
        let wait = thread.wait();
        match thread.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut gauge = start.gauge.lock().unwrap_or_else(PoisonError::into_inner);
        thread.handle_events(&events, &mut gauge);
        thread.handle_orders(&mut gauge);
        thread.seat_next(&mut gauge);
        thread.handle_timers(&mut gauge);
        thread.read_ready(&mut buffer, &mut gauge);
        drop(gauge);
        if thread.hall.tell_slowest(|channel, cursor| start.closed_loop.tell(start.number, channel, cursor)) {
            start.closed_loop.told();
        }
    }
    let clients = thread.clients.len() as u64;
    let subscriptions = thread.clients.into_iter().flat_map(|(client, _)| client.subscriptions);
    let accounts = subscriptions.map(|it| (it.channel, it.account)).collect();
    Ok(Ended { clients, retired: thread.hall.retired, accounts })
}

impl Thread {
    fn wait(&self) -> Duration {
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let Some(Reverse((next_us, _))) = self.timers.peek() else { return IDLE };
        Duration::from_micros(next_us.saturating_sub(now_us())).min(IDLE)
    }

    fn handle_events(&mut self, events: &Events, gauge: &mut Gauge) {
        for event in events {
            let Token(at) = event.token();
            if event.token() == WAKE {
                continue;
            }
            if event.is_writable() {
                self.handle_writable(at, gauge);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.list(at);
            }
        }
    }

    fn list(&mut self, at: usize) {
        let link = &mut self.clients[at].1;
        if !std::mem::replace(&mut link.listed, true) {
            self.ready.push(at);
        }
    }

    fn handle_writable(&mut self, at: usize, gauge: &mut Gauge) {
        let (client, link) = &mut self.clients[at];
        if !link.up && link.socket.as_ref().is_some_and(|socket| socket.peer_addr().is_ok()) {
            link.up = true;
            gauge.connections += 1;
            client.handle_connected();
            self.begin_behaviour(at);
        }
        self.flush(at, gauge);
    }

    /// Sets the first timer of what this client is going to do.
    fn begin_behaviour(&mut self, at: usize) {
        let every_us = match self.clients[at].0.seat.behaviour {
            Behaviour::Flapping { every_us, .. } | Behaviour::Churning { every_us } => every_us,
            Behaviour::Healthy | Behaviour::Slow { .. } | Behaviour::Stalled { .. } => return,
        };
        // From half of it to one and a half, so that they do not all go at once.
        let in_us = every_us / 2 + fastrand::u64(..=every_us);
        self.timers.push(Reverse((now_us() + in_us, at)));
    }

    fn handle_orders(&mut self, gauge: &mut Gauge) {
        let phase = self.orders.phase();
        self.window_us = self.orders.window_us();
        if phase != self.phase {
            self.phase = phase;
            // Whoever was waiting to read, or away, goes on now.
            for at in 0..self.clients.len() {
                self.list(at);
            }
        }
        let now_us = now_us();
        if phase == Phase::Settling && now_us >= self.settled_us + SETTLE_US {
            self.settled_us = now_us;
            let orders = &self.orders;
            let behind =
                |(client, _): &(Client, Link)| client.subscriptions_behind(|channel| orders.end_of(channel));
            gauge.behind = self.clients.iter().map(behind).sum::<usize>() as u64;
        }
    }

    /// Connects those who were never connected, a few at a time.
    fn seat_next(&mut self, gauge: &mut Gauge) {
        while self.connecting < CONNECTING_MAX && self.unseated < self.clients.len() {
            self.connecting += 1;
            self.unseated += 1;
            self.connect(self.unseated - 1, gauge);
        }
    }

    fn connect(&mut self, at: usize, gauge: &mut Gauge) {
        let (client, link) = &mut self.clients[at];
        let interest = Interest::READABLE | Interest::WRITABLE;
        let connected = TcpStream::connect(client.seat.to).and_then(|mut socket| {
            // An answer to a ping should not wait for more to send.
            socket.set_nodelay(true)?;
            self.poll.registry().register(&mut socket, Token(at), interest)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => link.socket = Some(socket),
            Err(error) => self.handle_lost(at, &error.to_string(), gauge),
        }
    }

    fn handle_timers(&mut self, gauge: &mut Gauge) {
        let now_us = now_us();
        while let Some(Reverse((due_us, at))) = self.timers.peek().copied() {
            if due_us > now_us {
                break;
            }
            self.timers.pop();
            let (client, link) = &self.clients[at];
            if link.socket.is_none() {
                self.connect(at, gauge);
                continue;
            }
            match client.seat.behaviour {
                Behaviour::Flapping { away_us, .. } if link.up && self.phase == Phase::Running => {
                    self.leave(at, gauge);
                    self.timers.push(Reverse((now_us + away_us, at)));
                }
                Behaviour::Churning { .. } if link.up && self.phase == Phase::Running => {
                    self.leave(at, gauge);
                    self.clients[at].0.handle_replaced(&mut self.hall);
                    self.connect(at, gauge);
                }
                _ => self.list(at),
            }
        }
    }

    /// Breaks the connection off.
    fn leave(&mut self, at: usize, gauge: &mut Gauge) {
        let (client, link) = &mut self.clients[at];
        if let Some(mut socket) = link.socket.take() {
            // A socket that is closed right after is deregistered by that alone.
            let _deregistered = self.poll.registry().deregister(&mut socket);
        }
        client.handle_disconnected(gauge);
        gauge.connections -= u64::from(std::mem::take(&mut link.up));
    }

    /// The connection ended by itself: tell it, and come back with the ledgers.
    fn handle_lost(&mut self, at: usize, because: &str, gauge: &mut Gauge) {
        let to = self.clients[at].0.seat.to;
        gauge.lost_connection(format!("a connection to {to} ended: {because}"));
        self.leave(at, gauge);
        self.timers.push(Reverse((now_us() + RETRY_US, at)));
    }

    fn read_ready(&mut self, buffer: &mut [u8], gauge: &mut Gauge) {
        for at in std::mem::take(&mut self.ready) {
            self.clients[at].1.listed = false;
            self.read(at, buffer, gauge);
        }
    }

    fn read(&mut self, at: usize, buffer: &mut [u8], gauge: &mut Gauge) {
        let (client, link) = &mut self.clients[at];
        if !link.up {
            // Connecting still, or it failed to, which a read tells.
            if let Got::Ended(because) = link.read(&mut buffer[..1]) {
                self.handle_lost(at, &because, gauge);
            }
            return;
        }
        let now = now_us();
        let bytes_max = match link.pace(client.seat.behaviour, self.phase, self.window_us, now) {
            Pace::Reads(bytes) => bytes.min(buffer.len()),
            Pace::Waits(until_us) => {
                self.timers.push(Reverse((until_us, at)));
                return;
            }
        };
        let (bytes, more) = match link.read(&mut buffer[..bytes_max]) {
            Got::More(bytes) => (bytes, true),
            Got::All(bytes) => (bytes, false),
            Got::Ended(because) => return self.handle_lost(at, &because, gauge),
        };
        let was_attached = gauge.attached;
        let mut round = Round { hall: &mut self.hall, gauge, now_us: now_us() };
        if let Err(because) = client.take(&buffer[..bytes], &mut round) {
            return self.handle_lost(at, &because, gauge);
        }
        if client.seated(gauge.attached > was_attached) {
            self.connecting -= 1;
        }
        if !self.clients[at].0.out.is_empty() {
            self.flush(at, gauge);
        }
        if more {
            self.list(at);
        }
    }

    fn flush(&mut self, at: usize, gauge: &mut Gauge) {
        let (client, link) = &mut self.clients[at];
        if link.up
            && let Err(because) = link.write(&mut client.out)
        {
            self.handle_lost(at, &because, gauge);
        }
    }
}
