//! A gateway on the embedded backplane, seen from outside: real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod accept;
mod bad_frames;
mod bad_requests;
mod broker;
mod delivery;
mod end;
mod ops;
mod silence;
mod support;
