//! Random numbers that differ between processes and machines.

use std::hash::{BuildHasher, RandomState};

/// 64 bits under keys that the standard library takes from the operating system.
pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one("tally")
}
