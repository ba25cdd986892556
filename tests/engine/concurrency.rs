//! Guards against what only shows when many callers are at work at once: lost wake-ups, lost writes, views that move,
//! a feed that skips, futures that are dropped half-way.

use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Change, ChangeKind, Durability, Keys, MemoryStorage, Options, Storage, SyncDiskStorage};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::tempdir;

const LIMIT: Duration = Duration::from_secs(100);

fn open(dir: &Path, options: Options) -> Db {
    Db::open_with(SyncDiskStorage::open(dir).unwrap(), options).unwrap()
}

fn manual() -> Options {
    Options::new().compact_at(None)
}

/// Compacts again and again while `work` runs, which is shown how often it was done.
fn beside_compactions<S: Storage>(db: &Db<S>, work: impl FnOnce(&AtomicUsize)) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                db.compact().unwrap();
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        // Also when the work panics, so that the scope comes to its end.
        let _stop = Stop(&done);
        work(&count);
    });
}

#[test]
fn eight_writers_and_a_compactor_lose_nothing() {
    const THREADS: u64 = 8;
    const EACH: u64 = 2000;
    within(LIMIT, "eight writers", || {
        let dir = tempdir().unwrap();
        let db = open(dir.path(), manual());
        let acknowledged = Mutex::new(BTreeMap::new());
        beside_compactions(&db, |compactions| {
            thread::scope(|scope| {
                for t in 0..THREADS {
                    let (db, acknowledged) = (&db, &acknowledged);
                    scope.spawn(move || {
                        let collection = db.collection("c");
                        for n in 0..EACH {
                            // Some keys are fought over; the highest sequence number wins.
                            let key =
                                if n % 10 == 0 { format!("shared {}", n % 7) } else { format!("{t} {n}") };
                            let value = t * EACH + n;
                            let sequence = collection.put(&key, &value).unwrap();
                            let mut acknowledged = acknowledged.lock().unwrap();
                            let newest = acknowledged.entry(key).or_insert((sequence, value));
                            if newest.0 <= sequence {
                                *newest = (sequence, value);
                            }
                        }
                    });
                }
            });
            let compactions = compactions.load(Ordering::SeqCst);
            assert!(compactions > 2, "{compactions} compactions");
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        let check = |db: &Db| {
            let found = db.collection("c").scan::<u64>(..).unwrap().map(Result::unwrap);
            let found: BTreeMap<_, _> = found.map(|e| (e.key, e.document)).collect();
            let wanted: BTreeMap<_, _> = acknowledged.iter().map(|(k, (_, v))| (k.clone(), *v)).collect();
            assert!(found == wanted, "{} documents instead of {}", found.len(), wanted.len());
        };
        check(&db);
        assert_eq!(db.sequence(), THREADS * EACH, "no number is used twice or left out");
        db.close().unwrap();
        drop(db);
        let db = open(dir.path(), manual());
        check(&db);
        assert!(db.verify().unwrap().is_sound());
    });
}

/// Takes its time for a sync, and counts.
#[derive(Default)]
struct Slow {
    sync: Duration,
    append: Duration,
    syncs: AtomicUsize,
    largest_append: AtomicUsize,
}

impl Hook for Slow {
    fn before(&self, op: Op, name: &str, bytes: &[u8]) -> Verdict {
        match op {
            Op::Sync if name.ends_with(".log") => {
                self.syncs.fetch_add(1, Ordering::SeqCst);
                thread::sleep(self.sync);
            }
            Op::Append => {
                self.largest_append.fetch_max(bytes.len(), Ordering::SeqCst);
                thread::sleep(self.append);
            }
            _ => {}
        }
        Verdict::Go
    }
}

#[test]
fn writers_that_wait_share_a_sync() {
    within(LIMIT, "shared syncs", || {
        let slow = Arc::new(Slow { sync: Duration::from_millis(5), ..Slow::default() });
        let db = Db::open_with(Hooked::new(MemoryStorage::new(), &slow), manual()).unwrap();
        thread::scope(|scope| {
            for t in 0..32 {
                let db = &db;
                scope.spawn(move || {
                    for n in 0..100 {
                        db.collection("c").put(&format!("{t} {n}"), &n).unwrap();
                    }
                });
            }
        });
        let syncs = slow.syncs.load(Ordering::SeqCst);
        assert!(syncs * 6 < 3200, "{syncs} syncs for 3,200 writes of 32 threads");
        assert_eq!(db.collection("c").count(..).unwrap(), 3200);
    });
}

#[test]
fn views_stand_still_while_writes_and_compactions_go_on() {
    const KEYS: u64 = 300;
    within(LIMIT, "views", || {
        let dir = tempdir().unwrap();
        let db = open(dir.path(), manual().durability(Durability::Buffered));
        let write = |n: u64| {
            db.batch(|b| {
                (0..KEYS).try_for_each(|k| {
                    // Every other round, some documents are deleted.
                    let key = format!("k{k:03}");
                    if n % 2 == 1 && k % 5 == 0 {
                        b.delete("c", &key)?
                    } else {
                        b.put("c", &key, &n)?
                    };
                    Ok(())
                })
            })
            .unwrap()
        };
        write(0);
        let done = AtomicBool::new(false);
        let (writer_db, done) = (&db, &done);
        let mut rounds = 1;
        beside_compactions(&db, |compactions| {
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(move || {
                        while !done.load(Ordering::SeqCst) {
                            let view = writer_db.read_view();
                            let first = check_view(&view, KEYS);
                            for _ in 0..3 {
                                thread::yield_now();
                                assert_eq!(check_view(&view, KEYS), first, "the view moved");
                            }
                            let count = if first % 2 == 1 { KEYS - KEYS / 5 } else { KEYS };
                            assert_eq!(view.count("c", ..).unwrap(), count);
                        }
                    });
                }
                // Longer where the disk is slow, for a compaction waits for it more often than these writes do.
                while rounds < 200 || compactions.load(Ordering::SeqCst) < 3 {
                    write(rounds);
                    rounds += 1;
                }
                done.store(true, Ordering::SeqCst);
            });
        });
        assert_eq!(check_view(&db.read_view(), KEYS), rounds - 1);
    });
}

