//! A plan: what happens when, drawn from a seed before anything runs; each actor has its own stream.

use crate::broker::Publish;
use crate::random::Random;
use std::time::Duration;
use tally_fanout::HubLimits;
use tally_protocol::{Rung, TickMs, Why};

pub(crate) const SECOND: u64 = 1_000_000;
/// Enough for the longest calm period twice, and the throttle.
pub(crate) const CALM_SECONDS: u64 = 200;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) limits: HubLimits,
    pub(crate) channels: usize,
    pub(crate) clients: Vec<Reader>,
    pub(crate) net: Net,
    /// In order of time, in microseconds.
    pub(crate) actions: Vec<(u64, Action)>,
    pub(crate) calm_at: u64,
}

/// How a client's socket takes what it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) capacity: u64,
    pub(crate) bytes_per_second: u64,
}

/// Percentages of messages, and delays in milliseconds of each hub.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net {
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
    pub(crate) straddling: u64,
    pub(crate) foreign: u64,
    pub(crate) message_ms: [u64; 2],
    pub(crate) read_ms: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Publish { channel: usize, publish: Publish },
    FailOver { channel: usize, lost: u64 },
    Vanish { channel: usize },
    Link { up: bool },
    Connect { client: usize, hub: usize },
    Disconnect { client: usize },
    Subscribe { client: usize, channels: Vec<usize>, wish: Wish },
    Unsubscribe { client: usize, channel: usize },
    Rung { client: usize, channel: Option<usize>, rung: Rung, max_rate: Option<u64>, tick: Option<TickMs> },
    Stall { client: usize, ms: u64 },
    Speed { client: usize, bytes_per_second: u64 },
    BadName { client: usize },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) rung: Rung,
    pub(crate) max_rate: Option<u64>,
    pub(crate) tick: TickMs,
    pub(crate) tail: bool,
    pub(crate) start: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Head,
    Last(u64),
    /// The cursor of the own ledger, where there is one.
    Own,
    /// A cursor that was never given.
    Invented,
}

