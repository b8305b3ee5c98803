//! What an application may set, as a checked value that can no longer be wrong.

use crate::limits;
use std::time::Duration;
use tally_protocol::ProducerId;

/// A setting that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, but {rule}")]
pub struct SettingError {
    pub setting: &'static str,
    pub value: String,
    pub rule: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) batch_age: Duration,
    pub(crate) batch_events_max: usize,
    pub(crate) batch_bytes_max: usize,
    pub(crate) buffer_bytes_max: usize,
    pub(crate) counts_bytes_max: usize,
    pub(crate) counted_channels_max: usize,
    pub(crate) in_flight_max: usize,
    pub(crate) attempt_timeout: Duration,
    pub(crate) listener_aware: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "tally".to_owned(),
            batch_age: limits::BATCH_AGE,
            batch_events_max: limits::BATCH_EVENTS_MAX,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            buffer_bytes_max: limits::BUFFER_BYTES_MAX,
            counts_bytes_max: limits::COUNTS_BYTES_MAX,
            counted_channels_max: limits::COUNTED_CHANNELS_MAX,
            in_flight_max: limits::IN_FLIGHT_MAX,
            attempt_timeout: limits::ATTEMPT_TIMEOUT,
            listener_aware: true,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        if self.name.len() > 80 || ProducerId::new(&self.name).is_err() {
            let rule = "it must have 1 to 80 bytes of A-Z a-z 0-9 . _ : @ ~ = + , -";
            return Err(SettingError { setting: "name", value: format!("{:?}", self.name), rule });
        }
        let age_ms = usize::try_from(self.batch_age.as_millis()).unwrap_or(usize::MAX);
        within("batch_age (ms)", age_ms, 0, 60_000, "it must be at most one minute")?;
        within(
            "batch_events_max",
            self.batch_events_max,
            1,
            tally_protocol::BATCH_EVENTS_MAX,
            "it must be from 1 to what one publish call takes, 65,536",
        )?;
        within(
            "batch_bytes_max",
            self.batch_bytes_max,
            1,
            tally_protocol::BATCH_BYTES_MAX,
            "it must be from 1 to what one publish call takes, 8 MiB",
        )?;
        let memory = "it must be from 64 KiB to 64 GiB";
        within("buffer_bytes_max", self.buffer_bytes_max, 64 << 10, 64 << 30, memory)?;
        within("counts_bytes_max", self.counts_bytes_max, 64 << 10, 64 << 30, memory)?;
        within(
            "counted_channels_max",
            self.counted_channels_max,
            1,
            1_000_000,
            "it must be from 1 to 1,000,000",
        )?;
        within("in_flight_max", self.in_flight_max, 1, 1_024, "it must be from 1 to 1,024")?;
        let timeout_ms = usize::try_from(self.attempt_timeout.as_millis()).unwrap_or(usize::MAX);
        // Longer attempts would outlive what the broker remembers of a producer.
        within("attempt_timeout (ms)", timeout_ms, 1, 10_000, "it must be from 1 ms to 10 s")
    }
}

fn within(
    setting: &'static str,
    value: usize,
    min: usize,
    max: usize,
    rule: &'static str,
) -> Result<(), SettingError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SettingError { setting, value: value.to_string(), rule })
}
