//! What clients ask of the floor: to be let in, and to listen to channels.

use super::channel::{Channel, Listener, Waiting};
use super::socket::{Place, Socket};
use super::websocket::{self, CLOSE, ClientMessage, PING, PONG, TEXT};
use super::{CHANNELS_MAX, Floor, complain};
use anyhow::bail;
use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind, Read as _};
use std::time::Duration;
use tally_protocol::{
    Attach, CLIENT_FRAME_BYTES_MAX, ChannelName, ClientFrame, Hello, HelloLimits, Position, Rung,
    SUBPROTOCOL, ServerFrame, SubscribeChannel, SubscribeRequest, Subscribed, UpstreamStatus,
};

/// What the gateway sets as well, so that the kernel does the same work for both.
const NOTSENT_BYTES: u32 = 16 * 1024;
const SILENT: Duration = Duration::from_secs(45);

impl Floor {
    pub(super) fn accept(&mut self) {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    complain(format_args!("cannot accept: {error}; raise the limit of open files?"));
                    return;
                }
            };
            if let Err(error) = set_options(&stream) {
                complain(format_args!("a socket does not take its options: {error}"));
            }
            let entry = self.sockets.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, Token(entry.key()), interest) {
                complain(format_args!("a socket is lost: {error}"));
                continue;
            }
            self.serial += 1;
            entry.insert(Socket::new(stream, self.serial));
        }
    }

    /// Everything that a client sent.
    pub(super) fn read(&mut self, key: usize) -> anyhow::Result<()> {
        loop {
            let Some(socket) = self.sockets.get_mut(key) else { return Ok(()) };
            let lost = match socket.stream.read(&mut self.scratch) {
                Ok(0) => anyhow::anyhow!("it closed"),
                Ok(n) => {
                    socket.input.extend_from_slice(&self.scratch[..n]);
                    match self.serve(key) {
                        Ok(()) if n == self.scratch.len() => continue,
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error.into(),
            };
            self.lost.push((key, lost));
            return Ok(());
        }
    }

    /// The whole requests in a client's input; the rest waits, at most one frame of it.
    fn serve(&mut self, key: usize) -> anyhow::Result<()> {
        let mut input = std::mem::take(&mut self.sockets[key].input);
        let mut used = 0;
        if !self.sockets[key].is_open {
            let Some((answer, n)) = websocket::handshake(&input)? else {
                if input.len() > CLIENT_FRAME_BYTES_MAX {
                    bail!("its handshake does not end");
                }
                self.sockets[key].input = input;
                return Ok(());
            };
            used = n;
            let socket = &mut self.sockets[key];
            socket.is_open = true;
            let mut reply = answer.into_bytes();
            websocket::write_frame(&mut reply, TEXT, hello(socket.serial).as_bytes());
            socket.reply(&reply)?;
        }
        while let Some(message) = websocket::read_frame(&mut input[used..], CLIENT_FRAME_BYTES_MAX)? {
            let ClientMessage { opcode, payload, used: n } = message;
            self.handle(key, opcode, &input[used..][payload])?;
            used += n;
        }
        if used < input.len() {
            self.sockets[key].input = input[used..].to_vec();
        }
        Ok(())
    }

    fn handle(&mut self, key: usize, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        match opcode {
            TEXT => match ClientFrame::decode(std::str::from_utf8(payload)?)? {
                ClientFrame::Subscribe(request) => self.subscribe(key, request),
                _ => bail!("the floor knows subscribe and nothing else"),
            },
            PING => {
                let mut reply = Vec::new();
                websocket::write_frame(&mut reply, PONG, payload);
                self.sockets[key].reply(&reply)
            }
            PONG => Ok(()),
            CLOSE => {
                let mut reply = Vec::new();
                websocket::write_frame(&mut reply, CLOSE, payload);
                self.sockets[key].reply(&reply)?;
                bail!("it closed")
            }
            other => bail!("a frame with the opcode {other}; send one subscribe frame as text"),
        }
    }

    fn subscribe(&mut self, key: usize, request: SubscribeRequest) -> anyhow::Result<()> {
        for asked in request.channels {
            let name = format!("{}{}}}", self.opening, ChannelName::new(&asked.channel)?);
            let known = self.names.get(name.as_bytes()).copied();
            let channel = known.unwrap_or(self.channels.len());
            if known.is_none() {
                if self.channels.len() == CHANNELS_MAX {
                    bail!("more than {CHANNELS_MAX} channels");
                }
                self.channels.push(Channel::new());
                self.names.insert(name.as_bytes().into(), channel);
                self.link.subscribe(name.as_bytes())?;
            }
            if self.channels[channel].is_confirmed {
                self.join(key, channel, request.id, &asked)?;
            } else {
                let serial = self.sockets[key].serial;
                let waiting = Waiting { socket: key, serial, id: request.id, request: asked };
                self.channels[channel].waiting.push(waiting);
            }
        }
        Ok(())
    }

    pub(super) fn confirm(&mut self, channel: usize) {
        self.channels[channel].is_confirmed = true;
        for waiting in std::mem::take(&mut self.channels[channel].waiting) {
            let key = waiting.socket;
            if self.sockets.get(key).is_none_or(|socket| socket.serial != waiting.serial) {
                continue;
            }
            if let Err(error) = self.join(key, channel, waiting.id, &waiting.request) {
                self.lost.push((key, error));
            }
        }
    }

    fn join(
        &mut self,
        key: usize,
        channel: usize,
        id: u64,
        request: &SubscribeChannel,
    ) -> anyhow::Result<()> {
        let socket = &mut self.sockets[key];
        if socket.places.iter().any(|place| place.channel == channel) {
            bail!("it subscribed twice to {}", request.channel);
        }
        let mut reply = Vec::new();
        websocket::write_frame(&mut reply, TEXT, subscribed(id, request)?.as_bytes());
        socket.reply(&reply)?;
        self.channels[channel].listeners.push(Listener { socket: key, place: socket.places.len() });
        socket.places.push(Place::new(channel, self.channels[channel].frames.end()));
        Ok(())
    }
}

fn hello(serial: u64) -> String {
    let hello = Hello {
        protocol: SUBPROTOCOL.into(),
        connection: format!("floor-{serial}"),
        // It never sends one: a client of the floor does not wait for heartbeats.
        heartbeat_ms: 3_600_000,
        limits: HelloLimits {
            frame_bytes: CLIENT_FRAME_BYTES_MAX as u64,
            subscriptions: CHANNELS_MAX as u64,
            max_rate_default: 1_000_000,
            max_rate: 1_000_000,
            last: 0,
        },
    };
    ServerFrame::Hello(hello).encode()
}

/// As of a channel without events: the floor knows of none.
fn subscribed(id: u64, request: &SubscribeChannel) -> anyhow::Result<String> {
    let subscribed = Subscribed {
        id,
        channel: ChannelName::new(&request.channel)?,
        attach: Attach::At(Position::default()),
        rung: Rung::Full,
        max_rate: request.max_rate.unwrap_or(1_000_000),
        tick_ms: request.tick_ms,
        upstream: UpstreamStatus::Up,
    };
    Ok(ServerFrame::Subscribed(subscribed).encode())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES)?;
    let keepalive = TcpKeepalive::new().with_time(SILENT).with_interval(SILENT / 3).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(SILENT * 2))
}
