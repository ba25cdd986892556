//! Guards against false acknowledgements, half-written batches and hangs when the storage fails: each call of a whole
//! workload fails in turn, once or from then on, with nothing done or with half of the bytes written.

mod support;

use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options, Result, Storage, SyncDiskStorage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::hooked::{Hook, Hooked, Op, Verdict};
use support::watchdog::within;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// One call fails.
    Once,
    /// This call fails, and every one that follows.
    FromThenOn,
}

/// Fails calls by their number.
struct Fault {
    at: usize,
    how: How,
    kind: ErrorKind,
    /// Whether an append leaves half of its bytes behind.
    half: bool,
    /// Only these calls are counted and fail.
    counts: fn(Op, &str) -> bool,
    calls: AtomicUsize,
    /// Whether a call that the log depends on has failed, or any other.
    hit_log: AtomicBool,
    hit: AtomicBool,
}

impl Fault {
    fn new(at: usize, how: How, kind: ErrorKind, half: bool, counts: fn(Op, &str) -> bool) -> Arc<Self> {
        let (calls, hit_log, hit) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { at, how, kind, half, counts, calls, hit_log, hit })
    }
}

impl Hook for Fault {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if !(self.counts)(op, name) {
            return Verdict::Go;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call < self.at || self.how == How::Once && call > self.at {
            return Verdict::Go;
        }
        let writes = matches!(op, Op::Create | Op::Append | Op::Sync | Op::Truncate);
        if writes && name.ends_with(".log") {
            self.hit_log.store(true, Ordering::SeqCst);
        }
        self.hit.store(true, Ordering::SeqCst);
        let error = Error::new(self.kind, format!("call {call}, {op:?} of {name}, was made to fail"));
        if self.half { Verdict::FailHalfDone(error) } else { Verdict::Fail(error) }
    }
}

type FaultyStorage<S> = Hooked<S, Fault>;

/// What was tried with a document, and what is known of it.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The values it may have: the last one that is certain, then those whose fate is open. `None` is no document.
    possible: Vec<Option<u64>>,
}

/// What the workload was told.
#[derive(Default)]
struct Told {
    documents: BTreeMap<String, Known>,
    /// Buffered writes that no sync has confirmed yet.
    buffered: Vec<(String, u64)>,
    /// Pairs written together, under a number each.
    batches: Vec<(String, String, u64)>,
    poisoned: bool,
}

impl Told {
    fn known(&mut self, key: &str) -> &mut Known {
        self.documents.entry(key.to_owned()).or_insert_with(|| Known { possible: vec![None] })
    }

    /// A durable write: certain, or of unknown fate.
    fn wrote<T>(&mut self, keys: &[&str], value: Option<u64>, result: &Result<T>) {
        for key in keys {
            let known = self.known(key);
            if result.is_ok() {
                known.possible.clear();
            }
            known.possible.push(value);
        }
        if let Err(error) = result {
            self.failed(error);
        }
    }

    fn accepted(&mut self, key: &str, value: u64, result: &Result<u64>) {
        self.known(key).possible.push(Some(value));
        match result {
            Ok(_) => self.buffered.push((key.to_owned(), value)),
            Err(error) => self.failed(error),
        }
    }

