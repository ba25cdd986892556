//! Guards against an export that is not what was there, and an import that takes in what is damaged, mixes the old with the
//! new, or does not let go on.

use crate::support::block_on;
use crate::support::snapshots::{SnapshotBytes, export};
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{ErrorKind, MemoryStorage, Options, Result, SnapshotSource, Storage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::tempdir;

type Documents = Vec<(String, String, String)>;

fn open(storage: &MemoryStorage) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap()
}

fn documents<S: Storage>(db: &Db<S>) -> Documents {
    let mut all = Vec::new();
    let mut add = |c: &str, k: &str, v: &str| {
        all.push((c.to_owned(), k.to_owned(), v.to_owned()));
        Ok(())
    };
    db.read_view().for_each_of_all_raw(&mut add).unwrap();
    all
}

/// Documents in snapshot files and in the log, with texts that a parser would spoil.
fn filled() -> Db<MemoryStorage> {
    let db = open(&MemoryStorage::new());
    for n in 0..200 {
        let text = format!("{{\"n\":{n}.50,\"n\":1e999,\"t\":\"{}\\ud800\"}}", "x".repeat(n));
        db.collection(if n % 3 == 0 { "a" } else { "ü" }).put_raw(&format!("k{n:03}"), &text).unwrap();
        if n == 120 {
            db.compact().unwrap();
        }
    }
    db.collection("a").delete("k003").unwrap();
    db
}

fn exported<S: Storage>(db: &Db<S>) -> SnapshotBytes {
    block_on(export(db.as_async())).unwrap()
}

fn import<S: Storage>(db: &Db<S>, file: impl SnapshotSource) -> Result<()> {
    block_on(db.as_async().import_snapshot(file))
}

fn snapshot_file(storage: &MemoryStorage) -> Vec<u8> {
    block_on(async {
        let names = storage.list().await.unwrap();
        let name = names.iter().find(|name| name.ends_with(".snapshot")).unwrap();
        storage.read_at(name, 0, usize::MAX).await.unwrap()
    })
}

#[test]
fn an_export_is_the_file_that_a_compaction_makes() {
    let storage = MemoryStorage::new();
    let db = open(&storage);
    for n in 0..9000 {
        db.collection("c").put_raw(&n.to_string(), &format!("\"{}\"", "y".repeat(n % 400))).unwrap();
    }
    let file = exported(&db);
    assert!(file.0.len() > 1 << 20);
    db.compact().unwrap();
    assert!(*file.0 == *snapshot_file(&storage));
}

#[test]
fn an_export_shows_one_moment_whatever_is_written_meanwhile() {
    let db = filled();
    let before = documents(&db);
    let mut export = block_on(db.as_async().export_snapshot()).unwrap();
    let sequence = db.sequence();
    db.collection("a").drop_all().unwrap();
    db.compact().unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = block_on(export.next_chunk()).unwrap() {
        bytes.extend(chunk);
    }
    assert_eq!(export.sequence(), sequence);
    let other = open(&MemoryStorage::new());
    import(&other, SnapshotBytes(bytes.into())).unwrap();
    assert_eq!(documents(&other), before);
}

