//! The task of one websocket connection, from the upgrade to the last byte.

use super::bucket::Bucket;
use super::wire::Wire;
use super::{Conn, ConnFigures, Ending};
use crate::decision::Guest;
use crate::http::upgrade::Upgrade;
use crate::limits::{CLOSE_TIME, CONTROL_BYTES_MAX, READ_BYTES, UPGRADE_TIME};
use crate::shard::Shard;
use futures_util::Stream as _;
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tally_fanout::ConnId;
use tally_protocol::{
    CLIENT_FRAME_BYTES_MAX, ChannelName, ClientFrame, CloseCode, ErrorCode, FrameError, Law,
    SubscribeRequest, ViolationReport,
};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// Seconds' worth of frames that a client may send at once.
const FRAMES_BURST_SECONDS: u64 = 10;

/// What the task wakes up for.
enum Turn {
    Message(Message),
    /// The client will send nothing more: it has closed, or broken the protocol.
    ReadEnd(Option<WsError>),
    /// The writer has something, and the socket may have room.
    Writable,
    Goodbye(CloseCode),
    /// Nothing is left to do, or time is up.
    Done,
}

struct Session {
    shard: Rc<Shard>,
    conn: Rc<Conn>,
    id: ConnId,
    guest: Guest,
    ws: WebSocketStream<Wire>,
    frames: Bucket,
    /// The client sent too fast; nothing is read until then.
    pause: Option<Pin<Box<Sleep>>>,
    /// The end has begun; it does not take longer than this.
    deadline: Option<Pin<Box<Sleep>>>,
    binary_frames: u32,
    is_read_ended: bool,
    /// The client has sent its close frame, and gets one.
    is_closed_by_both: bool,
    /// Our side of the socket is shut.
    is_shut: bool,
    /// For metrics: why it ended.
    code: &'static str,
}

/// Makes an upgraded connection a session and runs it to its end.
pub(crate) async fn run(shard: Rc<Shard>, upgrade: Upgrade) {
    let Upgrade { upgraded, guest, slot, caller } = upgrade;
    let Ok(Ok(upgraded)) = timeout(UPGRADE_TIME, upgraded).await else {
        return shard.metrics().closed("lost");
    };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection is no TCP socket");
        return;
    };
    // Copied and let go: it would keep the buffer that the request was read into for as long as the connection lives.
    let early = read_buf.to_vec();
    drop(read_buf);
    let figures = ConnFigures::new(shard.draw_name(), caller, shard.clock().now());
    let conn = Rc::new(Conn::new(io.into_inner(), shard.clock(), shard.limits(), figures));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_BYTES_MAX)
        .max_message_size(Some(CLIENT_FRAME_BYTES_MAX))
        .max_frame_size(Some(CLIENT_FRAME_BYTES_MAX));
    let wire = Wire(conn.clone());
    let ws = WebSocketStream::from_partially_read(wire, early, Role::Server, Some(config)).await;
    let limits = shard.limits();
    let burst = limits.frames_rate_max * FRAMES_BURST_SECONDS;
    let interval = Duration::from_secs(1) / u32::try_from(limits.frames_rate_max).unwrap_or(u32::MAX);
    let frames = Bucket::new(burst, interval, shard.clock().now());
    let id = shard.attach(&conn);
    let mut session = Session {
        id,
        guest,
        ws,
        frames,
        pause: None,
        deadline: None,
        binary_frames: 0,
        is_read_ended: false,
        is_closed_by_both: false,
        is_shut: false,
        code: "lost",
        conn,
        shard,
    };
    session.run().await;
    drop(session);
    // Only now the connection's place is free again.
    drop(slot);
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shard.detach(self.id);
        self.shard.metrics().closed(self.code);
    }
}

