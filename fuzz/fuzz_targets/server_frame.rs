//! Fuzzes the `server_frame` decoder; the target itself is shared with the property tests.
#![no_main]

#[path = "../../crates/protocol/tests/decoders/targets.rs"]
#[allow(dead_code, reason = "each target uses one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::server_frame(data));