#[test]
fn an_import_replaces_everything_and_writing_goes_on() {
    let source = filled();
    let file = exported(&source);
    let storage = MemoryStorage::new();
    let db = open(&storage);
    for n in 0..50 {
        db.collection("old").put_raw(&n.to_string(), "1").unwrap();
        if n % 20 == 0 {
            db.compact().unwrap();
        }
    }
    let view = db.read_view();
    let mut feed = db.changes(50).unwrap();
    let before = db.sequence();
    for round in 0..3 {
        import(&db, file.clone()).unwrap();
        assert_eq!(documents(&db), documents(&source), "round {round}");
        assert_eq!(db.sequence() - before, (round + 1) * 199 + round);
        assert!(db.verify().unwrap().is_sound());
        db.collection("a").put_raw("k000", "0").unwrap();
    }
    assert_eq!(view.get_raw("old", "7").unwrap().unwrap(), "1");
    assert_eq!(feed.next().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(db.changes(before).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(db.changes(db.sequence() - 1).unwrap().next().unwrap().unwrap().key.unwrap(), "k000");
    drop((feed, view));
    assert_eq!(db.stats().unwrap().documents, 199);
    db.close().unwrap();
    let db = open(&storage);
    assert_eq!(db.collection("a").get_raw("k000").unwrap().unwrap(), "0");
    assert_eq!(documents(&db)[1..], documents(&source)[1..]);
    assert!(!db.recovery().unclean);
    db.compact().unwrap();
    db.close().unwrap();
    let names = block_on(storage.list()).unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(open(&storage).stats().unwrap().documents, 199);
}

#[test]
fn what_is_no_sound_full_snapshot_is_refused_and_changes_nothing() {
    let db = open(&MemoryStorage::new());
    db.collection("c").put_raw("k", "1").unwrap();
    let (before, sequence) = (documents(&db), db.sequence());
    let source = open(&MemoryStorage::new());
    for n in 0..12 {
        source.collection("c").put_raw(&n.to_string(), "[1,2]").unwrap();
    }
    let sound = exported(&source).0;
    let kind = |bytes: &[u8]| import(&db, SnapshotBytes(bytes.into())).unwrap_err().kind();
    for cut in 0..sound.len() {
        let expected = if cut < 8 { ErrorKind::InvalidArgument } else { ErrorKind::Corrupt };
        assert_eq!(kind(&sound[..cut]), expected, "cut to {cut}");
    }
    for at in 0..sound.len() {
        let mut damaged = sound.to_vec();
        damaged[at] ^= 1 << (at % 8);
        let expected = if at < 8 { ErrorKind::InvalidArgument } else { ErrorKind::Corrupt };
        assert_eq!(kind(&damaged), expected, "byte {at}");
    }
    assert_eq!(kind(&[&*sound, b"x"].concat()), ErrorKind::Corrupt);
    assert_eq!(kind(b"{\"pumice\":1}\n"), ErrorKind::InvalidArgument);
    let mut newer = sound.to_vec();
    newer[8] += 1;
    let sum = xxhash_rust::xxh3::xxh3_64(&newer[..56]);
    newer[56..64].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(kind(&newer), ErrorKind::Version);
    assert_eq!((documents(&db), db.sequence()), (before, sequence));
    assert!(db.health().is_ok());
    import(&db, SnapshotBytes(sound)).unwrap();
}

#[test]
fn an_incremental_file_is_refused_and_so_is_a_document_over_the_limits() {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), Options::new().compact_at(Some(3000))).unwrap();
    for n in 0..400 {
        db.collection("c").put_raw(&n.to_string(), "\"some text to make it longer\"").unwrap();
    }
    let incremental = |name: &String| name.ends_with(".snapshot") && name.contains('-');
    let mut tries = 0..100_000;
    while !block_on(storage.list()).unwrap().iter().any(incremental) {
        tries.next().expect("no compaction makes one");
        db.collection("c").put_raw("more", "1").unwrap();
    }
    db.close().unwrap();
    let names = block_on(storage.list()).unwrap();
    let name = names.iter().find(|name| incremental(name)).unwrap();
    let bytes = block_on(storage.read_at(name, 0, usize::MAX)).unwrap();
    let limits = pumice::Limits { max_value_bytes: 20, ..pumice::Limits::default() };
    let strict = Db::open_with(MemoryStorage::new(), Options::new().limits(limits)).unwrap();
    let refused = import(&strict, SnapshotBytes(bytes.into())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    let refused = import(&strict, exported(&open(&storage))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge, "{refused}");
}

/// A file that, once it was verified, can be read on only when the test says so.
struct Slow {
    file: SnapshotBytes,
    verified: AtomicBool,
    begun: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<()>>,
}

impl SnapshotSource for Slow {
    async fn len(&self) -> Result<u64> {
        self.file.len().await
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        if self.verified.load(Ordering::SeqCst) {
            let _ = self.begun.lock().unwrap_or_else(PoisonError::into_inner).send(());
            let _ = self.go_on.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        // The counts, in front of the footer of 160 bytes, are what verifying reads last.
        if offset + len as u64 + 160 == self.file.0.len() as u64 {
            self.verified.store(true, Ordering::SeqCst);
        }
        self.file.read_at(offset, len).await
    }
}

#[test]
fn writes_wait_for_an_import_and_reads_do_not() {
    within(Duration::from_secs(60), "an import", || {
        let file = exported(&filled());
        let db = open(&MemoryStorage::new());
        db.collection("c").put_raw("k", "1").unwrap();
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        let (begun, go_on_when) = (Mutex::new(begun), Mutex::new(may_go_on));
        let slow = Slow { file, verified: AtomicBool::new(false), begun, go_on: go_on_when };
        std::thread::scope(|scope| {
            let importing = scope.spawn(|| import(&db, slow));
            has_begun.recv_timeout(Duration::from_secs(20)).unwrap();
            let put = scope.spawn(|| db.collection("late").put_raw("k", "2").unwrap());
            let deleted = scope.spawn(|| db.collection("c").delete("k").unwrap());
            std::thread::sleep(Duration::from_millis(50));
            assert!(!put.is_finished() && !deleted.is_finished());
            assert_eq!(db.collection("c").get_raw("k").unwrap().unwrap(), "1");
            assert_eq!(db.collections().unwrap(), ["c"]);
            drop(go_on);
            importing.join().unwrap().unwrap();
            assert_eq!(put.join().unwrap(), 1 + 199 + 1);
            // It was there when its deletion was asked for, and is not when that has its turn.
            assert!(!deleted.join().unwrap());
        });
        assert_eq!(db.collection("late").get_raw("k").unwrap().unwrap(), "2");
    });
}

#[test]
fn a_file_is_exported_once_read_back_and_never_over_another_one() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("all.snapshot");
    let db = filled();
    std::fs::write(dir.path().join(".all.snapshot.part"), b"of a killed export").unwrap();
    db.export_snapshot(&path).unwrap();
    assert!(*std::fs::read(&path).unwrap() == *exported(&db).0);
    assert_eq!(db.export_snapshot(&path).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = dir.path().join("missing").join("x");
    assert!(db.export_snapshot(missing).is_err());
    let other = open(&MemoryStorage::new());
    other.import_snapshot(&path).unwrap();
    assert_eq!(documents(&other), documents(&db));
    assert_eq!(other.import_snapshot(dir.path()).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_restored_database_goes_on_where_the_snapshot_ends() {
    let dir = tempdir().unwrap();
    let source = filled();
    let file = dir.path().join("all.snapshot");
    source.export_snapshot(&file).unwrap();
    let place = dir.path().join("deep").join("app");
    Db::restore(&file, &place).unwrap();
    let db = Db::open(&place).unwrap();
    assert!(!db.recovery().unclean);
    assert_eq!((documents(&db), db.sequence()), (documents(&source), source.sequence()));
    assert_eq!(db.collection("a").put_raw("more", "1").unwrap(), source.sequence() + 1);
    db.compact().unwrap();
    assert!(db.verify().unwrap().is_sound());
    db.close().unwrap();
    assert_eq!(Db::restore(&file, &place).unwrap_err().kind(), ErrorKind::InvalidArgument);
    // An empty database too, into a directory that is there.
    let empty = dir.path().join("empty.snapshot");
    open(&MemoryStorage::new()).export_snapshot(&empty).unwrap();
    let place = dir.path().join("empty");
    std::fs::create_dir(&place).unwrap();
    Db::restore(&empty, &place).unwrap();
    let db = Db::open(&place).unwrap();
    assert_eq!((db.sequence(), db.collection("c").put_raw("k", "1").unwrap()), (0, 1));
}
