//! Guards against a closed database that loses its last writes and looks as if they had never been: the log cut at the
//! end of a line, or its last files gone.

use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::image::{Image, directory, image};
use crate::support::log_file::lines;
use pumice::blocking::Db;
use pumice::{Error, ErrorKind, Options, RecoveryMode, SyncDiskStorage};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::tempdir;

const LOG: &str = "00000000000000000001.log";
const MARK: &str = "00000000000000000010-1.end";

fn open(dir: &Path, mode: RecoveryMode) -> pumice::Result<Db> {
    Db::open_with(SyncDiskStorage::open(dir)?, Options::new().recovery(mode).compact_at(None))
}

fn marks(dir: &Path) -> Vec<String> {
    image(dir).into_keys().filter(|name| name.ends_with(".end")).collect()
}

/// Ten documents, closed.
fn closed() -> Image {
    let dir = tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    for n in 0..10 {
        db.collection("c").put(&format!("k{n}"), &n).unwrap();
    }
    db.close().unwrap();
    let image = image(dir.path());
    assert_eq!(image.keys().collect::<Vec<_>>(), [LOG, MARK]);
    image
}

#[test]
fn a_closed_log_cut_at_the_end_of_a_line_is_damage() {
    let whole = closed();
    let lines = lines(&whole[LOG]);
    let records: Vec<_> = lines.iter().filter(|line| line.json()["_s"].is_u64()).collect();
    assert_eq!(records.len(), 10);
    for (left, record) in records.iter().enumerate() {
        let mut cut = whole.clone();
        cut.insert(LOG.to_owned(), whole[LOG][..record.offset].to_vec());
        for mode in [RecoveryMode::Strict, RecoveryMode::TornTail] {
            let dir = directory(&cut);
            let error = open(dir.path(), mode).err().expect("it is damaged");
            assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupt, Some(LOG)), "{error}");
            assert_eq!(error.offset(), Some(record.offset as u64), "{error}");
            assert_eq!(image(dir.path()), cut, "a refusal writes nothing");
        }
        let dir = directory(&cut);
        assert_eq!(Db::open_read_only(dir.path()).err().map(|e| e.kind()), Some(ErrorKind::Corrupt));

        let salvaged = open(dir.path(), RecoveryMode::Salvage).unwrap();
        assert_eq!((salvaged.sequence(), salvaged.recovery().damage.len()), (left as u64, 1));
        drop(salvaged);

        let db = open(dir.path(), RecoveryMode::PointInTime).unwrap();
        assert_eq!((db.sequence(), db.collection("c").count(..).unwrap()), (left as u64, left as u64));
        db.collection("c").put("after", &0).unwrap();
        db.close().unwrap();
        assert_eq!(marks(dir.path()), [format!("{:020}-2.end", left + 1)]);
        assert_eq!(open(dir.path(), RecoveryMode::Strict).unwrap().sequence(), left as u64 + 1);
    }
}

#[test]
fn a_closed_log_without_its_seal_has_lost_nothing() {
    let mut cut = closed();
    let last = lines(&cut[LOG]).into_iter().rfind(|line| !line.is_seal()).unwrap();
    cut.insert(LOG.to_owned(), cut[LOG][..last.end()].to_vec());
    let dir = directory(&cut);
    let db = open(dir.path(), RecoveryMode::Strict).unwrap();
    assert_eq!((db.sequence(), db.recovery().unclean), (10, true));
}

#[test]
fn a_closed_log_that_is_gone_is_missed() {
    let whole = closed();
    let header = lines(&whole[LOG])[0].end();
    for left in [None, Some(0), Some(1), Some(header - 1), Some(header)] {
        let mut damaged = whole.clone();
        match left {
            None => drop(damaged.remove(LOG)),
            Some(len) => damaged.get_mut(LOG).unwrap().truncate(len),
        }
        for mode in [RecoveryMode::Strict, RecoveryMode::TornTail] {
            let dir = directory(&damaged);
            let error = open(dir.path(), mode).err().expect("it is damaged");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{left:?}: {error}");
            assert_eq!(image(dir.path()), damaged);
        }
        let dir = directory(&damaged);
        let db = open(dir.path(), RecoveryMode::PointInTime).unwrap();
        assert_eq!(db.sequence(), 0);
        db.close().unwrap();
        assert_eq!(open(dir.path(), RecoveryMode::TornTail).unwrap().sequence(), 0);
    }
}