/// What kind of trouble a plan has.
#[derive(Debug, Clone, Copy)]
struct Theme {
    faults: bool,
    epochs: bool,
    links: bool,
    tight_logs: bool,
    many_kinds: bool,
    busy: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let random = &mut Random::of(seed, 0);
        let theme = Theme {
            faults: random.chance(50),
            epochs: random.chance(50),
            links: random.chance(35),
            tight_logs: random.chance(40),
            many_kinds: random.chance(8),
            busy: random.chance(40),
        };
        let channels = random.range(1, 5) as usize;
        let clients = random.range(2, 6) as usize;
        let calm_at = random.range(12, 35) * SECOND;
        let mut plan = Self {
            seed,
            limits: limits(theme, random),
            channels,
            clients: (0..clients).map(|_| reader(random)).collect(),
            net: net(theme, random),
            actions: vec![],
            calm_at,
        };
        for channel in 0..channels {
            plan.producer(channel, theme, &mut Random::of(seed, 100 + channel as u64));
            plan.broker(channel, theme, &mut Random::of(seed, 200 + channel as u64));
        }
        if theme.links {
            plan.link(&mut Random::of(seed, 300));
        }
        for client in 0..clients {
            plan.client(client, &mut Random::of(seed, 400 + client as u64));
        }
        plan.actions.retain(|(at, action)| *at < calm_at || matches!(action, Action::Link { .. }));
        plan.actions.sort_by_key(|(at, _)| *at);
        plan
    }

    /// One healthy client or more beside one that stalls: with nothing that a client may cause for others.
    pub(crate) fn of_isolation(seed: u64) -> Self {
        let random = &mut Random::of(seed, 1);
        let mut plan = Self::of(seed);
        plan.clients = vec![reader(random), reader(random), Reader { capacity: 4096, bytes_per_second: 100 }];
        plan.net = Net { lost: 0, twice: 0, late: 0, straddling: 0, foreign: 0, ..plan.net };
        plan.limits.hub_log_bytes_max = u64::MAX;
        plan.actions.retain(|(_, action)| matches!(action, Action::Publish { .. }));
        for client in 0..3 {
            plan.actions.push((client as u64, Action::Connect { client, hub: 0 }));
            let wish = Wish { start: From::Head, ..wish(random) };
            let channels = (0..plan.channels).collect();
            plan.actions.push((10 + client as u64, Action::Subscribe { client, channels, wish }));
        }
        for second in (2..plan.calm_at / SECOND).step_by(3) {
            plan.actions.push((second * SECOND, Action::Stall { client: 2, ms: random.range(500, 20_000) }));
            let change = Action::Rung {
                client: 2,
                channel: None,
                rung: random.pick(&Rung::ALL),
                max_rate: Some(random.range(1, 500)),
                tick: Some(random.pick(&TickMs::ALL)),
            };
            plan.actions.push((second * SECOND + 1, change));
        }
        plan.actions.sort_by_key(|(at, _)| *at);
        plan
    }

    fn producer(&mut self, channel: usize, theme: Theme, random: &mut Random) {
        let kinds = if theme.many_kinds { 70 } else { random.range(1, 5) };
        let (states, data_bytes) = (random.pick(&[0, 5, 30]), random.pick(&[10, 100, 1_000]));
        let mut budget: u64 = if theme.many_kinds {
            500
        } else if theme.busy {
            4_000
        } else {
            800
        };
        let mut at = random.below(3 * SECOND);
        while at < self.calm_at && budget > 0 {
            let rate = random.pick(&[1, 5, 20, 100, 400]);
            let until = at + random.range(1, 5) * SECOND;
            let batch = random.pick(&[1, 1, 2, 5, 20]);
            let counts = random.chance(15).then(|| random.pick(&[Why::Unheard, Why::Upstream]));
            while at < until && at < self.calm_at && budget > 0 {
                let events = if random.chance(1) { 256 } else { random.range(1, batch) }.min(budget);
                budget -= events;
                let counts = counts.or_else(|| random.chance(1).then_some(Why::Upstream));
                let publish = Publish { events, data_bytes, kinds, states, counts };
                self.actions.push((at, Action::Publish { channel, publish }));
                at += random.range(1, 2 * SECOND * events.max(1) / rate);
            }
            at += random.below(4 * SECOND);
        }
    }

    fn broker(&mut self, channel: usize, theme: Theme, random: &mut Random) {
        let mut at = random.range(2, 8) * SECOND;
        while theme.epochs && at < self.calm_at {
            let action = match random.below(4) {
                0 => Action::Vanish { channel },
                1 => Action::FailOver { channel, lost: 0 },
                _ => Action::FailOver { channel, lost: random.below(200) },
            };
            self.actions.push((at, action));
            at += random.range(1, 10) * SECOND;
        }
    }

    fn link(&mut self, random: &mut Random) {
        let mut at = random.below(8 * SECOND);
        while at < self.calm_at {
            self.actions.push((at, Action::Link { up: false }));
            at += random.range(10_000, 5 * SECOND);
            self.actions.push((at, Action::Link { up: true }));
            at += random.range(100_000, 8 * SECOND);
        }
        self.actions.push((self.calm_at, Action::Link { up: true }));
    }

    fn client(&mut self, client: usize, random: &mut Random) {
        let hub = client % 2;
        let mut at = random.below(4 * SECOND);
        let temper = random.below(4);
        self.connect(client, hub, &mut at, random, From::Head);
        while at < self.calm_at {
            at += random.range(1, 3 * SECOND);
            let action = match random.below(20) {
                0..=2 if temper == 1 => {
                    self.actions.push((at, Action::Disconnect { client }));
                    at += random.below(3 * SECOND);
                    let start = if random.chance(5) { From::Invented } else { From::Own };
                    let hub = random.below(2) as usize;
                    self.connect(client, hub, &mut at, random, start);
                    continue;
                }
                0..=5 if temper == 2 => Action::Stall { client, ms: random.range(100, 12_000) },
                6 => {
                    let bytes_per_second = random.pick(&[2_000, 20_000, 1_000_000, 100_000_000]);
                    Action::Speed { client, bytes_per_second }
                }
                7 | 8 => self.subscribe(client, random),
                9 => Action::Unsubscribe { client, channel: random.below(self.channels as u64) as usize },
                10..=13 if temper > 1 => self.rung(client, random),
                14 if random.chance(20) => Action::BadName { client },
                15 => self.rung(client, random),
                _ => continue,
            };
            self.actions.push((at, action));
        }
    }

    fn connect(&mut self, client: usize, hub: usize, at: &mut u64, random: &mut Random, start: From) {
        self.actions.push((*at, Action::Connect { client, hub }));
        *at += random.below(1_000);
        for channel in 0..self.channels {
            if random.chance(80) {
                let wish = Wish { start, ..wish(random) };
                let channels = if random.chance(5) { vec![channel, channel] } else { vec![channel] };
                self.actions.push((*at, Action::Subscribe { client, channels, wish }));
            }
        }
    }

    fn subscribe(&self, client: usize, random: &mut Random) -> Action {
        let channels = (0..self.channels).filter(|_| random.chance(50)).collect();
        Action::Subscribe { client, channels, wish: wish(random) }
    }

    fn rung(&self, client: usize, random: &mut Random) -> Action {
        let channel = random.chance(70).then(|| random.below(self.channels as u64) as usize);
        Action::Rung {
            client,
            channel,
            rung: random.pick(&[Rung::Full, Rung::Full, Rung::Counts, Rung::Summary]),
            max_rate: random.chance(30).then(|| rate(random)),
            tick: random.chance(30).then(|| random.pick(&TickMs::ALL)),
        }
    }
}

