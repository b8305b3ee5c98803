//! The thread of ingest: the link to the broker and the reader of its stream, alone on a runtime of their own.
//!
//! So a message changes threads once, from here to its shard; and whatever else the process does (requests, audits,
//! new connections) neither waits for a burst of messages nor holds one up.

use std::io;
use std::thread;
use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;

/// Runs what is spawned on it until it is dropped; then its tasks are dropped as well.
#[derive(Debug)]
pub(crate) struct IngestThread {
    handle: Handle,
    /// Closed by being dropped.
    _end: oneshot::Sender<()>,
}

impl IngestThread {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("ingest".into()).spawn(move || {
            // An error is the end: nothing is ever sent.
            let _ = runtime.block_on(ended);
            // What it may have left on other threads (names being resolved) is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _end: end })
    }

    /// What is spawned while this is held runs on the thread.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_run_on_the_thread_and_end_with_it() {
        let thread = IngestThread::start().unwrap();
        let (name, named) = oneshot::channel();
        let (held, ended) = oneshot::channel::<()>();
        thread.spawn(async move {
            let _ = name.send(thread::current().name().map(str::to_owned));
            std::future::pending::<()>().await;
            drop(held);
        });
        assert_eq!(named.await.unwrap().as_deref(), Some("ingest"));
        drop(thread);
        assert!(ended.await.is_err());
    }
}
