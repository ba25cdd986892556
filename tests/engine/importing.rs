//! Guards against imports that were killed at any moment: the database holds the old contents or the new ones, whole, and goes
//! on from there.

use super::recovery::{Documents, documents, manual};
use super::segments::{first_documents, header};
use crate::support::block_on;
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::image::{Image, held, memory};
use crate::support::log_file::lines;
use crate::support::snapshots::{SnapshotBytes, export};
use pumice::blocking::{Db, LogLines};
use pumice::{Durability, ErrorKind, MemoryStorage, Origin, Storage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn open(storage: &MemoryStorage) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), manual()).unwrap()
}

fn old() -> Documents {
    first_documents(30)
}

fn new() -> Documents {
    (0..9).map(|n| (format!("new {n}"), n)).collect()
}

/// Takes the files as they are before each change, and in the middle of what is appended.
struct Moments {
    storage: MemoryStorage,
    on: AtomicBool,
    seen: Mutex<Vec<(String, Image)>>,
}

impl Hook for Moments {
    fn before(&self, op: Op, name: &str, bytes: &[u8]) -> Verdict {
        if self.on.load(Ordering::SeqCst) && !matches!(op, Op::List | Op::Len | Op::ReadAt | Op::Close) {
            let mut seen = self.seen.lock().unwrap();
            let files = held(&self.storage);
            seen.push((format!("before {op:?} of {name}"), files.clone()));
            if op == Op::Append {
                let mut files = files;
                files.get_mut(name).unwrap().extend(&bytes[..bytes.len() / 2]);
                seen.push((format!("within {op:?} of {name}"), files));
            }
        }
        Verdict::Go
    }
}

/// What is imported.
fn file() -> SnapshotBytes {
    let source = open(&MemoryStorage::new());
    put_all(&source, new());
    block_on(export(source.as_async())).unwrap()
}

/// What kills leave of an import into the database `files`, from the beginning to the end.
fn moments(files: &Image) -> Vec<(String, Image)> {
    let file = file();
    let storage = memory(files);
    let hook = Moments { storage: storage.clone(), on: AtomicBool::new(false), seen: Mutex::default() };
    let hook = Arc::new(hook);
    let db = Db::open_with(Hooked::new(storage.clone(), &hook), manual()).unwrap();
    assert_eq!(documents(&db), old());
    hook.on.store(true, Ordering::SeqCst);
    block_on(db.as_async().import_snapshot(file)).unwrap();
    hook.on.store(false, Ordering::SeqCst);
    let mut seen = std::mem::take(&mut *hook.seen.lock().unwrap());
    seen.push(("at the end".to_owned(), held(&storage)));
    seen
}

fn put_all<S: Storage>(db: &Db<S>, documents: Documents) {
    for (key, value) in documents {
        db.collection("c").put(&key, &value).unwrap();
    }
}

/// Documents in a snapshot and in the log, closed.
fn closed() -> Image {
    let storage = MemoryStorage::new();
    let db = open(&storage);
    put_all(&db, old());
    db.compact().unwrap();
    db.collection("c").put("k07", &7).unwrap();
    db.close().unwrap();
    held(&storage)
}

/// Documents of a killed process of which nothing was synced: the next opening carries all of them over into a segment that
/// takes the place of the only one there is.
fn carried() -> Image {
    let storage = MemoryStorage::new();
    let options = manual().durability(Durability::Buffered).flush_interval(Duration::from_secs(600));
    let db = Db::open_with(storage.clone(), options).unwrap();
    put_all(&db, old());
    for n in 0..40 {
        db.collection("other").put_raw("k", &format!("\"{}\"", "x".repeat(100 + n))).unwrap();
    }
    db.sync().unwrap();
    let files = held(&storage);
    let next = memory(&files);
    let opened = open(&next);
    let logs: Vec<_> = held(&next).into_iter().filter(|(name, _)| name.ends_with(".log")).collect();
    assert_eq!(logs.len(), 1);
    assert!(lines(&logs[0].1)[0].json()["carried_bytes"].as_u64().unwrap() > 4096);
    drop(opened);
    files
}

