//! Guards against false acknowledgements, half-written batches and hangs when the storage fails: each call of a whole
//! workload fails in turn, once or from then on, with nothing done, with a part of the bytes written, or with all of
//! it done and a failure reported all the same.

#[cfg(feature = "encryption")]
mod encrypted;
pub mod fault;
mod importing;
mod opening;
mod told;
mod waiting;
mod workload;

use crate::support::effort::is_soak;
use crate::support::figures;
use crate::support::hooked::{Hooked, Op, Part};
use crate::support::page_cache::PageCache;
use crate::support::watchdog::within;
use fault::{Fault, How, Manner, manners};
use pumice::blocking::Db;
use pumice::{ErrorKind, MemoryStorage, Options, Storage, SyncDiskStorage};
use std::sync::Arc;
use std::time::Duration;
use told::Told;
use workload::{check_after, check_closed, workload};

/// Runs the workload on the storage that `open` gives, with a fault. Returns what it was told.
fn run<S: Storage>(storage: S, fault: &Arc<Fault>) -> Told {
    let mut told = Told::default();
    match Db::open_with(Hooked::new(storage, fault), Options::new().compact_at(None)) {
        Ok(db) => workload(&db, fault, &mut told),
        Err(error) => assert!(fault.hit() && error.kind() == fault.kind(), "{error}"),
    }
    assert_eq!(fault.retries(), 0, "the log was written to after a failure");
    told
}

/// Fails call after call, until `run` ends before the turn of one has come. Returns how many there were.
fn every_call(
    step: usize,
    manner: Manner,
    counts: fn(Op, &str) -> bool,
    run: impl Fn(&Arc<Fault>) + Clone + Send + 'static,
) -> usize {
    for at in (0..).step_by(step) {
        let fault = Fault::new(at, manner, counts, None);
        let (own, run) = (Arc::clone(&fault), run.clone());
        within(Duration::from_secs(60), &format!("call {at}, {manner:?}"), move || run(&own));
        if !fault.hit() {
            return at.div_ceil(step);
        }
    }
    unreachable!("every workload ends")
}

fn any(_: Op, _: &str) -> bool {
    true
}

fn in_memory(fault: &Arc<Fault>) {
    let memory = MemoryStorage::new();
    let told = run(memory.clone(), fault);
    check_after(|| memory.clone(), &told);
}

fn in_memory_with(how: How) -> u64 {
    let mut points = 0;
    for manner in manners().filter(|manner| manner.how == how) {
        let calls = every_call(1, manner, any, in_memory);
        assert!(calls > 100, "only {calls} calls");
        points += calls as u64;
    }
    points
}

#[test]
fn each_call_fails_once() {
    figures::keep("faults-once", &[("points", in_memory_with(How::Once))]);
}

#[test]
fn every_call_fails_from_one_on() {
    figures::keep("faults-from-then-on", &[("points", in_memory_with(How::FromThenOn))]);
}

/// Writes fail, reads do not: a full disk.
#[test]
fn each_write_fails_and_reads_go_on() {
    fn write(op: Op, _: &str) -> bool {
        !matches!(op, Op::List | Op::Len | Op::ReadAt | Op::Remove)
    }
    let manner = Manner { how: How::FromThenOn, kind: ErrorKind::Full, part: Some(Part::Half) };
    let calls = every_call(1, manner, write, in_memory);
    assert!(calls > 50, "only {calls} calls");
}

/// What a failed sync should have written never reaches the medium, although later syncs succeed and reads still see
/// it. Neither the process that met the failure nor the one that opens next may take it for durable.
#[test]
fn a_failed_sync_loses_what_it_should_have_written() {
    fn sync(op: Op, _: &str) -> bool {
        op == Op::Sync
    }
    let mut points = 0;
    for how in [How::Once, How::FromThenOn] {
        for at in 0.. {
            let cache = PageCache::new();
            let manner = Manner { how, kind: ErrorKind::Io, part: None };
            let fault = Fault::new(at, manner, sync, Some(cache.clone()));
            let told = run(cache.clone(), &fault);
            let cut = cache.after_a_power_cut();
            check_after(|| cut.clone(), &told);
            // The machine runs on, and another process opens what the cache has.
            let found = check_after(|| cache.clone(), &told);
            check_closed(cache.after_a_power_cut(), &found);
            if !fault.hit() {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 50, "only {points} syncs");
    figures::keep("faults-lost-pages", &[("points", points)]);
}

/// Nothing but the compaction's own file fails, so the handle stays well.
#[test]
fn a_failed_compaction_alone_stops_nothing() {
    fn snapshot(op: Op, name: &str) -> bool {
        name.ends_with(".snapshot") && op != Op::Remove
    }
    let mut points = 0;
    for manner in manners() {
        points += every_call(1, manner, snapshot, move |fault| {
            let memory = MemoryStorage::new();
            let options = Options::new().compact_at(None);
            let db = Db::open_with(Hooked::new(memory.clone(), fault), options.clone()).unwrap();
            for n in 0..20 {
                db.collection("c").put(&format!("{n}"), &n).unwrap();
            }
            let failed = db.compact();
            assert_eq!(failed.is_err(), fault.hit(), "{failed:?}");
            for n in 20..30 {
                db.collection("c").put(&format!("{n}"), &n).unwrap();
            }
            db.health().unwrap();
            if manner.how == How::Once && failed.is_err() {
                db.compact().unwrap();
            }
            db.close().unwrap();
            drop(db);
            let db = Db::open_with(memory, options).unwrap();
            assert!(!db.recovery().unclean);
            assert_eq!(db.collection("c").count(..).unwrap(), 30);
            db.compact().unwrap();
            db.close().unwrap();
        });
    }
    figures::keep("faults-compaction", &[("points", points as u64)]);
}

/// The storages on disk bear failures like the one in memory.
fn on_disk<S: Storage>(open: fn(&std::path::Path) -> S) -> u64 {
    let mut points = 0;
    // In steps, for every run makes a directory and syncs; another step for each manner.
    for (manner, step) in manners().zip([7, 11, 13, 17, 19, 23, 29, 31, 37, 41]) {
        points += every_call(if is_soak() { 1 } else { step }, manner, any, move |fault| {
            let dir = tempfile::tempdir().unwrap();
            let told = run(open(dir.path()), fault);
            check_after(|| open(dir.path()), &told);
        });
    }
    points as u64
}

#[test]
fn a_directory_bears_failures_like_memory() {
    let points = on_disk(|dir| SyncDiskStorage::open(dir).unwrap());
    figures::keep("faults-sync-disk", &[("points", points)]);
}

#[cfg(feature = "tokio")]
#[test]
fn a_directory_behind_threads_bears_failures_like_memory() {
    let points = on_disk(|dir| {
        loop {
            // A handle that could not close leaves it to its threads to let the directory go.
            match crate::support::block_on(pumice::AsyncDiskStorage::open(dir)) {
                Err(error) if error.kind() == ErrorKind::Busy => std::thread::yield_now(),
                opened => return opened.unwrap(),
            }
        }
    });
    figures::keep("faults-async-disk", &[("points", points)]);
}
