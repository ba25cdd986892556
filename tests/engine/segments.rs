//! Guards whole segments of the log: one that is missing, shortened, renamed, damaged, of another store or of a newer version is refused
//! by its name, and nothing is changed.

use super::recovery::{
    Documents, LOG, damaged, documents, manual, newest_epoch, open, open_as, refused, without_end_mark,
};
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::image::{Image, directory, image};
use crate::support::log_file::{FileLine, closed, lines};
use pumice::blocking::Db;
use pumice::{Error, ErrorKind, RecoveryMode, SyncDiskStorage};
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

/// Every append to a snapshot fails, so that a compaction only moves the log on.
pub struct OnlyRotates;

impl Hook for OnlyRotates {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        if op == Op::Append && name.ends_with(".snapshot") {
            return Verdict::Fail(Error::new(ErrorKind::Full, "no space left"));
        }
        Verdict::Go
    }
}

pub const SECOND: &str = "00000000000000000011.log";
pub const THIRD: &str = "00000000000000000021.log";

/// Three segments of ten records, closed.
pub fn three_segments() -> Image {
    let dir = tempdir().unwrap();
    let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &Arc::new(OnlyRotates));
    let db = Db::open_with(storage, manual()).unwrap();
    for n in 0..30_u64 {
        db.collection("c").put(&format!("k{n:02}"), &n).unwrap();
        if n == 9 || n == 19 {
            db.compact().unwrap_err();
        }
    }
    db.close().unwrap();
    let image = without_end_mark(image(dir.path()));
    assert_eq!(image.keys().collect::<Vec<_>>(), [LOG, SECOND, THIRD]);
    image
}

pub fn first_documents(count: u64) -> Documents {
    (0..count).map(|n| (format!("k{n:02}"), n)).collect()
}

/// The log of 30 documents before a compaction, and the files after it.
pub fn compacted() -> (Image, Image) {
    let before = three_segments();
    let dir = directory(&before);
    let db = open(dir.path()).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    let after = without_end_mark(image(dir.path()));
    assert_eq!(after.len(), 2, "a snapshot and an empty segment: {:?}", after.keys());
    (before, after)
}

#[test]
fn damage_in_a_complete_segment_is_refused_and_history_can_go_on_before_it() {
    let whole = three_segments();
    for (name, base) in [(LOG, 0), (SECOND, 10)] {
        let bytes = &whole[name];
        let lines = lines(bytes);
        for at in 1..lines.len() {
            for way in 0..6 {
                let mut before = whole.clone();
                before.insert(name.to_owned(), damaged(bytes, &lines, at, way));
                let dir = directory(&before);
                for mode in [RecoveryMode::TornTail, RecoveryMode::Strict] {
                    let error = refused(open_as(dir.path(), mode));
                    assert_eq!(error.file(), Some(name), "{error}");
                    // A missing seal, which a slow machine may have left, shows only at the end.
                    if !(lines[at].is_seal() && way == 5) {
                        assert_eq!(error.offset(), Some(lines[at].offset as u64), "{error}");
                    }
                }
                assert_eq!(image(dir.path()), before);
                if way == 1 && !lines[..=at].iter().any(FileLine::is_seal) {
                    gives_up(&dir, &before, name, lines[at].offset, base + at as u64 - 1);
                }
            }
        }
    }
}

/// Point-in-time recovery keeps `count` documents, and everything else as a copy.
fn gives_up(dir: &TempDir, before: &Image, name: &str, tear: usize, count: u64) {
    let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
    assert_eq!(documents(&db), first_documents(count));
    db.collection("c").put("new", &1).unwrap();
    db.close().unwrap();
    drop(db);
    let after = image(dir.path());
    let quarantined: Vec<_> = after.iter().filter(|(name, _)| name.starts_with("quarantine/")).collect();
    let mut wanted = vec![&before[name][tear..]];
    wanted.extend(before.iter().filter(|(other, _)| other.as_str() > name).map(|(_, bytes)| &bytes[..]));
    for bytes in &wanted {
        assert!(quarantined.iter().any(|(_, kept)| *kept == bytes), "something was deleted");
    }
    assert_eq!(quarantined.len(), wanted.len());
    assert_eq!(newest_epoch(&after), 2);
    let again = open_as(dir.path(), RecoveryMode::Strict).unwrap();
    assert_eq!((&again.recovery().torn, again.recovery().unclean), (&None, false));
    let mut left = first_documents(count);
    left.insert("new".to_owned(), 1);
    assert_eq!(documents(&again), left);
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let whole = three_segments();
    for (name, missing) in [(LOG, "1 to 10"), (SECOND, "11 to 20")] {
        let mut before = whole.clone();
        before.remove(name);
        let dir = directory(&before);
        for mode in [RecoveryMode::TornTail, RecoveryMode::Strict] {
            let error = refused(open_as(dir.path(), mode));
            assert!(error.message().contains(&format!("records {missing} are missing")), "{error}");
        }
        refused(Db::open_read_only(dir.path()));
        assert_eq!(image(dir.path()), before);
    }
    // What stands before the gap can be had on request.
    let mut before = whole.clone();
    before.remove(SECOND);
    let dir = directory(&before);
    let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
    assert_eq!(documents(&db), first_documents(10));
    let after = image(dir.path());
    assert!(after.iter().any(|(name, bytes)| name.starts_with("quarantine/") && *bytes == whole[THIRD]));
    assert_eq!(newest_epoch(&after), 2);
}

