//! Guards against compactions that leave files behind, that merge nothing, or that a close waits for.

use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::page_cache::PageCache;
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

#[test]
fn a_feed_keeps_the_segment_of_the_record_that_it_reads_next() {
    let db = Db::open_with(MemoryStorage::new(), manual()).unwrap();
    for n in 0..3 {
        db.collection("c").put("k", &n).unwrap();
    }
    let mut feed = db.as_async().changes(2).unwrap();
    db.compact().unwrap();
    let change = crate::support::block_on(feed.next()).unwrap().expect("the third write");
    assert_eq!(change.sequence, 3);
}

#[test]
fn a_run_whose_base_is_gone_is_refused() {
    within(Duration::from_secs(60), "the compactions in the background", || {
        let storage = MemoryStorage::new();
        let db = Db::open_with(storage.clone(), Options::new().compact_at(Some(32 << 10))).unwrap();
        for (n, bytes) in [1 << 20, 256 << 10, 64 << 10].into_iter().enumerate() {
            db.collection("c").put(&n.to_string(), &"x".repeat(bytes)).unwrap();
            while db.stats().unwrap().compactions == n as u64 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        db.close().unwrap();
        drop(db);
        let mut runs = crate::support::block_on(storage.list()).unwrap();
        runs.retain(|name| name.ends_with(".snapshot"));
        runs.sort();
        assert_eq!(runs.len(), 3, "each is much smaller than the one below it: {runs:?}");
        // Without it, what lies on top of it would show as if nothing were missing.
        crate::support::block_on(storage.remove(&runs[1])).unwrap();
        let error = Db::open_with(storage, manual()).err().expect("a third of it is missing");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    });
}

/// Holds up the pieces of a snapshot until they are let go, and counts those and the syncs of the log.
#[derive(Default)]
struct Watch {
    held: AtomicBool,
    pieces: AtomicUsize,
    log_syncs: AtomicUsize,
}

impl Hook for Watch {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Append && name.ends_with(".snapshot") {
            self.pieces.fetch_add(1, Ordering::SeqCst);
            while self.held.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
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
    watch.held.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        let compaction = scope.spawn(|| db.compact());
        while watch.pieces.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let closing = scope.spawn(|| db.close());
        while db.stats().is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        watch.held.store(false, Ordering::SeqCst);
        closing.join().unwrap().unwrap();
        assert_eq!(compaction.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    let pieces = watch.pieces.load(Ordering::SeqCst);
    assert_eq!(pieces, 1, "of 17 pieces");
    drop(db);
    assert_eq!(snapshots(&storage), 0, "nothing unfinished stays");
    assert_eq!(Db::open_with(storage, manual()).unwrap().stats().unwrap().documents, 16);
}

/// Counts what is appended to snapshots, and how often they are synced.
#[derive(Default)]
struct Written {
    appends: AtomicUsize,
    syncs: AtomicUsize,
}

impl Hook for Written {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if name.ends_with(".snapshot") {
            self.appends.fetch_add(usize::from(op == Op::Append), Ordering::SeqCst);
            self.syncs.fetch_add(usize::from(op == Op::Sync), Ordering::SeqCst);
        }
        Verdict::Go
    }
}

#[test]
fn a_snapshot_is_written_in_large_pieces_and_synced_now_and_then() {
    let written = Arc::new(Written::default());
    let db = Db::open_with(Hooked::new(MemoryStorage::new(), &written), manual()).unwrap();
    let text = "x".repeat(64 << 10);
    for n in 0..20 << 4 {
        db.collection("c").put(&n.to_string(), &text).unwrap();
    }
    db.compact().unwrap();
    // Twenty mebibytes: in pieces of one, synced every eight, and at the end before the footer and behind it.
    let (appends, syncs) = (written.appends.load(Ordering::SeqCst), written.syncs.load(Ordering::SeqCst));
    assert!((18..=24).contains(&appends), "{appends} appends");
    assert!((3..=5).contains(&syncs), "{syncs} syncs");
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

/// Lets the last sync of a snapshot fail, and its removal too: the file stays, and reads well from the page cache.
#[derive(Default)]
struct LostFooter {
    cache: PageCache,
    syncs: AtomicUsize,
    /// No more than this one compaction fails.
    over: AtomicBool,
}

impl Hook for LostFooter {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if !name.ends_with(".snapshot") || self.over.load(Ordering::SeqCst) {
            return Verdict::Go;
        }
        match op {
            // The first is that of everything but the footer.
            Op::Sync if self.syncs.fetch_add(1, Ordering::SeqCst) == 0 => Verdict::Go,
            Op::Sync => {
                self.cache.fail_sync(name);
                Verdict::Fail(Error::new(ErrorKind::Io, "the medium refused"))
            }
            Op::Remove => Verdict::Fail(Error::new(ErrorKind::Io, "the medium refused")),
            _ => Verdict::Go,
        }
    }
}

#[test]
fn a_snapshot_whose_sync_failed_replaces_nothing_at_the_next_opening() {
    let hook = Arc::new(LostFooter::default());
    let cache = hook.cache.clone();
    let db = Db::open_with(Hooked::new(cache.clone(), &hook), manual()).unwrap();
    for n in 0..20 {
        db.collection("c").put(&n.to_string(), &n).unwrap();
    }
    db.compact().unwrap_err();
    db.close().unwrap();
    drop(db);
    // Its own sync succeeds, for there is nothing left to write.
    let db = Db::open_with(cache.clone(), manual()).unwrap();
    assert_eq!(db.stats().unwrap().documents, 20);
    let db = Db::open_with(cache.after_a_power_cut(), manual()).unwrap();
    assert_eq!(db.stats().unwrap().documents, 20);
    db.compact().unwrap();
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn a_snapshot_that_nothing_continues_gives_way_to_those_that_it_would_have_replaced() {
    within(Duration::from_secs(60), "the compaction in the background", || {
        let hook = Arc::new(LostFooter::default());
        hook.over.store(true, Ordering::SeqCst);
        let storage = MemoryStorage::new();
        let options = || Options::new().compact_at(Some(32 << 10));
        let db = Db::open_with(Hooked::new(storage.clone(), &hook), options()).unwrap();
        let wait_for = |compactions| {
            while db.stats().unwrap().compactions < compactions {
                thread::sleep(Duration::from_millis(5));
            }
        };
        db.collection("c").put("large", &"x".repeat(1 << 20)).unwrap();
        wait_for(1);
        db.collection("c").put("small", &1).unwrap();
        hook.over.store(false, Ordering::SeqCst);
        db.compact().unwrap_err();
        hook.over.store(true, Ordering::SeqCst);
        db.collection("c").put("more", &"y".repeat(64 << 10)).unwrap();
        wait_for(2);
        assert_eq!(db.stats().unwrap().snapshots, 2, "the large one and the rest");
        assert_eq!(snapshots(&storage), 3, "and the one that failed");
        db.close().unwrap();
        for read_only in [true, false] {
            let db = Db::open_with(storage.clone(), options().read_only(read_only)).unwrap();
            assert_eq!(db.stats().unwrap().documents, 3);
        }
        assert_eq!(snapshots(&storage), 2);
    });
}
