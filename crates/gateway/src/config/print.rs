//! Settings as TOML for people: each with its unit, its bounds and its consequence.

use super::{AllowedOrigin, Config, redis};
use crate::limits::{BOUNDS, NAME_BYTES_MAX, SHARDS_MAX};
use std::fmt::Write as _;

pub(super) fn toml(config: &Config) -> String {
    let mut out = String::from(
        "# Tally gateway settings. In rising order: this file, TALLY_* variables (TALLY_LISTEN=…), flags (--listen …).\n\
         # What is not set has the value printed here.\n\n",
    );
    let mut put = |text: &str, key: &str, value: &str| {
        // Into a String, writing cannot fail.
        let _ = writeln!(out, "# {text}\n{key} = {value}\n");
    };
    put(
        &format!(
            "What this gateway is called where all are shown, with random characters behind it. At most {NAME_BYTES_MAX} of \
             A-Z a-z 0-9 . _ : @ ~ = + , -. \"\": its host's name."
        ),
        "name",
        &format!("{:?}", config.name),
    );
    put(
        "Where producers and clients connect: IP address and port. Port 0 takes any free one.",
        "listen",
        &format!("{:?}", config.listen.to_string()),
    );
    put(
        "Where operators connect: /healthz, /readyz, /metrics, /ops, and /v1/ws with Tally's own `$` channels. Keep it private.",
        "admin",
        &format!("{:?}", config.admin.to_string()),
    );
    put(
        &format!("Threads with connections, 0 to {SHARDS_MAX}. 0: one per core."),
        "shards",
        &config.shards.to_string(),
    );
    put(
        "Origins whose pages may connect and publish, beside the gateway's own: \"https://example.org\", \"null\" \
         (pages from files), \"*\". Others get 403.",
        "allow_origin",
        &list(&config.allow_origin),
    );
    put(
        "The key that publishers over HTTP show as a bearer if they come from other than loopback or through a proxy. \
         16 or more characters. \"\": they are refused.",
        "publish_key",
        "\"\"",
    );
    for bound in BOUNDS {
        let text = format!("{} From {} to {}.", bound.text, bound.min, bound.max);
        put(&text, bound.key, &bound.get(&config.limits).to_string());
    }
    put_redis(&mut out);
    out.push_str(
        "# Rules for channels; * stands for any characters, and every rule that matches holds.\n\
         # drop: top-level keys that are left out of each event's data.\n\
         # [[channels]]\n# pattern = \"job:*\"\n# drop = [\"env\"]\n",
    );
    out
}

/// The `[redis]` table as it is where nothing is set: with an empty URL.
fn put_redis(out: &mut String) {
    out.push_str(
        "# The Redis that producers and other gateways share. Outside of this file: TALLY_REDIS and TALLY_REDIS_PREFIX, \
         --redis and --set redis_prefix=…, and so on.\n[redis]\n\n",
    );
    for (key, text) in redis::TEXTS {
        let value = if key == "prefix" { redis::PREFIX } else { "" };
        // Into a String, writing cannot fail.
        let _ = writeln!(out, "# {text}\n{key} = {value:?}\n");
    }
    for time in redis::TIMES {
        let (key, default) = (time.key, redis::default_ms(time));
        let _ =
            writeln!(out, "# {} From {} to {}.\n{key} = {default}\n", time.text, time.min_ms, time.max_ms);
    }
}

fn list(origins: &[AllowedOrigin]) -> String {
    let texts: Vec<String> = origins
        .iter()
        .map(|origin| match origin {
            AllowedOrigin::Any => "\"*\"".into(),
            AllowedOrigin::Null => "\"null\"".into(),
            AllowedOrigin::Exact(origin) => format!("{origin:?}"),
        })
        .collect();
    format!("[{}]", texts.join(", "))
}
