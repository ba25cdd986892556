//! Whoever waits when the storage fails is told, and so is whoever comes later.

use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A single flush that fails in the background is told to whoever writes next, and to `close`.
#[test]
fn a_failed_background_flush_is_told() {
    struct NoSync(AtomicBool);

    impl Hook for NoSync {
        fn before(&self, op: Op, _: &str, _: &[u8]) -> Verdict {
            if op == Op::Sync && self.0.load(Ordering::SeqCst) {
                return Verdict::Fail(Error::new(ErrorKind::Io, "the medium refused"));
            }
            Verdict::Go
        }
    }

    within(Duration::from_secs(30), "a background flush", || {
        let hook = Arc::new(NoSync(AtomicBool::new(false)));
        let memory = MemoryStorage::new();
        let options = Options::new().durability(Durability::Buffered);
        let db = Db::open_with(Hooked::new(memory.clone(), &hook), options).unwrap();
        db.collection("c").put("j", &1).unwrap();
        db.sync().unwrap();
        hook.0.store(true, Ordering::SeqCst);
        db.collection("c").put("k", &1).unwrap();
        while db.health().is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(db.collection("c").put("l", &1).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(db.collection("c").delete("never there").unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
        drop(db);
        let db = Db::open_with(memory, Options::new()).unwrap();
        assert!(db.collection("c").get::<u64>("j").unwrap().is_some());
        assert!(db.collection("c").get::<u64>("l").unwrap().is_none());
    });
}

/// The callback of a compaction may panic; whoever asked for the compaction still gets an answer.
#[test]
fn a_panic_in_the_callback_of_a_compaction_hangs_nobody() {
    within(Duration::from_secs(30), "a panicking callback", || {
        let options = Options::new().on_published(|_| panic!("this is part of the test"));
        let db = Db::open_with(MemoryStorage::new(), options).unwrap();
        db.collection("c").put("k", &1).unwrap();
        crate::support::block_on(db.as_async().compact()).unwrap_err();
        db.collection("c").put("k", &2).unwrap();
        db.close().unwrap();
    });
}

/// Lets the storage stand still, and fail when it is let go.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
    fails: AtomicBool,
    /// How many calls have come to it while it was shut.
    stopped: AtomicUsize,
}

impl Gate {
    fn pass(&self) -> Verdict {
        if self.shut.load(Ordering::SeqCst) {
            self.stopped.fetch_add(1, Ordering::SeqCst);
        }
        while self.shut.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        if self.fails.load(Ordering::SeqCst) {
            return Verdict::Fail(Error::new(ErrorKind::Full, "no space left"));
        }
        Verdict::Go
    }
}

/// Stops every write to the log at a gate.
#[derive(Default)]
struct LogGate(Gate);

impl Hook for LogGate {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if name.ends_with(".log") && matches!(op, Op::Append | Op::Sync) {
            self.0.pass()
        } else {
            Verdict::Go
        }
    }
}

