//! Each sentence of the contract about rungs, attaches and continuity as one small scene, because seeded plans may not
//! reach them all.
#![expect(clippy::unwrap_used, reason = "names and positions here are constants")]

mod account;
mod continuity;
mod pressure;
mod resume;
mod rungs;
mod stage;
mod throttle;
mod views;