    fn synced<T>(&mut self, result: &Result<T>) {
        match result {
            Ok(_) => {
                for (key, value) in std::mem::take(&mut self.buffered) {
                    let known = self.known(&key);
                    let at = known.possible.iter().rposition(|v| *v == Some(value)).expect("it was tried");
                    known.possible.drain(..at);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: &Error) {
        if self.poisoned {
            assert_eq!(error.kind(), ErrorKind::Poisoned, "after a failure no write is taken: {error}");
        } else {
            let expected = matches!(error.kind(), ErrorKind::Io | ErrorKind::Full | ErrorKind::Poisoned);
            assert!(expected, "{error}");
        }
        self.poisoned = true;
    }
}

/// Everything that writes: single writes, batches, buffered writes, rotation, compaction, close.
fn workload<S: Storage>(db: &Db<S>, hook: &Fault, told: &mut Told) {
    let collection = db.collection("c");
    let buffered = collection.with_durability(Durability::Buffered);
    for round in 0..4_u64 {
        for n in 0..3 {
            let value = round * 100 + n;
            for key in [format!("key {n}"), format!("once {round} {n}")] {
                told.wrote(&[&key], Some(value), &collection.put(&key, &value));
                check_health(db, hook, told);
            }
            let (one, two) = (format!("one {round} {n}"), format!("two {round} {n}"));
            let result = db.batch(|b| b.put("c", &one, &value)?.put("c", &two, &value).map(drop));
            told.wrote(&[&one, &two], Some(value), &result);
            told.batches.push((one, two, value));
            let key = format!("buffered {n}");
            told.accepted(&key, value, &buffered.put(&key, &value));
        }
        told.synced(&db.sync());
        check_health(db, hook, told);
        match collection.delete("key 0") {
            Ok(_) => told.wrote(&["key 0"], None, &Ok(())),
            // It may have failed before it wrote anything, by looking whether there is something to delete.
            Err(error) if db.health().is_ok() => assert_eq!(error.kind(), hook.kind, "{error}"),
            Err(error) => told.wrote::<()>(&["key 0"], None, &Err(error)),
        }
        if let Err(error) = db.compact() {
            // A compaction that failed by itself leaves the old files in charge.
            match db.health() {
                Ok(()) => {
                    assert_eq!(error.kind(), hook.kind, "{error}");
                    assert!(!hook.hit_log.load(Ordering::SeqCst), "a failed log went unnoticed: {error}");
                    told.wrote(&["after"], Some(round), &collection.put("after", &round));
                }
                Err(_) => told.poisoned = true,
            }
        }
        check_health(db, hook, told);
        check_reads(db, hook, told);
    }
    match db.close() {
        Ok(()) => told.synced(&Ok(())),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Poisoned), "{error}"),
    }
}

fn check_health<S: Storage>(db: &Db<S>, hook: &Fault, told: &mut Told) {
    match db.health() {
        Ok(()) => assert!(!told.poisoned, "a write failed, and the handle says it is well"),
        Err(cause) => {
            assert_eq!(cause.kind(), hook.kind, "the first cause is told: {cause}");
            assert!(hook.hit.load(Ordering::SeqCst), "nothing was made to fail: {cause}");
            // The background task may have met it first.
            told.poisoned = true;
            let refused = db.collection("c").put("refused", &0).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
            assert!(refused.to_string().contains("was made to fail"), "{refused}");
            let refused = db.batch(|b| b.put("c", "refused", &0).map(drop)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Poisoned, "{refused}");
            assert_eq!(db.sync().unwrap_err().kind(), ErrorKind::Poisoned);
        }
    }
}

/// Reads go on, whatever happened to writes, and show nothing that cannot be.
fn check_reads<S: Storage>(db: &Db<S>, hook: &Fault, told: &mut Told) {
    let view = db.read_view();
    for (key, known) in &told.documents {
        match view.get::<u64>("c", key) {
            Ok(found) => assert!(known.possible.contains(&found), "{key} is {found:?} of {known:?}"),
            Err(error) => assert!(hook.hit.load(Ordering::SeqCst) && error.kind() == hook.kind, "{error}"),
        }
    }
    // Who failed must not show either, for now.
    for (one, two, _) in &told.batches {
        if let (Ok(one), Ok(two)) = (view.get::<u64>("c", one), view.get::<u64>("c", two)) {
            assert_eq!(one, two, "half of a batch shows");
        }
    }
}

/// On the healthy storage: opens clean, with everything that was acknowledged, and goes on.
fn check_after<S: Storage>(open: impl Fn() -> S, told: &Told) {
    let db = Db::open_with(open(), Options::new()).expect("a failed writer leaves a database that opens");
    let mut found = BTreeMap::new();
    for entry in db.collection("c").scan::<u64>(..).unwrap() {
        let entry = entry.unwrap();
        found.insert(entry.key, entry.document);
    }
    for (key, known) in &told.documents {
        let value = found.remove(key);
        assert!(known.possible.contains(&value), "{key} is {value:?} of {known:?}");
    }
    assert!(found.is_empty(), "these were never written: {found:?}");
    for (one, two, _) in &told.batches {
        let get = |key: &str| db.collection("c").get::<u64>(key).unwrap();
        assert_eq!(get(one), get(two), "half of a batch was left behind");
    }
    assert!(db.verify().unwrap().is_sound());
    db.collection("c").put("later", &1).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let db = Db::open_with(open(), Options::new().recovery(pumice::RecoveryMode::Strict)).unwrap();
    assert_eq!((&db.recovery().torn, db.recovery().unclean), (&None, false));
    assert_eq!(db.collection("c").get::<u64>("later").unwrap(), Some(1));
    db.close().unwrap();
}

fn run<S: Storage>(open: impl Fn() -> S, fault: &Arc<Fault>) -> usize {
    let mut told = Told::default();
    let storage: FaultyStorage<S> = Hooked::new(open(), fault);
    match Db::open_with(storage, Options::new().compact_at(None)) {
        Ok(db) => workload(&db, fault, &mut told),
        Err(error) => {
            assert!(fault.hit.load(Ordering::SeqCst) && error.kind() == fault.kind, "{error}");
        }
    }
    check_after(open, &told);
    fault.calls.load(Ordering::SeqCst)
}

/// Fails call after call until the workload ends before its turn comes. Returns how many there were.
fn every_call<S: Storage>(
    make: impl Fn() -> Box<dyn Fn() -> S + Send>,
    step: usize,
    how: How,
    kind: ErrorKind,
    half: bool,
    counts: fn(Op, &str) -> bool,
) -> usize {
    let mut at = 0;
    loop {
        let fault = Fault::new(at, how, kind, half, counts);
        let (open, own) = (make(), Arc::clone(&fault));
        let name = format!("call {at}, {how:?}, {kind:?}, half: {half}");
        let calls = within(Duration::from_secs(30), &name, move || run(open, &own));
        if !fault.hit.load(Ordering::SeqCst) {
            assert!(calls <= at);
            return at;
        }
        at += step;
    }
}

fn any(_: Op, _: &str) -> bool {
    true
}

fn in_memory() -> Box<dyn Fn() -> MemoryStorage + Send> {
    let storage = MemoryStorage::new();
    Box::new(move || storage.clone())
}

#[test]
fn each_call_fails_once() {
    for (kind, half) in [(ErrorKind::Io, false), (ErrorKind::Full, true)] {
        let calls = every_call(in_memory, 1, How::Once, kind, half, any);
        assert!(calls > 100, "only {calls} calls");
    }
}

#[test]
fn every_call_fails_from_one_on() {
    for (kind, half) in [(ErrorKind::Full, false), (ErrorKind::Io, true)] {
        let calls = every_call(in_memory, 1, How::FromThenOn, kind, half, any);
        assert!(calls > 100, "only {calls} calls");
    }
}

/// Writes fail, reads do not: a full disk.
#[test]
fn each_write_fails_and_reads_go_on() {
    fn write(op: Op, _: &str) -> bool {
        !matches!(op, Op::List | Op::Len | Op::ReadAt | Op::Remove)
    }
    let calls = every_call(in_memory, 1, How::FromThenOn, ErrorKind::Full, true, write);
    assert!(calls > 50, "only {calls} calls");
}

/// Nothing but the compaction's own file fails, so the handle stays well.
#[test]
fn a_failed_compaction_alone_stops_nothing() {
    fn snapshot(op: Op, name: &str) -> bool {
        name.ends_with(".snapshot") && !matches!(op, Op::Remove)
    }
    for how in [How::Once, How::FromThenOn] {
        for at in 0..12 {
            let fault = Fault::new(at, how, ErrorKind::Full, true, snapshot);
            let work = move || {
                let memory = MemoryStorage::new();
                let options = Options::new().compact_at(None);
                let db = Db::open_with(Hooked::new(memory.clone(), &fault), options.clone()).unwrap();
                for n in 0..20 {
                    db.collection("c").put(&format!("{n}"), &n).unwrap();
                }
                let failed = db.compact();
                assert_eq!(failed.is_err(), fault.hit.load(Ordering::SeqCst), "{failed:?}");
                for n in 20..30 {
                    db.collection("c").put(&format!("{n}"), &n).unwrap();
                }
                db.health().unwrap();
                if how == How::Once && failed.is_err() {
                    db.compact().unwrap();
                }
                db.close().unwrap();
                drop(db);
                let db = Db::open_with(memory, options).unwrap();
                assert!(!db.recovery().unclean);
                assert_eq!(db.collection("c").count(..).unwrap(), 30);
            };
            within(Duration::from_secs(30), &format!("compaction, call {at}"), work);
        }
    }
}

#[test]
fn a_directory_bears_failures_like_memory() {
    let make = || -> Box<dyn Fn() -> SyncDiskStorage + Send> {
        let dir = tempfile::tempdir().unwrap();
        Box::new(move || SyncDiskStorage::open(dir.path()).unwrap())
    };
    every_call(make, 7, How::Once, ErrorKind::Io, true, any);
    every_call(make, 11, How::FromThenOn, ErrorKind::Io, false, any);
}

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
        support::block_on(db.as_async().compact()).unwrap_err();
        db.collection("c").put("k", &2).unwrap();
        db.close().unwrap();
    });
}
