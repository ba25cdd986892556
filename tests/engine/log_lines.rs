//! Guards against a log that is shown to people and tools other than it stands: lines left out or shown twice, lines of a
//! segment that does not count, damage that is passed over.

use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::log_file::{FileLine, closed, lines};
use pumice::blocking::Db;
use pumice::{Error, ErrorKind, LogLines, MemoryStorage, Options, Result, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FIRST: &str = "00000000000000000001.log";
const SECOND: &str = "00000000000000000011.log";
const THIRD: &str = "00000000000000000021.log";

/// No snapshot can be written, so that a compaction only moves the log on.
struct OnlyRotates;

impl Hook for OnlyRotates {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Append && name.ends_with(".snapshot") {
            return Verdict::Fail(Error::new(ErrorKind::Full, "no space left"));
        }
        Verdict::Go
    }
}

fn manual() -> Options {
    Options::new().compact_at(None)
}

fn put<S: Storage>(db: &Db<S>, numbers: std::ops::Range<u64>) {
    for n in numbers {
        db.collection("c").put(&format!("k{n:02}"), &n).unwrap();
    }
}

/// Three segments of ten records, closed.
fn three_segments() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let db = Db::open_with(Hooked::new(storage.clone(), &Arc::new(OnlyRotates)), manual()).unwrap();
    for first in [0, 10, 20] {
        put(&db, first..first + 10);
        if first < 20 {
            db.compact().unwrap_err();
        }
    }
    db.close().unwrap();
    storage
}

fn content(storage: &MemoryStorage, name: &str) -> Vec<u8> {
    block_on(storage.read_at(name, 0, usize::MAX)).unwrap()
}

fn replace(storage: &MemoryStorage, name: &str, bytes: &[u8]) {
    drop(block_on(storage.remove(name)));
    block_on(storage.create(name)).unwrap();
    block_on(storage.append(name, bytes)).unwrap();
}

/// The files as they are now, apart from those that go on changing.
fn copy(of: &MemoryStorage) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for name in block_on(of.list()).unwrap() {
        replace(&storage, &name, &content(of, &name));
    }
    storage
}

/// The lines of a segment that are records.
fn records(bytes: &[u8]) -> Vec<FileLine> {
    lines(bytes).into_iter().filter(|line| line.json()["_s"].is_u64()).collect()
}

/// Every line of the log, in order; without `all`, the records.
fn standing(storage: &MemoryStorage, all: bool) -> Vec<Vec<u8>> {
    let mut names = block_on(storage.list()).unwrap();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    let of =
        |name: &String| if all { lines(&content(storage, name)) } else { records(&content(storage, name)) };
    names.iter().flat_map(of).map(|line| line.text).collect()
}

/// What is shown now, and what is said of the log's end.
fn read<S: Storage>(log: &mut LogLines<S>) -> (Vec<Vec<u8>>, Result<Option<String>>) {
    let mut shown = Vec::new();
    let note = block_on(log.read(&mut |line| {
        shown.push(line.to_vec());
        Ok(())
    }));
    (shown, note)
}

fn read_all(storage: &MemoryStorage) -> (Vec<Vec<u8>>, Result<Option<String>>) {
    read(&mut block_on(LogLines::open(storage.clone(), None, false)).unwrap())
}

#[test]
fn every_line_is_shown_once_as_it_stands() {
    for all in [false, true] {
        let storage = three_segments();
        let mut log = block_on(LogLines::open(storage.clone(), None, all)).unwrap();
        let (mut shown, note) = read(&mut log);
        assert_eq!((&shown, note.unwrap()), (&standing(&storage, all), None));
        assert!(if all { shown.len() > 33 } else { shown.len() == 30 }, "three headers and a seal");
        let (again, note) = read(&mut log);
        assert_eq!((again.len(), note.unwrap()), (0, None));
        for round in 0..2 {
            let db = Db::open_with(Hooked::new(storage.clone(), &Arc::new(OnlyRotates)), manual()).unwrap();
            put(&db, 30..35);
            if round == 1 {
                db.compact().unwrap_err();
                put(&db, 35..37);
            }
            db.close().unwrap();
            shown.extend(read(&mut log).0);
            assert_eq!(shown, standing(&storage, all));
        }
    }
}

#[test]
fn the_log_is_shown_from_any_record_that_it_holds() {
    let storage = three_segments();
    let all = standing(&storage, false);
    for after in 0..33 {
        let mut log = block_on(LogLines::open(storage.clone(), Some(after as u64), false)).unwrap();
        assert_eq!(read(&mut log).0, all[after.min(30)..], "after {after}");
    }
    let db = Db::open_with(storage.clone(), manual()).unwrap();
    db.compact().unwrap();
    put(&db, 30..32);
    let error = block_on(LogLines::open(storage.clone(), Some(29), false)).err().expect("record 30 is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    for after in [None, Some(30)] {
        let mut log = block_on(LogLines::open(storage.clone(), after, false)).unwrap();
        assert_eq!(read(&mut log).0.len(), 2);
    }
}

