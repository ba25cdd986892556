//! A disk that fails: everyone who waits is told, and nothing is acknowledged that is not there.

use crate::disk::{Disk, Fault};
use crate::explore::{Deadlines, every_order, exploring, many_orders};
use crate::world::{World, documents, options};
use pumice::blocking::Db;
use pumice::{Durability, ErrorKind, Result};
use shuttle::{future, thread};

/// Whether a write was acknowledged. If so it was synced; if not, the reason is the disk.
fn told(world: &World, result: &Result<u64>) -> bool {
    match result {
        Ok(sequence) => world.acknowledged(*sequence),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{error}");
            world.db.health().unwrap_err();
            let refused = world.db.collection("c").put("late", &0).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Poisoned, "nothing is written after the failure");
        }
    }
    result.is_ok()
}

/// Ends the handle and looks what a power cut leaves: what was acknowledged, and maybe more, but no late write.
fn reopen(world: &World, acknowledged: &[(String, bool)]) {
    exploring(false);
    // The seal that closing writes may be what fails.
    if let Err(error) = world.db.close() {
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        world.db.health().unwrap_err();
    }
    let db: Db<Disk> = Db::open_with(world.disk.after_a_power_cut(), options()).unwrap();
    let found = documents(&db.read_view());
    for (key, acknowledged) in acknowledged {
        assert!(!acknowledged || found.contains_key(key), "{key} was acknowledged and is gone");
    }
    assert!(!found.contains_key("late"));
    db.collection("c").put("next", &1).unwrap();
    db.close().unwrap();
}

fn two_writers(fault: Fault) {
    let world = World::new(options(), &[]);
    world.disk.fail(fault);
    let write =
        |world: &World, key: &str| (key.to_owned(), told(world, &world.db.collection("c").put(key, &1)));
    let other = world.clone();
    let writer = thread::spawn(move || write(&other, "b"));
    let first = write(&world, "a");
    reopen(&world, &[first, writer.join().unwrap()]);
}

#[test]
fn a_failed_sync_is_told_to_both_writers() {
    every_order("failed-sync", 2, Deadlines::NeverCome, || two_writers(Fault::SyncOnce(0)));
    every_order("failed-second-sync", 2, Deadlines::NeverCome, || two_writers(Fault::SyncOnce(1)));
}

#[test]
fn a_failed_append_is_told_to_both_writers() {
    every_order("failed-append", 2, Deadlines::NeverCome, || two_writers(Fault::AppendFrom(0)));
    every_order("failed-second-append", 2, Deadlines::NeverCome, || two_writers(Fault::AppendFrom(1)));
}

/// Two who delete the same document: when the first one fails, the second must not say that it is gone.
#[test]
fn a_delete_that_waited_for_a_failed_one_fails() {
    every_order("failed-delete", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("k", 1)]);
        world.disk.fail(Fault::SyncOnce(0));
        let other = world.clone();
        let deleter = thread::spawn(move || other.db.collection("c").delete("k").unwrap_err());
        world.db.collection("c").delete("k").unwrap_err();
        deleter.join().unwrap();
        assert_eq!(world.db.collection("c").get::<u64>("k").unwrap(), Some(1), "reads go on");
        reopen(&world, &[("k".to_owned(), true)]);
    });
}

fn all_kinds_of_callers(fault: Fault) {
    let world = World::new(options().buffer_limit(1), &[]);
    world.disk.fail(fault);
    let callers: Vec<_> = (0..3)
        .map(|t| {
            let world = world.clone();
            thread::spawn(move || {
                let mut acknowledged = Vec::new();
                for n in 0..2 {
                    let key = format!("{t} {n}");
                    let result = match t {
                        0 => world.db.collection("c").put(&key, &n),
                        1 => future::block_on(world.db.as_async().collection("c").put(&key, &n)),
                        _ => {
                            let db = world.db.with_durability(Durability::Buffered);
                            db.collection("c").put(&key, &n).and_then(|sequence| db.sync().map(|()| sequence))
                        }
                    };
                    acknowledged.push((key, told(&world, &result)));
                }
                acknowledged
            })
        })
        .collect();
    let compacted = world.db.compact();
    let callers: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    assert!(compacted.is_ok() || world.db.health().is_err(), "{compacted:?}");
    reopen(&world, &callers);
}

/// With a buffer that is full at once, so that some wait for room when the disk fails.
#[test]
fn everyone_is_told_when_the_disk_fails() {
    many_orders("failed-sync-all", 1500, Deadlines::NeverCome, || all_kinds_of_callers(Fault::SyncOnce(2)));
    many_orders("failed-append-all", 1500, Deadlines::NeverCome, || {
        all_kinds_of_callers(Fault::AppendFrom(2))
    });
    many_orders("failed-append-deadlines", 1500, Deadlines::Come, || {
        all_kinds_of_callers(Fault::AppendFrom(1))
    });
}
