//! The Redis backplane against real servers, which each test starts for itself on a free port.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod calls;
mod conformance;
mod cost;
mod errors;
mod faults;
mod merged;
mod proxy;
mod restarts;
mod script;
mod support;
