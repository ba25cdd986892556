//! Guards against lost writes where many threads do everything at once, on every storage: writers of both durabilities,
//! single and in batches, deletes, views, counts, a feed, compactions at a tiny size, asynchronous callers that give
//! up. Whatever was acknowledged is looked for at the end, and after opening again.

use crate::support::effort::is_soak;
use crate::support::figures;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{
    Change, ChangeKind, Durability, Error, ErrorKind, MemoryStorage, Options, Result, Storage,
    SyncDiskStorage,
};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const WRITERS: u64 = 4;
const GIVING_UP: u64 = 3;

/// What a key may hold: of the writes since the last one that is certain, any.
type Known = HashMap<String, Vec<Option<u64>>>;

fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Writes to keys of its own, in every way there is.
fn write<S: Storage>(db: &Db<S>, round: u64, t: u64, count: u64) -> Known {
    let mut known = Known::new();
    let mut state = round * 1000 + t;
    let durable = db.collection("c");
    let buffered = durable.with_durability(Durability::Buffered);
    for n in 0..count {
        let value = round * 1_000_000 + n;
        let key = format!("writer {t} {}", chance(&mut state) % 40);
        let written = match chance(&mut state) % 8 {
            0..3 => durable.put(&key, &value).map(|_| Some(value)),
            3..5 => buffered.put(&key, &value).map(|_| Some(value)),
            5 => durable.delete(&key).map(|_| None),
            _ => {
                let (one, two) = (format!("pair {t} one"), format!("pair {t} two"));
                let batch =
                    db.batch(|b| b.put("c", &one, &n)?.put("c", &two, &n)?.put("c", &key, &value).map(drop));
                batch.map(|_| Some(value))
            }
        };
        let written = written.unwrap();
        assert_eq!(durable.get::<u64>(&key).unwrap(), written, "an acknowledged write shows");
        known.insert(key, vec![written]);
    }
    known
}

/// Begins writes and drops most of them at some point of their way.
fn give_up<S: Storage>(db: &Db<S>, round: u64, t: u64, count: u64) -> Known {
    let mut known = Known::new();
    let mut state = round * 1000 + 500 + t;
    let collection = db.as_async().collection("c");
    for n in 0..count {
        let value = round * 1_000_000 + n;
        let key = format!("giving up {t} {}", chance(&mut state) % 20);
        let possible = known.entry(key.clone()).or_insert_with(|| vec![collection_value(db, &key)]);
        let mut written = pin!(collection.put(&key, &value));
        let mut done = None;
        for _ in 0..chance(&mut state) % 4 {
            if let Poll::Ready(told) = written.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                done = Some(told.unwrap());
                break;
            }
            thread::sleep(Duration::from_micros(chance(&mut state) % 300));
        }
        if done.is_none() && n % 5 == 0 {
            done = Some(crate::support::block_on(written.as_mut()).unwrap());
        }
        if done.is_some() {
            possible.clear();
        }
        possible.push(Some(value));
    }
    known
}

fn collection_value<S: Storage>(db: &Db<S>, key: &str) -> Option<u64> {
    db.collection("c").get(key).unwrap()
}

/// Looks at one view twice, and at pairs that are only ever written together.
fn read<S: Storage>(db: &Db<S>) {
    let view = db.read_view();
    let look = || -> BTreeMap<String, u64> {
        let scan = view.scan::<u64>("c", ..).unwrap().map(Result::unwrap);
        scan.map(|entry| (entry.key, entry.document)).collect()
    };
    let first = look();
    for t in 0..WRITERS {
        assert_eq!(first.get(&format!("pair {t} one")), first.get(&format!("pair {t} two")), "half a batch");
    }
    assert_eq!(view.count("c", ..).unwrap(), first.len() as u64);
    thread::yield_now();
    assert!(look() == first, "the view moved");
}

fn check<S: Storage>(db: &Db<S>, known: &Known) {
    for (key, possible) in known {
        let found = collection_value(db, key);
        assert!(possible.contains(&found), "{key} is {found:?} of {possible:?}");
    }
}

