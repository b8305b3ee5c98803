//! The probe: a channel of this node alone, whose records prove that what is published arrives here.

use bytes::Bytes;
use tally_protocol::{ChannelName, Epoch, Published, RecordHeader, Seq};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Probe {
    channel: ChannelName,
    newest: watch::Sender<Newest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Newest {
    None,
    Record(Epoch, Seq),
    /// Messages were lost on this side: delivery works, and this one may have been among them.
    Lost,
}

impl Default for Probe {
    fn default() -> Self {
        let name = format!("$probe:{:016x}", fastrand::u64(..));
        let channel = ChannelName::new(&name).expect("hexadecimal digits are allowed in a name");
        Self { channel, newest: watch::Sender::new(Newest::None) }
    }
}

impl Probe {
    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    pub(super) fn handle_message(&self, payload: &Bytes) {
        if let Ok(header) = RecordHeader::decode(payload) {
            self.newest.send_replace(Newest::Record(header.epoch, header.to));
        }
    }

    pub(super) fn handle_lag(&self) {
        self.newest.send_replace(Newest::Lost);
    }

    /// Resolves when the record has arrived.
    pub(super) async fn arrived(&self, published: &Published) {
        let expected = Newest::Record(published.epoch.clone(), published.to);
        // The sender lives as long as this probe.
        let _ =
            self.newest.subscribe().wait_for(|newest| *newest == expected || *newest == Newest::Lost).await;
    }
}
