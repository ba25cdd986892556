//! Guards against the ways in which the storage layer that came before this one lost data, one test for each.

use crate::support::hooked::{Hook, Hooked, Op, Part, Verdict};
use crate::support::kill::{self, acknowledge, run_and_kill};
use crate::support::log_file::lines;
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options, Storage, SyncDiskStorage};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::tempdir;

const LIMIT: Duration = Duration::from_secs(120);

fn open(dir: &Path, options: Options) -> Db {
    Db::open_with(SyncDiskStorage::open(dir).unwrap(), options).unwrap()
}

fn manual() -> Options {
    Options::new().compact_at(None)
}

/// The files in `dir` that end like that, in order.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

fn put_all<S: Storage>(db: &Db<S>, keys: std::ops::Range<u32>) {
    let collection = db.collection("c");
    for n in keys {
        collection.put(&format!("k{n:06}"), &n).unwrap();
    }
}

/// Whether exactly these are there.
fn assert_all<S: Storage>(db: &Db<S>, keys: std::ops::Range<u32>) {
    let found: Vec<_> = db.collection("c").scan::<u32>(..).unwrap().map(|e| e.unwrap()).collect();
    let found: Vec<_> = found.iter().map(|e| (e.key.clone(), e.document)).collect();
    let wanted: Vec<_> = keys.map(|n| (format!("k{n:06}"), n)).collect();
    assert!(found == wanted, "{} documents instead of {}", found.len(), wanted.len());
}

/// Fails every append to a snapshot while it is told to.
#[derive(Default)]
struct NoSnapshots(AtomicBool);

impl Hook for NoSnapshots {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Append && name.ends_with(".snapshot") && self.0.load(Ordering::SeqCst) {
            return Verdict::FailPartDone(Error::new(ErrorKind::Full, "no space left"), Part::Half);
        }
        Verdict::Go
    }
}

#[test]
fn a_snapshot_that_cannot_be_written_costs_nothing() {
    let (storage, hook) = (MemoryStorage::new(), Arc::new(NoSnapshots::default()));
    let db = Db::open_with(Hooked::new(storage.clone(), &hook), manual()).unwrap();
    put_all(&db, 0..500);
    hook.0.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(db.compact().unwrap_err().kind(), ErrorKind::Full);
        db.health().unwrap();
    }
    put_all(&db, 500..1000);
    assert_all(&db, 0..1000);
    db.close().unwrap();
    let db = Db::open_with(storage, manual()).unwrap();
    assert_all(&db, 0..1000);
    db.compact().unwrap();
    assert_all(&db, 0..1000);
    assert!(db.verify().unwrap().is_sound());
}

