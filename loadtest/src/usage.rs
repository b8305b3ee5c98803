//! CPU and memory of processes and of our own threads, from /proc.

use crate::result::{ProcessUse, Role};
use crate::stage::Actor;
use std::collections::BTreeMap;
use std::path::Path;

/// Microseconds of one tick of /proc/PID/stat: Linux has shown 100 of them a second for ever.
const TICK_US: u64 = 10_000;
const PAGE_BYTES: u64 = 4_096;
/// Threads of our own whose CPU is told apart, by what their names begin with.
const PARTS: [(&str, &str); 2] = [("receivers", "receive-"), ("publishers", "publish-")];

/// What a process, or some threads, have used so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usage {
    /// Exact, from the scheduler.
    cpu_us: u64,
    /// In ticks: how the CPU time divides into user and system.
    user_ticks: u64,
    sys_ticks: u64,
    pub(crate) rss_bytes: u64,
    /// CPU by thread name, summed over threads of one name.
    threads_us: BTreeMap<String, u64>,
}

/// All that is measured at one moment, by name.
pub(crate) type Census = BTreeMap<String, (Role, Usage)>;

/// Looks at every actor, and at our own process: its receiving threads, its publishing threads, and the rest with the
/// memory, which threads share.
pub(crate) fn census(actors: &[Actor]) -> Census {
    let mut census = Census::new();
    for actor in actors {
        let folder = format!("/proc/{}", actor.pid);
        census.insert(actor.name.clone(), (actor.role, usage(Path::new(&folder), |_| true)));
    }
    let ourselves = Path::new("/proc/self");
    for (name, threads) in PARTS {
        let mine = usage(ourselves, |thread| thread.starts_with(threads));
        census.insert(name.to_owned(), (Role::Load, Usage { rss_bytes: 0, ..mine }));
    }
    let rest = usage(ourselves, |thread| PARTS.iter().all(|(_, threads)| !thread.starts_with(threads)));
    census.insert("load test".to_owned(), (Role::Load, rest));
    census
}

impl Usage {
    /// CPU since an earlier look: user and system.
    pub(crate) fn since(&self, earlier: &Self) -> (u64, u64) {
        let cpu_us = self.cpu_us.saturating_sub(earlier.cpu_us);
        let user = self.user_ticks.saturating_sub(earlier.user_ticks);
        let sys = self.sys_ticks.saturating_sub(earlier.sys_ticks);
        let user_us = match user + sys {
            0 => cpu_us / 2,
            all => cpu_us * user / all,
        };
        (user_us, cpu_us - user_us)
    }

    pub(crate) fn cpu_us_since(&self, earlier: &Self) -> u64 {
        self.cpu_us.saturating_sub(earlier.cpu_us)
    }
}

/// What was used between two looks; `peaks` is the most memory that any look in between saw.
pub(crate) fn between(earlier: &Census, later: &Census, peaks: &BTreeMap<String, u64>) -> Vec<ProcessUse> {
    let used = later.iter().filter_map(|(name, (role, after))| {
        let (_, before) = earlier.get(name)?;
        let (user_us, sys_us) = after.since(before);
        let threads = after.threads_us.iter().map(|(thread, us)| {
            let before_us = before.threads_us.get(thread).copied().unwrap_or(0);
            (thread.clone(), us.saturating_sub(before_us))
        });
        let peak = peaks.get(name).copied().unwrap_or(0);
        Some(ProcessUse {
            name: name.clone(),
            role: *role,
            user_us,
            sys_us,
            rss_start_bytes: before.rss_bytes,
            rss_peak_bytes: peak.max(before.rss_bytes).max(after.rss_bytes),
            rss_end_bytes: after.rss_bytes,
            threads: threads.filter(|(_, us)| *us > 0).collect(),
        })
    });
    used.collect()
}

/// The threads of a process that `is_wanted` by name. What cannot be read counts as nothing: the process has
/// ended, which is told elsewhere.
fn usage(process: &Path, is_wanted: impl Fn(&str) -> bool) -> Usage {
    let mut usage = Usage { rss_bytes: rss_bytes(process).unwrap_or(0), ..Usage::default() };
    let Ok(threads) = std::fs::read_dir(process.join("task")) else { return usage };
    for thread in threads.flatten() {
        let folder = thread.path();
        let Some((name, user, sys)) = stat(&folder) else { continue };
        if !is_wanted(&name) {
            continue;
        }
        let us = scheduled_us(&folder).unwrap_or((user + sys) * TICK_US);
        usage.cpu_us += us;
        usage.user_ticks += user;
        usage.sys_ticks += sys;
        *usage.threads_us.entry(name).or_default() += us;
    }
    usage
}

/// Name and ticks of one thread.
fn stat(thread: &Path) -> Option<(String, u64, u64)> {
    let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
    // The name stands in parentheses and may hold any of these itself.
    let (head, fields) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = fields.split(' ').skip(11);
    Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Time on a CPU as the scheduler counts it, in nanoseconds there; absent where the kernel was built without.
fn scheduled_us(thread: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    let ns: u64 = text.split(' ').next()?.parse().ok()?;
    Some(ns / 1_000)
}

fn rss_bytes(process: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(process.join("statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// The most bytes that the kernel holds unread for one peer of these local ports, from the tables of sockets. It is
/// read only where a scenario asks for it, for with many sockets the tables are long.
pub(crate) fn sent_and_unread_max(ports: &[u16]) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().skip(1).filter_map(|line| unread_of(line, ports)).max().unwrap_or(0)
}

/// `tx_queue` of one line of /proc/net/tcp, where its local port is one of these.
fn unread_of(line: &str, ports: &[u16]) -> Option<u64> {
    let mut fields = line.split_whitespace().skip(1);
    let port = u16::from_str_radix(fields.next()?.rsplit_once(':')?.1, 16).ok()?;
    let (sent, _) = fields.nth(2)?.split_once(':')?;
    ports.contains(&port).then(|| u64::from_str_radix(sent, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_of_sockets_is_read() {
        let line =
            "   0: 0100007F:1F90 0100007F:D431 01 0002A3F0:00000010 01:00000014 00000000     0        0 5 1";
        assert_eq!(unread_of(line, &[8_080]), Some(0x2a3f0));
        assert_eq!(unread_of(line, &[8_081]), None);
    }

    #[test]
    fn our_own_threads_are_told_apart_by_name() {
        let (told, asked) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::Builder::new().name("receive-7".to_owned()).spawn(move || {
            // Work, not time: however busy the machine is, this takes milliseconds of CPU.
            (0..20_000_000u64).for_each(|i| {
                std::hint::black_box(i);
            });
            told.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        let busy = busy.unwrap();
        asked.recv().unwrap();
        let census = census(&[]);
        let (role, usage) = &census["receivers"];
        assert_eq!(*role, Role::Load);
        assert!(usage.threads_us["receive-7"] >= 1_000, "{usage:?}");
        assert_eq!(usage.rss_bytes, 0, "memory is told once");
        assert!(census["load test"].1.rss_bytes > 0);
        assert!(!census["load test"].1.threads_us.contains_key("receive-7"));
        drop(end);
        busy.join().unwrap();
    }
}
