//! A TCP proxy that fails on demand: replies are swallowed, or nothing passes any more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Faults {
    /// Bytes to the client after which a connection loses what comes next, and ends. 0: none.
    swallow_after: AtomicUsize,
    swallowed: AtomicUsize,
    is_hole: AtomicBool,
    cut: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn start(to_port: u16) -> Self {
        Self::balance(&[to_port]).await
    }

    /// Connections go to several servers in turn.
    pub(crate) async fn balance(to_ports: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to_ports.to_vec(), faults.clone()));
        Self { address, faults, _tasks: tasks }
    }

    /// Connections end again and again, each with a reply that was sent and never comes.
    pub(crate) fn swallow_after(&self, bytes: usize) {
        self.faults.swallow_after.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn swallowed(&self) -> usize {
        self.faults.swallowed.load(Ordering::SeqCst)
    }

    /// Connections stay, and nothing passes, as after a cable was pulled. New ones are taken and silent.
    pub(crate) fn set_hole(&self, is_hole: bool) {
        self.faults.is_hole.store(is_hole, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.faults.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, to_ports: Vec<u16>, faults: Arc<Faults>) {
    let mut tasks = JoinSet::new();
    for to_port in to_ports.into_iter().cycle() {
        let (client, _) = listener.accept().await.unwrap();
        let faults = faults.clone();
        tasks.spawn(async move {
            let mut cut = faults.cut.subscribe();
            tokio::select! {
                () = pass(client, to_port, &faults) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pass(client: TcpStream, to_port: u16, faults: &Faults) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to_port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 16_384];
        while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
            if faults.is_hole.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if to_server.write_all(&bytes[..n]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut bytes = vec![0; 16_384];
        let mut passed = 0;
        while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
            if faults.is_hole.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let after = faults.swallow_after.load(Ordering::SeqCst);
            if after > 0 && passed >= after {
                faults.swallowed.fetch_add(1, Ordering::SeqCst);
                return;
            }
            passed += n;
            if to_client.write_all(&bytes[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}
