//! Guards against work that is done too early, too late or too often: compactions, the writing out of a full buffer, the
//! syncs of a large snapshot.

use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use futures_util::future::join;
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options, Storage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for the background to do what it should not.
const MOMENT: Duration = Duration::from_millis(60);
const KIB: usize = 1 << 10;

/// Counts the calls for one kind of file, and does as it is told with those for snapshots.
#[derive(Default)]
struct Watch {
    calls: Mutex<Vec<(Op, String)>>,
    no_snapshots: bool,
    /// An append to a snapshot waits until this is set.
    waits: Option<Arc<AtomicBool>>,
    /// How long an append to a snapshot takes.
    delay: Duration,
    /// How long a sync of the log takes.
    sync_takes: Duration,
    is_young: AtomicBool,
}

impl Watch {
    fn count(&self, op: Op, ending: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(o, name)| *o == op && name.ends_with(ending)).count()
    }
}

impl Hook for Watch {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        self.calls.lock().unwrap().push((op, name.to_owned()));
        if op == Op::Sync && name.ends_with(".log") {
            thread::sleep(self.sync_takes);
        }
        if name.ends_with(".snapshot") {
            match op {
                Op::Create if self.no_snapshots => {
                    return Verdict::Fail(Error::new(ErrorKind::Full, "no space left"));
                }
                Op::Append => {
                    while self.waits.as_ref().is_some_and(|go_on| !go_on.load(Ordering::SeqCst)) {
                        thread::yield_now();
                    }
                    thread::sleep(self.delay);
                }
                _ => {}
            }
        }
        Verdict::Go
    }

    fn is_young(&self) -> bool {
        self.is_young.load(Ordering::SeqCst)
    }
}

fn open(storage: MemoryStorage, watch: &Arc<Watch>, options: Options) -> Db<Hooked<MemoryStorage>> {
    Db::open_with(Hooked::new(storage, watch), options).unwrap()
}

fn until(what: impl Fn() -> bool) {
    while !what() {
        thread::sleep(Duration::from_millis(2));
    }
}

fn put<S: Storage>(db: &Db<S>, key: &str, bytes: usize) {
    db.collection("c").put(key, &"x".repeat(bytes)).unwrap();
}

#[test]
fn a_compaction_that_failed_is_tried_again_after_as_much_writing_as_calls_for_one() {
    within(LIMIT, "compactions in the background", || {
        let watch = Arc::new(Watch { no_snapshots: true, ..Watch::default() });
        let db = open(MemoryStorage::new(), &watch, Options::new().compact_at(Some(32 << 10)));
        let attempts = || watch.count(Op::Create, ".snapshot");
        put(&db, "a", 64 * KIB);
        until(|| attempts() > 0);
        put(&db, "b", 16 * KIB);
        thread::sleep(MOMENT);
        assert_eq!(attempts(), 1, "not at once");
        put(&db, "c", 17 * KIB);
        until(|| attempts() > 1);
    });
}

#[test]
fn only_what_no_snapshot_holds_calls_for_a_compaction() {
    within(LIMIT, "compactions in the background", || {
        let go_on = Arc::new(AtomicBool::new(true));
        let watch = Arc::new(Watch { waits: Some(Arc::clone(&go_on)), ..Watch::default() });
        let db = open(MemoryStorage::new(), &watch, Options::new().compact_at(Some(32 << 10)));
        // The segments stay for a feed that has read none of them, but their records need no compaction any more.
        let _feed = db.changes(0).unwrap();
        put(&db, "a", 20 * KIB);
        db.compact().unwrap();
        put(&db, "b", 20 * KIB);
        thread::sleep(MOMENT);
        assert_eq!(db.stats().unwrap().compactions, 1);

        go_on.store(false, Ordering::SeqCst);
        let appends = watch.count(Op::Append, ".snapshot");
        thread::scope(|scope| {
            let compaction = scope.spawn(|| db.compact().unwrap());
            until(|| watch.count(Op::Append, ".snapshot") > appends);
            put(&db, "meanwhile", 40 * KIB);
            go_on.store(true, Ordering::SeqCst);
            compaction.join().unwrap();
        });
        // What was written meanwhile is in no snapshot.
        until(|| db.stats().unwrap().compactions == 3);
    });
}

/// The log has more than `compact_at` when it is opened, so the compaction begins at once; then the database closes.
fn close_in_the_midst(compact_at: u64) -> usize {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap();
    for n in 0..16 {
        put(&db, &n.to_string(), 1 << 20);
    }
    db.close().unwrap();
    let watch = Arc::new(Watch { delay: Duration::from_millis(20), ..Watch::default() });
    let db = open(storage.clone(), &watch, Options::new().compact_at(Some(compact_at)));
    until(|| watch.count(Op::Append, ".snapshot") > 0);
    db.close().unwrap();
    drop(db);
    assert_eq!(Db::open_with(storage.clone(), Options::new()).unwrap().stats().unwrap().documents, 16);
    let names = block_on(storage.list()).unwrap();
    names.iter().filter(|name| name.ends_with(".snapshot")).count()
}

#[test]
fn closing_waits_for_a_compaction_only_when_the_log_is_much_too_long() {
    within(LIMIT, "closing", || {
        assert_eq!(close_in_the_midst(12 << 20), 0);
        assert_eq!(close_in_the_midst(4 << 20), 1);
    });
}

