//! An import whose storage fails leaves the old contents or the new ones, whole, and never an import that was reported
//! done and is not.

use super::fault::{Fault, How, Manner, manners};
use super::workload::{check_closed, documents};
use super::{any, every_call};
use crate::support::block_on;
use crate::support::hooked::{Hooked, Op};
use crate::support::page_cache::PageCache;
use crate::support::snapshots::{SnapshotBytes, export};
use pumice::blocking::Db;
use pumice::{ErrorKind, MemoryStorage, Options, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;

type Documents = BTreeMap<String, u64>;

fn options() -> Options {
    Options::new().compact_at(None)
}

fn documents_of(name: &str) -> Documents {
    (0..9).map(|n| (format!("{name} {n}"), n)).collect()
}

fn fill<S: Storage>(db: &Db<S>, name: &str) {
    for (key, value) in documents_of(name) {
        db.collection("c").put(&key, &value).unwrap();
    }
}

fn file() -> SnapshotBytes {
    let db = Db::open_with(MemoryStorage::new(), options()).unwrap();
    fill(&db, "new");
    block_on(export(db.as_async())).unwrap()
}

/// What an import and a write behind it were answered.
#[derive(Clone, Copy, Default)]
struct Told {
    imported: bool,
    written: bool,
}

fn import<S: Storage>(storage: S, fault: &Arc<Fault>) -> Told {
    let mut told = Told::default();
    let Ok(db) = Db::open_with(Hooked::new(storage, fault), options()) else { return told };
    let imported = block_on(db.as_async().import_snapshot(file()));
    if let Err(error) = &imported {
        assert!(fault.hit(), "{error}");
    }
    told.imported = imported.is_ok();
    told.written = db.collection("c").put("behind", &1).is_ok();
    // It may have failed, and says so.
    let _ = db.close();
    told
}

fn prepare<S: Storage>(storage: S) {
    let db = Db::open_with(storage, options()).unwrap();
    fill(&db, "old");
    db.compact().unwrap();
    fill(&db, "old");
    db.close().unwrap();
}

/// Opens it, goes on, and returns what it holds then.
fn check<S: Storage>(open: impl Fn() -> S, told: Told) -> Documents {
    let db = Db::open_with(open(), options()).unwrap();
    let mut found = documents(&db).unwrap();
    assert!(db.verify().unwrap().is_sound());
    db.collection("c").put("later", &1).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let whole = found.clone();
    found.insert("later".into(), 1);
    check_closed(open(), &found);
    let mut without = whole;
    let behind = without.remove("behind").is_some();
    assert!(behind || !told.written, "the write behind the import is lost");
    let (old, new) = (documents_of("old"), documents_of("new"));
    assert!(without == new || (without == old && !told.imported), "{without:?}");
    found
}

#[test]
fn every_failing_call_of_an_import_leaves_the_old_or_the_new() {
    for manner in manners() {
        let calls = every_call(1, manner, any, |fault| {
            let memory = MemoryStorage::new();
            prepare(memory.clone());
            let told = import(memory.clone(), fault);
            check(|| memory.clone(), told);
        });
        assert!(calls > 20, "only {calls} calls");
    }
}

/// What a failed sync should have written is readable until the machine stops, and gone then.
#[test]
fn an_import_whose_sync_failed_is_not_counted_on() {
    fn sync(op: Op, _: &str) -> bool {
        op == Op::Sync
    }
    for how in [How::Once, How::FromThenOn] {
        for at in 0.. {
            let cache = PageCache::new();
            prepare(cache.clone());
            let manner = Manner { how, kind: ErrorKind::Io, part: None };
            let fault = Fault::new(at, manner, sync, Some(cache.clone()));
            let told = import(cache.clone(), &fault);
            let cut = cache.after_a_power_cut();
            check(|| cut.clone(), told);
            let found = check(|| cache.clone(), told);
            check_closed(cache.after_a_power_cut(), &found);
            if !fault.hit() {
                assert!(at > 4, "only {at} syncs");
                break;
            }
        }
    }
}
