//! What a scenario is held against: others that are run in turn with it, as its reference or as a cost to take out.

use super::Scenario;
use serde::Deserialize;

/// One figure of the gateway, alone or held against that of another scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Against {
    pub(crate) of: Of,
    /// The scenario whose figure is the reference.
    pub(crate) scenario: Option<String>,
    /// The scenario whose cost and events are taken out before, and the one that is taken out of the reference.
    pub(crate) besides: Option<String>,
    pub(crate) scenario_besides: Option<String>,
    /// Limits of the figure itself, and of its ratio and its difference to the reference. Without any it is only shown.
    pub(crate) max: Option<f64>,
    pub(crate) ratio_max: Option<f64>,
    pub(crate) ratio_min: Option<f64>,
    pub(crate) difference_max: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Of {
    CpuPerEvent,
    PublisherCpuPerEvent,
    RedisBytesPerEvent,
    CpuPerDelivery,
    DeliveriesPerS,
    /// Before the burst, where the scenario has one.
    CpuPercent,
    /// Of healthy clients.
    P99,
    /// From the beginning of the window to the peak.
    MemoryGrowth,
}

impl Of {
    /// Whether it is a cost for each of something, so that a part of both can be taken out.
    fn is_per_something(self) -> bool {
        matches!(self, Self::CpuPerEvent | Self::PublisherCpuPerEvent | Self::RedisBytesPerEvent)
    }
}

impl Against {
    pub(super) fn check(&self, own_name: &str) -> anyhow::Result<()> {
        let others = || [&self.scenario, &self.besides, &self.scenario_besides].into_iter().flatten();
        anyhow::ensure!(
            others().next().is_some(),
            "expect.against names no other scenario, but `scenario`, `besides` or both do"
        );
        anyhow::ensure!(
            others().all(|name| name != own_name),
            "expect.against names {own_name}, but a scenario cannot be held against itself"
        );
        anyhow::ensure!(
            (self.besides.is_none() && self.scenario_besides.is_none()) || self.of.is_per_something(),
            "expect.against has `besides`, but that is for cpu_per_event, publisher_cpu_per_event and \
             redis_bytes_per_event only"
        );
        anyhow::ensure!(
            self.scenario.is_some() || self.scenario_besides.is_none(),
            "expect.against has `scenario_besides`, but names no `scenario` to take it out of"
        );
        let relative = self.ratio_max.or(self.ratio_min).or(self.difference_max);
        anyhow::ensure!(
            relative.is_none() || self.scenario.is_some(),
            "expect.against limits a ratio or a difference, but names no `scenario` to make it with"
        );
        Ok(())
    }
}

impl Scenario {
    /// The scenarios that are run in turn with this one, each once, in the order of the file.
    ///
    /// # Errors
    /// One of them is not there, or cannot be read.
    pub(crate) fn references(&self, changes: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut names: Vec<&String> = Vec::new();
        for against in &self.expect.against {
            for name in [&against.scenario, &against.besides, &against.scenario_besides].into_iter().flatten()
            {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names.into_iter().map(|name| Self::load(name, changes)).collect()
    }
}
