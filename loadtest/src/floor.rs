//! The floor: the least possible work for the same fan-out, which every run can hold the gateway against.
//!
//! One thread, one epoll loop, one Redis connection. A message is framed once, as it is, into its channel's buffer;
//! a socket is a position in it. Nothing is decoded, counted or kept for later, and a delivery costs one write (or its
//! share of one) and nothing else: no allocation, no lock, no lookup.
//!
//! Bounds: a channel's buffer (`--behind-max-mib`; who lacks more is cut off), the channels, a client's frame, its
//! answers, and a message of Redis each have theirs beside them.

mod channel;
mod client;
mod redis;
mod socket;
#[cfg(test)]
mod tests;
mod websocket;

use self::channel::{Channel, Listener};
use self::redis::{Link, Push};
use self::socket::Socket;
use anyhow::Context as _;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;
use tally_protocol::CLIENT_FRAME_BYTES_MAX;

/// Channels that were ever subscribed to; each stays so until the process ends. More: the client is cut off.
const CHANNELS_MAX: usize = 65_536;
/// Reads of Redis between two looks at the sockets.
const READS_MAX: usize = 4;
const LISTENER: Token = Token(usize::MAX);
const REDIS: Token = Token(usize::MAX - 1);
/// Ready sockets told of at once.
const EVENTS_MAX: usize = 1_024;

/// The settings of `tally-loadtest floor`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The Redis that records are published to.
    #[arg(long)]
    pub(crate) redis: SocketAddr,
    /// What the names of channels start with in Redis.
    #[arg(long, default_value = "tally")]
    pub(crate) prefix: String,
    /// How frames reach the sockets.
    #[arg(long, value_enum)]
    pub(crate) write: Write,
    /// MiB of a channel's frames that a slow socket may lack; one that lacks more is cut off.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) behind_max_mib: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Write {
    /// One write for each message and socket, at once.
    Each,
    /// All that Redis has is read first; then each socket gets everything that it lacks in one write.
    Joined,
}

/// Serves until Redis goes away or the process is ended.
///
/// # Errors
/// The listener cannot be bound, or Redis cannot be reached, refuses, or closes the connection.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut floor = Floor::new(args)?;
    let mut out = io::stdout();
    writeln!(out, "listening on {}", floor.listener.local_addr()?)?;
    out.flush()?;
    floor.run()
}

#[derive(Debug)]
struct Floor {
    poll: Poll,
    listener: TcpListener,
    link: Link,
    /// What Redis may have more of than was read.
    is_link_due: bool,
    /// What a channel's name in Redis starts with, up to and with the brace that opens the hash tag.
    opening: String,
    names: HashMap<Box<[u8]>, usize>,
    channels: Vec<Channel>,
    sockets: Slab<Socket>,
    serial: u64,
    write: Write,
    behind_bytes_max: usize,
    /// Channels that got something since the sockets were last written to; joined only.
    due: Vec<usize>,
    /// Sockets to cut off, and why.
    lost: Vec<(usize, anyhow::Error)>,
    scratch: Box<[u8]>,
}

