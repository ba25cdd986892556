//! A workload that meets a fault, and what must hold after it.

use super::fault::Fault;
use super::told::Told;
use pumice::blocking::Db;
use pumice::{Durability, ErrorKind, Options, RecoveryMode, Storage};
use std::collections::BTreeMap;

/// Everything that writes: single writes, batches, buffered writes, rotation, compaction, close.
pub fn workload<S: Storage>(db: &Db<S>, fault: &Fault, told: &mut Told) {
    let collection = db.collection("c");
    let buffered = collection.with_durability(Durability::Buffered);
    for round in 0..4_u64 {
        for n in 0..3 {
            let value = round * 100 + n;
            for key in [format!("key {n}"), format!("once {round} {n}")] {
                told.wrote(&[&key], Some(value), &collection.put(&key, &value));
                check_health(db, fault, told);
            }
            let (one, two) = (format!("one {round} {n}"), format!("two {round} {n}"));
            let result = db.batch(|b| b.put("c", &one, &value)?.put("c", &two, &value).map(drop));
            told.wrote(&[&one, &two], Some(value), &result);
            told.batches.push((one, two, value));
            let key = format!("buffered {n}");
            told.accepted(&key, value, &buffered.put(&key, &value));
        }
        told.synced(&db.sync());
        check_health(db, fault, told);
        match collection.delete("key 0") {
            Ok(_) => told.wrote(&["key 0"], None, &Ok(())),
            // It may have failed before it wrote anything, by looking whether there is something to delete.
            Err(error) if db.health().is_ok() => assert_eq!(error.kind(), fault.kind(), "{error}"),
            Err(error) => told.wrote::<()>(&["key 0"], None, &Err(error)),
        }
        let compacted = db.compact();
        while fault.hit_log() && db.health().is_ok() {
            // The background task met the failure, and is about to say so.
            std::thread::yield_now();
        }
        if let Err(error) = compacted {
            // A compaction that failed by itself leaves the old files in charge.
            match db.health() {
                Ok(()) => {
                    assert_eq!(error.kind(), fault.kind(), "{error}");
                    assert!(!fault.hit_log(), "a failed log went unnoticed: {error}");
                    told.wrote(&["after"], Some(round), &collection.put("after", &round));
                }
                Err(_) => told.poisoned = true,
            }
        }
        check_health(db, fault, told);
        check_reads(db, fault, told);
    }
    match db.close() {
        Ok(()) => told.synced(&Ok(())),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Poisoned), "{error}"),
    }
}

fn check_health<S: Storage>(db: &Db<S>, fault: &Fault, told: &mut Told) {
    match db.health() {
        Ok(()) => assert!(!told.poisoned, "a write failed, and the handle says it is well"),
        Err(cause) => {
            assert_eq!(cause.kind(), fault.kind(), "the first cause is told: {cause}");
            assert!(fault.hit(), "nothing was made to fail: {cause}");
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
fn check_reads<S: Storage>(db: &Db<S>, fault: &Fault, told: &mut Told) {
    let view = db.read_view();
    for (key, known) in &told.documents {
        match view.get::<u64>("c", key) {
            Ok(found) => assert!(known.possible.contains(&found), "{key} is {found:?} of {known:?}"),
            Err(error) => assert!(fault.hit() && error.kind() == fault.kind(), "{error}"),
        }
    }
    // Who failed must not show either, for now.
    for (one, two, _) in &told.batches {
        if let (Ok(one), Ok(two)) = (view.get::<u64>("c", one), view.get::<u64>("c", two)) {
            assert_eq!(one, two, "half of a batch shows");
        }
    }
}

/// All documents of the collection.
pub fn documents<S: Storage>(db: &Db<S>) -> pumice::Result<BTreeMap<String, u64>> {
    let scan = db.collection("c").scan::<u64>(..)?;
    scan.map(|entry| entry.map(|entry| (entry.key, entry.document))).collect()
}

/// On the healthy storage: opens clean, with everything that was acknowledged, and goes on. Returns what it holds then.
pub fn check_after<S: Storage>(open: impl Fn() -> S, told: &Told) -> BTreeMap<String, u64> {
    let db = Db::open_with(open(), Options::new()).expect("a failed writer leaves a database that opens");
    let found = documents(&db).unwrap();
    for (key, known) in &told.documents {
        let value = found.get(key).copied();
        assert!(known.possible.contains(&value), "{key} is {value:?} of {known:?}");
    }
    let unknown = found.keys().find(|key| !told.documents.contains_key(*key));
    assert_eq!(unknown, None, "this was never written");
    for (one, two, _) in &told.batches {
        assert_eq!(found.get(one), found.get(two), "half of a batch was left behind");
    }
    assert!(db.verify().unwrap().is_sound());
    db.collection("c").put("later", &1).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let mut found = found;
    found.insert("later".to_owned(), 1);
    check_closed(open(), &found);
    found
}

/// Opens as after a clean close, with just these documents.
pub fn check_closed<S: Storage>(storage: S, documents_left: &BTreeMap<String, u64>) {
    let db = Db::open_with(storage, Options::new().recovery(RecoveryMode::Strict)).unwrap();
    assert_eq!((&db.recovery().torn, db.recovery().unclean), (&None, false));
    assert_eq!(documents(&db).unwrap(), *documents_left);
    db.close().unwrap();
}
