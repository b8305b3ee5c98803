//! Keeps a node connected: one session after the other, with growing waits between those that fail.

use super::config::Redis;
use super::error::LinkError;
use super::session::Session;
use crate::stream::Queue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The wait after a session that was good.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// A session that lived this long was good: the next wait is the shortest again.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// Where a node stands with its server.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// The first attempt is not over.
    Starting,
    Up(Arc<Session>),
    Down(LinkError),
}

/// The loop, and what it tells.
pub(super) struct Link {
    pub(super) redis: Redis,
    /// `None` where this node only publishes and reads.
    pub(super) queue: Option<Arc<Queue>>,
    pub(super) standing: watch::Sender<Standing>,
    /// Nobody reads messages any more.
    pub(super) unread: Arc<Notify>,
}

impl Link {
    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        let mut wait = Wait::new(self.redis.timeouts.reconnect_max);
        let mut told = None;
        loop {
            if self.queue.as_ref().is_some_and(|queue| queue.is_closed()) {
                self.queue = None;
            }
            let began = Instant::now();
            let error = match Session::open(&self.redis, self.queue.as_ref()).await {
                Ok(session) => {
                    told = None;
                    self.hold(session).await
                }
                Err(error) => error,
            };
            if began.elapsed() >= GOOD_AFTER {
                wait.reset();
            }
            // Before the queue tells it, so that a call that follows the telling sees it.
            self.standing.send_replace(Standing::Down(error.clone()));
            // An outage is told once, and again only where its reason changes.
            if let Some(queue) = &self.queue
                && told.as_ref() != Some(&error)
            {
                queue.push_down(error.to_string());
                told = Some(error);
            }
            tokio::time::sleep(wait.next()).await;
        }
    }

    async fn hold(&self, session: Session) -> LinkError {
        let session = Arc::new(session);
        self.standing.send_replace(Standing::Up(session.clone()));
        if let Some(queue) = &self.queue {
            queue.push_up();
        }
        let error = session.ended(self.unread.notified()).await;
        session.close();
        error
    }
}

/// Waits that double, up to a longest that differs from node to node, each a random part of its length: after an
/// outage nodes must not come back in step.
struct Wait {
    next: Duration,
    max: Duration,
}

impl Wait {
    fn new(max: Duration) -> Self {
        Self { next: WAIT_MIN, max: max.mul_f64(0.5 + 0.5 * fastrand::f64()).max(WAIT_MIN) }
    }

    fn reset(&mut self) {
        self.next = WAIT_MIN;
    }

    fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_longest_that_differs_from_node_to_node() {
        let max = Duration::from_secs(4);
        let mut waits: Vec<_> = (0..20).map(|_| Wait::new(max)).collect();
        for wait in &mut waits {
            let first = wait.next();
            assert!(first >= WAIT_MIN / 2 && first <= WAIT_MIN, "{first:?}");
            let last = (0..20).map(|_| wait.next()).last().unwrap();
            assert!(last >= max / 4 && last <= max, "{last:?}");
            wait.reset();
            assert!(wait.next() <= WAIT_MIN);
        }
        let longest: std::collections::BTreeSet<_> = waits.iter().map(|wait| wait.max).collect();
        assert!(longest.len() > 10, "nodes do not come back in step");
    }
}
