//! What the figures were measured on.

use crate::http;
use crate::result::Machine;
use crate::stage::Means;
use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// Words in place of what cannot be found out; a report without them is still one.
const UNKNOWN: &str = "unknown";

pub(crate) fn machine(means: &Means) -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let cpu = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory_info = read("/proc/meminfo");
    let memory_kb = memory_info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Machine {
        cpu: cpu.map_or(UNKNOWN, |(_, name)| name).to_owned(),
        cores: cores().unwrap_or(0),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_bytes: memory_kb.unwrap_or(0) * 1_024,
        tally_version: if means.gateways.is_empty() {
            version(&means.tally)
        } else {
            "a gateway that ran already".to_owned()
        },
        redis_version: redis_version(means).unwrap_or_else(|| UNKNOWN.to_owned()),
    }
}

/// `7.0.15`, from the running server or from the program that is started: `Redis server v=7.0.15 sha=…`.
fn redis_version(means: &Means) -> Option<String> {
    if means.redis_url.is_some() {
        let info = http::redis_info(means.redis()?, "server").ok()?;
        return info.lines().find_map(|line| Some(line.strip_prefix("redis_version:")?.trim().to_owned()));
    }
    let told = version(&means.redis_server);
    told.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

/// Counted in /proc, because once this process is pinned the standard library counts only its own.
pub(crate) fn cores() -> anyhow::Result<usize> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot count the cores")?;
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    Ok(stat.lines().filter(is_core).count())
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(UNKNOWN).to_owned()
}
