//! A verifying client with one channel: what it is told, and its ledger; a broken law fails the test.

use super::{Gateway, PATIENCE};
use std::collections::VecDeque;
use std::time::Duration;
use tally_client::{ChannelName, Client, Ledger, Reconnect, Subscription, Update};
use tokio::time::timeout;

pub(crate) struct Listener {
    pub(crate) client: Client,
    pub(crate) channel: ChannelName,
    /// What was passed over on the way to something else, by name.
    pub(crate) passed: VecDeque<&'static str>,
}

impl Listener {
    /// Asks for the channel in full, as fast as it goes.
    pub(crate) fn ask(url: &str, channel: &str) -> Self {
        Self::ask_for(url, Subscription::new(&channel.parse().unwrap()).max_rate(10_000))
    }

    pub(crate) fn ask_for(url: &str, subscription: Subscription) -> Self {
        let soon = Reconnect::default().base(Duration::from_millis(20)).cap(Duration::from_millis(100));
        let mut client = Client::builder(url).reconnect(soon).build().unwrap();
        let channel = subscription.channel().clone();
        client.subscribe(subscription).unwrap();
        Self { client, channel, passed: VecDeque::new() }
    }

    /// Asks, and waits for the attach.
    pub(crate) async fn attach(gateway: &Gateway, channel: &str) -> Self {
        let mut listener = Self::ask(&gateway.url(), channel);
        listener.until_attached().await;
        listener
    }

    pub(crate) async fn until_attached(&mut self) {
        while self.client.ledger(&self.channel).is_none() {
            self.next().await;
        }
    }

    pub(crate) async fn next(&mut self) -> Update {
        let next = timeout(PATIENCE, self.client.next()).await;
        let update = next.unwrap_or_else(|_| panic!("nothing comes on {}: {:?}", self.channel, self.passed));
        let update = update.expect("it comes back for ever");
        assert!(!matches!(update, Update::Violation { .. } | Update::Error(_)), "{update:?}");
        self.passed.push_back(name(&update));
        update
    }

    /// Takes updates until one fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Update) -> bool) -> Update {
        loop {
            let update = self.next().await;
            if fits(&update) {
                return update;
            }
        }
    }

    /// Reads until the ledger stands at this seq or beyond.
    pub(crate) async fn read_past(&mut self, seq: u64) {
        while self.ledger().cursor().get() < seq {
            self.next().await;
        }
    }

    /// Reads until the ledger stands at this seq; whatever comes on the way is passed over.
    pub(crate) async fn read_to(&mut self, seq: u64) {
        self.read_past(seq).await;
        assert_eq!(self.ledger().cursor().get(), seq);
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.client.ledger(&self.channel).expect("it is attached")
    }

    /// The ledger closes, and says what the broker says.
    pub(crate) fn check(&self, gateway: &Gateway) {
        let (ledger, broker) = (self.ledger(), gateway.channel(self.channel.as_str()));
        assert!(ledger.closes(), "{ledger:?}");
        assert_eq!(serde_json::to_value(ledger.totals()).unwrap(), broker["totals"]);
        assert_eq!(broker["seq"], ledger.cursor().get());
        assert_eq!(broker["epoch"], ledger.epoch().unwrap().as_str());
    }
}

fn name(update: &Update) -> &'static str {
    match update {
        Update::Connected(_) => "connected",
        Update::Disconnected { .. } => "disconnected",
        Update::Subscribed { .. } => "subscribed",
        Update::Events(_) => "events",
        Update::Counts(_) => "counts",
        Update::Summary(_) => "summary",
        Update::Rung(_) => "rung",
        Update::Reset { .. } => "reset",
        Update::Unsubscribed { .. } => "unsubscribed",
        Update::Upstream(_) => "upstream",
        Update::Unnumbered(_) => "unnumbered",
        Update::Error(_) => "error",
        Update::Violation { .. } => "violation",
        Update::Goodbye(_) => "goodbye",
        Update::Heartbeat(_) => "heartbeat",
    }
}
