//! The client: it drives the session over a socket, only while the application awaits `next`.
//!
//! It owns the socket and one timer. No task, no queue: what the session tells is handed over before the next frame is
//! read, and at most one frame at a time waits to be written.

mod open;

use crate::disconnect::Disconnect;
use crate::endpoint::{BuildError, Endpoint};
use crate::limits::CLOSE_MAX;
use crate::reconnect::Reconnect;
use crate::session::{Account, Connect, Session};
use crate::subscription::{SubscribeError, Subscription};
use crate::update::{FrameText, Update};
use futures_util::{Sink, Stream};
use open::{Socket, Target};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tally_protocol::{ChannelName, Ledger, Rung, TickMs};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WsCloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How a client is to connect. Nothing happens before [`Client::next`].
#[derive(Debug, Clone)]
pub struct Builder {
    url: String,
    headers: Vec<(String, String)>,
    trusted: Vec<Vec<u8>>,
    reconnect: Reconnect,
    seed: Option<u64>,
}

impl Builder {
    /// When to come back after a lost connection.
    #[must_use]
    pub fn reconnect(mut self, policy: Reconnect) -> Self {
        self.reconnect = policy;
        self
    }

    /// A header of the handshake's request, such as `authorization`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Certificates (PEM) to trust beside those of the system, for `wss`.
    #[must_use]
    pub fn trust(mut self, pem: &[u8]) -> Self {
        self.trusted.push(pem.into());
        self
    }

    /// The seed of the jitter, for runs that must repeat themselves. Without it, it is drawn.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks everything that was given. No input or output, except that `wss` reads the system's certificates.
    ///
    /// # Errors
    /// [`BuildError`] names what is wrong and the rule.
    pub fn build(self) -> Result<Client, BuildError> {
        let endpoint: Endpoint = self.url.parse()?;
        let headers = self.headers.iter().map(|(name, value)| open::read_header(name, value));
        let headers = headers.collect::<Result<_, _>>()?;
        let mut trusted = Vec::new();
        for pem in &self.trusted {
            trusted.extend(crate::tls::read_pem(pem)?);
        }
        let tls = if endpoint.is_secure() { Some(crate::tls::client_config(&trusted)?) } else { None };
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(Client {
            session: Session::new(self.reconnect, seed),
            target: Target { endpoint, headers, tls },
            link: Link::Idle,
            timer: None,
            left_at: None,
        })
    }
}

enum Link {
    Idle,
    Opening(Pin<Box<dyn Future<Output = Result<Box<Socket>, Disconnect>> + Send>>),
    Open {
        socket: Box<Socket>,
        /// Something was given to the socket that may not have left it.
        flush: bool,
    },
}

/// A verifying subscriber: one connection, any number of channels, a ledger for each.
///
/// Requests ([`Client::subscribe`] and so on) are taken at any time, connected or not, and go out while
/// [`Client::next`] is awaited. An application that stops awaiting it stops reading: frames then wait in the socket,
/// the gateway goes over to counts and summaries, and ends the connection after a long silence.
pub struct Client {
    session: Session,
    target: Target,
    link: Link,
    timer: Option<Pin<Box<Sleep>>>,
    /// When `next` was last left.
    left_at: Option<Instant>,
}

impl Client {
    /// A client for the gateway at `url`: `http://host:port`, `https://…`, `ws://…` or `wss://…`, with or without the
    /// path `/v1/ws`. It connects when [`Client::next`] is first awaited, and comes back by itself.
    ///
    /// # Errors
    /// [`BuildError`] says what is wrong with the URL.
    pub fn connect(url: &str) -> Result<Self, BuildError> {
        Self::builder(url).build()
    }

    /// As [`Client::connect`], with further settings.
    #[must_use]
    pub fn builder(url: &str) -> Builder {
        Builder {
            url: url.into(),
            headers: Vec::new(),
            trusted: Vec::new(),
            reconnect: Reconnect::default(),
            seed: None,
        }
    }

