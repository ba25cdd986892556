//! From `MoltenDB` to Pumice.

use crate::{assert_same, of_molten, of_pumice, open};
use moltendb_core::engine::Db as Molten;
use pumice::blocking::Db;
use pumice::moltendb::{self, ImportOptions};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread;

const COLLECTIONS: [&str; 4] = ["users", "orders", "odd \"name\" \u{fc}", "dropped"];

fn document(n: usize) -> Value {
    json!({"n": n, "price": f64::from(n as u32) / 8.0, "name": format!("ad\u{e9} \"{n}\""), "tags": ["a\nb", null, true, {"deep": [[]]}]})
}

fn batch(from: usize, to: usize) -> Vec<(String, Value)> {
    (from..to).map(|n| (format!("key {n}"), document(n))).collect()
}

/// Puts, updates, deletes, a dropped collection: 100,000 documents and more, half of them before `between`.
fn fill(db: &Molten, between: impl FnOnce()) {
    for (at, collection) in COLLECTIONS.iter().enumerate() {
        db.insert_batch(collection, batch(at * 100, at * 100 + 20_000)).unwrap();
    }
    db.delete_collection("dropped").unwrap();
    between();
    for n in 0..30 {
        db.insert_batch("users", batch(30_000 + n * 1000, 30_000 + n * 1000 + 1000)).unwrap();
    }
    db.insert_batch("orders", batch(19_000, 45_000)).unwrap();
    for n in 0..500 {
        assert!(db.update("users", &format!("key {n}"), json!({"changed": n, "name": null})).unwrap());
    }
    db.delete("orders", "key 777").unwrap();
    db.delete_batch("orders", (1000..3000).map(|n| format!("key {n}")).collect()).unwrap();
    db.insert_batch("dropped", batch(0, 10)).unwrap();
    // Refused, and its transaction is never committed.
    db.update("users", "key 1", json!({"_v": 99})).unwrap_err();
    db.track_query("users", "n");
}

/// Imports the database and compares it with what `MoltenDB` says that it holds.
#[track_caller]
fn check(molten: &Molten, log: &Path, dir: &Path) {
    let imported = moltendb::import(log, dir, ImportOptions::new()).unwrap();
    assert!(imported.damaged.is_none() && imported.torn.is_none(), "{imported:?}");
    let db = Db::open(dir).unwrap();
    assert_same(&of_pumice(&db), &of_molten(molten, &COLLECTIONS));
    assert!(db.verify().unwrap().is_sound());
    db.close().unwrap();
}

#[test]
fn a_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let molten = open(&log, true);
    fill(&molten, || ());
    assert!(of_molten(&molten, &COLLECTIONS).len() > 100_000);
    check(&molten, &log, &dir.path().join("app"));
    // And what it finds itself when it opens the same log again.
    drop(molten);
    let molten = open(&log, true);
    check(&molten, &log, &dir.path().join("again"));
}

#[test]
fn a_snapshot_and_the_log_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let molten = open(&log, true);
    fill(&molten, || molten.compact().unwrap());
    assert!(dir.path().join("app.log.snapshot.bin").exists());
    check(&molten, &log, &dir.path().join("app"));
    molten.compact().unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    check(&molten, &log, &dir.path().join("again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_asynchronous_storage() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let molten = open(&log, false);
    fill(&molten, || molten.compact().unwrap());
    // Ends the task that writes.
    drop(molten);
    let molten = open(&log, false);
    check(&molten, &log, &dir.path().join("app"));
}

/// `MoltenDB` itself loses a part of them when it opens its log again.
#[test]
fn transactions_of_several_threads_all_come_over() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let molten = open(&log, true);
    molten.insert_batch("users", batch(0, 4000)).unwrap();
    thread::scope(|scope| {
        for (at, collection) in COLLECTIONS.into_iter().enumerate() {
            let molten = &molten;
            scope.spawn(move || {
                for n in 0..500 {
                    molten.insert_batch(collection, batch(n * 5, n * 5 + 5)).unwrap();
                    // The one collection in which transactions stand within each other.
                    molten.update("users", &format!("key {}", at * 1000 + n), json!({"by": at})).unwrap();
                }
            });
        }
    });
    check(&molten, &log, &dir.path().join("app"));
    let before = of_molten(&molten, &COLLECTIONS).len();
    drop(molten);
    println!(
        "MoltenDB finds {} of {before} documents again",
        of_molten(&open(&log, true), &COLLECTIONS).len()
    );
}

#[test]
fn a_torn_tail_and_an_unfinished_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let molten = open(&log, true);
    molten.insert_batch("users", batch(0, 50)).unwrap();
    molten.insert_batch("users", batch(50, 100)).unwrap();
    drop(molten);
    let whole = fs::read(&log).unwrap();
    // Within the second transaction's records, in the middle of a line.
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    fs::write(&log, &whole[..=ends[80] + 40]).unwrap();
    let into = dir.path().join("app");
    let imported = moltendb::import(&log, &into, ImportOptions::new()).unwrap();
    let unfinished = imported.unfinished.expect("a transaction without commit");
    assert_eq!((imported.records, unfinished.count), (50, 28));
    assert_eq!(imported.torn.expect("a torn line").bytes, 40);
    let db = Db::open(&into).unwrap();
    assert_same(&of_pumice(&db), &of_molten(&open(&log, true), &COLLECTIONS));
}

#[test]
fn what_is_encrypted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("app.log");
    let config = moltendb_core::engine::DbConfig {
        path: crate::text(&log),
        sync_mode: true,
        encryption_key: Some([7; 32]),
        ..Default::default()
    };
    let molten = Molten::open(config).unwrap();
    molten.insert_batch("users", batch(0, 5)).unwrap();
    drop(molten);
    let into = dir.path().join("app");
    let refused = moltendb::import(&log, &into, ImportOptions::new()).unwrap_err();
    assert_eq!(refused.kind(), pumice::ErrorKind::Unsupported, "{refused}");
    // Nothing at all could be read of it.
    moltendb::import(&log, &into, ImportOptions::new().skip_damaged(true)).unwrap_err();
    assert!(!into.exists());
}