/// All documents of a view are of one round, which it returns.
fn check_view(view: &pumice::blocking::ReadView, keys: u64) -> u64 {
    let entries: Vec<_> = view.scan::<u64>("c", Keys::all()).unwrap().map(Result::unwrap).collect();
    let round = entries.first().expect("documents").document;
    assert!(entries.iter().all(|e| e.document == round), "a view shows two rounds");
    let count = if round % 2 == 1 { keys - keys / 5 } else { keys };
    assert_eq!(entries.len() as u64, count, "round {round}");
    assert_eq!(view.get::<u64>("c", "k001").unwrap(), Some(round));
    assert_eq!(view.get::<u64>("c", "k005").unwrap(), (round % 2 == 0).then_some(round));
    round
}

#[test]
fn a_dropped_handle_flushes_and_lets_the_directory_go() {
    within(LIMIT, "dropped handles", || {
        let dir = tempdir().unwrap();
        for round in 0..30 {
            let db = open(dir.path(), manual().durability(Durability::Buffered));
            assert_eq!((&db.recovery().torn, db.recovery().unclean), (&None, false), "round {round}");
            let collection = db.collection("c");
            assert_eq!(collection.count(..).unwrap(), round * 20);
            for n in 0..20 {
                collection.put(&format!("{round} {n}"), &n).unwrap();
            }
            if round % 3 == 0 {
                db.compact().unwrap();
            }
            drop(db);
            // The last handle to go ends it.
            drop(collection);
        }
    });
}

#[test]
fn a_full_buffer_makes_writers_wait() {
    const LIMIT_BYTES: usize = 64 << 10;
    for durability in [Durability::Buffered, Durability::Disk] {
        within(LIMIT, "a full buffer", move || {
            let slow = Arc::new(Slow { append: Duration::from_millis(2), ..Slow::default() });
            let options = manual().buffer_limit(LIMIT_BYTES).durability(durability);
            let memory = MemoryStorage::new();
            let db = Db::open_with(Hooked::new(memory.clone(), &slow), options).unwrap();
            let text = "x".repeat(4 << 10);
            thread::scope(|scope| {
                for t in 0..32 {
                    let (db, text) = (&db, &text);
                    scope.spawn(move || {
                        for n in 0..40 {
                            db.collection("c").put(&format!("{t} {n}"), text).unwrap();
                        }
                    });
                }
            });
            let largest = slow.largest_append.load(Ordering::SeqCst);
            assert!(largest <= LIMIT_BYTES + (5 << 10), "{largest} bytes waited at once");
            db.close().unwrap();
            let db = Db::open_with(memory, Options::new()).unwrap();
            assert_eq!(db.collection("c").count(..).unwrap(), 32 * 40);
        });
    }
}

