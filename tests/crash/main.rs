//! Guards against a crash that costs something acknowledged, or leaves files that do not open: runs workloads on a
//! storage that records what is done to it, builds the states that a crash at any moment may leave, and opens them.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::single_range_in_vec_init, // Lists of ranges, some of one.
    clippy::needless_pass_by_value,   // Workloads read better without references.
    clippy::type_complexity,
    clippy::cast_precision_loss // A rate to print.
)]

mod chance;
mod check;
mod disk;
mod explore;
mod moltendb;
mod recording;
mod regressions;
#[path = "../support/mod.rs"]
mod support;
mod workload;
mod workloads;

use disk::Disk;
use explore::{Effort, Explorer, Tally};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use workload::{Driver, History, options};

/// So many different states each workload is to have, if it has them at all.
fn goal() -> u64 {
    if support::effort::is_soak() { 1_000_000 } else { 54_000 }
}

fn explore(name: &str, seed: u64, body: fn(&mut Driver)) -> Tally {
    let begun = Instant::now();
    let mut driver = Driver::open(&Disk::default(), History::new(), options()).unwrap();
    body(&mut driver);
    let (effects, history) = driver.finish();
    let mut explorer = Explorer::new(Effort { write_one_in: 16, recover_one_in: 64 }, seed);
    explorer.explore(&effects, &history);
    // Again with more of the recoveries, until enough was met that is new.
    explorer.enough = goal();
    while !explorer.has_enough() && explorer.effort.recover_one_in > 1 {
        explorer.effort.write_one_in = (explorer.effort.write_one_in / 2).max(1);
        explorer.effort.recover_one_in /= 2;
        explorer.explore(&effects, &history);
    }
    let tally = explorer.tally;
    println!(
        "{name:38} {:4} effects {:9} states {:8} different {:7} written {:8} of recoveries {:6.1} s",
        effects.len(),
        tally.states,
        tally.read,
        tally.written,
        tally.recoveries,
        begun.elapsed().as_secs_f64(),
    );
    tally
}

#[test]
fn no_crash_loses_what_was_acknowledged_or_leaves_files_that_do_not_open() {
    let only = std::env::var("PUMICE_WORKLOAD").unwrap_or_default();
    let all: Vec<_> = workloads::ALL.iter().filter(|(name, _)| name.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, body)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut tally = explore(name, name.len() as u64, *body);
                    tally.failures.iter_mut().for_each(|failure| failure.insert_str(0, &format!("{name}: ")));
                    total.lock().unwrap().add(&tally);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} workloads: {} states, {} different, {} of them opened for writing, {} left by crashes of recoveries; \
         {:.0} different a second",
        all.len(),
        total.states,
        total.read,
        total.written,
        total.recoveries,
        total.read as f64 / seconds,
    );
    support::figures::keep(
        "crash-states",
        &[
            ("workloads", all.len() as u64),
            ("states", total.states),
            ("different", total.read),
            ("written", total.written),
            ("recoveries", total.recoveries),
            ("failures", total.failures.len() as u64),
        ],
    );
    assert!(total.failures.is_empty(), "{} failures\n{}", total.failures.len(), total.failures.join("\n"));
    if only.is_empty() {
        assert!(
            all.len() >= 50 && total.states >= 5_000_000 && total.recoveries >= 200_000,
            "less than promised"
        );
    }
}
