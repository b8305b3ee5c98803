//! The session: everything a client knows and decides, without sockets or clocks.
//!
//! `handle_*` takes what happened and the time of it, `poll_*` says what to do next. It owns the accounts of all
//! channels, the state of the link and the updates that one input caused; the driver takes those before it brings the
//! next input, so that their number is bounded by what one frame can say (or by the channels, when a link is lost).

mod channel;
mod frames;
mod requests;
#[cfg(test)]
mod tests;

use crate::disconnect::Disconnect;
use crate::limits::{HEARTBEAT_MAX, HEARTBEAT_MIN, HELLO_MAX, RETRY_WINDOW_MAX, SILENT_HEARTBEATS_MAX};
use crate::reconnect::{Reconnect, Window};
use crate::update::Update;
pub use channel::Account;
use channel::{Phase, Then};
use fastrand::Rng;
use requests::Unsent;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};
use tally_protocol::{CLOSE_CODES, ChannelName, Goodbye, Hello, Rung, RungRequest};

/// What to do where there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connect {
    Now,
    At(Instant),
    Never,
}

#[derive(Debug)]
enum Link {
    /// No connection; the next attempt is due then, or at once.
    Down {
        until: Option<Instant>,
    },
    /// Connected; `hello` must come.
    Greeting {
        since: Instant,
    },
    Up(Up),
    /// For good.
    Ended,
}

#[derive(Debug)]
struct Up {
    since: Instant,
    heard_at: Instant,
    silence_max: Duration,
    frame_bytes: usize,
    last_max: u64,
    goodbye: Option<Goodbye>,
}

#[derive(Debug)]
pub(crate) struct Session {
    link: Link,
    reconnect: Reconnect,
    rng: Rng,
    /// Attempts in a row since the last stable connection.
    attempts: u32,
    channels: HashMap<ChannelName, Account>,
    ceiling: Rung,
    /// What was asked for the whole connection; asked again on the next one.
    asked_for_all: Option<RungRequest>,
    unsent: Unsent,
    updates: VecDeque<Update>,
    /// Channels in [`Phase::Over`]: each is one update, made when it is taken.
    over: BTreeSet<ChannelName>,
    next_id: u64,
    violations: u64,
}

impl Session {
    pub(crate) fn new(reconnect: Reconnect, seed: u64) -> Self {
        Self {
            link: Link::Down { until: None },
            reconnect,
            rng: Rng::with_seed(seed),
            attempts: 0,
            channels: HashMap::new(),
            ceiling: Rung::Full,
            asked_for_all: None,
            unsent: Unsent::default(),
            updates: VecDeque::new(),
            over: BTreeSet::new(),
            next_id: 1,
            violations: 0,
        }
    }

    pub(crate) fn account(&self, channel: &ChannelName) -> Option<&Account> {
        self.channels.get(channel).filter(|account| account.phase != Phase::Over)
    }

    pub(crate) fn into_accounts(self) -> impl Iterator<Item = (ChannelName, Account)> {
        self.channels.into_iter().filter(|(_, account)| account.phase != Phase::Over)
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.iter().filter(|(_, account)| account.phase != Phase::Over).map(|(name, _)| name)
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }

    /// The lower of what was told for the subscription and the connection's ceiling.
    pub(crate) fn rung(&self, channel: &ChannelName) -> Option<Rung> {
        let account = self.account(channel).filter(|account| account.is_attached())?;
        account.granted.map(|granted| granted.rung.min(self.ceiling))
    }