impl Floor {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let redis = std::net::TcpStream::connect(args.redis)
            .with_context(|| format!("cannot connect to Redis at {}; is it running?", args.redis))?;
        redis.set_nodelay(true)?;
        redis.set_nonblocking(true)?;
        let mut link = Link::new(TcpStream::from_std(redis));
        let mut listener = TcpListener::bind(args.listen)
            .with_context(|| format!("cannot listen on {}; give another --listen", args.listen))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry().register(&mut link.stream, REDIS, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            poll,
            listener,
            link,
            is_link_due: false,
            opening: format!("{}:{{", args.prefix),
            names: HashMap::new(),
            channels: Vec::new(),
            sockets: Slab::new(),
            serial: 0,
            write: args.write,
            behind_bytes_max: usize::try_from(args.behind_max_mib)? << 20,
            due: Vec::new(),
            lost: Vec::new(),
            scratch: vec![0; CLIENT_FRAME_BYTES_MAX].into_boxed_slice(),
        })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match self.poll.poll(&mut events, self.is_link_due.then_some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    REDIS => {
                        self.is_link_due |= event.is_readable();
                        if event.is_writable() {
                            self.link.flush()?;
                        }
                    }
                    Token(key) => {
                        if event.is_readable() {
                            self.read(key)?;
                        }
                        if event.is_writable() {
                            self.catch_up(key);
                        }
                    }
                }
            }
            if self.is_link_due {
                self.take()?;
            }
            self.cut_off();
        }
    }

    /// What Redis has: framed, and written to the sockets in the way that was asked for.
    fn take(&mut self) -> anyhow::Result<()> {
        for _ in 0..READS_MAX {
            self.is_link_due = self.link.read()?;
            while let Some(push) = self.link.next()? {
                match push {
                    Push::Message { name, payload } => {
                        let Some(&key) = self.names.get(name) else { continue };
                        let channel = &mut self.channels[key];
                        if channel.listeners.is_empty() {
                            continue;
                        }
                        channel.frames.push(payload);
                        match self.write {
                            Write::Each => self.deliver(key),
                            Write::Joined if channel.is_due => {}
                            Write::Joined => {
                                channel.is_due = true;
                                self.due.push(key);
                            }
                        }
                    }
                    Push::Subscribed { name } => {
                        if let Some(&key) = self.names.get(name) {
                            self.confirm(key);
                        }
                    }
                }
            }
            if !self.is_link_due {
                break;
            }
        }
        while let Some(key) = self.due.pop() {
            self.channels[key].is_due = false;
            self.deliver(key);
        }
        Ok(())
    }

    /// What a channel just got, to all its sockets that have room. The others go on when they are writable.
    fn deliver(&mut self, key: usize) {
        let mut is_behind = false;
        for &Listener { socket: at, place } in &self.channels[key].listeners {
            let socket = &mut self.sockets[at];
            if !socket.is_full {
                let written = match self.write {
                    Write::Each => socket.write_newest(place, &self.channels[key].frames),
                    Write::Joined => socket.catch_up_joined(&self.channels),
                };
                if let Err(error) = written {
                    self.lost.push((at, error));
                }
            }
            is_behind |= socket.is_full;
        }
        let Channel { frames, listeners, .. } = &mut self.channels[key];
        if !is_behind {
            frames.clear();
        } else if frames.trim(self.behind_bytes_max) {
            let sockets = &self.sockets;
            let far = listeners.iter().filter(|is| !frames.holds(sockets[is.socket].places[is.place].at));
            self.lost.extend(far.map(|is| (is.socket, anyhow::anyhow!("it is too far behind"))));
            self.cut_off();
        }
    }

    fn catch_up(&mut self, key: usize) {
        // It may have been cut off by an event before this one.
        let Some(socket) = self.sockets.get_mut(key).filter(|socket| socket.is_full) else { return };
        let written = match self.write {
            Write::Each => socket.catch_up_each(&self.channels),
            Write::Joined => socket.catch_up_joined(&self.channels),
        };
        if let Err(error) = written {
            self.lost.push((key, error));
        }
    }

    /// Ends what was lost on the way here.
    fn cut_off(&mut self) {
        for (key, why) in std::mem::take(&mut self.lost) {
            let Some(mut socket) = self.sockets.try_remove(key) else { continue };
            for place in &socket.places {
                let listeners = &mut self.channels[place.channel].listeners;
                listeners.retain(|listener| listener.socket != key);
            }
            let _ = self.poll.registry().deregister(&mut socket.stream);
            if why.to_string() != "it closed" {
                complain(format_args!("client {} is cut off: {why:#}", socket.serial));
            }
        }
    }
}

/// One line for whoever runs it.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "floor: {what}");
}