    /// The gateway's websocket.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.target.endpoint
    }

    /// Listens to a channel from the next connection or, if there is one, from now on. The answer is
    /// [`Update::Subscribed`], or [`Update::Error`] and [`Update::Unsubscribed`].
    ///
    /// # Errors
    /// [`SubscribeError`]; nothing has changed then.
    pub fn subscribe(&mut self, subscription: impl Into<Subscription>) -> Result<(), SubscribeError> {
        self.session.subscribe(subscription.into())
    }

    /// As [`Client::subscribe`] for each; what is subscribed between two `next` goes out together.
    ///
    /// # Errors
    /// [`SubscribeError`] of the first that was not taken; those before it were.
    pub fn subscribe_all<S: Into<Subscription>>(
        &mut self,
        subscriptions: impl IntoIterator<Item = S>,
    ) -> Result<(), SubscribeError> {
        subscriptions.into_iter().try_for_each(|subscription| self.subscribe(subscription))
    }

    /// Stops listening. Frames that are on their way still come and are booked; [`Update::Unsubscribed`] is the last,
    /// with the final ledger. It comes without a frame where there is no connection.
    ///
    /// # Errors
    /// [`SubscribeError::NotSubscribed`].
    pub fn unsubscribe(&mut self, channel: &ChannelName) -> Result<(), SubscribeError> {
        self.session.unsubscribe(channel)
    }

    /// The highest rung wanted from now on: of one channel, or (`None`) of the whole connection. The latter is a ceiling
    /// for all channels, also later ones, beside what each asked for itself. `max_rate` and `tick_ms` are for the named
    /// channel, or all that are subscribed now; where they are `None` they stay. Kept across reconnects.
    ///
    /// # Errors
    /// [`SubscribeError::NotSubscribed`] or [`SubscribeError::NoRate`].
    pub fn set_rung(
        &mut self,
        channel: Option<&ChannelName>,
        rung: Rung,
        max_rate: Option<u64>,
        tick_ms: Option<TickMs>,
    ) -> Result<(), SubscribeError> {
        self.session.set_rung(channel, rung, max_rate, tick_ms)
    }

    /// The channel's ledger as it stands after the last update: a frame is booked before it is told. `None` before
    /// the first attach, after a violation until the next attach, and after the end of the subscription.
    #[must_use]
    pub fn ledger(&self, channel: &ChannelName) -> Option<&Ledger> {
        self.account(channel)?.ledger()
    }

    /// The channel's ledger together with those that ended before, and what was granted.
    #[must_use]
    pub fn account(&self, channel: &ChannelName) -> Option<&Account> {
        self.session.account(channel)
    }

    /// What the channel gets now: the lower of its own rung and the connection's ceiling, as last told. `None` while
    /// it is not attached.
    #[must_use]
    pub fn rung(&self, channel: &ChannelName) -> Option<Rung> {
        self.session.rung(channel)
    }

    /// The channels that are subscribed or about to be, in no order.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.session.channels()
    }

    /// Frames that broke a law, over all channels and connections.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.session.violations()
    }

    /// The next thing that happened. `None` after the end: an [`Update::Disconnected`] without `retry_in` was told.
    ///
    /// All input, output, supervision and reconnecting happens in here, so await it whenever there is nothing else to
    /// do. It is cancel-safe: dropped half way, nothing is lost, and the next call goes on. Silence is counted only
    /// while it is awaited.
    pub async fn next(&mut self) -> Option<Update> {
        if let Some(left_at) = self.left_at.take() {
            self.session.handle_absence(left_at.elapsed());
        }
        let presence = Presence(self);
        poll_fn(|cx| presence.0.poll_update(cx)).await
    }

    /// Ends the connection in an orderly way and hands over the accounts of all channels as they stand: after the last
    /// update that was taken. Waits at most [`CLOSE_MAX`] for the gateway.
    pub async fn close(mut self) -> BTreeMap<ChannelName, Account> {
        if let Link::Open { .. } = self.link {
            // A gateway that does not answer is not waited for; there is nothing left to lose.
            let _ = tokio::time::timeout(CLOSE_MAX, self.say_goodbye()).await;
        }
        self.session.into_accounts().collect()
    }

    /// Writes what is unsent and the close frame, then reads up to the gateway's close frame.
    async fn say_goodbye(&mut self) -> Result<(), Disconnect> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        let Link::Open { socket, .. } = &mut self.link else { return Ok(()) };
        poll_fn(|cx| Pin::new(&mut **socket).poll_ready(cx)).await.map_err(lost)?;
        let close = CloseFrame { code: WsCloseCode::Normal, reason: "".into() };
        Pin::new(&mut **socket).start_send(Message::Close(Some(close))).map_err(lost)?;
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = Pin::new(&mut **socket).poll_flush(cx) {
                return Poll::Ready(Err(lost(error)));
            }
            // What comes now was never taken by the application, so it is in no ledger.
            while let Some(Ok(_)) = ready!(Pin::new(&mut **socket).poll_next(cx)) {}
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            if let Some(update) = self.session.poll_update() {
                return Poll::Ready(Some(update));
            }
            let now = Instant::now();
            match &mut self.link {
                Link::Idle => match self.session.poll_connect(now.into_std()) {
                    Connect::Never => return Poll::Ready(None),
                    Connect::At(at) => ready!(self.poll_timer(at.into(), cx)),
                    Connect::Now => self.link = Link::Opening(Box::pin(open::open(self.target.clone()))),
                },
                Link::Opening(attempt) => match ready!(attempt.as_mut().poll(cx)) {
                    Ok(socket) => {
                        self.link = Link::Open { socket, flush: false };
                        self.session.handle_open(now.into_std());
                    }
                    Err(cause) => self.drop_link(cause),
                },
                Link::Open { .. } => ready!(self.poll_open(cx)),
            }
        }
    }

    /// One step of an open connection: write what there is room for, then read one message, then look at the time.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Err(cause)) = self.poll_write(cx) {
            self.drop_link(cause);
            return Poll::Ready(());
        }
        let Link::Open { socket, .. } = &mut self.link else { return Poll::Ready(()) };
        if let Poll::Ready(message) = Pin::new(&mut **socket).poll_next(cx) {
            self.handle_message(message, cx);
            return Poll::Ready(());
        }
        if let Some(deadline) = self.session.poll_deadline() {
            ready!(self.poll_timer(deadline.into(), cx));
            self.session.handle_timeout(Instant::now().into_std());
        }
        if !self.session.is_open() {
            self.link = Link::Idle;
        }
        Poll::Ready(())
    }

    /// Gives the socket one frame after the other while it takes them. Pending: it has no room, reading goes on.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let Link::Open { socket, flush } = &mut self.link else { return Poll::Ready(Ok(())) };
        let mut socket = Pin::new(&mut **socket);
        loop {
            if *flush {
                ready!(socket.as_mut().poll_flush(cx)).map_err(lost)?;
                *flush = false;
            }
            ready!(socket.as_mut().poll_ready(cx)).map_err(lost)?;
            let Some(text) = self.session.poll_transmit() else { return Poll::Ready(Ok(())) };
            socket.as_mut().start_send(Message::text(text)).map_err(lost)?;
            *flush = true;
        }
    }

    fn handle_message(&mut self, message: Option<Result<Message, Error>>, cx: &mut Context<'_>) {
        let now = Instant::now().into_std();
        match message {
            Some(Ok(Message::Text(text))) => self.session.handle_text(FrameText::new(text), now),
            Some(Ok(Message::Binary(_))) => {
                self.session.handle_unreadable(&"it is binary; frames are text", "", now);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.session.handle_alive(now);
            }
            Some(Ok(Message::Close(frame))) => {
                let frame = frame.unwrap_or(CloseFrame { code: WsCloseCode::Status, reason: "".into() });
                let cause = Disconnect::Closed { code: frame.code.into(), reason: frame.reason.to_string() };
                self.session.handle_disconnect(cause, now);
            }
            Some(Err(Error::Capacity(error))) => self.session.handle_unreadable(&error, "", now),
            Some(Err(Error::Utf8(error))) => self.session.handle_unreadable(&error, "", now),
            Some(Err(error)) => self.session.handle_disconnect(lost(error), now),
            None => self.session.handle_disconnect(Disconnect::Lost("it ended".into()), now),
        }
        if !self.session.is_open() {
            self.close_socket(cx);
        }
    }

    /// Says why in a close frame, or answers the gateway's, as far as the socket takes it at once.
    fn close_socket(&mut self, cx: &mut Context<'_>) {
        if let Link::Open { socket, .. } = &mut self.link {
            let mut socket = Pin::new(&mut **socket);
            let close = CloseFrame { code: WsCloseCode::Protocol, reason: "".into() };
            if socket.as_mut().start_send(Message::Close(Some(close))).is_ok() {
                let _ = socket.as_mut().poll_flush(cx);
            }
        }
        self.link = Link::Idle;
    }

    fn drop_link(&mut self, cause: Disconnect) {
        self.link = Link::Idle;
        self.session.handle_disconnect(cause, Instant::now().into_std());
    }

    fn poll_timer(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = self.session.is_open();
        f.debug_struct("Client")
            .field("endpoint", &self.target.endpoint)
            .field("connected", &connected)
            .finish()
    }
}

/// Notes when `next` is left, by its end or by being dropped.
struct Presence<'a>(&'a mut Client);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.left_at = Some(Instant::now());
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn lost(error: Error) -> Disconnect {
    Disconnect::Lost(error.to_string())
}
