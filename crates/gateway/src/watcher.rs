//! A shard without sockets: the gateway itself listens to `$gateways` and `$ask`, by the same laws as any client.
//!
//! It has a hub and an inbox of its own and stands in the interest table behind the shards. It shows in no figure of
//! connections, subscriptions, channels or interest. What it cannot take in full is told to it as counts, and passed
//! over: a sample is replaced by the next one, and who asks again is answered.

use crate::clock::{Clock, unix_ms};
use crate::http::App;
use crate::inbox::InboxReader;
use crate::interest::Interest;
use crate::interest::reconcile::Commands;
use crate::limits::{INPUTS_PER_TURN, WATCHER_LOG_BYTES_MAX};
use crate::shard;
use crate::statistics::channels;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tally_fanout::{ChannelRecord, ConnId, Hub, HubLimits, Output};
use tally_protocol::{Body, ChannelName, ClientFrame, SubscribeChannel, SubscribeRequest};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// What it listens to.
pub(crate) fn listened() -> [ChannelName; 2] {
    [channels::gateways(), channels::ask()]
}

pub(crate) struct Watcher {
    index: usize,
    app: Arc<App>,
    interest: Arc<Interest>,
    commands: Commands,
    /// Where asks go; full, they are dropped.
    asks: mpsc::Sender<Arc<str>>,
    clock: Clock,
    hub: Hub,
    conn: ConnId,
}

impl Watcher {
    /// `index` is its place among the inboxes.
    pub(crate) fn new(
        index: usize,
        app: Arc<App>,
        interest: Arc<Interest>,
        commands: Commands,
        asks: mpsc::Sender<Arc<str>>,
    ) -> Self {
        let clock = Clock::start();
        let limits = HubLimits { hub_log_bytes_max: WATCHER_LOG_BYTES_MAX, ..HubLimits::default() };
        let max_rate = Some(limits.connection_max_rate);
        let mut hub = Hub::new(limits);
        let conn = hub.handle_connect(clock.now());
        let wish = |channel| SubscribeChannel { max_rate, ..SubscribeChannel::new(&channel) };
        let request = SubscribeRequest { id: 0, channels: listened().map(wish).into() };
        hub.handle_frame(clock.now(), conn, ClientFrame::Subscribe(request));
        Self { index, app, interest, commands, asks, clock, hub, conn }
    }

    /// Runs until ingest is gone, and with it the gateway.
    pub(crate) async fn run(mut self, mut inbox: InboxReader) {
        let mut arrivals = Vec::new();
        loop {
            self.pump();
            let hour = || Instant::now() + Duration::from_secs(3_600);
            let wake = self.hub.poll_timeout().map_or_else(hour, |timeout| self.clock.instant(timeout));
            tokio::select! {
                () = inbox.take(INPUTS_PER_TURN, &mut arrivals) => {
                    if arrivals.is_empty() {
                        return;
                    }
                    let now = self.clock.now();
                    for arrival in arrivals.drain(..) {
                        shard::apply(&mut self.hub, now, arrival, &self.commands);
                    }
                }
                () = sleep_until(wake.into()) => self.hub.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Takes what is due, as a socket would that always has room.
    fn pump(&mut self) {
        while self.hub.poll_ready().is_some() {
            while let Some(output) = self.hub.poll_output(self.clock.now(), self.conn) {
                if let Output::Events(record) = output {
                    self.handle(record.value());
                }
            }
        }
        while let Some(request) = self.hub.poll_request() {
            shard::pass_on(self.index, request, &self.interest, &self.commands);
        }
    }

    fn handle(&self, record: &ChannelRecord) {
        let Body::Events(events) = &record.record.body else { return };
        let is_ask = record.channel == channels::ask();
        for event in events {
            if is_ask {
                if self.asks.try_send(event.data.as_str().into()).is_err() {
                    tracing::warn!("too many asks at once; one is not answered");
                }
            } else if event.kind.as_str() == "sample" {
                let own = &self.app.statistics.id;
                let noted =
                    self.app.statistics.fleet().note(own, event.data.as_str(), unix_ms().get() / 1_000);
                if let Err(error) = noted {
                    tracing::debug!(%error, "a sample of another version, or of a foreign program");
                }
            }
        }
    }
}
