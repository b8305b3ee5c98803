//! A first listener for the demo: a gateway keeps the newest events of channels that somebody listens to.
//!
//! It asks for counts only, so it costs a frame per channel every five seconds, and it makes pages that are opened
//! later show the jobs that are running and their newest events.

use std::collections::VecDeque;
use tally_client::{Client, Rung, Subscription, TickMs};
use tokio::sync::mpsc;

/// Channels listened to at once; the one that started longest ago is left first.
const CHANNELS_MAX: usize = 16;

/// Listens to `jobs` and to every job that starts; ends with the task.
pub(super) async fn listen(gateway: String, mut started: mpsc::Receiver<String>) -> anyhow::Result<()> {
    let mut client = Client::connect(&gateway)?;
    let mut held = VecDeque::new();
    client.subscribe(quietly("jobs")?)?;
    loop {
        tokio::select! {
            channel = started.recv() => {
                let Some(channel) = channel else { return Ok(()) };
                client.subscribe(quietly(&channel)?)?;
                held.push_back(channel);
                if held.len() > CHANNELS_MAX && let Some(oldest) = held.pop_front() {
                    client.unsubscribe(&oldest.parse()?)?;
                }
            }
            update = client.next() => anyhow::ensure!(update.is_some(), "the demo's own listener was sent away"),
        }
    }
}

fn quietly(channel: &str) -> anyhow::Result<Subscription> {
    Ok(Subscription::new(&channel.parse()?).rung(Rung::Counts).tick_ms(TickMs::Ms5000))
}