fn limits(theme: Theme, random: &mut Random) -> HubLimits {
    let mut limits = HubLimits {
        grace: Duration::from_millis(random.pick(&[100, 2_000, 10_000])),
        max_rate_default: random.pick(&[5, 200, 1_000]),
        connection_max_rate: random.pick(&[60, 400, 10_000, 10_000]),
        subscriptions_max: random.pick(&[3, 1_000, 1_000]),
        due_age_max: Duration::from_millis(random.pick(&[200, 1_000])),
        due_bytes_max: random.pick(&[4_096, 65_536, 2 << 20]),
        waiting_bytes_max: random.pick(&[1_000, 65_536, 2 << 20]),
        ..HubLimits::default()
    };
    if theme.tight_logs {
        limits.log_events_max = random.pick(&[1, 20, 300]);
        limits.log_bytes_max = random.pick(&[1_000, 30_000, 2 << 20]);
        limits.hub_log_bytes_max = random.pick(&[10_000, 100_000, 256 << 20]);
    }
    limits
}

fn net(theme: Theme, random: &mut Random) -> Net {
    let mut percent = |of: u64| if theme.faults { random.below(of) } else { 0 };
    let (lost, twice, late, straddling, foreign) =
        (percent(4), percent(6), percent(5), percent(3), percent(3));
    let message_ms = [random.pick(&[1, 20]), random.pick(&[1, 20, 1_500])];
    Net { lost, twice, late, straddling, foreign, message_ms, read_ms: random.pick(&[2, 50, 1_000]) }
}

fn reader(random: &mut Random) -> Reader {
    Reader {
        capacity: random.pick(&[2_048, 16_384, 65_536]),
        bytes_per_second: random.pick(&[3_000, 30_000, 1_000_000, 100_000_000, 100_000_000]),
    }
}

fn rate(random: &mut Random) -> u64 {
    random.pick(&[1, 10, 30, 200, 10_000])
}

fn wish(random: &mut Random) -> Wish {
    Wish {
        rung: random.pick(&[Rung::Full, Rung::Full, Rung::Full, Rung::Counts, Rung::Summary]),
        max_rate: random.chance(60).then(|| rate(random)),
        tick: random.pick(&TickMs::ALL),
        tail: random.chance(40),
        start: match random.below(6) {
            0 => From::Last(random.pick(&[1, 3, 50, 1_000])),
            1 => From::Own,
            _ => From::Head,
        },
    }
}