#[test]
fn a_shortened_segment_is_refused() {
    let whole = three_segments();
    let lines = lines(&whole[LOG]);
    for cut in [lines[10].offset, lines[10].offset + 20, lines[1].offset, lines[10].end() - 1] {
        let mut before = whole.clone();
        before.get_mut(LOG).unwrap().truncate(cut);
        let dir = directory(&before);
        let error = refused(open(dir.path()));
        assert_eq!(error.file(), Some(LOG), "{error}");
        refused(Db::open_read_only(dir.path()));
        assert_eq!(image(dir.path()), before);
        let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
        let standing = lines.iter().filter(|l| l.end() <= cut).count() as u64 - 1;
        assert_eq!(documents(&db), first_documents(standing));
    }
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let whole = three_segments();
    for name in ["00000000000000000005.log", "00000000000000000015.log", "00000000000000000031.log"] {
        let mut before = whole.clone();
        before.insert(name.to_owned(), whole[SECOND].clone());
        let dir = directory(&before);
        refused(open(dir.path()));
        assert_eq!(image(dir.path()), before, "{name}");
    }
    // The same segment twice, as a copy with a higher generation, is the same log.
    let mut before = whole.clone();
    before.insert("00000000000000000011-1.log".to_owned(), whole[SECOND].clone());
    let dir = directory(&before);
    assert_eq!(documents(&open(dir.path()).unwrap()), first_documents(30));
}

/// A header written by hand: `change` may replace members of the one there.
pub fn header(of: &FileLine, change: &[(&str, serde_json::Value)]) -> String {
    let mut json = of.json();
    json.as_object_mut().unwrap().remove("_x");
    for (name, value) in change {
        json[*name] = value.clone();
    }
    let body = json.to_string();
    closed(body.strip_suffix('}').unwrap()).0
}

#[test]
fn a_header_of_another_store_is_refused() {
    let whole = three_segments();
    for name in [LOG, SECOND, THIRD] {
        let first = lines(&whole[name])[0].clone();
        let spliced = header(&first, &[("store", "0123456789abcdef0123456789abcdef".into())]);
        let mut before = whole.clone();
        before.insert(name.to_owned(), [spliced.as_bytes(), &whole[name][first.end()..]].concat());
        let dir = directory(&before);
        let error = refused(open(dir.path()));
        assert!(error.message().contains("another database"), "{error}");
        assert_eq!(image(dir.path()), before);
    }
}

#[test]
fn a_damaged_header_is_refused_with_its_file() {
    let whole = three_segments();
    for name in [LOG, SECOND, THIRD] {
        let end = lines(&whole[name])[0].end();
        for at in (0..end).step_by(7).chain([end - 1]) {
            let mut before = whole.clone();
            before.get_mut(name).unwrap()[at] ^= 1;
            let dir = directory(&before);
            let error = refused(open(dir.path()));
            assert_eq!(error.file(), Some(name), "byte {at}: {error}");
            assert_eq!(image(dir.path()), before);
        }
    }
}

#[test]
fn a_newer_version_is_refused_as_such() {
    let whole = three_segments();
    for name in [LOG, THIRD] {
        let first = lines(&whole[name])[0].clone();
        let newer = header(&first, &[("pumice", 2.into()), ("unheard_of", "x".into())]);
        let mut before = whole.clone();
        before.insert(name.to_owned(), [newer.as_bytes(), &whole[name][first.end()..]].concat());
        let dir = directory(&before);
        for mode in [RecoveryMode::TornTail, RecoveryMode::Strict, RecoveryMode::PointInTime] {
            let error = open_as(dir.path(), mode).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Version, "{error}");
            assert!(
                error.to_string().contains(name) && error.to_string().contains("update Pumice"),
                "{error}"
            );
        }
        assert_eq!(image(dir.path()), before);
    }
    let (_, snapshot) = compacted();
    let (name, bytes) = snapshot.iter().find(|(name, _)| name.contains(".snapshot")).unwrap();
    let mut newer = bytes.clone();
    newer[8] += 1;
    let sum = xxhash_rust::xxh3::xxh3_64(&newer[..56]);
    newer[56..64].copy_from_slice(&sum.to_le_bytes());
    let mut before = snapshot.clone();
    before.insert(name.clone(), newer);
    let dir = directory(&before);
    let error = open(dir.path()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Version, "{error}");
    assert_eq!(image(dir.path()), before);
}