#[test]
fn an_epoch_that_only_a_mark_still_tells_of_is_not_given_out_again() {
    let mut files = closed();
    files.get_mut(LOG).unwrap().truncate(0);
    let dir = directory(&files);
    open(dir.path(), RecoveryMode::PointInTime).unwrap().collection("c").put("k", &1).unwrap();
    assert_eq!(marks(dir.path()), ["00000000000000000001-2.end"]);
    let mut files = image(dir.path());
    files.retain(|name, _| name.ends_with(".end"));
    let dir = directory(&files);
    open(dir.path(), RecoveryMode::PointInTime).unwrap().close().unwrap();
    assert_eq!(open(dir.path(), RecoveryMode::Strict).unwrap().sequence(), 0);
}

#[test]
fn a_database_that_never_held_anything_leaves_no_mark() {
    let dir = tempdir().unwrap();
    open(dir.path(), RecoveryMode::Strict).unwrap().close().unwrap();
    assert_eq!(marks(dir.path()), [""; 0]);
}

#[test]
fn a_torn_end_of_a_closed_log_is_damage_also_without_its_seal() {
    let mut torn = closed();
    let last = lines(&torn[LOG]).into_iter().rfind(|line| !line.is_seal()).unwrap();
    torn.insert(LOG.to_owned(), torn[LOG][..last.end() - 5].to_vec());
    let dir = directory(&torn);
    let error = open(dir.path(), RecoveryMode::TornTail).err().expect("it is damaged");
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(last.offset as u64)), "{error}");
    // Without the mark it is what a crash leaves.
    torn.remove(MARK);
    assert_eq!(open(directory(&torn).path(), RecoveryMode::TornTail).unwrap().sequence(), 9);
}

#[test]
fn each_close_leaves_one_mark_and_changes_nothing_when_nothing_was_written() {
    let before = closed();
    let dir = directory(&before);
    open(dir.path(), RecoveryMode::Strict).unwrap().close().unwrap();
    assert_eq!(image(dir.path()), before);

    // A mark that an interrupted close, or a storage that forgets removals, left behind.
    fs::write(dir.path().join("00000000000000000004-1.end"), "").unwrap();
    let db = open(dir.path(), RecoveryMode::Strict).unwrap();
    db.collection("c").put("k", &1).unwrap();
    db.compact().unwrap();
    drop(db);
    assert_eq!(marks(dir.path()), ["00000000000000000011-1.end"]);
    assert_eq!(open(dir.path(), RecoveryMode::Strict).unwrap().sequence(), 11);
}

/// No mark can be made.
struct NoMark;

impl Hook for NoMark {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Create && name.ends_with(".end") {
            return Verdict::Fail(Error::new(ErrorKind::Full, "no room"));
        }
        Verdict::Go
    }
}

#[test]
fn a_close_that_only_failed_to_leave_its_mark_says_that_nothing_is_missing() {
    let dir = tempdir().unwrap();
    let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &Arc::new(NoMark));
    let db = Db::open_with(storage, Options::new().compact_at(None)).unwrap();
    db.collection("c").put("k", &1).unwrap();
    let error = db.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    for part in ["everything written is durable", "open and close it again", "no room"] {
        assert!(error.message().contains(part), "{error}");
    }
    drop(db);
    // Once more says it all.
    let db = open(dir.path(), RecoveryMode::Strict).unwrap();
    assert_eq!((db.sequence(), db.recovery().unclean), (1, false));
    db.close().unwrap();
    assert_eq!(marks(dir.path()), ["00000000000000000001-1.end"]);
}
