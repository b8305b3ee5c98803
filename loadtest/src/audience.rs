//! Who listens to what, and how: the connections of a run as values, the same ones for the same scenario.

use crate::result::Subject;
use crate::scenario::{Listen, Scenario};
use std::net::SocketAddr;
use tally_protocol::{ChannelName, Rung};

/// How a client treats its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Healthy,
    Slow {
        bytes_per_s: u64,
    },
    /// Since the window began.
    Stalled {
        from_us: u64,
        for_us: u64,
    },
    Flapping {
        every_us: u64,
        away_us: u64,
    },
    Churning {
        every_us: u64,
    },
}

/// One connection to be.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) to: SocketAddr,
    /// Numbers of its channels, in the order of [`channel_names`].
    pub(crate) channels: Vec<usize>,
    pub(crate) rung: Rung,
    pub(crate) behaviour: Behaviour,
}

impl Seat {
    /// Whether publishers that are as fast as possible wait for it, and whether it must keep up.
    pub(crate) fn is_healthy(&self) -> bool {
        self.behaviour == Behaviour::Healthy
    }
}

/// The channels of a run; `run` tells them from those of any other run on the same Redis.
pub(crate) fn channel_names(scenario: &Scenario, run: &str) -> Vec<ChannelName> {
    let name =
        |i| ChannelName::new(&format!("load:{run}:{i}")).expect("the run's name has letters and digits only");
    (0..scenario.publish.channels).map(name).collect()
}

/// All connections, spread over the gateways in turn.
///
/// # Errors
/// The scenario asks for what a floor does not do.
pub(crate) fn seats(
    scenario: &Scenario,
    subject: Subject,
    gateways: &[SocketAddr],
) -> anyhow::Result<Vec<Seat>> {
    let listen = &scenario.listen;
    let plain = listen.rungs.full == 1.0
        && listen.channels_per_connection == 1
        && listen.flapping.is_none()
        && listen.churning.is_none();
    anyhow::ensure!(
        subject == Subject::Gateway || plain,
        "scenario {} cannot be held against a floor, which knows no rungs, no resume and one channel for each \
         connection; leave --subjects out",
        scenario.name
    );
    let heard = scenario.heard_channels();
    let groups: Vec<Vec<usize>> = (0..heard)
        .step_by(listen.channels_per_connection)
        .map(|first| (first..heard.min(first + listen.channels_per_connection)).collect())
        .collect();
    let count = groups.len() * listen.per_channel;
    let rungs = listen.rungs;
    let rung_of =
        dealt(count, 1, &[(rungs.counts, Rung::Counts), (rungs.summary, Rung::Summary)], Rung::Full);
    let behaviour_of = dealt(count, 2, &behaviours(listen), Behaviour::Healthy);
    let seats = (0..count).map(|i| Seat {
        to: gateways[i % gateways.len()],
        channels: groups[i % groups.len()].clone(),
        rung: rung_of[i],
        behaviour: behaviour_of[i],
    });
    Ok(seats.collect())
}

fn behaviours(listen: &Listen) -> Vec<(f64, Behaviour)> {
    let us = |seconds: f64| (seconds * 1e6) as u64;
    let slow = listen.slow.map(|slow| (slow.share, Behaviour::Slow { bytes_per_s: slow.bytes_per_s }));
    let stalled = listen
        .stalled
        .map(|it| (it.share, Behaviour::Stalled { from_us: us(it.from_s), for_us: us(it.for_s) }));
    let flapping = listen
        .flapping
        .map(|it| (it.share, Behaviour::Flapping { every_us: us(it.every_s), away_us: us(it.away_s) }));
    let churning = listen.churning.map(|it| (it.share, Behaviour::Churning { every_us: us(it.every_s) }));
    [slow, stalled, flapping, churning].into_iter().flatten().collect()
}

/// Deals values by their shares to `count` places in an order that depends on `seed` alone; the rest get `rest`.
fn dealt<T: Copy>(count: usize, seed: u64, shares: &[(f64, T)], rest: T) -> Vec<T> {
    let mut places: Vec<usize> = (0..count).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut places);
    let mut places = places.into_iter();
    let mut values = vec![rest; count];
    for (share, value) in shares {
        let places = places.by_ref().take((share * count as f64).round() as usize);
        places.for_each(|place| values[place] = *value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_dealt_exactly_and_the_same_each_time() {
        let dealt_once = dealt(100, 7, &[(0.1, 'a'), (0.25, 'b')], 'c');
        let count = |letter| dealt_once.iter().filter(|value| **value == letter).count();
        assert_eq!((count('a'), count('b'), count('c')), (10, 25, 65));
        assert_eq!(dealt_once, dealt(100, 7, &[(0.1, 'a'), (0.25, 'b')], 'c'));
    }
}
