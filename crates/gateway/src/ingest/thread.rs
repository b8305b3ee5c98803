//! Where the link to the broker and the reader of its stream run: alone on a thread, or with the one shard.
//!
//! With cores to spare a message changes threads once, from here to its shard, and a burst of messages holds no other
//! work up. On a single core a second thread would only mean a switch to and fro for each message: there both run on
//! the runtime of the shard, each for a bounded turn.

use crate::limits::BLOCKING_THREADS_MAX;
use std::io;
use std::thread;
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::sync::oneshot;

/// Runs what is spawned on it, until it is dropped or the shard whose runtime it is has ended.
#[derive(Debug)]
pub(crate) struct IngestThread {
    handle: Handle,
    /// Closed by being dropped.
    _end: Option<oneshot::Sender<()>>,
    /// Of the one shard, until that is started.
    shared: Option<Runtime>,
}

impl IngestThread {
    /// For a gateway of so many shards, which has so many cores.
    pub(crate) fn start(shards: usize, cores: usize) -> io::Result<Self> {
        if shards == 1 && cores == 1 { Self::with_shard() } else { Self::alone() }
    }

    fn with_shard() -> io::Result<Self> {
        let runtime = shard_runtime()?;
        Ok(Self { handle: runtime.handle().clone(), _end: None, shared: Some(runtime) })
    }

    fn alone() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("ingest".into()).spawn(move || {
            // An error is the end: nothing is ever sent.
            let _ = runtime.block_on(ended);
            // What it may have left on other threads (names being resolved) is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _end: Some(end), shared: None })
    }

    /// The runtime of the next shard to start.
    pub(crate) fn next_shard(&mut self) -> io::Result<Runtime> {
        self.shared.take().map_or_else(shard_runtime, Ok)
    }

    /// What is spawned while this is held runs here.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }
}

fn shard_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_core_runs_both_on_one_thread() {
        let mut ingest = IngestThread::start(1, 1).unwrap();
        let (name, named) = oneshot::channel();
        ingest.spawn(async move {
            let _ = name.send(thread::current().id());
        });
        let shard = ingest.next_shard().unwrap();
        assert_eq!(shard.block_on(named).unwrap(), thread::current().id());
        assert_ne!(ingest.next_shard().unwrap().handle().id(), shard.handle().id());
        for (shards, cores) in [(1, 2), (2, 1), (2, 2)] {
            assert!(IngestThread::start(shards, cores).unwrap().shared.is_none());
        }
    }

    #[tokio::test]
    async fn tasks_run_on_the_thread_and_end_with_it() {
        let thread = IngestThread::start(2, 2).unwrap();
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
