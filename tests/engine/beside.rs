//! Guards against a reader beside a busy writer that shows a state which never was, gives up too early, or looks again
//! for ever.

use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use pumice::blocking::Db;
use pumice::{ErrorKind, MemoryStorage, Options, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const LOG: &str = "00000000000000000001.log";

fn manual() -> Options {
    Options::new().compact_at(None)
}

fn content(storage: &MemoryStorage, name: &str) -> Vec<u8> {
    block_on(storage.read_at(name, 0, usize::MAX)).unwrap()
}

fn copy(of: &MemoryStorage) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for name in block_on(of.list()).unwrap() {
        block_on(storage.create(&name)).unwrap();
        block_on(storage.append(&name, &content(of, &name))).unwrap();
    }
    storage
}

/// A database of three documents, closed.
fn three() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), manual()).unwrap();
    for n in 0..3 {
        db.collection("c").put(&n.to_string(), &n).unwrap();
    }
    db.close().unwrap();
    storage
}

/// Calls what the writer does with the number of the listing that it comes before; the first is 1.
struct Writer<F> {
    acts: F,
    listings: AtomicUsize,
}

impl<F: Fn(usize) + Send + Sync + 'static> Hook for Writer<F> {
    fn before(&self, op: Op, _: &str, _: &[u8]) -> Verdict {
        if op == Op::List {
            (self.acts)(self.listings.fetch_add(1, Ordering::SeqCst) + 1);
        }
        Verdict::Go
    }
}

/// What a reader sees that opens while the writer acts, and how often it had to list the files.
struct Seen {
    documents: Result<u64, ErrorKind>,
    torn: bool,
    listings: usize,
}

fn read(storage: &MemoryStorage, acts: impl Fn(usize) + Send + Sync + 'static) -> Seen {
    let writer = Arc::new(Writer { acts, listings: AtomicUsize::new(0) });
    let opened = Db::open_with(Hooked::new(storage.clone(), &writer), manual().read_only(true));
    let listings = writer.listings.load(Ordering::SeqCst);
    match opened {
        Ok(db) => Seen {
            documents: Ok(db.collection("c").count(..).unwrap()),
            torn: db.recovery().torn.is_some(),
            listings,
        },
        Err(error) => Seen { documents: Err(error.kind()), torn: false, listings },
    }
}

#[test]
fn what_does_not_change_is_looked_at_once() {
    let storage = three();
    let seen = read(&storage, |_| ());
    assert_eq!((seen.documents, seen.torn, seen.listings), (Ok(3), false, 2));

    let torn = copy(&storage);
    block_on(torn.append(LOG, b"{\"_s\":4,")).unwrap();
    let seen = read(&torn, |_| ());
    assert_eq!((seen.documents, seen.torn, seen.listings), (Ok(3), true, 2));

    let damaged = copy(&storage);
    block_on(damaged.truncate(LOG, 400)).unwrap();
    let seen = read(&damaged, |_| ());
    assert_eq!((seen.documents, seen.listings), (Err(ErrorKind::Corrupt), 2));
}

#[test]
fn a_log_that_moved_on_is_read_again() {
    let storage = three();
    let later = copy(&storage);
    let db = Db::open_with(later.clone(), manual()).unwrap();
    db.compact().unwrap();
    db.collection("c").put("3", &3).unwrap();
    db.close().unwrap();
    let shown = copy(&storage);
    let own = shown.clone();
    let seen = read(&shown, move |listing| {
        if listing == 2 {
            for name in block_on(own.list()).unwrap() {
                block_on(own.remove(&name)).unwrap();
            }
            for name in block_on(later.list()).unwrap() {
                block_on(own.create(&name)).unwrap();
                block_on(own.append(&name, &content(&later, &name))).unwrap();
            }
        }
    });
    assert_eq!((seen.documents, seen.listings), (Ok(4), 4));
}

#[test]
fn a_line_that_was_just_being_written_is_no_torn_tail() {
    let storage = three();
    block_on(storage.remove("00000000000000000003-1.end")).unwrap();
    let whole = content(&storage, LOG);
    for missing in [1, 10, 150] {
        let shown = copy(&storage);
        let half = whole.len() - missing;
        block_on(shown.truncate(LOG, half as u64)).unwrap();
        let (own, rest) = (shown.clone(), whole[half..].to_vec());
        let seen = read(&shown, move |listing| {
            if listing == 2 {
                block_on(own.append(LOG, &rest)).unwrap();
            }
        });
        assert_eq!((seen.documents, seen.torn, seen.listings), (Ok(3), false, 4), "{missing} bytes");
    }
}

#[test]
fn a_log_that_always_moves_on_is_shown_after_some_attempts() {
    let storage = three();
    let own = storage.clone();
    let seen = read(&storage, move |listing| {
        // A segment that was just begun.
        block_on(own.create(&format!("{:020}.log", 3 + listing))).unwrap();
    });
    assert_eq!((seen.documents, seen.listings), (Ok(3), 39));
}
