//! The rules between a scenario's values.

use super::{Backplane, Scenario};
use crate::result::Subject;
use std::fmt::Display;

impl Scenario {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        rule("about", &self.about, !self.about.trim().is_empty(), "it says in one sentence what is run")?;
        within("seconds", self.seconds, 1.0, 86_400.0)?;
        within("warm_up_s", self.warm_up_s, 0.0, 3_600.0)?;
        within("gateways", self.gateways, 0, 64)?;
        within("cores", self.cores, 1, 1_024)?;
        let whole = self.backplane == Backplane::Redis || self.gateways == 1;
        rule("gateways", self.gateways, whole, "an embedded backplane is inside of exactly one gateway")?;
        let measured = self.subjects.contains(&Subject::Gateway);
        rule("subjects", format!("{:?}", self.subjects), measured, "the gateway is one of them")?;
        for against in &self.expect.against {
            against.check(&self.name)?;
        }
        self.check_publish()?;
        self.check_listen()?;
        self.check_behaviours()?;
        for (key, value) in &self.gateway {
            let plain = !matches!(value, toml::Value::Table(_) | toml::Value::Datetime(_));
            let ours = matches!(key.as_str(), "listen" | "admin" | "redis");
            rule(
                &format!("gateway.{key}"),
                value,
                plain && !ours,
                "it is a setting with one value, other than where the gateway listens and which Redis it uses",
            )?;
        }
        Ok(())
    }

    fn check_publish(&self) -> anyhow::Result<()> {
        let publish = &self.publish;
        within("publish.channels", publish.channels, 1, 1_000_000)?;
        let ways = usize::from(publish.fast)
            + usize::from(publish.per_channel.is_some())
            + usize::from(publish.in_all.is_some());
        rule(
            "publish",
            format!("given {ways} rates"),
            ways == 1,
            "exactly one of fast = true, per_channel and in_all says how fast",
        )?;
        within("publish.per_channel", publish.per_channel.unwrap_or(0.0), 0.0, 1e7)?;
        within("publish.in_all", publish.in_all.unwrap_or(0.0), 0.0, 1e7)?;
        within("publish.window_events", publish.window_events, 1, 10_000_000)?;
        within("publish.window_bytes", publish.window_bytes, 1, 1 << 32)?;
        within("publish.data_bytes", publish.data_bytes, 32, tally_protocol::EVENT_BYTES_MAX)?;
        within("publish.kinds", publish.kinds, 1, 1_000)?;
        within("publish.state_share", publish.state_share, 0.0, 1.0)?;
        within("publish.threads", publish.threads, 1, 64)?;
        within("publish.producers_per_channel", publish.producers_per_channel, 1, 64)?;
        if let Some(burst) = publish.burst {
            within("publish.burst.at_s", burst.at_s, 0.0, self.seconds)?;
            within("publish.burst.events", burst.events, 1, 1_000_000)?;
        }
        Ok(())
    }

    fn check_listen(&self) -> anyhow::Result<()> {
        let listen = &self.listen;
        within("listen.channels", self.heard_channels(), 0, self.publish.channels)?;
        within("listen.per_channel", listen.per_channel, 0, 1_000_000)?;
        within("listen.channels_per_connection", listen.channels_per_connection, 1, 10_000)?;
        within("listen.threads", listen.threads, 1, 64)?;
        let rungs = listen.rungs;
        let sum = rungs.full + rungs.counts + rungs.summary;
        let shares = [rungs.full, rungs.counts, rungs.summary].iter().all(|share| *share >= 0.0);
        let whole = shares && (sum - 1.0).abs() < 1e-6;
        rule("listen.rungs", format!("{sum} in all"), whole, "its shares are from 0 and add up to 1")?;
        let tick = matches!(listen.tick_ms, 250 | 1_000 | 5_000);
        rule("listen.tick_ms", listen.tick_ms, tick, "it is 250, 1000 or 5000")?;
        let served = self.gateways > 0 || self.connections() == 0;
        rule("gateways", self.gateways, served, "listeners need at least one gateway")
    }

    fn check_behaviours(&self) -> anyhow::Result<()> {
        let listen = &self.listen;
        let shares = [
            ("slow", listen.slow.map(|slow| slow.share)),
            ("stalled", listen.stalled.map(|stalled| stalled.share)),
            ("flapping", listen.flapping.map(|flapping| flapping.share)),
            ("churning", listen.churning.map(|churning| churning.share)),
        ];
        for (name, share) in shares {
            within(&format!("listen.{name}.share"), share.unwrap_or(0.0), 0.0, 1.0)?;
        }
        let sum: f64 = shares.iter().filter_map(|(_, share)| *share).sum();
        rule(
            "listen",
            format!("{sum} slow, stalled, flapping and churning"),
            sum <= 1.0,
            "these shares add up to at most 1, for each connection has one behaviour",
        )?;
        if let Some(slow) = listen.slow {
            within("listen.slow.bytes_per_s", slow.bytes_per_s, 1, 1 << 32)?;
        }
        if let Some(stalled) = listen.stalled {
            within("listen.stalled.from_s", stalled.from_s, 0.0, self.seconds)?;
            within("listen.stalled.for_s", stalled.for_s, 0.0, self.seconds)?;
        }
        if let Some(flapping) = listen.flapping {
            within("listen.flapping.every_s", flapping.every_s, 0.05, 3_600.0)?;
            within("listen.flapping.away_s", flapping.away_s, 0.0, 3_600.0)?;
        }
        if let Some(churning) = listen.churning {
            within("listen.churning.every_s", churning.every_s, 0.05, 3_600.0)?;
        }
        Ok(())
    }
}

fn within<T: PartialOrd + Display + Copy>(key: &str, value: T, min: T, max: T) -> anyhow::Result<()> {
    let holds = value >= min && value <= max;
    rule(key, value, holds, &format!("it is from {min} to {max}"))
}

fn rule(key: &str, value: impl Display, holds: bool, rule: &str) -> anyhow::Result<()> {
    anyhow::ensure!(holds, "{key} is {value}, but {rule}");
    Ok(())
}