#[test]
fn writes_during_compaction_all_stay() {
    const THREADS: u32 = 4;
    const EACH: u32 = 25_000;
    within(LIMIT, "writes during compaction", || {
        let dir = tempdir().unwrap();
        let db = open(dir.path(), manual().durability(Durability::Buffered));
        let (writing, compactions) = (AtomicUsize::new(THREADS as usize), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                while writing.load(Ordering::SeqCst) > 0 {
                    db.compact().unwrap();
                    compactions.fetch_add(1, Ordering::SeqCst);
                }
            });
            for t in 0..THREADS {
                let (db, writing, compactions) = (&db, &writing, &compactions);
                scope.spawn(move || {
                    put_all(db, t * EACH..(t + 1) * EACH);
                    // The same again where the disk is slow, for a compaction waits for it and these writes do not.
                    while compactions.load(Ordering::SeqCst) < 2 {
                        put_all(db, t * EACH..t * EACH + 100);
                    }
                    writing.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_all(&db, 0..THREADS * EACH);
        db.close().unwrap();
        drop(db);
        let db = open(dir.path(), manual());
        assert!(!db.recovery().unclean);
        assert_all(&db, 0..THREADS * EACH);
    });
}

#[test]
fn interleaved_batches_of_four_threads_all_stay() {
    const BATCHES: u32 = 250;
    const OPS: u32 = 20;
    within(LIMIT, "interleaved batches", || {
        let dir = tempdir().unwrap();
        let db = open(dir.path(), manual());
        thread::scope(|scope| {
            for t in 0..4 {
                let db = &db;
                scope.spawn(move || {
                    for batch in 0..BATCHES {
                        let first = (t * BATCHES + batch) * OPS;
                        let fill = |b: &mut pumice::Batch| {
                            for n in first..first + OPS {
                                b.put("c", &format!("k{n:06}"), &n)?;
                            }
                            Ok(())
                        };
                        db.batch(fill).unwrap();
                    }
                });
            }
        });
        db.close().unwrap();
        drop(db);
        let db = open(dir.path(), manual());
        assert_eq!((&db.recovery().torn, db.recovery().unclean), (&None, false));
        assert_all(&db, 0..4 * BATCHES * OPS);
    });
}

/// Does nothing of its own: `a_kill_during_compactions_loses_nothing` runs it in a process that it kills.
#[test]
fn compacts_until_it_is_killed() {
    let (Ok(dir), Ok(round)) = (std::env::var(kill::DIR), std::env::var(kill::ROUND)) else { return };
    let db = open(Path::new(&dir), Options::new().compact_at(Some(16 << 10)));
    thread::scope(|scope| {
        for t in 0..3 {
            let (db, round) = (&db, &round);
            scope.spawn(move || {
                for n in 0_u32.. {
                    let key = format!("{round}-{t}-{n}");
                    db.collection("c").put(&key, &"some text that fills the log ".repeat(8)).unwrap();
                    acknowledge(&key);
                }
            });
        }
        loop {
            db.compact().unwrap();
        }
    });
}

#[test]
fn a_kill_during_compactions_loses_nothing() {
    let dir = tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..30_u64 {
        // Spread over the 120 ms in which some compactions fit.
        let after = Duration::from_micros(500 + round * 7919 % 120_000);
        let said = run_and_kill("losses::compacts_until_it_is_killed", dir.path(), &round.to_string(), after);
        acknowledged.extend(said);
        let db = open(dir.path(), manual());
        let keys: BTreeSet<_> = db
            .collection("c")
            .scan::<String>(..)
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                assert!(e.document.starts_with("some text"));
                e.key
            })
            .collect();
        let lost: Vec<_> = acknowledged.difference(&keys).take(5).collect();
        assert!(lost.is_empty(), "after round {round}: {lost:?} and perhaps more");
        assert!(db.verify().unwrap().is_sound());
        if round % 5 == 4 {
            db.compact().unwrap();
        }
        db.close().unwrap();
    }
    assert!(acknowledged.len() > 100, "only {} writes were acknowledged", acknowledged.len());
}

#[test]
fn a_flipped_bit_in_mid_log_is_refused_with_its_place() {
    let dir = tempdir().unwrap();
    let db = open(dir.path(), manual());
    put_all(&db, 0..1000);
    db.close().unwrap();
    drop(db);
    let [log] = &files(dir.path(), "log")[..] else { panic!("one segment") };
    let mut bytes = fs::read(log).unwrap();
    let line = lines(&bytes)[333].clone();
    bytes[line.offset + 40] ^= 4;
    fs::write(log, bytes).unwrap();
    let error = Db::open(dir.path()).err().expect("damage is not stepped over");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.file(), Some("00000000000000000001.log"));
    assert_eq!(error.offset(), Some(line.offset as u64));
    assert!(error.message().contains("restore a backup"), "{error}");
}

