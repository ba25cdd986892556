//! Guards against rare states of a database's files: values that look like lines of the log, a segment of which
//! nothing can be read, a segment lost beside a snapshot.

use crate::support::image::{Image, directory, image};
use crate::support::log_file::{closed, lines};
use pumice::blocking::Db;
use pumice::{Durability, Environment, ErrorKind, Options, RecoveryMode, SyncDiskStorage};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};

const LOG: &str = "00000000000000000001.log";

fn open_as(dir: &Path, mode: RecoveryMode) -> pumice::Result<Db> {
    Db::open_with(SyncDiskStorage::open(dir)?, Options::new().recovery(mode).compact_at(None))
}

fn open(dir: &Path) -> pumice::Result<Db> {
    open_as(dir, RecoveryMode::TornTail)
}

/// Documents of a writer that was killed.
fn killed(documents: usize) -> Image {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    for n in 0..documents {
        db.collection("c").put(&format!("k{n}"), &n).unwrap();
    }
    let mut image = image(dir.path());
    let log = image.get_mut(LOG).unwrap();
    let end = log.iter().rposition(|&b| b != 0).unwrap() + 1;
    log.truncate(end);
    image
}

/// Three records, with a fourth one behind that was cut off when `value` of its document was written.
fn torn(value: &[u8]) -> TempDir {
    let mut image = killed(3);
    let log = image.get_mut(LOG).unwrap();
    log.extend_from_slice(
        b"{\"_s\":4,\"_p\":\"00000000\",\"_t\":1,\"cmd\":\"INSERT\",\"collection\":\"c\",\"key\":\"k\",\"value\":",
    );
    log.extend_from_slice(value);
    directory(&image)
}

#[test]
fn salvage_of_a_sound_database_finds_no_damage() {
    for compacts in [false, true] {
        for last in ["batch", "delete", "drop"] {
            let dir = tempdir().unwrap();
            let db = open(dir.path()).unwrap();
            db.collection("c").put("kept", &1).unwrap();
            db.collection("d").put("gone", &1).unwrap();
            match last {
                "batch" => drop(db.batch(|b| b.put("c", "a", &1)?.put("c", "b", &2).map(drop)).unwrap()),
                "delete" => drop(db.collection("d").delete("gone").unwrap()),
                _ => drop(db.collection("d").drop_all().unwrap()),
            }
            if compacts {
                db.compact().unwrap();
            }
            db.close().unwrap();
            drop(db);
            assert!(open_as(dir.path(), RecoveryMode::Strict).unwrap().verify().unwrap().is_sound());
            let salvaged = open_as(dir.path(), RecoveryMode::Salvage).unwrap();
            let damage = &salvaged.recovery().damage;
            assert!(damage.is_empty(), "{last}, compacted {compacts}: {damage:?}");
        }
    }
}

#[test]
fn a_torn_value_full_of_what_begins_like_a_record_opens_in_time() {
    let dir = torn(&b"{\"_s\":0},".repeat(8 << 16));
    let began = Instant::now();
    open(dir.path()).unwrap();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn a_torn_value_that_holds_a_seal_is_a_torn_tail() {
    let (seal, _) = closed(
        "{\"_p\":\"00000000\",\"_w\":99,\"_t\":1,\"cmd\":\"SEAL\",\"collection\":\"\",\"key\":\"\",\"value\":null",
    );
    let dir = torn(seal.trim_end().as_bytes());
    assert_eq!(open(dir.path()).unwrap().sequence(), 3);
}

#[test]
fn a_segment_of_which_nothing_can_be_read_is_not_thrown_away() {
    let mut damaged = killed(3);
    let log = damaged.get_mut(LOG).unwrap();
    for line in lines(&log.clone()) {
        log[line.offset + 20] ^= 1;
    }
    let dir = directory(&damaged);
    if open(dir.path()).is_ok() {
        let kept = image(dir.path());
        assert!(kept.values().any(|bytes| *bytes == damaged[LOG]), "it was deleted: {:?}", kept.keys());
    }
}

#[test]
fn a_segment_lost_behind_a_snapshot_is_missed_also_beside_what_the_snapshot_replaced() {
    let replaced = killed(3);
    let dir = directory(&replaced);
    let db = open(dir.path()).unwrap();
    db.compact().unwrap();
    db.collection("c").put("later", &1).unwrap();
    // As a kill leaves it that interrupts the compaction's cleaning up, or while a change feed needs the old segments.
    let mut files = image(dir.path());
    drop(db);
    files.insert(LOG.to_owned(), replaced[LOG].clone());
    let whole = directory(&files);
    assert_eq!(open(whole.path()).unwrap().sequence(), 4);
    let last = files.keys().filter(|name| name.ends_with(".log")).max().unwrap().clone();
    for left in [None, Some(0), Some(100)] {
        let dir = directory(&files);
        match left {
            None => fs::remove_file(dir.path().join(&last)).unwrap(),
            Some(len) => fs::write(dir.path().join(&last), &files[&last][..len]).unwrap(),
        }
        let before = image(dir.path());
        let error = open(dir.path()).err().expect("record 4 was acknowledged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{left:?}: {error}");
        assert_eq!(image(dir.path()), before);
    }
}

#[test]
fn an_epoch_is_never_given_out_twice() {
    let epochs = |dir: &Path| {
        let files = image(dir);
        let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
        logs.map(|(_, bytes)| lines(bytes)[0].json()["epoch"].as_u64().unwrap()).max().unwrap()
    };
    let damage = |dir: &Path, at: usize| {
        let path = dir.join(LOG);
        let mut bytes = fs::read(&path).unwrap();
        let offset = lines(&bytes)[at].offset;
        bytes[offset + 20] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let dir = directory(&killed(10));
    damage(dir.path(), 8);
    let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
    db.collection("c").put("second", &1).unwrap();
    let second = directory(&image(dir.path()));
    drop(db);
    assert_eq!(epochs(second.path()), 2);
    damage(second.path(), 4);
    let _db = open_as(second.path(), RecoveryMode::PointInTime).unwrap();
    assert_eq!(epochs(second.path()), 3);
}

#[test]
fn a_closed_database_answers_nothing() {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let collection = db.collection("c");
    collection.put("k", &1).unwrap();
    db.close().unwrap();
    let answers = [
        collection.get::<u64>("k").err(),
        collection.count(..).err(),
        db.stats().err(),
        db.verify().err(),
        db.changes(0).err(),
        collection.put("k", &2).err(),
        collection.delete("k").err(),
        db.sync().err(),
        db.compact().err(),
    ];
    for (at, error) in answers.into_iter().enumerate() {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Closed), "call {at}");
    }
}