/// Opens again and again, with everything at once in between.
fn stress<S: Storage>(name: &'static str, count: u64, open: impl Fn() -> S + Send + 'static) {
    let soak = if is_soak() { 20 } else { 1 };
    within(Duration::from_secs(120 * soak), name, move || {
        let mut known = Known::new();
        let (looks, compactions, told) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let options = Options::new().compact_at(Some(24 << 10)).buffer_limit(4 << 10);
        let mut records = 0;
        for round in 0..3 * soak {
            let db = Db::open_with(open(), options.clone()).unwrap();
            assert!(!db.recovery().unclean);
            check(&db, &known);
            let done = AtomicBool::new(false);
            let begun = db.sequence();
            let feed = db.changes(begun).unwrap();
            let newest = Arc::new(AtomicU64::new(0));
            let own = Arc::clone(&newest);
            let tell = move |change: &Change| own.store(change.sequence, Ordering::SeqCst);
            let feed = thread::spawn(move || feed.map(Result::unwrap).inspect(tell).collect::<Vec<_>>());
            thread::scope(|scope| {
                let (db, done, looks, compactions) = (&db, &done, &looks, &compactions);
                let writers: Vec<_> =
                    (0..WRITERS).map(|t| scope.spawn(move || write(db, round, t, count))).collect();
                let giving_up: Vec<_> =
                    (0..GIVING_UP).map(|t| scope.spawn(move || give_up(db, round, t, count / 2))).collect();
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        read(db);
                        looks.fetch_add(1, Ordering::SeqCst);
                    }
                });
                scope.spawn(|| {
                    loop {
                        db.compact().unwrap();
                        compactions.fetch_add(1, Ordering::SeqCst);
                        if done.load(Ordering::SeqCst) {
                            break;
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                });
                let results: Vec<_> =
                    writers.into_iter().chain(giving_up).map(thread::ScopedJoinHandle::join).collect();
                // Also where one of them failed, so that the scope comes to its end.
                done.store(true, Ordering::SeqCst);
                results.into_iter().for_each(|result| known.extend(result.unwrap()));
            });
            // What was given up may still be on its way: it is decided now.
            db.sync().unwrap();
            check(&db, &known);
            let last = db.sequence();
            records += last - begun;
            while newest.load(Ordering::SeqCst) < last {
                assert!(!feed.is_finished(), "the feed ended before the database was closed");
                thread::sleep(Duration::from_millis(1));
            }
            let before: BTreeMap<String, Option<u64>> =
                known.keys().map(|key| (key.clone(), collection_value(&db, key))).collect();
            db.close().unwrap();
            let changes = feed.join().unwrap();
            assert!(changes.is_sorted_by(|a, b| a.sequence < b.sequence), "out of order, or twice");
            assert_eq!(changes.last().map(|change| change.sequence), Some(last), "the feed told everything");
            told.fetch_add(changes.len() as u64, Ordering::SeqCst);
            // The feed's last word on a key is what the database holds.
            let mut words = HashMap::new();
            for change in changes {
                let value = change.document.map(|text| text.as_str().parse().unwrap());
                assert!(change.kind != ChangeKind::Drop);
                words.insert(change.key.unwrap(), value);
            }
            for (key, value) in &words {
                let held = before.get(key).copied();
                assert!(held.is_none_or(|held| held == *value), "{key}: {value:?} told, {held:?} held");
            }
            // Now certain.
            known = before.into_iter().map(|(key, value)| (key, vec![value])).collect();
        }
        let db = Db::open_with(open(), Options::new()).unwrap();
        check(&db, &known);
        assert!(db.verify().unwrap().is_sound());
        db.close().unwrap();
        let [looks, compactions, told] = [looks, compactions, told].map(AtomicU64::into_inner);
        assert!(looks > 2 && compactions > 2 && told > 100, "{looks} {compactions} {told}");
        figures::keep(
            name,
            &[("records", records), ("views", looks), ("compactions", compactions), ("changes", told)],
        );
    });
}

#[test]
fn everything_at_once_in_memory() {
    let memory = MemoryStorage::new();
    stress("stress-memory", 2000, move || memory.clone());
}

#[cfg(feature = "encryption")]
#[test]
fn everything_at_once_encrypted() {
    let storage = MemoryStorage::new();
    let key = pumice::Key::bytes([1; 32]);
    let open = move || pumice::blocking::encrypted(storage.clone(), &key).unwrap();
    stress("stress-encrypted", 1_000, open);
}

#[test]
fn everything_at_once_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    stress("stress-sync-disk", 600, move || SyncDiskStorage::open(dir.path()).unwrap());
}

#[cfg(feature = "tokio")]
#[test]
fn everything_at_once_in_a_directory_behind_threads() {
    let dir = tempfile::tempdir().unwrap();
    stress("stress-async-disk", 600, move || {
        crate::support::block_on(pumice::AsyncDiskStorage::open(dir.path())).unwrap()
    });
}

/// Holds up every sync of the log until it is let go, and lets it succeed or fail.
#[derive(Default)]
struct HeldSync {
    held: AtomicBool,
    fails: AtomicBool,
}

impl Hook for HeldSync {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op != Op::Sync || !name.ends_with(".log") {
            return Verdict::Go;
        }
        while self.held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        if self.fails.load(Ordering::SeqCst) {
            return Verdict::Fail(Error::new(ErrorKind::Io, "the medium refused"));
        }
        Verdict::Go
    }
}

/// A delete is seen by nobody, and told to nobody, before it is durable: neither as deleted nor as not there.
#[test]
fn a_concurrent_delete_waits_for_durability() {
    for fails in [false, true] {
        within(Duration::from_secs(60), "two deletes", move || {
            let hook = Arc::new(HeldSync::default());
            let memory = MemoryStorage::new();
            let db = Db::open_with(Hooked::new(memory.clone(), &hook), Options::new()).unwrap();
            db.collection("c").put("k", &1).unwrap();
            hook.held.store(true, Ordering::SeqCst);
            let (tell, told) = mpsc::channel();
            thread::scope(|scope| {
                for blocking in [true, false] {
                    let (db, tell) = (&db, tell.clone());
                    scope.spawn(move || {
                        let deleted = if blocking {
                            db.collection("c").delete("k")
                        } else {
                            crate::support::block_on(db.as_async().collection("c").delete("k"))
                        };
                        tell.send(deleted).unwrap();
                    });
                }
                let early = told.recv_timeout(Duration::from_millis(300));
                let seen = collection_value(&db, "k");
                hook.fails.store(fails, Ordering::SeqCst);
                hook.held.store(false, Ordering::SeqCst);
                assert!(early.is_err(), "told {early:?} before the sync");
                assert_eq!(seen, Some(1), "seen before the sync");
            });
            let answers: Vec<_> = told.try_iter().collect();
            assert_eq!(answers.len(), 2);
            if fails {
                assert!(answers.iter().all(Result::is_err), "{answers:?}");
                assert_eq!(collection_value(&db, "k"), Some(1), "reads show what was durable");
            } else {
                let deleted = answers.into_iter().map(Result::unwrap).filter(|deleted| *deleted).count();
                assert_eq!((deleted, collection_value(&db, "k")), (1, None));
            }
        });
    }
}