#[test]
fn a_torn_last_line_costs_no_write_after_it() {
    let dir = tempdir().unwrap();
    let db = open(dir.path(), manual());
    put_all(&db, 0..10);
    db.close().unwrap();
    drop(db);
    let [log] = &files(dir.path(), "log")[..] else { panic!("one segment") };
    let mut bytes = fs::read(log).unwrap();
    let last = lines(&bytes).pop().unwrap();
    bytes.extend_from_slice(br#"{"_s":11,"_p":"12345678","_t":17900000"#);
    fs::write(log, &bytes).unwrap();
    assert!(last.is_seal());

    let db = open(dir.path(), manual());
    assert_eq!(db.recovery().torn.as_ref().map(|t| t.offset), Some(last.end() as u64));
    put_all(&db, 10..1010);
    // No close: the handle is leaked, as a kill would leave it.
    let copy = tempdir().unwrap();
    for file in files(dir.path(), "log") {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    for dir in [copy.path(), dir.path()] {
        if dir != copy.path() {
            db.close().unwrap();
        }
        let again = open(dir, manual());
        assert_eq!(again.recovery().torn, None);
        assert_all(&again, 0..1010);
        again.close().unwrap();
        drop(again);
        assert_all(&open(dir, manual()), 0..1010);
    }
}

const CHILD_DIR: &str = "PUMICE_TEST_SECOND_PROCESS";
const CHILD_FOUND_IT_BUSY: i32 = 42;

/// Does nothing of its own: `a_second_process_is_kept_out` runs it in a second process.
#[test]
fn compacts_as_a_second_process() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    match Db::open(dir) {
        Ok(db) => db.compact().unwrap(),
        Err(e) if e.kind() == ErrorKind::Busy => std::process::exit(CHILD_FOUND_IT_BUSY),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempdir().unwrap();
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "losses::compacts_as_a_second_process"]).env(CHILD_DIR, dir.path());
        command.output().unwrap().status.code()
    };
    let db = open(dir.path(), manual());
    put_all(&db, 0..100);
    assert_eq!(child(), Some(CHILD_FOUND_IT_BUSY));
    assert_eq!(Db::open(dir.path()).err().unwrap().kind(), ErrorKind::Busy);
    put_all(&db, 100..300);
    db.close().unwrap();
    assert_eq!(child(), Some(0), "a closed database is free");
    drop(db);
    assert_all(&open(dir.path(), manual()), 0..300);
}

/// Every bit of every number in a snapshot that could be a length. What it costs in memory has a test of its own.
#[test]
fn a_flipped_bit_in_a_length_of_a_snapshot_is_a_clean_error() {
    let dir = tempdir().unwrap();
    let db = open(dir.path(), manual());
    put_all(&db, 0..300);
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let [snapshot] = &files(dir.path(), "snapshot")[..] else { panic!("one snapshot") };
    let sound = fs::read(snapshot).unwrap();
    // The footer's numbers, and the block sizes in the index before it.
    for at in sound.len() - 400..sound.len() {
        for bit in [0, 5, 7] {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            fs::write(snapshot, &bytes).unwrap();
            match Db::open_read_only(dir.path()) {
                Err(e) => assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}"),
                Ok(db) => {
                    let damage = db.verify().unwrap().damage;
                    assert!(!damage.is_empty(), "byte {at}, bit {bit}");
                    assert!(damage.iter().all(|e| e.kind() == ErrorKind::Corrupt));
                }
            }
        }
    }
}

/// Knows which documents' lines a sync has covered.
#[derive(Default)]
struct SyncWatch(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    len: HashMap<String, usize>,
    syncing: HashMap<String, usize>,
    durable: HashMap<String, usize>,
    /// Where a document's line ends.
    ends: HashMap<String, (String, usize)>,
    syncs: usize,
}

impl Hook for SyncWatch {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Sync {
            let mut watched = self.0.lock().unwrap();
            let len = watched.len.get(name).copied().unwrap_or(0);
            watched.syncing.insert(name.to_owned(), len);
            watched.syncs += 1;
        }
        Verdict::Go
    }

    fn after(&self, op: Op, name: &str, bytes: &[u8]) {
        let mut watched = self.0.lock().unwrap();
        match op {
            Op::Append if name.ends_with(".log") => {
                let start = watched.len.get(name).copied().unwrap_or(0);
                for line in lines(bytes) {
                    if let Some(key) = line.json()["key"].as_str() {
                        watched.ends.insert(key.to_owned(), (name.to_owned(), start + line.end()));
                    }
                }
                watched.len.insert(name.to_owned(), start + bytes.len());
            }
            Op::Sync => {
                let covered = watched.syncing.remove(name).unwrap_or(0);
                watched.durable.insert(name.to_owned(), covered);
            }
            _ => {}
        }
    }
}

