//! A proxy in front of a server: it counts bytes, swallows replies, and closes its door, as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes towards a client after which its connection may lose a reply: what connecting takes is past.
const SWALLOW_AFTER: u64 = 8 * 1024;

/// Ends with the runtime it was made on.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    carried_down: AtomicU64,
    carried_up: AtomicU64,
    /// Replies that are still to be swallowed.
    swallow: AtomicU64,
    is_closed: AtomicBool,
    cut: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        tokio::spawn(accept(listener, server, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Bytes carried towards clients so far.
    pub(crate) fn carried_down(&self) -> u64 {
        self.shared.carried_down.load(Ordering::SeqCst)
    }

    /// Bytes carried towards the server so far.
    pub(crate) fn carried_up(&self) -> u64 {
        self.shared.carried_up.load(Ordering::SeqCst)
    }

    /// So many connections, each past its beginning, end with a reply that was sent and never comes.
    pub(crate) fn swallow(&self, replies: u64) {
        self.shared.swallow.store(replies, Ordering::SeqCst);
    }

    /// Replies that are still to be swallowed.
    pub(crate) fn to_swallow(&self) -> u64 {
        self.shared.swallow.load(Ordering::SeqCst)
    }

    /// Ends all connections, and every new one at once.
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.shared.cut.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn open(&self) {
        self.shared.is_closed.store(false, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if shared.is_closed.load(Ordering::SeqCst) {
            continue;
        }
        let shared = Arc::clone(&shared);
        let mut cut = shared.cut.subscribe();
        tasks.spawn(async move {
            tokio::select! {
                _ = carry(client, server, &shared) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn carry(client: TcpStream, server: SocketAddr, shared: &Shared) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return std::io::Result::Ok(());
            }
            shared.carried_up.fetch_add(read as u64, Ordering::SeqCst);
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    let down = async {
        let mut buffer = vec![0; 64 * 1024];
        let mut carried = 0;
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 || (carried > SWALLOW_AFTER && take(&shared.swallow)) {
                return std::io::Result::Ok(());
            }
            carried += read as u64;
            shared.carried_down.fetch_add(read as u64, Ordering::SeqCst);
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! { done = up => done, done = down => done }
}

fn take(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}
