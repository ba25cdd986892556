//! Guards against compactions that leave files behind, that merge nothing, or that a close waits for.

use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Durability, ErrorKind, MemoryStorage, Options, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn manual() -> Options {
    Options::new().compact_at(None)
}

fn snapshots(storage: &MemoryStorage) -> usize {
    let names = crate::support::block_on(storage.list()).unwrap();
    names.iter().filter(|name| name.ends_with(".snapshot")).count()
}

#[test]
fn two_files_become_one_even_when_nothing_was_written_since() {
    within(Duration::from_secs(60), "the compaction in the background", || {
        let storage = MemoryStorage::new();
        let db = Db::open_with(storage.clone(), manual()).unwrap();
        db.collection("c").put("large", &"x".repeat(1 << 20)).unwrap();
        db.compact().unwrap();
        db.close().unwrap();
        drop(db);
        let db = Db::open_with(storage.clone(), Options::new().compact_at(Some(32 << 10))).unwrap();
        db.collection("c").put("small", &"y".repeat(64 << 10)).unwrap();
        while db.stats().unwrap().compactions == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(
            db.stats().unwrap().snapshots,
            2,
            "a tail that small is not merged with a file that large"
        );
        db.compact().unwrap();
        assert_eq!(db.stats().unwrap().snapshots, 1);
        assert_eq!(snapshots(&storage), 1);
        assert_eq!(db.stats().unwrap().documents, 2);
    });
}

#[test]
fn a_file_that_a_view_held_goes_with_the_next_compaction() {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), manual()).unwrap();
    db.collection("c").put("k", &1).unwrap();
    db.compact().unwrap();
    let view = db.read_view();
    db.collection("c").put("k", &2).unwrap();
    db.compact().unwrap();
    assert_eq!(snapshots(&storage), 2);
    assert_eq!(view.get::<u32>("c", "k").unwrap(), Some(1));
    drop(view);
    db.collection("c").put("k", &3).unwrap();
    db.compact().unwrap();
    assert_eq!(snapshots(&storage), 1);
}

/// Makes each piece of a snapshot slow to write, and counts those and the syncs of the log.
#[derive(Default)]
struct Watch {
    pieces: AtomicUsize,
    log_syncs: AtomicUsize,
}

impl Hook for Watch {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Append && name.ends_with(".snapshot") {
            self.pieces.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(100));
        }
        if op == Op::Sync && name.ends_with(".log") {
            self.log_syncs.fetch_add(1, Ordering::SeqCst);
        }
        Verdict::Go
    }
}

#[test]
fn closing_does_not_wait_for_a_compaction_that_can_be_done_later() {
    let watch = Arc::new(Watch::default());
    let storage = MemoryStorage::new();
    let db = Db::open_with(Hooked::new(storage.clone(), &watch), manual()).unwrap();
    let text = "x".repeat(1 << 20);
    for n in 0..16 {
        db.collection("c").put(&n.to_string(), &text).unwrap();
    }
    thread::scope(|scope| {
        let compaction = scope.spawn(|| db.compact());
        while watch.pieces.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        db.close().unwrap();
        assert_eq!(compaction.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    let pieces = watch.pieces.load(Ordering::SeqCst);
    assert!(pieces < 8, "{pieces} of 17 pieces were written all the same");
    drop(db);
    assert_eq!(snapshots(&storage), 0, "nothing unfinished stays");
    assert_eq!(Db::open_with(storage, manual()).unwrap().stats().unwrap().documents, 16);
}

#[test]
fn buffered_writes_are_not_synced_before_their_time() {
    let watch = Arc::new(Watch::default());
    let options = manual().durability(Durability::Buffered).flush_interval(Duration::from_secs(600));
    let db = Db::open_with(Hooked::new(MemoryStorage::new(), &watch), options).unwrap();
    let before = watch.log_syncs.load(Ordering::SeqCst);
    for n in 0..50 {
        db.collection("c").put("k", &n).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(watch.log_syncs.load(Ordering::SeqCst), before);
    db.close().unwrap();
    assert!(watch.log_syncs.load(Ordering::SeqCst) > before);
}
