//! Guards against writes that show too early, too late or out of order, and against deletes that do not count what is on
//! its way: looked at while a sync or the making of a segment is under way.

use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Durability, ErrorKind, MemoryStorage, Options};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Holds up calls of one kind for one kind of file, as long as there are more of them than are let through.
struct Gate {
    op: Op,
    ending: &'static str,
    came: AtomicUsize,
    through: AtomicUsize,
}

impl Gate {
    /// For now, everything gets through.
    fn new(op: Op, ending: &'static str) -> Arc<Self> {
        Arc::new(Self { op, ending, came: AtomicUsize::new(0), through: AtomicUsize::new(usize::MAX) })
    }

    fn close(&self) {
        self.through.store(self.came.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn let_one_through(&self) {
        self.through.fetch_add(1, Ordering::SeqCst);
    }

    fn open(&self) {
        self.through.store(usize::MAX, Ordering::SeqCst);
    }

    fn until_one_waits(&self) {
        while self.came.load(Ordering::SeqCst) <= self.through.load(Ordering::SeqCst) {
            thread::yield_now();
        }
    }
}

impl Hook for Gate {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == self.op && name.ends_with(self.ending) {
            let number = self.came.fetch_add(1, Ordering::SeqCst) + 1;
            while number > self.through.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        }
        Verdict::Go
    }
}

type Gated = Db<Hooked<MemoryStorage>>;

fn open(gate: &Arc<Gate>) -> Gated {
    let options = Options::new().compact_at(None).flush_interval(Duration::from_secs(100_000));
    Db::open_with(Hooked::new(MemoryStorage::new(), gate), options).unwrap()
}

fn get(db: &Gated, key: &str) -> Option<u64> {
    db.collection("c").get(key).unwrap()
}

/// Long enough for a thread to come to where it waits. If it is too short, a test sees less and passes.
fn moment() {
    thread::sleep(Duration::from_millis(40));
}

#[test]
fn a_write_shows_no_earlier_than_its_own_sync() {
    within(LIMIT, "a gated sync", || {
        let gate = Gate::new(Op::Sync, ".log");
        let db = open(&gate);
        db.collection("c").put("before", &0).unwrap();
        let mut feed = db.as_async().changes(1).unwrap();
        thread::scope(|scope| {
            gate.close();
            scope.spawn(|| db.collection("c").put("one", &1).unwrap());
            gate.until_one_waits();
            scope.spawn(|| db.collection("c").put("two", &2).unwrap());
            moment();
            assert_eq!((get(&db, "one"), db.sequence()), (None, 1));
            assert!(block_on(feed.try_next()).unwrap().is_none());
            // The first one's sync began before the second was written.
            gate.let_one_through();
            gate.until_one_waits();
            assert_eq!((get(&db, "one"), get(&db, "two"), db.sequence()), (Some(1), None, 2));
            gate.open();
        });
        assert_eq!((get(&db, "two"), db.sequence()), (Some(2), 3));
    });
}

#[test]
fn a_buffered_write_shows_at_once_but_not_before_what_came_first() {
    within(LIMIT, "a gated sync", || {
        let gate = Gate::new(Op::Sync, ".log");
        let db = open(&gate);
        let buffered = db.with_durability(Durability::Buffered);
        gate.close();
        buffered.collection("c").put("alone", &0).unwrap();
        assert_eq!(get(&db, "alone"), Some(0));
        thread::scope(|scope| {
            scope.spawn(|| db.collection("c").put("disk", &1).unwrap());
            gate.until_one_waits();
            let behind = scope.spawn(|| {
                buffered.collection("c").put("behind", &2).unwrap();
                // Whoever wrote it sees it.
                assert_eq!((get(&db, "behind"), get(&db, "disk")), (Some(2), Some(1)));
            });
            moment();
            assert_eq!((get(&db, "behind"), behind.is_finished()), (None, false));
            gate.open();
        });
    });
}

#[test]
fn a_buffered_write_while_the_log_moves_on_is_of_the_next_segment() {
    within(LIMIT, "a gated rotation", || {
        let gate = Gate::new(Op::Create, ".log");
        let db = open(&gate);
        db.collection("c").put("before", &0).unwrap();
        gate.close();
        thread::scope(|scope| {
            let compaction = scope.spawn(|| db.compact());
            gate.until_one_waits();
            let buffered = scope.spawn(|| {
                db.with_durability(Durability::Buffered).collection("c").put("meanwhile", &1).unwrap();
                assert_eq!(get(&db, "meanwhile"), Some(1));
            });
            moment();
            gate.open();
            compaction.join().unwrap().unwrap();
            buffered.join().unwrap();
        });
        db.compact().unwrap();
        assert_eq!((get(&db, "before"), get(&db, "meanwhile")), (Some(0), Some(1)));
        assert!(db.verify().unwrap().is_sound());
    });
}

#[test]
fn a_delete_counts_what_is_on_its_way() {
    type Act = fn(&Gated) -> pumice::Result<()>;
    // What is done first, and whether the document `k` is there to be deleted then.
    let cases: [(&str, bool, Act, bool); 7] = [
        ("it is put", false, |db| db.collection("c").put("k", &1).map(|_| ()), true),
        ("another one is put", false, |db| db.collection("c").put("x", &1).map(|_| ()), false),
        ("another one is put", true, |db| db.collection("c").put("x", &1).map(|_| ()), true),
        ("it is deleted", true, |db| db.collection("c").delete("k").map(|_| ()), false),
        ("another one is deleted", true, |db| db.collection("c").delete("y").map(|_| ()), true),
        ("all are dropped", true, |db| db.collection("c").drop_all().map(|_| ()), false),
        ("others are dropped", true, |db| db.collection("d").drop_all().map(|_| ()), true),
    ];
    for (what, there, act, deleted) in cases {
        within(LIMIT, what, move || {
            let gate = Gate::new(Op::Sync, ".log");
            let db = open(&gate);
            db.collection("c").put("y", &0).unwrap();
            if there {
                db.collection("c").put("k", &0).unwrap();
            }
            gate.close();
            thread::scope(|scope| {
                scope.spawn(|| act(&db).unwrap());
                gate.until_one_waits();
                let delete = scope.spawn(|| db.collection("c").delete("k").unwrap());
                moment();
                gate.open();
                assert_eq!(delete.join().unwrap(), deleted, "{what}, there before: {there}");
            });
            assert_eq!(get(&db, "k"), None);
        });
    }
}

#[test]
fn of_two_deletes_that_both_find_the_document_one_deletes_it() {
    within(LIMIT, "gated reads", || {
        let gate = Gate::new(Op::ReadAt, ".snapshot");
        let db = open(&gate);
        db.collection("c").put("k", &1).unwrap();
        db.compact().unwrap();
        gate.close();
        let deleted = thread::scope(|scope| {
            let deletes = [(); 2].map(|()| scope.spawn(|| db.collection("c").delete("k").unwrap()));
            while gate.came.load(Ordering::SeqCst) < gate.through.load(Ordering::SeqCst) + 2 {
                thread::yield_now();
            }
            gate.open();
            deletes.map(|delete| u32::from(delete.join().unwrap()))
        });
        assert_eq!(deleted.iter().sum::<u32>(), 1);
    });
}

#[test]
fn an_empty_batch_writes_nothing() {
    let db = open(&Gate::new(Op::Sync, ".log"));
    let last = db.collection("c").put("k", &1).unwrap();
    assert_eq!(db.batch(|_| Ok(())).unwrap(), last);
    assert_eq!(db.collection("c").put("k", &2).unwrap(), last + 1);
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing_behind() {
    let db = open(&Gate::new(Op::Sync, ".log"));
    let mut feed = db.as_async().changes(0).unwrap();
    let nobody = Arc::new(Nobody);
    for _ in 0..3 {
        let waker = Arc::clone(&nobody).into();
        let wait = pin!(feed.next());
        assert!(wait.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&nobody), 1, "those who wait for a change are kept");
}

/// Panics at a sync of the log once it is told to.
#[derive(Default)]
struct Panics(AtomicBool);

impl Hook for Panics {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        assert!(
            op != Op::Sync || !name.ends_with(".log") || !self.0.load(Ordering::SeqCst),
            "as it was told"
        );
        Verdict::Go
    }
}

#[test]
fn a_storage_that_panics_stops_writing_and_hangs_nobody() {
    within(LIMIT, "a write after a panic", || {
        let hook = Arc::new(Panics::default());
        let storage = Hooked::new(MemoryStorage::new(), &hook);
        let db = Db::open_with(storage, Options::new().compact_at(None)).unwrap();
        db.collection("c").put("k", &1).unwrap();
        hook.0.store(true, Ordering::SeqCst);
        let write = catch_unwind(AssertUnwindSafe(|| db.collection("c").put("k", &2)));
        assert!(write.is_err());
        hook.0.store(false, Ordering::SeqCst);
        assert_eq!(db.collection("c").put("k", &3).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(db.collection("c").get::<u64>("k").unwrap(), Some(1));
        assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
    });
}