#[test]
fn damage_is_told_and_not_passed_over() {
    let whole = three_segments();
    let damaged = |name: &str, change: &dyn Fn(&mut Vec<u8>, &[FileLine])| {
        let storage = copy(&whole);
        let mut bytes = content(&storage, name);
        let records = records(&bytes);
        change(&mut bytes, &records);
        replace(&storage, name, &bytes);
        read_all(&storage)
    };
    let flip = |bytes: &mut Vec<u8>, records: &[FileLine]| bytes[records[2].offset + 20] ^= 1;
    for (name, before) in [(FIRST, 2), (SECOND, 12), (THIRD, 22)] {
        // Also in the last segment: what stands behind it says that it was durable.
        let (shown, told) = damaged(name, &flip);
        let error = told.expect_err("it is damaged");
        let offset = records(&content(&whole, name))[2].offset as u64;
        assert_eq!(
            (error.kind(), error.file(), error.offset()),
            (ErrorKind::Corrupt, Some(name), Some(offset))
        );
        assert_eq!(shown.len(), before);
    }
    let (shown, note) = damaged(THIRD, &|bytes, records| bytes.truncate(records[9].offset + 9));
    assert!(note.unwrap().expect("a note").contains("torn tail"));
    assert_eq!(shown.len(), 29);

    let storage = copy(&whole);
    block_on(storage.remove(SECOND)).unwrap();
    let (shown, told) = read_all(&storage);
    assert_eq!((told.unwrap_err().kind(), shown.len()), (ErrorKind::Corrupt, 10));
}

#[test]
fn a_segment_that_was_never_finished_is_left_out() {
    let storage = three_segments();
    let before = standing(&storage, false);
    let (header, _) = closed(
        r#"{"pumice":1,"store":"000102030405060708090a0b0c0d0e0f","epoch":1,"first":31,"previous":"00000000","previous_bytes":9,"carried_bytes":500,"_t":0,"cmd":"HEADER","collection":"","key":"","value":null"#,
    );
    replace(&storage, "00000000000000000031.log", header.as_bytes());
    replace(&storage, "00000000000000000011-1.log", &header.as_bytes()[..50]);
    let (shown, note) = read_all(&storage);
    assert_eq!((shown, note.unwrap()), (before, None));
}

#[test]
fn what_recovery_carried_over_is_not_shown_again() {
    let running = MemoryStorage::new();
    let db = Db::open_with(running.clone(), manual()).unwrap();
    put(&db, 0..3);
    // As a kill leaves it: of the last record nothing says that it is durable.
    let storage = copy(&running);
    let end = records(&content(&storage, FIRST)).pop().unwrap().end();
    block_on(storage.truncate(FIRST, end as u64)).unwrap();
    let mut log = block_on(LogLines::open(storage.clone(), None, false)).unwrap();
    assert_eq!(read(&mut log).0.len(), 3);
    let db = Db::open_with(storage.clone(), manual()).unwrap();
    put(&db, 3..5);
    assert_eq!(standing(&storage, false).len(), 5);
    assert_eq!(read(&mut log).0, standing(&storage, false)[3..]);
}

/// Lets what happens to the log happen while it is read.
struct Meanwhile<F>(F);

impl<F: Fn(Op, &str) -> Verdict + Send + Sync + 'static> Hook for Meanwhile<F> {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        self.0(op, name)
    }
}

#[test]
fn a_log_that_is_compacted_away_while_it_is_read_is_told() {
    let storage = three_segments();
    let mut log = block_on(LogLines::open(storage.clone(), Some(3), false)).unwrap();
    Db::open_with(storage, manual()).unwrap().compact().unwrap();
    assert_eq!(read(&mut log).1.unwrap_err().kind(), ErrorKind::NotFound);

    for (kind, told) in [(ErrorKind::NotFound, "start again"), (ErrorKind::Io, "unreadable")] {
        let hook = Meanwhile(move |op, _: &str| match op {
            Op::ReadAt => Verdict::Fail(Error::new(kind, "unreadable")),
            _ => Verdict::Go,
        });
        let storage = Hooked::new(three_segments(), &Arc::new(hook));
        let error = read(&mut block_on(LogLines::open(storage, None, false)).unwrap()).1.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_log_that_moved_on_while_it_was_read_is_read_again_but_not_for_ever() {
    // How many listings there are while the log moves on before the first `moves` of them.
    let listings = |moves: usize| {
        let storage = three_segments();
        let (own, count) = (storage.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        let hook = Meanwhile(move |op, _: &str| {
            // The first is that of opening.
            let n = if op == Op::List { counted.fetch_add(1, Ordering::SeqCst) } else { 0 };
            if (2..2 + moves).contains(&n) {
                replace(&own, &format!("{:020}.log", 31 + n), b"");
            }
            Verdict::Go
        });
        let storage = Hooked::new(storage, &Arc::new(hook));
        let mut log = block_on(LogLines::open(storage, None, false)).unwrap();
        assert_eq!(read(&mut log).0.len(), 30);
        count.load(Ordering::SeqCst) - 1
    };
    assert_eq!((listings(0), listings(1), listings(1000)), (2, 4, 39));
}