    /// Whether the driver should hold a socket.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.link, Link::Greeting { .. } | Link::Up(_))
    }

    /// What to do while there is no socket.
    pub(crate) fn poll_connect(&self, now: Instant) -> Connect {
        match &self.link {
            Link::Down { until: Some(until) } if *until > now => Connect::At(*until),
            Link::Down { .. } => Connect::Now,
            Link::Greeting { .. } | Link::Up(_) | Link::Ended => Connect::Never,
        }
    }

    /// The next thing to tell the application.
    pub(crate) fn poll_update(&mut self) -> Option<Update> {
        if let Some(update) = self.updates.pop_front() {
            return Some(update);
        }
        let channel = self.over.pop_first()?;
        let mut account = self.channels.remove(&channel)?;
        let ledger = account.close_ledger();
        Some(Update::Unsubscribed { channel, code: ASKED.into(), ledger, frame: None })
    }

    /// When [`Session::handle_timeout`] has to be called.
    pub(crate) fn poll_deadline(&self) -> Option<Instant> {
        match &self.link {
            Link::Greeting { since } => Some(*since + HELLO_MAX),
            Link::Up(up) => {
                let silent_at = up.heard_at + up.silence_max;
                Some(self.unsent.due_at().map_or(silent_at, |due_at| due_at.min(silent_at)))
            }
            Link::Down { .. } | Link::Ended => None,
        }
    }

    /// The websocket handshake is done.
    pub(crate) fn handle_open(&mut self, now: Instant) {
        self.link = Link::Greeting { since: now };
    }

    /// Something that is no text frame was received.
    pub(crate) fn handle_alive(&mut self, now: Instant) {
        if let Link::Up(up) = &mut self.link {
            up.heard_at = now;
        }
    }

    /// The application was away for this long: nothing could be received, so it counts for no silence.
    pub(crate) fn handle_absence(&mut self, absence: Duration) {
        match &mut self.link {
            Link::Greeting { since } => *since += absence,
            Link::Up(up) => up.heard_at += absence,
            Link::Down { .. } | Link::Ended => {}
        }
    }

    /// The deadline has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let silent = match &self.link {
            Link::Greeting { since } if now >= *since + HELLO_MAX => Some(HELLO_MAX),
            Link::Up(up) if now >= up.heard_at + up.silence_max => Some(up.silence_max),
            Link::Greeting { .. } | Link::Up(_) | Link::Down { .. } | Link::Ended => None,
        };
        match silent {
            Some(silence) => self.handle_disconnect(Disconnect::Silent(silence), now),
            None => self.unsent.release(now),
        }
    }

    /// The connection ended, or an attempt failed.
    pub(crate) fn handle_disconnect(&mut self, cause: Disconnect, now: Instant) {
        let (cause, window) = self.judge(cause, now);
        let pause = if cause.comes_back() {
            self.reconnect.pause(self.attempts, window, &mut self.rng)
        } else {
            None
        };
        self.attempts = self.attempts.saturating_add(1);
        self.link = match pause {
            Some(pause) => Link::Down { until: Some(now + pause) },
            None => Link::Ended,
        };
        self.ceiling = Rung::Full;
        self.unsent.forget_connection();
        self.updates.push_back(Update::Disconnected { cause, retry_in: pause });
        for (name, account) in &mut self.channels {
            account.reset_due = None;
            match account.phase {
                Phase::Leaving { then: Then::Forget, .. } => {
                    account.phase = Phase::Over;
                    self.over.insert(name.clone());
                }
                Phase::Leaving { then: Then::Restart, .. } => account.restart(),
                Phase::Wanted | Phase::Asked(_) | Phase::Live { .. } | Phase::Leaving { .. } => {
                    account.phase = Phase::Wanted;
                }
                Phase::Over => {}
            }
        }
    }

    /// What the end means: `goodbye` has the words, and the window to come back in, and its code where the close frame
    /// has none of Tally's. A connection that lasted starts the attempts anew.
    fn judge(&mut self, cause: Disconnect, now: Instant) -> (Disconnect, Option<Window>) {
        if let Disconnect::Refused { retry_after: Some(wait), .. } = &cause {
            let window = Window::new(*wait, wait.saturating_mul(2));
            return (cause, Some(window));
        }
        let Link::Up(up) = &mut self.link else { return (cause, None) };
        if self.reconnect.is_stable(now.saturating_duration_since(up.since)) {
            self.attempts = 0;
        }
        let Some(goodbye) = up.goodbye.take() else { return (cause, None) };
        let [min, max] = goodbye.retry_after_ms.map(|ms| Duration::from_millis(ms).min(RETRY_WINDOW_MAX));
        let said = CLOSE_CODES.iter().find(|code| code.as_str() == goodbye.code).map(|code| code.number());
        let code = match &cause {
            Disconnect::Closed { code, .. } if (4000..5000).contains(code) => Some(*code),
            Disconnect::Closed { code, .. } => said.or(Some(*code)),
            Disconnect::BadFrame { .. } => None,
            _ => said,
        };
        let cause = match code {
            Some(code) => Disconnect::Closed { code, reason: goodbye.reason },
            None => cause,
        };
        (cause, Some(Window::new(min, max)))
    }

    fn handle_hello(&mut self, hello: &Hello, now: Instant) {
        let heartbeat = Duration::from_millis(hello.heartbeat_ms).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        self.link = Link::Up(Up {
            since: now,
            heard_at: now,
            silence_max: heartbeat * SILENT_HEARTBEATS_MAX,
            frame_bytes: usize::try_from(hello.limits.frame_bytes).unwrap_or(usize::MAX),
            last_max: hello.limits.last,
            goodbye: None,
        });
        let wanted = self.channels.iter().filter(|(_, account)| account.phase == Phase::Wanted);
        self.unsent.greet(wanted.map(|(name, _)| name.clone()), self.asked_for_all.clone());
    }
}

/// The `code` of an end that the application asked for.
const ASKED: &str = "asked";
