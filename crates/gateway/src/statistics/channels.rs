//! The names of Tally's own channels, and the kinds of events on them.

use tally_protocol::{ChannelName, Kind};

/// Every gateway's samples.
pub(crate) fn gateways() -> ChannelName {
    ChannelName::new("$gateways").expect("a valid name")
}

/// Questions and orders to gateways.
pub(crate) fn ask() -> ChannelName {
    ChannelName::new("$ask").expect("a valid name")
}

/// One gateway's details.
pub(crate) fn gateway(id: &str) -> ChannelName {
    ChannelName::new(&format!("$gateway:{id}")).expect("an id is cut to what a name may hold")
}

/// Answers to one ask.
pub(crate) fn answers(ask: &str) -> ChannelName {
    ChannelName::new(&format!("$answers:{ask}")).expect("an ask's id was checked")
}

pub(crate) fn kind(kind: &str) -> Kind {
    Kind::new(kind).expect("a valid kind")
}
