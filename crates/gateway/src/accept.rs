//! From the listener to the shard with the fewest connections; the cap comes before anything else.

use crate::decision::Door;
use crate::http::{App, Peer};
use crate::limits::{NOTSENT_BYTES, REFUSAL_TIME, REFUSALS_MAX};
use crate::shard::{Handed, Phase};
use metrics::Gauge;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

/// How long to wait where the process has no descriptor left for another socket.
const NO_DESCRIPTOR_TIME: Duration = Duration::from_millis(50);

/// A shard, as the acceptor sees it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) sockets: mpsc::Sender<Handed>,
    pub(crate) open: Arc<Open>,
}

/// Connections handed to a shard that are not gone.
#[derive(Debug, Default)]
pub(crate) struct Open {
    all: AtomicUsize,
    public: AtomicUsize,
}

impl Open {
    /// Those of clients and producers: what a drain waits for.
    pub(crate) fn public(&self) -> usize {
        self.public.load(Ordering::Relaxed)
    }
}

/// Hands out connections; both listeners share it.
#[derive(Debug)]
pub(crate) struct Acceptor {
    app: Arc<App>,
    targets: Vec<Target>,
    open: Arc<AtomicUsize>,
    refusals: Arc<Semaphore>,
}

/// A connection's place in the counts, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    shard: Arc<Open>,
    door: Door,
    gateway: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shard.all.fetch_sub(1, Ordering::Relaxed);
        if self.door == Door::Public {
            self.shard.public.fetch_sub(1, Ordering::Relaxed);
        }
        self.gateway.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1.0);
    }
}

impl Acceptor {
    pub(crate) fn new(app: Arc<App>, targets: Vec<Target>) -> Self {
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        Self { app, targets, open: Arc::new(AtomicUsize::new(0)), refusals }
    }

    /// Accepts until the gateway drains; operators are let in to its end.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        door: Door,
        mut phase: watch::Receiver<Phase>,
    ) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = phase.wait_for(|phase| *phase != Phase::Running), if door == Door::Public => return,
            };
            match accepted {
                Ok((stream, addr)) => self.handle(stream, addr, door),
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was lost");
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; raise the limit of open files?");
                    sleep(NO_DESCRIPTOR_TIME).await;
                }
            }
        }
    }

    fn handle(&self, stream: TcpStream, addr: SocketAddr, door: Door) {
        // Operators are let in over the cap: that is when they need it.
        let cap = usize::try_from(self.app.config.limits.connections_max).unwrap_or(usize::MAX);
        if door == Door::Public && self.open.load(Ordering::Relaxed) >= cap {
            return self.refuse(stream);
        }
        if let Err(error) = set_options(&stream, self.app.config.limits.silent_ms) {
            tracing::debug!(%error, "a socket does not take its options");
        }
        let target = self.targets.iter().min_by_key(|target| target.open.all.load(Ordering::Relaxed));
        let target = target.expect("a gateway has at least one shard");
        target.open.all.fetch_add(1, Ordering::Relaxed);
        if door == Door::Public {
            target.open.public.fetch_add(1, Ordering::Relaxed);
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        self.app.metrics.sockets.increment(1.0);
        let gauge = self.app.metrics.sockets.clone();
        let slot = Arc::new(Slot { shard: target.open.clone(), door, gateway: self.open.clone(), gauge });
        // Out of this thread's reactor; the shard has its own.
        let Ok(stream) = stream.into_std() else { return };
        if target.sockets.try_send(Handed { stream, peer: Peer { addr, door, slot } }).is_err() {
            self.app.metrics.refused("shard_busy");
        }
    }

    /// Over the cap: a short answer on a task of its own, as long as there are not too many of those either.
    fn refuse(&self, mut stream: TcpStream) {
        self.app.metrics.refused("connections_max");
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _ = timeout(REFUSAL_TIME, async {
                stream.write_all(FULL_ANSWER.as_bytes()).await?;
                stream.shutdown().await?;
                // Closing with unread bytes would take the answer away from the client.
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                io::Result::Ok(())
            })
            .await;
            drop(permit);
        });
    }
}

const FULL_ANSWER: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\n\
    retry-after: 5\r\n\
    connection: close\r\n\
    content-length: 118\r\n\r\n\
    {\"error\":{\"code\":\"unavailable\",\"message\":\"the gateway has reached its number of connections; try again in 5 seconds\"}}";

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Small writes go out at once, the kernel holds little that grows stale, and a peer that is gone is noticed.
fn set_options(stream: &TcpStream, silent_ms: u64) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES)?;
    let silent = Duration::from_millis(silent_ms);
    let keepalive = TcpKeepalive::new().with_time(silent).with_interval(silent / 3).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    // Heartbeats fit into the kernel's buffer for hours; what is never acknowledged ends the connection.
    socket.set_tcp_user_timeout(Some(silent * 2))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_has_the_length_that_it_says() {
        let (head, body) = super::FULL_ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
