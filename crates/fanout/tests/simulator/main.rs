//! The delivery core against a naive reference model: seeded plans on a virtual clock, each law a function of its name.
//!
//! `TALLY_SIM_SEEDS=N` runs N seeds; `TALLY_SIM_SEED=K` runs one, with a trace of everything that happens.
#![expect(clippy::unwrap_used, reason = "names and positions here are constants of the plans")]
#![expect(clippy::print_stdout, reason = "a failing seed is told, and a single one is traced")]

mod broker;
mod client;
mod coverage;
mod laws;
mod listener;
mod plan;
mod random;
mod shell;
mod socket;
mod world;

use coverage::Coverage;
use plan::Plan;
use world::World;

/// Runs one plan to its end; the digests are of every client's frames and their times.
fn run(plan: Plan, absent: Option<usize>, trace: bool) -> (Result<(), String>, Vec<u64>, Coverage) {
    let mut world = World::new(plan, absent, trace);
    let result = world.run().map_err(|broken| format!("at {:.6} s: {broken}", world.now as f64 / 1e6));
    (result, world.clients.iter().map(|client| client.digest).collect(), world.coverage)
}

fn seeds() -> u64 {
    let default = if cfg!(debug_assertions) { 40 } else { 500 };
    std::env::var("TALLY_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

fn one_seed() -> Option<u64> {
    std::env::var("TALLY_SIM_SEED").ok()?.parse().ok()
}

/// Runs `test` for every seed on all cores.
fn for_each_seed(test: impl Fn(u64) -> Result<Coverage, String> + Sync) -> Coverage {
    let next = std::sync::atomic::AtomicU64::new(0);
    let seeds = seeds();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds {
                return coverage;
            }
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
            match caught.unwrap_or_else(|_| Err("a panic".into())) {
                Ok(one) => coverage.merge(&one),
                Err(broken) => panic!(
                    "seed {seed}: {broken}\nto see it: TALLY_SIM_SEED={seed} cargo test -p tally-fanout --release \
                     --test simulator laws -- --nocapture"
                ),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let mut coverage = Coverage::default();
        for worker in workers {
            match worker.join() {
                Ok(one) => coverage.merge(&one),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        coverage
    })
}

#[test]
fn laws() {
    if let Some(seed) = one_seed() {
        let (result, _, _) = run(Plan::of(seed), None, true);
        return result.unwrap();
    }
    let coverage = for_each_seed(|seed| {
        let (result, digests, coverage) = run(Plan::of(seed), None, false);
        result?;
        if seed.is_multiple_of(8) && run(Plan::of(seed), None, false).1 != digests {
            return Err("identity: the same plan gave other frames".into());
        }
        Ok(coverage)
    });
    for (what, times) in &coverage.times {
        println!("{times:>9}  {what}");
    }
    if seeds() >= 500 {
        coverage.suffices();
    }
}

/// A stalled client changes nothing in what the healthy ones get.
#[test]
fn isolation() {
    if let Some(seed) = one_seed() {
        let (_, with, _) = run(Plan::of_isolation(seed), None, true);
        println!("without the stalled client:");
        let (_, without, _) = run(Plan::of_isolation(seed), Some(2), true);
        return assert_eq!(with[..2], without[..2]);
    }
    for_each_seed(|seed| {
        if !seed.is_multiple_of(4) {
            return Ok(Coverage::default());
        }
        let (with, with_digests, coverage) = run(Plan::of_isolation(seed), None, false);
        let (without, without_digests, _) = run(Plan::of_isolation(seed), Some(2), false);
        with.and(without)?;
        if with_digests[..2] == without_digests[..2] {
            Ok(coverage)
        } else {
            Err("isolation: other frames".into())
        }
    });
}