/// A clock that a test sets, also back.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Environment for Clock {
    fn unix_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn random(&self, bytes: &mut [u8]) -> pumice::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

#[test]
fn times_in_the_log_never_go_back() {
    type Last = fn(&Db);
    let last: [Last; 3] = [
        |db| drop(db.collection("c").put("k", &1)),
        |db| drop(db.batch(|b| b.put("c", "k", &1)?.put("c", "l", &1).map(drop))),
        |db| drop(db.close()),
    ];
    for (case, last) in last.into_iter().enumerate() {
        let clock = Clock::default();
        let open = |dir: &Path| {
            let options = Options::new().compact_at(None).environment(clock.clone());
            Db::open_with(SyncDiskStorage::open(dir).unwrap(), options).unwrap()
        };
        let set = |to| clock.0.store(to, Ordering::SeqCst);
        let dir = tempdir().unwrap();
        set(1000);
        let db = open(dir.path());
        db.collection("c").put("k", &0).unwrap();
        set(2000);
        last(&db);
        // As a kill at this moment leaves it.
        let left = directory(&image(dir.path()));
        set(500);
        drop(db);
        let db = open(left.path());
        db.collection("c").put("after", &1).unwrap();
        db.close().unwrap();
        for dir in [&dir, &left] {
            let files = image(dir.path());
            let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
            let lines = logs.flat_map(|(_, bytes)| lines(bytes)).filter(|line| !line.is_header());
            let times: Vec<_> = lines.map(|line| line.json()["_t"].as_u64().unwrap()).collect();
            assert!(times.is_sorted() && times.last() == Some(&2000), "case {case}: {times:?}");
        }
    }
}

#[test]
fn the_longest_flush_interval_there_is_works() {
    let dir = tempdir().unwrap();
    let options = Options::new().durability(Durability::Buffered).flush_interval(Duration::MAX);
    let db = Db::open_with(SyncDiskStorage::open(dir.path()).unwrap(), options).unwrap();
    db.collection("c").put("k", &1).unwrap();
    db.close().unwrap();
}

#[test]
fn of_a_ruined_snapshot_the_first_places_are_told_and_the_others_counted() {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let put_all = |batch: &mut pumice::Batch| {
        (0..1234).try_for_each(|n| batch.put("c", &format!("k{n:04}"), &format!("text {n:04}")).map(drop))
    };
    db.batch(put_all).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    let mut files = image(dir.path());
    let snapshot = files.iter_mut().find(|(name, _)| name.ends_with(".snapshot")).unwrap().1;
    for at in 0..snapshot.len() {
        if snapshot[at..].starts_with(b"\"text ") {
            snapshot[at + 1] = b'T';
        }
    }
    let dir = directory(&files);
    let found = pumice::blocking::verify(SyncDiskStorage::open_read_only(dir.path()).unwrap()).unwrap();
    assert_eq!((found.is_sound(), found.damage.len(), found.more_damage), (false, 1000, 234));
    let offsets: Vec<_> = found.damage.iter().map(|damage| damage.offset().unwrap()).collect();
    assert!(offsets.is_sorted());
}
