//! Guards against a crash that costs something acknowledged of an encrypted database, or leaves one that does not open: the
//! workloads, the crashes and what must hold are those of `tests/crash`, with an encrypted storage over the one that records.

#![cfg(all(not(target_family = "wasm"), feature = "encryption"))]
#![allow(
    clippy::single_range_in_vec_init, // Lists of ranges, some of one.
    clippy::needless_pass_by_value,   // Workloads read better without references.
    clippy::type_complexity,
    dead_code // Of what is shared with `tests/crash`, a part is not used.
)]

#[path = "../crash/chance.rs"]
mod chance;
#[path = "../crash/check.rs"]
mod check;
#[path = "../crash/disk.rs"]
mod disk;
#[path = "../crash/explore.rs"]
mod explore;
mod recording;
#[path = "../support/mod.rs"]
mod support;
#[path = "../crash/workload.rs"]
mod workload;
#[path = "../crash/workloads.rs"]
mod workloads;

use disk::Disk;
use explore::{Effort, Explorer, Tally};
use pumice::Key;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use workload::{Driver, History, options};

/// So many different states each workload has at most.
fn enough() -> u64 {
    if support::effort::is_soak() { 200_000 } else { 2_500 }
}

fn explore(name: &str, body: fn(&mut Driver)) -> Tally {
    let mut driver = Driver::open(&Disk::default(), History::new(), options()).unwrap();
    body(&mut driver);
    let (effects, history) = driver.finish();
    let mut explorer = Explorer::new(Effort { write_one_in: 16, recover_one_in: 32 }, name.len() as u64);
    explorer.enough = enough();
    explorer.explore(&effects, &history);
    let mut tally = explorer.tally;
    println!("{name:38} {:4} effects {:8} states {:7} different", effects.len(), tally.states, tally.read);
    tally.failures.iter_mut().for_each(|failure| failure.insert_str(0, &format!("{name}: ")));
    tally
}

#[test]
fn no_crash_loses_what_was_acknowledged_or_leaves_files_that_do_not_open() {
    let only = std::env::var("PUMICE_WORKLOAD").unwrap_or_default();
    // Stray files are none that the key made.
    let all = workloads::ALL.iter().filter(|(name, _)| name.contains(&only) && *name != "stray_files");
    let all: Vec<_> = all.chain([("key_changes", key_changes as fn(&mut Driver))].iter()).collect();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, body)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = explore(name, *body);
                    total.lock().unwrap().add(&tally);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    support::figures::keep(
        "crash-states-encrypted",
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
}

/// To the same key, so that whichever file counts opens.
fn key_changes(d: &mut Driver) {
    for n in 0..4 {
        d.put("c", n, n);
        d.db().change_key(&Key::bytes([1; 32])).unwrap();
    }
    d.reopen();
    d.put("c", 4, 4);
}