/// Writers of all kinds wait for room in the buffer when the log fails.
#[test]
fn a_failure_is_told_to_all_who_wait_for_room() {
    within(Duration::from_secs(60), "writers that wait for room", || {
        let gate = Arc::new(LogGate::default());
        let memory = MemoryStorage::new();
        let options = Options::new().buffer_limit(2 << 10).compact_at(None);
        let db = Db::open_with(Hooked::new(memory.clone(), &gate), options).unwrap();
        gate.0.shut.store(true, Ordering::SeqCst);
        let (accepted, mut taken) = (AtomicUsize::new(0), 0);
        let text = "x".repeat(1000);
        thread::scope(|scope| {
            for t in 0..12 {
                let (db, accepted, text) = (&db, &accepted, &text);
                scope.spawn(move || {
                    for n in 0..4 {
                        let key = format!("{t} {n}");
                        let written = match t % 3 {
                            0 => db.collection("c").put(&key, text),
                            1 => db.with_durability(Durability::Buffered).collection("c").put(&key, text),
                            _ => crate::support::block_on(db.as_async().collection("c").put(&key, text)),
                        };
                        match written {
                            Ok(_) => assert!(t % 3 == 1, "a durable write was acknowledged"),
                            Err(error) => {
                                assert!(
                                    matches!(error.kind(), ErrorKind::Full | ErrorKind::Poisoned),
                                    "{error}"
                                );
                                return;
                            }
                        }
                        accepted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            // Until the buffer is full and the rest of them waits.
            thread::sleep(Duration::from_millis(200));
            taken = accepted.load(Ordering::SeqCst);
            gate.0.fails.store(true, Ordering::SeqCst);
            gate.0.shut.store(false, Ordering::SeqCst);
        });
        assert!(taken < 8, "the buffer took {taken} writes");
        assert_eq!(db.health().unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
        let db = Db::open_with(memory, Options::new()).unwrap();
        assert_eq!(db.collection("c").count(..).unwrap(), 0, "no write had reached the log");
    });
}

/// Stops the writing of snapshots, and fails the log alone.
#[derive(Default)]
struct Behind {
    snapshots: Gate,
    log: Gate,
}

impl Hook for Behind {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        match op {
            Op::Append if name.ends_with(".snapshot") => self.snapshots.pass(),
            Op::Append | Op::Sync if name.ends_with(".log") => self.log.pass(),
            _ => Verdict::Go,
        }
    }
}

/// Writers wait because a compaction cannot keep up. When it fails, they go on; when the log fails, they are told.
#[test]
fn writers_that_wait_for_a_compaction_hear_of_its_end() {
    within(Duration::from_secs(60), "writers that wait for a compaction", || {
        let hook = Arc::new(Behind::default());
        let memory = MemoryStorage::new();
        let options = Options::new().compact_at(Some(4 << 10));
        let db = Db::open_with(Hooked::new(memory.clone(), &hook), options).unwrap();
        hook.snapshots.shut.store(true, Ordering::SeqCst);
        let text = "x".repeat(1000);
        let write = |db: &Db<_>, key: String| db.collection("c").put(&key, &text);
        let written = AtomicUsize::new(0);
        for n in 0..5 {
            write(&db, format!("first {n}")).unwrap();
        }
        while hook.snapshots.stopped.load(Ordering::SeqCst) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let before = thread::scope(|scope| {
            for t in 0..4 {
                let (db, written, write) = (&db, &written, &write);
                scope.spawn(move || {
                    for n in 0..20 {
                        write(db, format!("{t} {n}")).unwrap();
                        written.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            thread::sleep(Duration::from_millis(300));
            let before = written.load(Ordering::SeqCst);
            hook.snapshots.fails.store(true, Ordering::SeqCst);
            hook.snapshots.shut.store(false, Ordering::SeqCst);
            before
        });
        assert!(before < 40, "{before} writes went past a compaction that stands still");
        assert_eq!(written.load(Ordering::SeqCst), 80);
        db.health().unwrap();
        // Once more, and now it is the log that fails while they wait.
        hook.snapshots.fails.store(false, Ordering::SeqCst);
        hook.snapshots.shut.store(true, Ordering::SeqCst);
        let refused = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|t| {
                    let (db, write) = (&db, &write);
                    scope.spawn(move || (0..).find_map(|n| write(db, format!("more {t} {n}")).err()).unwrap())
                })
                .collect();
            thread::sleep(Duration::from_millis(300));
            hook.log.fails.store(true, Ordering::SeqCst);
            hook.snapshots.shut.store(false, Ordering::SeqCst);
            writers.into_iter().map(|writer| writer.join().unwrap().kind()).collect::<Vec<_>>()
        });
        let told = |kind: &ErrorKind| matches!(kind, ErrorKind::Full | ErrorKind::Poisoned);
        assert!(refused.iter().all(told), "{refused:?}");
        assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
        let db = Db::open_with(memory, Options::new()).unwrap();
        assert!(db.collection("c").count(..).unwrap() >= 80);
    });
}
