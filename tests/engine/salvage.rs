//! Guards against a salvage that shows another document than the newest sound one, a part of a batch, or none at all, and
//! that keeps silent about what it could not read.

use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::log_file::lines;
use pumice::blocking::Db;
use pumice::{Error, ErrorKind, MemoryStorage, Options, RecoveryMode, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;

type Documents = BTreeMap<(String, String), u64>;
/// Collection, key and number.
type Row = (&'static str, &'static str, u64);

fn manual() -> Options {
    Options::new().compact_at(None)
}

/// A snapshot, and a log in which documents of it are replaced, deleted and dropped. Not closed.
fn written() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), manual()).unwrap();
    for collection in ["a", "b", "d"] {
        for n in 0..3_u64 {
            db.collection(collection).put(&n.to_string(), &n).unwrap();
        }
    }
    db.compact().unwrap();
    db.collection("a").put("0", &10).unwrap();
    db.collection("a").delete("1").unwrap();
    db.collection("d").drop_all().unwrap();
    db.collection("d").put("after", &11).unwrap();
    db.batch(|b| b.put("b", "0", &12)?.put("b", "3", &13).map(drop)).unwrap();
    db.collection("a").put("0", &14).unwrap();
    db.close().unwrap();
    storage
}

fn documents<S: Storage>(db: &Db<S>) -> Documents {
    let mut found = Documents::new();
    db.read_view()
        .for_each_of_all_raw(|collection, key, text| {
            found.insert((collection.to_owned(), key.to_owned()), text.parse().unwrap());
            Ok(())
        })
        .unwrap();
    found
}

fn salvaged(storage: &MemoryStorage) -> (Documents, Vec<ErrorKind>) {
    let db = Db::open_with(storage.clone(), manual().recovery(RecoveryMode::Salvage)).unwrap();
    let damage = db.recovery().damage.iter().map(Error::kind).collect();
    (documents(&db), damage)
}

fn of(all: &[Row]) -> Documents {
    all.iter().map(|(collection, key, n)| (((*collection).to_owned(), (*key).to_owned()), *n)).collect()
}

fn name(storage: &MemoryStorage, ending: &str) -> String {
    block_on(storage.list()).unwrap().into_iter().find(|name| name.ends_with(ending)).unwrap()
}

fn change(storage: &MemoryStorage, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = block_on(storage.read_at(name, 0, usize::MAX)).unwrap();
    change(&mut bytes);
    block_on(storage.truncate(name, 0)).unwrap();
    block_on(storage.append(name, &bytes)).unwrap();
}

#[test]
fn a_sound_database_is_shown_as_it_is() {
    let storage = written();
    let all = [
        ("a", "0", 14),
        ("a", "2", 2),
        ("b", "0", 12),
        ("b", "1", 1),
        ("b", "2", 2),
        ("b", "3", 13),
        ("d", "after", 11),
    ];
    assert_eq!(salvaged(&storage), (of(&all), vec![]));
    assert_eq!(documents(&Db::open_with(storage, manual()).unwrap()), of(&all));
}

#[test]
fn the_newest_sound_version_is_shown_and_the_damage_told() {
    // Which record of the log is damaged, and what shows then.
    let records: [(&str, &[Row]); 3] = [
        ("\"value\":14", &[("a", "0", 10)]),
        ("\"value\":10", &[("a", "0", 14)]),
        // No part of the batch, so what was there before it.
        ("\"value\":13", &[("b", "0", 0)]),
    ];
    for (damaged, shown) in records {
        let storage = written();
        change(&storage, &name(&storage, ".log"), |bytes| {
            let lines = lines(bytes);
            let is_it = |text: &[u8]| String::from_utf8_lossy(text).contains(damaged);
            let line = lines.iter().find(|line| is_it(&line.text)).unwrap();
            bytes[line.offset + 20] ^= 1;
        });
        let (documents, damage) = salvaged(&storage);
        for (key, n) in of(shown) {
            assert_eq!(documents.get(&key), Some(&n), "without {damaged}");
        }
        assert_eq!(documents.contains_key(&("b".into(), "3".into())), damaged != "\"value\":13");
        // The last record is missed at the end, too.
        assert!(!damage.is_empty() && damage.iter().all(|kind| *kind == ErrorKind::Corrupt), "{damage:?}");
    }
}

/// Lets no file of that ending be read.
struct Unreadable(&'static str, ErrorKind);

impl Hook for Unreadable {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::ReadAt && name.ends_with(self.0) {
            return Verdict::Fail(Error::new(self.1, "as it was told"));
        }
        Verdict::Go
    }
}

#[test]
fn what_cannot_be_read_at_all_is_told() {
    // The header, or one of the values, which are a byte each.
    for (at, lost) in [(2, &[("a", "2", 2), ("b", "1", 1), ("b", "2", 2)][..]), (68, &[("b", "1", 1)])] {
        let storage = written();
        change(&storage, &name(&storage, ".snapshot"), |bytes| bytes[at] ^= 1);
        let (documents, damage) = salvaged(&storage);
        assert!(damage.iter().all(|kind| *kind == ErrorKind::Corrupt) && !damage.is_empty(), "{damage:?}");
        let mut left = salvaged(&written()).0;
        left.retain(|key, _| !of(lost).contains_key(key));
        assert_eq!(documents, left);
    }

    for ending in [".snapshot", ".log"] {
        for (kind, told) in [(ErrorKind::Io, true), (ErrorKind::NotFound, true), (ErrorKind::Busy, false)] {
            let storage = Hooked::new(written(), &Arc::new(Unreadable(ending, kind)));
            let opened = Db::open_with(storage, manual().recovery(RecoveryMode::Salvage));
            match opened {
                Ok(db) => assert!(told && db.recovery().damage.iter().any(|error| error.kind() == kind)),
                Err(error) => assert!(!told && error.kind() == kind, "{error}"),
            }
        }
    }
}