#[test]
fn a_live_feed_tells_every_change_once_and_in_order() {
    const THREADS: u64 = 4;
    const EACH: u64 = 400;
    within(LIMIT, "a live feed", || {
        let dir = tempdir().unwrap();
        let db = open(dir.path(), manual());
        let written = Mutex::new(HashMap::new());
        let feeds: Vec<_> = (0..2)
            .map(|_| {
                let changes = db.changes(0).unwrap();
                let told = Arc::new(AtomicU64::new(0));
                let own = Arc::clone(&told);
                let tell = move |change: &Change| own.store(change.sequence, Ordering::SeqCst);
                let all =
                    thread::spawn(move || changes.map(Result::unwrap).inspect(tell).collect::<Vec<_>>());
                (all, told)
            })
            .collect();
        beside_compactions(&db, |compactions| {
            thread::scope(|scope| {
                for t in 0..THREADS {
                    let (db, written) = (&db, &written);
                    scope.spawn(move || {
                        for n in 0..EACH {
                            let key = format!("{t} {n}");
                            let sequence = match n % 4 {
                                0 => db.batch(|b| {
                                    b.put("c", &format!("{key} first"), &n)?.put("c", &key, &n).map(drop)
                                }),
                                1 => {
                                    let sequence = db.collection("c").put(&key, &n);
                                    db.collection("c").delete(&key).unwrap();
                                    sequence
                                }
                                2 => db.with_durability(Durability::Buffered).collection("c").put(&key, &n),
                                _ => db.collection("c").put(&key, &n),
                            };
                            written.lock().unwrap().insert(key, (sequence.unwrap(), n));
                        }
                    });
                }
            });
            assert!(compactions.load(Ordering::SeqCst) > 1);
        });
        db.sync().unwrap();
        let last = db.sequence();
        // A feed ends with the database, even one that has not caught up yet.
        while feeds.iter().any(|(_, told)| told.load(Ordering::SeqCst) < last) {
            thread::sleep(Duration::from_millis(1));
        }
        db.close().unwrap();
        let written = written.into_inner().unwrap();
        for (feed, _) in feeds {
            let changes = feed.join().unwrap();
            assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence), "out of order, or twice");
            assert_eq!(changes.last().map(|c| c.sequence), Some(last));
            let puts = changes.iter().filter(|c| c.kind == ChangeKind::Put);
            let puts: HashMap<_, _> = puts.map(|c| (c.key.clone().unwrap(), c)).collect();
            for (key, (sequence, value)) in &written {
                let change = puts.get(key).unwrap_or_else(|| panic!("{key} was not told"));
                assert_eq!(
                    (change.sequence, change.document.as_ref().unwrap().as_str()),
                    (*sequence, &*value.to_string())
                );
            }
            let firsts = THREADS * EACH / 4;
            assert_eq!(puts.len() as u64, THREADS * EACH + firsts);
            let deletes = changes.iter().filter(|c| c.kind == ChangeKind::Delete).count() as u64;
            assert_eq!(deletes, THREADS * EACH / 4);
        }
    });
}

/// Sixty-four tasks, a part of whose futures are dropped at some point of their way.
async fn tasks_with_dropped_futures<S: Storage>(db: pumice::Db<S>) -> HashMap<String, bool>
where
    pumice::Db<S>: Send,
{
    let told = Arc::new(Mutex::new(HashMap::new()));
    let one = |t: u64| {
        let (db, told) = (db.clone(), Arc::clone(&told));
        async move {
            let mut chance = t * 2_654_435_761 + 1;
            for n in 0..30_u64 {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = format!("{t} {n}");
                let (left, right) = (format!("{key} left"), format!("{key} right"));
                let write = db.batch(|b| b.put("c", &left, &n)?.put("c", &right, &n).map(drop));
                let patience = Duration::from_micros(chance >> 40 & 0xfff);
                let done = if n % 2 == 0 {
                    write.await.unwrap();
                    true
                } else {
                    let written = tokio::time::timeout(patience, write).await;
                    written.is_ok_and(|written| written.map(|_| true).unwrap())
                };
                told.lock().unwrap().insert(key, done);
                if n == 15 && t.is_multiple_of(16) {
                    let _ = tokio::time::timeout(patience, db.compact()).await;
                }
                if n % 8 == 0 {
                    let _ = tokio::time::timeout(patience, db.sync()).await;
                }
            }
        }
    };
    futures_of(64, one).await;
    db.close().await.unwrap();
    Arc::try_unwrap(told).unwrap().into_inner().unwrap()
}

