//! Receivers: few threads, each with an epoll loop over many sockets, that check laws 1 and 2 for every client.
//!
//! Step by step: [`thread`] waits for sockets and timers, [`client`] takes the bytes of one connection apart and
//! books them, [`hall`] is what the clients of one thread share.

mod client;
mod hall;
mod link;
mod thread;

pub(crate) use hall::Dialect;

use crate::audience::Seat;
use crate::books;
use crate::gauge::{Gauge, Loop};
use crate::result::Balance;
use anyhow::Context;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use tally_protocol::{ChannelName, Position};

/// Bytes of known frames that all threads keep together. More: the oldest of a channel go, but never below
/// [`CHANNEL_CACHE_BYTES_MIN`] for each channel.
const CACHE_BYTES_MAX: usize = 256 * 1024 * 1024;
const CHANNEL_CACHE_BYTES_MIN: usize = 256 * 1024;
/// Bytes of known frames of one channel: a log's worth and what is on its way.
const CHANNEL_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How far the run is, for behaviours and for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running = 0,
    /// Nothing is published any more: everybody reads, stays, and gets to the end.
    Settling = 1,
    Over = 2,
}

/// What the run tells all receiving threads.
#[derive(Debug)]
pub(crate) struct Orders {
    phase: AtomicU8,
    /// 0 until the measured window begins.
    window_us: AtomicU64,
    /// By channel: the seq that everybody has to get to. Set before `Settling`.
    ends: OnceLock<Vec<u64>>,
    /// A thread ended by itself.
    pub(crate) failed: AtomicBool,
}

impl Orders {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Settling,
            _ => Phase::Over,
        }
    }

    /// When the measured window began.
    pub(crate) fn window_us(&self) -> Option<u64> {
        Some(self.window_us.load(Ordering::Acquire)).filter(|us| *us > 0)
    }

    pub(crate) fn end_of(&self, channel: usize) -> u64 {
        self.ends.get().map_or(0, |ends| ends[channel])
    }
}

/// All receiving threads of a run.
#[derive(Debug)]
pub(crate) struct Receivers {
    orders: Arc<Orders>,
    gauges: Vec<Arc<Mutex<Gauge>>>,
    wakers: Vec<Arc<mio::Waker>>,
    threads: Vec<JoinHandle<anyhow::Result<thread::Ended>>>,
    channels: Arc<[ChannelName]>,
}

/// What receivers need to know of a run.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) dialect: Dialect,
    pub(crate) channels: Arc<[ChannelName]>,
    pub(crate) ask: Ask,
    pub(crate) threads: usize,
    pub(crate) closed_loop: Arc<Loop>,
}

pub(crate) use hall::Ask;

impl Receivers {
    /// Starts to connect; [`Receivers::gauges`] tells how far it is.
    pub(crate) fn start(setting: &Setting, seats: Vec<Seat>) -> anyhow::Result<Self> {
        let orders = Arc::new(Orders {
            phase: AtomicU8::new(0),
            window_us: AtomicU64::new(0),
            ends: OnceLock::new(),
            failed: AtomicBool::new(false),
        });
        let mut dealt: Vec<Vec<Seat>> = (0..setting.threads).map(|_| Vec::new()).collect();
        for (i, seat) in seats.into_iter().enumerate() {
            dealt[i % setting.threads].push(seat);
        }
        let room = CACHE_BYTES_MAX / setting.threads / setting.channels.len().max(1);
        let cache_bytes = room.clamp(CHANNEL_CACHE_BYTES_MIN, CHANNEL_CACHE_BYTES_MAX);
        let mut receivers = Self {
            orders,
            gauges: Vec::new(),
            wakers: Vec::new(),
            threads: Vec::new(),
            channels: Arc::clone(&setting.channels),
        };
        for (number, seats) in dealt.into_iter().enumerate() {
            let poll = mio::Poll::new().context("cannot make an epoll")?;
            let waker = mio::Waker::new(poll.registry(), thread::WAKE)?;
            let gauge = Arc::new(Mutex::new(Gauge::new()));
            let start = thread::Start {
                number,
                poll,
                seats,
                dialect: setting.dialect,
                channels: Arc::clone(&setting.channels),
                ask: setting.ask,
                cache_bytes,
                gauge: Arc::clone(&gauge),
                orders: Arc::clone(&receivers.orders),
                closed_loop: Arc::clone(&setting.closed_loop),
            };
            let named = std::thread::Builder::new().name(format!("receive-{number}"));
            receivers.threads.push(named.spawn(|| thread::main(start))?);
            receivers.wakers.push(Arc::new(waker));
            receivers.gauges.push(gauge);
        }
        Ok(receivers)
    }

    /// One gauge after another; each is held for as long as the caller looks at it.
    pub(crate) fn gauges(&self) -> impl Iterator<Item = MutexGuard<'_, Gauge>> {
        self.gauges.iter().map(|gauge| gauge.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a thread ended that should not have.
    pub(crate) fn failed(&self) -> bool {
        self.orders.failed.load(Ordering::Relaxed)
    }

    /// From here on behaviours count their times.
    pub(crate) fn window_begins(&self, now_us: u64) {
        self.orders.window_us.store(now_us, Ordering::Release);
    }

    /// Nothing more is published, and each channel ends at this seq.
    pub(crate) fn settle(&self, ends: Vec<u64>) {
        let _first = self.orders.ends.set(ends);
        self.order(Phase::Settling);
    }

    /// Ends all threads and adds their accounts up; `ends` is each channel at its end, where the gateway told it.
    pub(crate) fn stop(mut self, ends: &[Option<Position>]) -> anyhow::Result<Balance> {
        self.order(Phase::Over);
        let mut balance = Balance::default();
        for thread in std::mem::take(&mut self.threads) {
            let ended = thread.join().map_err(|_| anyhow::anyhow!("a receiving thread panicked"))??;
            books::merge(&mut balance, ended.retired);
            balance.clients += ended.clients;
            for (channel, account) in &ended.accounts {
                let name = &self.channels[*channel];
                match (account, &ends[*channel]) {
                    (Some(account), Some(end)) => books::close(&mut balance, name, account, end),
                    (Some(account), None) => books::retire(&mut balance, name, account),
                    (None, _) => books::unclosed(&mut balance, format!("a listener of {name} has no ledger")),
                }
            }
        }
        for gauge in self.gauges() {
            let mut told = Balance {
                frames_checked: gauge.frames_checked,
                resets: gauge.resets,
                violations: gauge.violations.clone(),
                violations_n: gauge.violations_n,
                ..Balance::default()
            };
            told.rung_changes.clone_from(&gauge.rung_changes);
            books::merge(&mut balance, told);
        }
        Ok(balance)
    }

    fn order(&self, phase: Phase) {
        self.orders.phase.store(phase as u8, Ordering::Release);
        for waker in &self.wakers {
            // A thread that cannot be woken sees the order when it next looks at its timers.
            let _woken = waker.wake();
        }
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.order(Phase::Over);
    }
}
