//! What the figures were measured on.

use crate::result::Machine;
use std::path::Path;
use std::process::Command;

/// Words in place of what cannot be found out; a report without them is still one.
const UNKNOWN: &str = "unknown";

pub(crate) fn machine(tally: &Path, redis_server: &Path) -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let cpu = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory_info = read("/proc/meminfo");
    let memory_kb = memory_info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Machine {
        cpu: cpu.map_or(UNKNOWN, |(_, name)| name).to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory_bytes: memory_kb.unwrap_or(0) * 1_024,
        tally_version: version(tally),
        redis_version: version(redis_server),
    }
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(UNKNOWN).to_owned()
}
