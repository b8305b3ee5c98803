//! The handle of an application: publish, flush, close, and the account.

use crate::builder::Builder;
use crate::driver::{Shared, drive};
use crate::limits::LINGER;
use crate::notice::Notice;
use crate::pipeline::Pipeline;
use crate::publish::PublishError;
use crate::random;
use crate::receipt::Receipt;
use crate::settings::Settings;
use crate::stats::{Closed, Remaining, Stats};
use crate::transport::Transport;
use crate::{ConnectError, SettingError};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tally_backplane::Backplane;
use tally_protocol::{ChannelName, Event};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// Stands in for a deadline that no clock can hold: 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Publishes events. Clones share one buffer, one order per channel and one account.
///
/// Events of one channel are published in the order in which `publish` accepted them, each at most once.
///
/// Dropping the last clone without [`Producer::close`] accepts nothing more and goes on to send what was accepted for
/// at most 60 s, as long as the runtime lives; nobody is told what became of the rest, except those with receipts.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// Taken by the first `close`.
    driver: Mutex<Option<JoinHandle<Closed>>>,
}

impl Producer {
    /// A producer with the default settings to the gateway (`http://`, `https://`) or the Redis server (`redis://`,
    /// `rediss://`, `redis+unix://`) at `url`; [`Builder::connect`] has their forms.
    ///
    /// When it returns, the URL is well formed; nothing has been sent, and nobody has answered yet. It works on the
    /// tokio runtime that it is called in, from then on.
    ///
    /// # Errors
    /// [`ConnectError`] where the URL cannot be published to.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().connect(url)
    }

    /// A producer with the default settings straight into a backplane of this process. It works on the tokio runtime
    /// that it is called in, from then on.
    ///
    /// # Errors
    /// Never with the default settings.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn over(backplane: Arc<dyn Backplane>) -> Result<Self, SettingError> {
        Self::builder().over(backplane)
    }

    /// Settings first, then [`Builder::connect`] or [`Builder::over`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(settings: Settings, transport: Transport) -> Self {
        Self::start_seeded(settings, transport, random::draw())
    }

    /// What is drawn at random (ids, jitter) follows from `seed`, so that a test can be run again.
    pub(crate) fn start_seeded(settings: Settings, transport: Transport, seed: u64) -> Self {
        let attempt_timeout = settings.attempt_timeout;
        let shared = Arc::new(Shared::new(Pipeline::new(settings, seed)));
        let driver = tokio::spawn(drive(Arc::clone(&shared), Arc::new(transport), attempt_timeout));
        Self { handle: Arc::new(Handle { shared, driver: Mutex::new(Some(driver)) }) }
    }

    /// Hands over one event. Never waits for the network.
    ///
    /// When it returns a receipt, the event has its place in its channel and is in the buffer; it will be published
    /// in full, or as a count where nobody listens or the buffer is full, unless the broker refuses it or its outcome
    /// stays unknown; the receipt tells which. It is in memory only: a process that dies takes it along. It is sent within the
    /// batch age (10 ms by default; counts that nobody listens to, 200 ms) if the channel's earlier batch is answered
    /// by then.
    ///
    /// # Errors
    /// [`PublishError`]: the event was not accepted, and nothing of it will be published.
    pub fn publish(&self, channel: &ChannelName, event: Event) -> Result<Receipt, PublishError> {
        self.handle.shared.step(|pipeline, now| pipeline.handle_publish(now, channel, event))
    }

    /// Waits until everything accepted before the call has an outcome; sends it without waiting for company.
    ///
    /// When it returns, those outcomes are final: nothing accepted before is still to be sent. While the broker is
    /// away it waits. Cancel safe: what was accepted is sent all the same.
    pub async fn flush(&self) {
        let flush = self.handle.shared.step(|pipeline, now| pipeline.handle_flush(now));
        for verdict in &flush.verdicts {
            verdict.told().await;
        }
    }

    /// As [`Producer::flush`], for at most `within`. When it returns, what it says remains is still being sent; the
    /// rest of what was accepted before the call has its outcome.
    pub async fn flush_within(&self, within: Duration) -> Remaining {
        let flush = self.handle.shared.step(|pipeline, now| pipeline.handle_flush(now));
        let all = async {
            for verdict in &flush.verdicts {
                verdict.told().await;
            }
        };
        let _in_time = tokio::time::timeout(within, all).await;
        self.handle.shared.step(|pipeline, _| pipeline.remaining(&flush))
    }

    /// Accepts no more events (on no clone), flushes for at most `within`, and ends.
    ///
    /// When it returns, every event ever accepted has its outcome, all attempts have ended, and nothing is sent any
    /// more: what the deadline cut off is `unknown` where it may have been published, else refused with code
    /// `closed`. Further calls, by other clones, return the account at that moment. Cancelled, the producer ends in
    /// the background by the same deadline.
    pub async fn close(self, within: Duration) -> Closed {
        self.handle.shared.step(|pipeline, now| {
            let deadline = now.checked_add(within).unwrap_or(now + FAR);
            pipeline.handle_close(now, deadline);
        });
        self.handle.shared.wake();
        let driver = self.handle.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(driver) = driver
            && let Ok(closed) = driver.await
        {
            return closed;
        }
        Closed { cut_off: Remaining::default(), stats: self.stats() }
    }

    /// The account so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.shared.step(|pipeline, _| pipeline.stats())
    }

    /// What a person should know, from now on. A reader that is more than 64 notices behind loses the oldest and is
    /// told how many (`RecvError::Lagged`). The stream ends with the producer.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.handle.shared.notices.subscribe()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("stats", &self.stats()).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.step(|pipeline, now| pipeline.handle_close(now, now + LINGER));
        self.shared.wake();
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