/// So many clients that the header of a segment is long.
fn of_many_clients() -> Image {
    let storage = MemoryStorage::new();
    let db = open(&storage);
    put_all(&db, old());
    for n in 0..120 {
        let mut batch = db.as_async().new_batch();
        batch.put("c", "k03", &3).unwrap();
        let client = format!("a client with a rather long name {n:03}");
        let submitted = db.as_async().submit(batch, Some(Origin { client, number: 1, done: 0 })).unwrap();
        block_on(submitted.settled()).unwrap();
    }
    db.compact().unwrap();
    db.close().unwrap();
    let files = held(&storage);
    let log = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap().1;
    assert!(lines(log)[0].end() > 4096);
    files
}

#[test]
fn a_kill_at_any_moment_of_an_import_leaves_the_old_or_the_new() {
    for (what, before) in [("closed", closed()), ("carried", carried()), ("clients", of_many_clients())] {
        let mut over = false;
        let moments = moments(&before);
        assert!(moments.len() > 10, "{what}");
        for (moment, files) in &moments {
            let reader = Db::open_with(memory(files), manual().read_only(true)).unwrap();
            let read = documents(&reader);
            // What the import has replaced and not removed yet is no part of the log, nor a gap in it.
            let mut lines = LogLines::open(memory(files), None, false).unwrap();
            assert_eq!(lines.read(|_| Ok(())).unwrap(), None, "{what}, {moment}");
            let storage = memory(files);
            let db = open(&storage);
            let mut found = documents(&db);
            assert_eq!(read, found, "{what}, {moment}");
            // Once the new contents count, they do for good.
            over |= found != old();
            assert_eq!(found, if over { new() } else { old() }, "{what}, {moment}");
            assert!(db.verify().unwrap().is_sound(), "{what}, {moment}");
            db.collection("c").put("later", &1).unwrap();
            found.insert("later".to_owned(), 1);
            db.close().unwrap();
            drop(db);
            assert_eq!(documents(&open(&storage)), found, "{what}, {moment}");
        }
        assert!(over, "{what}");
    }
}

/// The last moment at which the old contents count: the new ones are complete.
fn staged() -> Image {
    let begins = |moment: &str| moment.starts_with("before Create of") && moment.ends_with(".log");
    let found = moments(&closed()).into_iter().find(|(moment, _)| begins(moment));
    found.expect("the log begins anew").1
}

#[test]
fn a_segment_that_was_never_finished_makes_no_import_count() {
    let mut files = staged();
    let (name, log) = files.iter().find(|(name, _)| name.ends_with(".log")).unwrap();
    let first = lines(log)[0].clone();
    let number: u64 = name[..20].parse().unwrap();
    let unfinished = header(&first, &[("epoch", 9.into()), ("carried_bytes", 500.into())]);
    files.insert(format!("{number:020}-1.log"), unfinished.into_bytes());
    assert_eq!(documents(&open(&memory(&files))), old());
}

#[test]
fn a_log_that_an_import_began_is_missed_when_it_was_cut_after_closing() {
    let storage = memory(&closed());
    let db = open(&storage);
    block_on(db.as_async().import_snapshot(file())).unwrap();
    db.collection("c").put("later", &1).unwrap();
    db.collection("c").put("last", &2).unwrap();
    db.close().unwrap();
    drop(db);
    let mut files = held(&storage);
    let log = files.iter_mut().find(|(name, _)| name.ends_with(".log")).unwrap().1;
    let last = lines(log).into_iter().rfind(|line| !line.is_seal()).unwrap();
    log.truncate(last.offset);
    let opened = Db::open_with(memory(&files), manual());
    assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
}