#[test]
fn a_log_that_nobody_writes_to_is_compacted_where_it_is_worth_that() {
    within(LIMIT, "compactions in the background", || {
        let watch = Arc::new(Watch::default());
        let db = open(MemoryStorage::new(), &watch, Options::new().compact_when_idle_at(Some(32 << 10)));
        let compactions = || db.stats().unwrap().compactions;
        put(&db, "short", 8 * KIB);
        thread::sleep(Duration::from_millis(1300));
        assert_eq!(compactions(), 0);
        for n in 0..15 {
            put(&db, &n.to_string(), 4 * KIB);
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(compactions(), 0, "not while someone writes");
        until(|| compactions() == 1);
        thread::sleep(Duration::from_millis(1300));
        assert_eq!(compactions(), 1, "once");
        // Only on request is only on request.
        let options = Options::new().compact_at(None).compact_when_idle_at(Some(1));
        let other = open(MemoryStorage::new(), &watch, options);
        put(&other, "a", KIB);
        thread::sleep(Duration::from_millis(1300));
        assert_eq!(other.stats().unwrap().compactions, 0);
    });
}

#[test]
fn a_compaction_waits_while_new_files_cost_much_and_the_log_is_not_too_long() {
    within(LIMIT, "compactions in the background", || {
        let watch = Arc::new(Watch { is_young: true.into(), ..Watch::default() });
        let options = || Options::new().compact_at(Some(32 << 10)).compact_when_idle_at(Some(1));
        let db = open(MemoryStorage::new(), &watch, options());
        put(&db, "a", 64 * KIB);
        thread::sleep(Duration::from_millis(1300));
        assert_eq!(db.stats().unwrap().compactions, 0);
        put(&db, "b", 40 * KIB);
        until(|| db.stats().unwrap().compactions == 1);
        // It is thought of again, though nobody writes.
        let db = open(MemoryStorage::new(), &watch, options());
        put(&db, "a", 64 * KIB);
        watch.is_young.store(false, Ordering::SeqCst);
        until(|| db.stats().unwrap().compactions == 1);
    });
}

/// Someone who waits for a write wakes the background once more while it is written. That says nothing about idleness, and no
/// seal may follow, which costs another sync.
#[test]
fn a_write_that_more_than_one_wait_for_is_not_followed_by_a_seal_at_once() {
    const WRITES: usize = 20;
    within(LIMIT, "writes", || {
        let watch = Arc::new(Watch { sync_takes: Duration::from_millis(5), ..Watch::default() });
        let db = open(MemoryStorage::new(), &watch, Options::new().compact_at(None));
        let appends = || watch.count(Op::Append, ".log");
        until(|| appends() == 2);
        for n in 0..WRITES {
            let before = appends();
            let notes = db.as_async().collection("c");
            let synced = async {
                until(|| appends() > before);
                db.as_async().sync().await
            };
            let (put, synced) = block_on(join(notes.put("k", &n), synced));
            put.and(synced.map(|()| 0)).unwrap();
        }
        // On a busy machine the log may have been idle for once.
        let seals = appends() - 2 - WRITES;
        assert!(seals < WRITES / 4, "{seals} seals");
    });
}

#[test]
fn a_large_snapshot_is_synced_in_pieces() {
    let watch = Arc::new(Watch::default());
    let db = open(MemoryStorage::new(), &watch, Options::new().compact_at(None));
    for n in 0..20 {
        put(&db, &n.to_string(), 1 << 20);
    }
    db.compact().unwrap();
    // Every 8 MiB, before the footer, and behind it.
    assert_eq!(watch.count(Op::Sync, ".snapshot"), 4);
}

#[test]
fn a_buffer_that_fills_is_written_out_and_synced_for_whoever_asks_long_before_its_time() {
    within(LIMIT, "writing out", || {
        let watch = Arc::new(Watch::default());
        let options = Options::new().compact_at(None).flush_interval(Duration::from_secs(100_000));
        let db = open(MemoryStorage::new(), &watch, options.buffer_limit(64 << 10));
        until(|| watch.count(Op::Append, ".log") == 2);
        let buffered = db.with_durability(Durability::Buffered);
        put(&buffered, "a", KIB);
        thread::sleep(MOMENT);
        assert_eq!(watch.count(Op::Append, ".log"), 2, "a header and a seal");
        put(&buffered, "b", 20 * KIB);
        until(|| watch.count(Op::Append, ".log") == 3);
        let syncs = watch.count(Op::Sync, ".log");
        block_on(db.as_async().sync()).unwrap();
        assert_eq!(watch.count(Op::Sync, ".log"), syncs + 1);
    });
}

#[test]
fn a_buffered_write_is_synced_although_nothing_follows_it() {
    within(LIMIT, "a sync in the background", || {
        let watch = Arc::new(Watch::default());
        let db = open(MemoryStorage::new(), &watch, Options::new().durability(Durability::Buffered));
        until(|| watch.count(Op::Append, ".log") == 2);
        let syncs = watch.count(Op::Sync, ".log");
        put(&db, "k", KIB);
        until(|| watch.count(Op::Append, ".log") > 2 && watch.count(Op::Sync, ".log") > syncs);
    });
}

#[test]
fn a_caller_that_never_leads_waits_for_nothing_but_its_own_write() {
    within(LIMIT, "asynchronous writes", || {
        let db = Db::open_with(MemoryStorage::new(), Options::new().compact_at(None)).unwrap();
        let began = std::time::Instant::now();
        for n in 0..100 {
            block_on(db.as_async().collection("c").put("k", &n)).unwrap();
        }
        // A turn for each comes at once; a quiet log is looked at every 100 ms.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    });
}
