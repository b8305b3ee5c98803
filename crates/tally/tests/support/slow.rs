//! A slow network between a client and the gateway: a forwarding proxy with small buffers and a rate that can change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Bytes that the kernel may hold for the proxy, so that it does not hide what the link cannot carry.
const BUFFER_BYTES: u32 = 4 * 1024;
/// How often the proxy moves bytes.
const STEP: Duration = Duration::from_millis(20);

/// A rate at which the link is no slower than the machine.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// A link to the gateway. It ends with the runtime it was made on.
pub(crate) struct SlowLink {
    pub(crate) address: SocketAddr,
    rate: Arc<AtomicU64>,
    carried: Arc<AtomicU64>,
}

impl SlowLink {
    /// Carries `rate` bytes per second towards the client, for one connection at a time.
    pub(crate) async fn start(gateway: SocketAddr, rate: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (rate, carried) = (Arc::new(AtomicU64::new(rate)), Arc::new(AtomicU64::new(0)));
        let link = Self { address, rate: Arc::clone(&rate), carried: Arc::clone(&carried) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(BUFFER_BYTES).unwrap();
                let server = socket.connect(gateway).await.unwrap();
                carry(client, server, &rate, &carried).await;
            }
        });
        link
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// The count of [`SlowLink::carried`], for who listens through it.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.carried)
    }

    /// Bytes carried towards the client so far.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

async fn carry(client: TcpStream, server: TcpStream, rate: &AtomicU64, carried: &AtomicU64) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await };
    let down = async {
        let mut step = tokio::time::interval(STEP);
        let mut buffer = vec![0; 1024 * 1024];
        let mut allowed = 0.0;
        loop {
            let rate = rate.load(Ordering::Relaxed);
            if rate != UNLIMITED {
                step.tick().await;
                let per_step = rate as f64 * STEP.as_secs_f64();
                allowed = (allowed + per_step).min(per_step.max(1.0) * 2.0);
            }
            let most = if rate == UNLIMITED { buffer.len() } else { (allowed as usize).min(buffer.len()) };
            if most == 0 {
                continue;
            }
            let read = from_server.read(&mut buffer[..most]).await?;
            if read == 0 {
                return std::io::Result::Ok(());
            }
            allowed = (allowed - read as f64).max(0.0);
            carried.fetch_add(read as u64, Ordering::Relaxed);
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}
