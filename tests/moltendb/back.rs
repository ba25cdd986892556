//! From Pumice to `MoltenDB`.

use crate::{assert_same, of_molten, of_pumice, open};
use pumice::blocking::Db;
use pumice::moltendb::{self, ImportOptions};
use pumice::{ErrorKind, Result};
use std::fs;
use std::path::{Path, PathBuf};

const COLLECTIONS: [&str; 3] = ["users", "odd \"name\" \u{fc}", "dropped"];

/// 100,000 documents and more, without compactions: then one log has them all.
fn fill(dir: &Path) -> Result<Db> {
    let options = pumice::Options::new().compact_at(None).durability(pumice::Durability::Buffered);
    let db = Db::open_with(pumice::SyncDiskStorage::open(dir)?, options)?;
    for from in (0..110_000).step_by(1000) {
        db.batch(|batch| {
            for n in from..from + 1000 {
                let text = format!(
                    "{{\"n\":{n},\"price\":{n}.50,\"big\":{},\"b\":[\"\\u00e9\\n\",null,{{}}]}}",
                    u64::MAX
                );
                batch.put_raw(COLLECTIONS[n % 3], &format!("key \"{n}\"\u{1f600}"), &text)?;
            }
            Ok(())
        })?;
    }
    db.collection("dropped").drop_all()?;
    db.collection("dropped").put_raw("again", "17")?;
    db.batch(|batch| batch.delete("users", "key \"0\"\u{1f600}")?.put_raw("users", "k", "[1e3]").map(drop))?;
    db.sync()?;
    for n in 0..50 {
        db.collection("users").put_raw("k", &n.to_string())?;
    }
    Ok(db)
}

#[test]
fn an_export_opens_with_the_same_documents_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = fill(&dir.path().join("app")).unwrap();
    let log = dir.path().join("molten.log");
    let documents = of_pumice(&db);
    let exported = moltendb::export(&db, &log, |_| ()).unwrap();
    db.close().unwrap();
    assert_eq!(exported, documents.len() as u64);
    let molten = open(&log, true);
    assert_same(&of_molten(&molten, &COLLECTIONS), &documents);
    // It goes on with it.
    molten.insert_batch("users", vec![("new".into(), serde_json::json!({"a": 1}))]).unwrap();
    molten.delete("users", "k").unwrap();
    drop(molten);
    let molten = open(&log, true);
    let documents = of_molten(&molten, &COLLECTIONS);
    assert_eq!(documents.len() as u64, exported);
    moltendb::import(&log, dir.path().join("again"), ImportOptions::new()).unwrap();
    assert_same(&of_pumice(&Db::open(dir.path().join("again")).unwrap()), &documents);
}

/// The one segment of a database that was never compacted.
fn segment(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect();
    let [log] = &logs[..] else { panic!("{logs:?}") };
    log.clone()
}

#[test]
fn a_log_of_pumice_replays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app");
    let db = fill(&app).unwrap();
    let documents = of_pumice(&db);
    // Beside the writer the log may have zeros at its end.
    let copy = dir.path().join("open.log");
    fs::copy(segment(&app), &copy).unwrap();
    assert_same(&of_molten(&open(&copy, true), &COLLECTIONS), &documents);
    db.close().unwrap();
    let copy = dir.path().join("closed.log");
    fs::copy(segment(&app), &copy).unwrap();
    assert_same(&of_molten(&open(&copy, true), &COLLECTIONS), &documents);
}

#[test]
fn a_document_that_it_cannot_read_ends_an_export_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    for (at, text) in
        ["1e999", "{\"a\":\"\\ud800\"}", "{\"\\udc00\":1}", deep.as_str()].into_iter().enumerate()
    {
        let db = Db::open(dir.path().join(format!("app{at}"))).unwrap();
        db.collection("users").put_raw("fine", "1").unwrap();
        db.collection("users").put_raw("odd", text).unwrap();
        let log = dir.path().join(format!("{at}.log"));
        let refused = moltendb::export(&db, &log, |_| ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert!(refused.message().contains("\"odd\""), "{refused}");
        assert!(!log.exists());
        // That is so, for with it nothing would be there.
        let line = format!(
            "{{\"cmd\":\"INSERT\",\"collection\":\"users\",\"key\":\"odd\",\"value\":{text},\"_t\":1}}\n"
        );
        fs::write(&log, line).unwrap();
        assert!(of_molten(&open(&log, true), &COLLECTIONS).is_empty());
    }
}

#[test]
fn the_deepest_document_that_it_reads_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("app")).unwrap();
    let deepest = (100..=128).rev().find(|depth| {
        db.collection("users")
            .put_raw("deep", &format!("{}{}", "[".repeat(*depth), "]".repeat(*depth)))
            .unwrap();
        let log = dir.path().join(format!("{depth}.log"));
        let exported = moltendb::export(&db, &log, |_| ()).is_ok();
        assert!(!exported || of_molten(&open(&log, true), &COLLECTIONS).len() == 1, "{depth}");
        exported
    });
    assert_eq!(deepest, Some(126));
}
