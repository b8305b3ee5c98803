//! The async shell: makes the attempts that the pipeline asks for, and hands it their answers.

use crate::limits::NOTICES_MAX;
use crate::notice::Notice;
use crate::pipeline::{Answer, Attempt, Pipeline, Ticket};
use crate::stats::Closed;
use crate::transport::Transport;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast};
use tokio::task::{Id, JoinError, JoinSet};

/// The pipeline, shared by those who publish and the driver. The lock is never held across an await, and each step
/// under it is short: publishing never waits for the network.
pub(crate) struct Shared {
    pipeline: Mutex<Pipeline>,
    wake: Notify,
    pub(crate) notices: broadcast::Sender<Notice>,
}

impl Shared {
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        let (notices, _) = broadcast::channel(NOTICES_MAX);
        Self { pipeline: Mutex::new(pipeline), wake: Notify::new(), notices }
    }

    /// One step on the pipeline. The driver is woken where it would now sleep for too long.
    pub(crate) fn step<T>(&self, act: impl FnOnce(&mut Pipeline, Instant) -> T) -> T {
        let now = tokio::time::Instant::now().into_std();
        let mut pipeline = self.lock();
        let before = pipeline.poll_deadline();
        let out = act(&mut pipeline, now);
        let after = pipeline.poll_deadline();
        while let Some(notice) = pipeline.poll_notice() {
            let _nobody_reads_them = self.notices.send(notice);
        }
        drop(pipeline);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.wake.notify_one();
        }
        out
    }

    /// Has the driver look again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the pipeline is closed. Dropped before (its runtime ends), everything that waits gets its outcome.
pub(crate) async fn drive(
    shared: Arc<Shared>,
    transport: Arc<Transport>,
    attempt_timeout: Duration,
) -> Closed {
    let abandon = Abandon(Arc::clone(&shared));
    let mut wire = JoinSet::new();
    let mut tickets: HashMap<Id, Ticket> = HashMap::new();
    loop {
        let (closed, attempts, deadline) = shared.step(|pipeline, now| {
            let closed = pipeline.poll_closed(now);
            let attempts: Vec<Attempt> = std::iter::from_fn(|| pipeline.poll_send(now)).collect();
            (closed, attempts, pipeline.poll_deadline())
        });
        if let Some(closed) = closed {
            return closed;
        }
        for attempt in attempts {
            let ticket = attempt.ticket.clone();
            let task = wire.spawn(send(Arc::clone(&transport), attempt, attempt_timeout));
            tickets.insert(task.id(), ticket);
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep_until(deadline) => {}
            Some(end) = wire.join_next_with_id() => handle_end(&abandon.0, &mut tickets, end),
        }
    }
}

async fn send(transport: Arc<Transport>, attempt: Attempt, timeout: Duration) -> Answer {
    match tokio::time::timeout(timeout, transport.send(&attempt)).await {
        Ok(answer) => answer,
        Err(_elapsed) => Answer::Perhaps { message: format!("no answer within {timeout:?}").into() },
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn handle_end(shared: &Shared, tickets: &mut HashMap<Id, Ticket>, end: Result<(Id, Answer), JoinError>) {
    let (id, answer) = match end {
        Ok(end) => end,
        // Where it stopped, and whether the batch was out by then, nobody knows.
        Err(error) => {
            (error.id(), Answer::Perhaps { message: format!("the attempt failed: {error}").into() })
        }
    };
    if let Some(ticket) = tickets.remove(&id) {
        shared.step(|pipeline, now| pipeline.handle_answer(now, &ticket, &answer));
    }
}

/// No receipt waits for a driver that is gone.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.step(|pipeline, _| pipeline.abandon("the producer's runtime ended before an answer came"));
    }
}