/// Runs the futures beside each other on this task: which one goes on when is up to the timers and the wakers.
async fn futures_of<F: Future<Output = ()>>(count: u64, make: impl Fn(u64) -> F) {
    let mut running: Vec<_> = (0..count).map(|t| Some(Box::pin(make(t)))).collect();
    std::future::poll_fn(|cx| {
        for slot in &mut running {
            if slot.as_mut().is_some_and(|future| future.as_mut().poll(cx).is_ready()) {
                *slot = None;
            }
        }
        if running.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn check_pairs<S: Storage>(db: &Db<S>, told: &HashMap<String, bool>) {
    let collection = db.collection("c");
    for (key, done) in told {
        let left = collection.get::<u64>(&format!("{key} left")).unwrap();
        let right = collection.get::<u64>(&format!("{key} right")).unwrap();
        assert_eq!(left, right, "{key} is half there");
        assert!(left.is_some() || !done, "{key} was acknowledged and is gone");
    }
}

#[test]
fn dropped_futures_block_nobody_and_leave_nothing_half_done() {
    within(LIMIT, "dropped futures", || {
        let slow = Arc::new(Slow { sync: Duration::from_micros(300), ..Slow::default() });
        let memory = MemoryStorage::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
        let told = runtime.block_on(async {
            let options = manual().buffer_limit(8 << 10);
            let db = pumice::Db::open_with(Hooked::new(memory.clone(), &slow), options).await.unwrap();
            tasks_with_dropped_futures(db).await
        });
        check_pairs(&Db::open_with(memory, Options::new()).unwrap(), &told);
    });
}

#[cfg(feature = "tokio")]
#[test]
fn sixty_four_tasks_on_a_runtime_of_several_threads_lose_nothing() {
    use pumice::AsyncDiskStorage;

    within(LIMIT, "sixty-four tasks", || {
        let dir = tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        let told = runtime.block_on(async {
            let storage = AsyncDiskStorage::open(dir.path()).await.unwrap();
            // So small that some wait for room, and are dropped while they do.
            let options = Options::new().compact_at(Some(64 << 10)).buffer_limit(4 << 10);
            let db = pumice::Db::open_with(storage, options).await.unwrap();
            let mut tasks = Vec::new();
            for t in 0..64_u64 {
                let db = db.clone();
                tasks.push(tokio::spawn(async move {
                    let mut told = HashMap::new();
                    for n in 0..40_u64 {
                        let key = format!("{t} {n}");
                        let (left, right) = (format!("{key} left"), format!("{key} right"));
                        let write = db.batch(|b| b.put("c", &left, &n)?.put("c", &right, &n).map(drop));
                        let patience = Duration::from_micros((t * 7919 + n * 104_729) % 4000);
                        let done = if n % 2 == 0 {
                            write.await.map(|_| true).unwrap()
                        } else {
                            tokio::time::timeout(patience, write)
                                .await
                                .is_ok_and(|w| w.map(|_| true).unwrap())
                        };
                        if done {
                            let left = db.collection("c").get::<u64>(&left).await.unwrap();
                            assert_eq!(left, Some(n), "an acknowledged write shows");
                        }
                        told.insert(key, done);
                    }
                    told
                }));
            }
            let mut told = HashMap::new();
            for task in tasks {
                told.extend(task.await.unwrap());
            }
            db.close().await.unwrap();
            told
        });
        drop(runtime);
        let db = open(dir.path(), manual());
        assert!(!db.recovery().unclean);
        check_pairs(&db, &told);
    });
}