impl SyncWatch {
    fn covers(&self, key: &str) -> bool {
        let watched = self.0.lock().unwrap();
        let Some((file, end)) = watched.ends.get(key) else { return false };
        watched.durable.get(file).is_some_and(|durable| durable >= end)
    }
}

#[test]
fn an_acknowledged_write_was_synced_after_it_was_written() {
    within(LIMIT, "synced writes", || {
        let dir = tempdir().unwrap();
        let watch = Arc::new(SyncWatch::default());
        let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &watch);
        let db = Db::open_with(storage, Options::new().compact_at(Some(64 << 10))).unwrap();
        thread::scope(|scope| {
            for t in 0..4 {
                let (db, watch) = (&db, &watch);
                scope.spawn(move || {
                    for n in 0..300 {
                        let key = format!("{t}-{n}");
                        if n % 3 == 0 {
                            db.batch(|b| b.put("c", "other", &n)?.put("c", &key, &n).map(drop)).unwrap();
                        } else {
                            db.collection("c").put(&key, &n).unwrap();
                        }
                        assert!(watch.covers(&key), "{key} was acknowledged before its sync");
                        if n % 50 == 0 {
                            let key = format!("{t}-{n}-buffered");
                            let buffered = db.with_durability(Durability::Buffered);
                            buffered.collection("c").put(&key, &n).unwrap();
                            db.sync().unwrap();
                            assert!(watch.covers(&key), "{key} was not covered by sync()");
                        }
                    }
                });
            }
        });
        // One by one, each write needs a sync of its own.
        let before = watch.0.lock().unwrap().syncs;
        for n in 0..20 {
            db.collection("c").put("alone", &n).unwrap();
        }
        assert!(watch.0.lock().unwrap().syncs >= before + 20);
    });
}

const INTERVAL: Duration = Duration::from_millis(50);

/// When which number was on its way to the disk.
#[derive(Default)]
struct FlushWatch {
    delay: Duration,
    /// One more than the highest number appended.
    appended: AtomicU64,
    /// When a sync began, and what was appended by then.
    syncs: Mutex<Vec<(Instant, u64)>>,
}

impl Hook for FlushWatch {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Sync && name.ends_with(".log") {
            let appended = self.appended.load(Ordering::SeqCst);
            self.syncs.lock().unwrap().push((Instant::now(), appended));
        } else if op == Op::Append {
            thread::sleep(self.delay);
        }
        Verdict::Go
    }

    fn after(&self, op: Op, _: &str, bytes: &[u8]) {
        let records = || lines(bytes).into_iter().rev().map(|line| line.json());
        if op == Op::Append
            && let Some(number) = records().find_map(|line| line["value"]["n"].as_u64())
        {
            self.appended.store(number + 1, Ordering::SeqCst);
        }
    }
}

/// How long this machine let a thread wait at the worst that wanted to go on, while `work` ran.
fn worst_stall_during(work: impl FnOnce()) -> Duration {
    const TICK: Duration = Duration::from_millis(2);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let ticking = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !done.load(Ordering::SeqCst) {
                let start = Instant::now();
                thread::sleep(TICK);
                worst = worst.max(start.elapsed().saturating_sub(TICK));
            }
            worst
        });
        work();
        done.store(true, Ordering::SeqCst);
        ticking.join().unwrap()
    })
}

