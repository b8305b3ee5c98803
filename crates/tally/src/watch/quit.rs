//! The wish to end: SIGINT, SIGTERM or SIGHUP, once and for good.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug)]
pub(super) struct Quit {
    signals: [Signal; 3],
    asked: bool,
}

impl Quit {
    pub(super) fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?], asked: false })
    }

    /// Waits for the first signal; from then on it returns at once. Cancel-safe.
    pub(super) async fn asked(&mut self) {
        if !self.asked {
            let [interrupt, terminate, hangup] = &mut self.signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            self.asked = true;
        }
    }
}
