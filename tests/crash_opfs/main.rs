//! Guards against a crash of a browser or of the machine under it that costs something acknowledged, or leaves a database
//! that does not open: runs workloads on a pooled storage over parts that record what is done to them, builds the states that
//! a crash at any moment may leave, and opens them.
//!
//! The workloads and what must hold are those of `tests/crash`; the storage, and what a crash may do to it, are this one's.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::single_range_in_vec_init, // Lists of ranges, some of one.
    clippy::needless_pass_by_value,   // Workloads read better without references.
    clippy::type_complexity,
    clippy::cast_precision_loss, // A rate to print.
    dead_code // Of what is shared with `tests/crash`, a part is not used.
)]

mod ageing;
#[path = "../crash/chance.rs"]
mod chance;
#[path = "../crash/check.rs"]
mod check;
mod contract;
mod disk;
#[path = "../crash/explore.rs"]
mod explore;
mod kills;
mod recording;
mod slot;
#[path = "../support/mod.rs"]
mod support;
#[path = "../crash/workload.rs"]
mod workload;
#[path = "../crash/workloads.rs"]
mod workloads;

use disk::{Disk, Faults};
use explore::{Effort, Explorer, Tally};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use support::effort::{is_brief, is_soak};
use workload::{Driver, History, options};

/// How old the pool is when a workload begins, and how time goes by.
#[derive(Clone, Copy, Debug)]
enum Begin {
    /// The database is new, and no time goes by.
    Fresh,
    /// The database is new, and its slots age in the midst of the workload.
    Ageing,
    /// The slots have aged. New ones stay young.
    Aged,
}

impl Begin {
    const ALL: [Self; 3] = [Self::Fresh, Self::Ageing, Self::Aged];

    fn disk(self, faults: Faults, twin: bool) -> (Disk, History) {
        let mut disk = Disk::empty(twin);
        disk.faults = faults;
        match self {
            Self::Fresh => (disk, History::new()),
            Self::Ageing => {
                disk.pace = 9_000;
                (disk, History::new())
            }
            Self::Aged => {
                let mut driver = Driver::open(&disk, History::new(), options()).unwrap();
                driver.storage.make_spares();
                driver.storage.wait(60_000);
                driver.put("aged", 1, 1);
                assert_eq!(driver.storage.journalled() > 0, faults == Faults::Journal);
                let (effects, history) = driver.finish();
                effects.iter().for_each(|effect| disk.apply(effect));
                (disk, history)
            }
        }
    }
}

/// With two copies there are several times as many states.
fn effort(twin: bool) -> Effort {
    match (is_soak(), twin) {
        (true, _) => Effort { write_one_in: 4, recover_one_in: 8 },
        (false, false) => Effort { write_one_in: 32, recover_one_in: 800 },
        (false, true) => Effort { write_one_in: 64, recover_one_in: 1600 },
    }
}

fn explore(name: &str, age: Begin, twin: bool, faults: Faults, body: fn(&mut Driver)) -> Tally {
    let begun = Instant::now();
    let (disk, history) = age.disk(faults, twin);
    let mut driver = Driver::open(&disk, history, options()).unwrap();
    body(&mut driver);
    let (effects, history) = driver.finish();
    let mut explorer = Explorer::new(effort(twin), name.len() as u64);
    explorer.explore_from(disk, &effects, &history);
    let mut tally = explorer.tally;
    println!(
        "{name:38} {age:8?} {} {:4} effects {:8} states {:7} different {:6} written {:7} of recoveries {:5.1} s",
        if twin { "two copies" } else { "one journal" },
        effects.len(),
        tally.states,
        tally.read,
        tally.written,
        tally.recoveries,
        begun.elapsed().as_secs_f64(),
    );
    tally.failures.iter_mut().for_each(|failure| failure.insert_str(0, &format!("{name} {age:?}: ")));
    tally
}

#[test]
fn no_crash_loses_what_was_acknowledged_or_leaves_slots_that_do_not_open() {
    let only = std::env::var("PUMICE_WORKLOAD").unwrap_or_default();
    let all: Vec<_> = workloads::ALL
        .iter()
        .chain(ageing::ALL)
        // A browser's databases keep nothing of their past.
        .filter(|(name, _)| name.contains(&only) && !name.starts_with("past_"))
        .flat_map(|(name, body)| Begin::ALL.map(|begin| (name, begin, body)))
        .flat_map(|(name, begin, body)| [false, true].map(|twin| (name, begin, twin, body)))
        .enumerate()
        // In an ordinary run each workload has two copies at one of its three beginnings; in a brief one it also has a
        // single journal at one only, another.
        .filter(|(index, (_, _, twin, _))| {
            let (begin, workload) = (index / 2 % 3, index / 6);
            let is_chosen =
                if *twin { begin == workload % 3 } else { !is_brief() || begin == (workload + 1) % 3 };
            is_chosen || is_soak() || !only.is_empty()
        })
        .map(|(_, workload)| workload)
        .collect();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, begin, twin, body)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tally = explore(name, *begin, *twin, Faults::None, **body);
                    total.lock().unwrap().add(&tally);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{:.0} different states a second", total.read as f64 / begun.elapsed().as_secs_f64());
    support::figures::keep(
        "crash-states-opfs",
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

/// What the parts promise is needed: the states find out each promise that is not kept.
#[test]
fn parts_that_break_their_promises_are_found_out() {
    let two_puts = |d: &mut Driver| {
        d.put("c", 1, 1);
        d.compact();
        d.put("c", 2, 2);
    };
    for twin in [false, true] {
        for (begin, faults) in [
            (Begin::Fresh, Faults::Journal),
            (Begin::Ageing, Faults::Journal),
            (Begin::Aged, Faults::Flush),
            (Begin::Aged, Faults::Names),
        ] {
            let tally = explore("two_puts", begin, twin, faults, two_puts);
            assert!(!tally.failures.is_empty(), "{faults:?} with {begin:?} went unnoticed");
        }
        let tally = explore("two_puts", Begin::Aged, twin, Faults::None, two_puts);
        assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    }
}