/// Writes for a second and a half, buffered, and checks how long each write waited for a sync to begin. In memory, so
/// that nothing but the engine keeps anyone waiting.
fn steady_load(delay: Duration, pause: Option<Duration>, options: Options, asynchronous: bool) {
    let watch = Arc::new(FlushWatch { delay, ..FlushWatch::default() });
    let storage = Hooked::new(MemoryStorage::new(), &watch);
    let options = options.compact_at(None).durability(Durability::Buffered).flush_interval(INTERVAL);
    let db = Db::open_with(storage, options).unwrap();
    let collection = db.collection("c");
    let mut accepted = Vec::new();
    let text = "x".repeat(1000);
    let stall = worst_stall_during(|| {
        let start = Instant::now();
        for n in 0.. {
            if n > 20 && start.elapsed() > Duration::from_millis(1500) {
                break;
            }
            let document = serde_json::json!({"text": text, "n": n});
            if asynchronous {
                crate::support::block_on(db.as_async().collection("c").put("k", &document)).unwrap();
            } else {
                collection.put("k", &document).unwrap();
            }
            // The clock of the promise starts when the write was taken, which may have had to wait for room.
            accepted.push(Instant::now());
            if let Some(pause) = pause {
                thread::sleep(pause);
            }
        }
        db.close().unwrap();
    });
    let syncs = watch.syncs.lock().unwrap();
    let mut worst = Duration::ZERO;
    for (n, accepted) in accepted.iter().enumerate() {
        let (began, _) = syncs.iter().find(|(_, appended)| *appended > n as u64).expect("a sync covers it");
        worst = worst.max(began.saturating_duration_since(*accepted));
    }
    // Much more than the promise, and more where the machine stalls; a flush that waits for idleness, or for its turn
    // behind a full buffer, takes all of the second and a half.
    let allowed = Duration::from_millis(500) + 4 * stall;
    let stall = format!("the machine stalled for {stall:?} at most");
    assert!(
        worst <= allowed,
        "a buffered write waited {worst:?} for a sync, with {delay:?} for an append; {stall}"
    );
}

#[test]
fn buffered_writes_are_synced_in_time_under_steady_load() {
    within(LIMIT, "steady load", || {
        steady_load(Duration::ZERO, Some(Duration::from_millis(1)), Options::new(), false);
        steady_load(Duration::ZERO, None, Options::new(), false);
    });
}

/// A disk slower than the writer keeps the buffer full, and so the log's writer busy all the time.
#[test]
fn buffered_writes_are_synced_in_time_on_a_slow_disk() {
    within(LIMIT, "a slow disk", || {
        let small = || Options::new().buffer_limit(16 << 10);
        steady_load(Duration::from_millis(5), None, small(), false);
        steady_load(Duration::from_millis(5), None, small(), true);
    });
}

#[cfg(feature = "tokio")]
#[test]
fn needs_no_runtime_and_bears_any() {
    use pumice::AsyncDiskStorage;
    use tokio::runtime::Builder;

    async fn use_and_drop(dir: &Path, expected: u64) {
        let storage = AsyncDiskStorage::open(dir).await.unwrap();
        let db = pumice::Db::open_with(storage, Options::new()).await.unwrap();
        let collection = db.collection("c");
        assert_eq!(collection.count(..).await.unwrap(), expected);
        collection.put(&format!("durable {expected}"), &1).await.unwrap();
        let buffered = collection.with_durability(Durability::Buffered);
        buffered.put(&format!("buffered {expected}"), &2).await.unwrap();
        // Dropped without a close: what was accepted is written, and nothing panics.
    }

    within(LIMIT, "any runtime or none", || {
        let dir = tempdir().unwrap();
        let reopen = || {
            // The storage's thread gives its lock back a moment after the handle is gone.
            let start = Instant::now();
            while let Err(e) = SyncDiskStorage::open(dir.path()) {
                assert!(e.kind() == ErrorKind::Busy && start.elapsed() < Duration::from_secs(10), "{e}");
                thread::sleep(Duration::from_millis(1));
            }
        };
        crate::support::block_on(use_and_drop(dir.path(), 0));
        reopen();
        Builder::new_current_thread().build().unwrap().block_on(use_and_drop(dir.path(), 2));
        reopen();
        Builder::new_multi_thread().build().unwrap().block_on(use_and_drop(dir.path(), 4));
        reopen();
        // Dropped where a runtime has ended already.
        let runtime = Builder::new_current_thread().build().unwrap();
        let db = runtime.block_on(async {
            let storage = AsyncDiskStorage::open(dir.path()).await.unwrap();
            pumice::Db::open_with(storage, Options::new()).await.unwrap()
        });
        drop(runtime);
        crate::support::block_on(db.collection("c").put("after the runtime", &3)).unwrap();
        drop(db);
        reopen();
        assert_eq!(open(dir.path(), manual()).collection("c").count(..).unwrap(), 7);
    });
}
