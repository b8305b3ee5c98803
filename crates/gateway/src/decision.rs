//! The one decision between a client and the hub: who it is, what it may listen to, until when. Today: anybody, all.
//!
//! It sees the whole handshake and may be awaited; deliveries never wait for it. Refusals of a connection come before
//! the upgrade. Tally's own `$` channels are only for connections of the admin port.

use http::{HeaderMap, Uri};
use std::future::{Future, ready};
use std::net::SocketAddr;
use tally_protocol::{ChannelName, ErrorCode};

/// Which port a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    Public,
    Admin,
}

/// All that is known of a client before its connection is upgraded.
#[derive(Debug, Clone)]
pub(crate) struct Handshake<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) door: Door,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// A client that was let in.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    door: Door,
}

/// Why a client was not let in. Each is an HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(dead_code, reason = "today's decision says yes; the places that answer these are there")]
pub(crate) enum Refused {
    /// 401: it has not said who it is.
    Unknown(String),
    /// 403: it may not connect.
    Forbidden(String),
    /// 503: whoever decides cannot be asked.
    Unavailable(String),
}

/// The decision.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decision;

impl Decision {
    /// Who is this, and may it connect?
    pub(crate) fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> impl Future<Output = Result<Guest, Refused>> + Send {
        tracing::trace!(peer = %handshake.peer, uri = %handshake.uri, headers = handshake.headers.len(), "connect");
        ready(Ok(Guest { door: handshake.door }))
    }

    /// May it listen to this channel?
    pub(crate) fn listen(
        &self,
        guest: &Guest,
        channel: &ChannelName,
    ) -> impl Future<Output = Result<(), (ErrorCode, String)>> + Send {
        let own = channel.is_own() && guest.door == Door::Public;
        ready(if own { Err((ErrorCode::ForbiddenChannel, OWN_CHANNEL.into())) } else { Ok(()) })
    }
}

/// What to do instead of using a `$` channel.
pub(crate) const OWN_CHANNEL: &str =
    "channels that begin with $ are Tally's own; connect to the admin port to listen to them";