impl Session {
    async fn run(&mut self) {
        loop {
            match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Message(message) => self.handle_message(message).await,
                Turn::ReadEnd(error) => self.handle_read_end(error.as_ref()),
                Turn::Writable => self.shard.write(self.id, &self.conn),
                Turn::Goodbye(code) => self.say_goodbye(code),
                Turn::Done => return,
            }
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        *self.conn.waker.borrow_mut() = Some(cx.waker().clone());
        match self.conn.ending() {
            Ending::Broken => return Poll::Ready(Turn::Done),
            Ending::Wanted(code) => return Poll::Ready(Turn::Goodbye(code)),
            Ending::Closing | Ending::None => {}
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll_elapsed(cx).is_ready()
        {
            return Poll::Ready(Turn::Done);
        }
        if let Poll::Ready(turn) = self.poll_writable(cx) {
            return Poll::Ready(turn);
        }
        if self.conn.ending() == Ending::Closing && !self.is_shut && !self.conn.writer.borrow().has_work() {
            // Everything is written; a client that waits for our end sees it now.
            self.is_shut = true;
            let _ = SockRef::from(&self.conn.socket).shutdown(Shutdown::Write);
        }
        if let Poll::Ready(turn) = self.poll_read(cx) {
            return Poll::Ready(turn);
        }
        // Reading may have answered a ping.
        self.poll_writable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let writer = self.conn.writer.borrow();
        if !writer.has_work() {
            return Poll::Pending;
        }
        if !writer.is_blocked() {
            return Poll::Ready(Turn::Writable);
        }
        self.conn.socket.poll_write_ready(cx).map(|ready| ready.map_or(Turn::Done, |()| Turn::Writable))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.is_read_ended {
            return self.poll_last_bytes(cx);
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll_elapsed(cx));
            self.pause = None;
        }
        if self.shard.is_answering(self.id) {
            self.conn.is_held.set(true);
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.ws).poll_next(cx)) {
            Some(Ok(message)) => Poll::Ready(Turn::Message(message)),
            Some(Err(error)) => Poll::Ready(Turn::ReadEnd(Some(error))),
            None => Poll::Ready(Turn::ReadEnd(None)),
        }
    }

    /// After the end of the protocol: what still comes is thrown away, so that closing with unread bytes does not
    /// take the goodbye away from the client.
    fn poll_last_bytes(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.is_closed_by_both && !self.conn.writer.borrow().has_work() {
            return Poll::Ready(Turn::Done);
        }
        loop {
            if ready!(self.conn.socket.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Turn::Done);
            }
            match self.conn.socket.try_read(&mut [0; READ_BYTES]) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Poll::Ready(Turn::Done),
            }
        }
    }

    async fn handle_message(&mut self, message: Message) {
        self.shard.count_client_frame();
        let now = self.shard.clock().now();
        if !self.frames.take(now) {
            self.pause = Some(Box::pin(sleep(self.frames.wait(now))));
        }
        if self.conn.ending() != Ending::None {
            return;
        }
        match message {
            Message::Text(text) => match ClientFrame::decode(&text) {
                Ok(frame) => self.handle_frame(frame).await,
                Err(error) => self.shard.handle_refused(self.id, error),
            },
            Message::Binary(_) => self.handle_binary(),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn handle_binary(&mut self) {
        self.binary_frames += 1;
        if self.binary_frames > 1 {
            return self.conn.close(CloseCode::BadFrame);
        }
        let message = "binary frames are not understood; send one JSON object per text frame".into();
        let error = FrameError { id: None, channel: None, code: ErrorCode::BinaryFrame, message };
        self.shard.handle_refused(self.id, error);
    }

    async fn handle_frame(&mut self, frame: ClientFrame) {
        match frame {
            ClientFrame::Subscribe(request) => self.handle_subscribe(request).await,
            ClientFrame::Violation(report) => self.handle_violation(&report),
            // Reserved for token checks; today's decision needs none.
            ClientFrame::Auth(_) => tracing::debug!("a token came, and is not needed"),
            frame @ (ClientFrame::Unsubscribe(_) | ClientFrame::Rung(_)) => {
                self.shard.handle_frame(self.id, frame);
            }
        }
    }

    /// Each channel is decided by itself; what is not a name at all is the hub's to refuse.
    async fn handle_subscribe(&mut self, mut request: SubscribeRequest) {
        let mut refused = Vec::new();
        for wanted in &request.channels {
            let Ok(channel) = ChannelName::new(&wanted.channel) else { continue };
            if let Err((code, message)) = self.shard.decision().listen(&self.guest, &channel).await {
                refused.push(FrameError { id: Some(request.id), channel: Some(channel), code, message });
            }
        }
        if !refused.is_empty() {
            let is_refused = |name: &str| {
                refused
                    .iter()
                    .any(|error| error.channel.as_ref().is_some_and(|channel| channel.as_str() == name))
            };
            request.channels.retain(|wanted| !is_refused(&wanted.channel));
            for error in refused {
                self.shard.handle_refused(self.id, error);
            }
        }
        if !request.channels.is_empty() {
            self.shard.handle_frame(self.id, ClientFrame::Subscribe(request));
        }
    }

    fn handle_violation(&self, report: &ViolationReport) {
        let laws = [Law::Conservation, Law::Order];
        let law = laws.into_iter().find(|law| law.as_str() == report.law).map_or("other", Law::as_str);
        self.shard.metrics().violation(law);
        let detail: String = report.detail.chars().take(200).collect();
        tracing::warn!(channel = %report.channel, law, detail, "a client saw a law broken");
    }

    fn handle_read_end(&mut self, error: Option<&WsError>) {
        self.is_read_ended = true;
        match error {
            None => {
                self.is_closed_by_both = true;
                if self.conn.ending() == Ending::None {
                    self.code = "client";
                }
            }
            Some(WsError::Capacity(_)) => return self.conn.close(CloseCode::FrameTooLarge),
            Some(WsError::Protocol(_) | WsError::Utf8(_)) if self.conn.ending() == Ending::None => {
                if !self.is_lost() {
                    return self.conn.close(CloseCode::BadFrame);
                }
            }
            Some(_) => {}
        }
        if self.conn.ending() == Ending::None {
            self.shard.stop(self.id, &self.conn);
            self.begin_end();
        }
    }

    /// A socket that ended without a close frame is nobody's mistake.
    fn is_lost(&self) -> bool {
        matches!(self.conn.socket.try_read(&mut [0; 1]), Ok(0))
    }

    fn say_goodbye(&mut self, code: CloseCode) {
        self.code = code.as_str();
        self.shard.say_goodbye(self.id, &self.conn, code);
        if code == CloseCode::Silent && self.conn.writer.borrow().is_blocked() {
            // The socket has had its time.
            self.conn.fail();
        }
        self.begin_end();
    }

    fn begin_end(&mut self) {
        self.pause = None;
        if self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep(CLOSE_TIME)));
        }
    }
}

/// `Future::poll` under a name that says what it waits for.
trait PollElapsed {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> Poll<()>;
}

impl PollElapsed for Pin<&mut Sleep> {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }
}
