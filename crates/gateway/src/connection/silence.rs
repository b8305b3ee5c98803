//! What a connection needs by how long it was silent: a heartbeat, a ping, or its end.

use super::Due;
use crate::limits::Limits;
use std::time::Duration;

/// For how long nothing of a kind has happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    /// Nothing came from the client.
    pub(super) received: Duration,
    /// The socket took no byte.
    pub(super) sent: Duration,
    /// No frame was put out. Pings are none: a page in a browser does not see them.
    pub(super) told: Duration,
    pub(super) pinged: Duration,
}

impl Silence {
    pub(super) fn due(self, limits: &Limits) -> Due {
        let heartbeat = Duration::from_millis(limits.heartbeat_ms);
        if self.received.min(self.sent) >= Duration::from_millis(limits.silent_ms) {
            return Due::Silent;
        }
        if self.told >= heartbeat {
            return Due::Heartbeat;
        }
        if self.received.min(self.pinged) >= heartbeat { Due::Ping } else { Due::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the default limits: 15 s for heartbeat and ping, 45 s to the end.
    fn due(received: u64, sent: u64, told: u64, pinged: u64) -> Due {
        let [received, sent, told, pinged] = [received, sent, told, pinged].map(Duration::from_secs);
        Silence { received, sent, told, pinged }.due(&Limits::default())
    }

    #[test]
    fn each_silence_has_its_remedy() {
        for (received, sent, told, pinged, wanted) in [
            (14, 14, 14, 14, Due::Nothing),
            (15, 3, 3, 15, Due::Ping),
            (15, 3, 3, 14, Due::Nothing),
            // A ping went out since; a page has heard nothing all the same.
            (4, 4, 15, 4, Due::Heartbeat),
            (44, 44, 44, 44, Due::Heartbeat),
            (45, 45, 45, 45, Due::Silent),
            (45, 44, 10, 10, Due::Nothing),
            (44, 45, 10, 44, Due::Ping),
        ] {
            assert_eq!(due(received, sent, told, pinged), wanted, "{received} {sent} {told} {pinged}");
        }
    }
}
