//! Guards against what opening could get wrong: taking damage for a torn tail or a torn tail for damage, writing behind
//! a tear, throwing away what it does not understand, leaving more behind with every crash.

use super::segments::{compacted, first_documents};
use crate::support::image::{Image, directory, image};
use crate::support::log_file::{FileLine, closed, lines};
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, Options, RecoveryMode, Storage, SyncDiskStorage};
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::tempdir;

pub type Documents = BTreeMap<String, u64>;

/// Without the mark that a close leaves, so that the log must tell for itself. With it: `tests/end_mark.rs`.
pub fn without_end_mark(mut image: Image) -> Image {
    image.retain(|name, _| !name.ends_with(".end"));
    image
}

pub fn manual() -> Options {
    Options::new().compact_at(None)
}

pub fn open_as(dir: &Path, mode: RecoveryMode) -> pumice::Result<Db> {
    Db::open_with(SyncDiskStorage::open(dir)?, manual().recovery(mode))
}

pub fn open(dir: &Path) -> pumice::Result<Db> {
    open_as(dir, RecoveryMode::TornTail)
}

pub fn documents<S: Storage>(db: &Db<S>) -> Documents {
    let entries = db.collection("c").scan::<u64>(..).unwrap().map(Result::unwrap);
    entries.map(|e| (e.key, e.document)).collect()
}

pub fn refused(opened: pumice::Result<Db>) -> Error {
    let error = opened.err().expect("it must be refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error
}

/// The log of a database whose writer was killed, and of one that was closed.
struct Logs {
    unsealed: Image,
    sealed: Image,
}

pub const LOG: &str = "00000000000000000001.log";

/// Single writes, a batch, a group of buffered writes: with watermarks from the second write on.
fn logs() -> Logs {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let collection = db.collection("c");
    for n in 0..4 {
        collection.put(&format!("single {n}"), &n).unwrap();
    }
    db.batch(|b| (0..3).try_for_each(|n| b.put("c", &format!("batch {n}"), &n).map(drop))).unwrap();
    for n in 0..3 {
        collection.with_durability(Durability::Buffered).put(&format!("buffered {n}"), &n).unwrap();
    }
    db.sync().unwrap();
    for n in 0..2 {
        collection.put(&format!("last {n}"), &n).unwrap();
    }
    db.close().unwrap();
    let sealed = image(dir.path());
    let bytes = &sealed[LOG];
    let last = lines(bytes).into_iter().rfind(|line| !line.is_seal()).unwrap();
    let mut killed = bytes[..last.end()].to_vec();
    // As a storage that grows files ahead leaves it.
    killed.resize(killed.len() + 5000, 0);
    Logs { unsealed: Image::from([(LOG.to_owned(), killed)]), sealed }
}

/// What the records before `offset` leave behind, and where the first write begins that is not among them whole.
fn replay(lines: &[FileLine], offset: usize) -> (Documents, usize, u64) {
    let mut documents = Documents::new();
    let mut batch: Option<(usize, u64, Documents)> = None;
    let mut next = 1;
    for line in lines.iter().filter(|line| line.end() <= offset && !line.is_header() && !line.is_seal()) {
        let json = line.json();
        let sequence = json["_s"].as_u64().unwrap();
        match json["cmd"].as_str().unwrap() {
            "TX_BEGIN" => batch = Some((line.offset, sequence, Documents::new())),
            "TX_COMMIT" => documents.append(&mut batch.take().unwrap().2),
            _ => {
                let into = batch.as_mut().map_or(&mut documents, |(.., documents)| documents);
                into.insert(json["key"].as_str().unwrap().to_owned(), json["value"].as_u64().unwrap());
            }
        }
        next = sequence + 1;
    }
    match batch {
        Some((begin, sequence, _)) => (documents, begin, sequence),
        None => (documents, offset, next),
    }
}

/// The records of all segments in order, as they stand, without those that recovery cut off.
fn records(image: &Image) -> Vec<Vec<u8>> {
    let logs = image.iter().filter(|(name, _)| !name.contains('/') && name.contains(".log"));
    let lines = logs.flat_map(|(_, bytes)| lines(bytes)).filter(|l| !l.is_header() && !l.is_seal());
    lines.map(|l| l.text).collect()
}

pub fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1)]
}

fn epoch(bytes: &[u8]) -> u64 {
    lines(bytes)[0].json()["epoch"].as_u64().unwrap()
}

/// The highest epoch of the segments.
pub fn newest_epoch(image: &Image) -> u64 {
    let logs = image.iter().filter(|(name, _)| !name.contains('/') && name.contains(".log"));
    logs.map(|(_, bytes)| epoch(bytes)).max().unwrap()
}

/// One way to damage the line at `at`.
pub fn damaged(bytes: &[u8], lines: &[FileLine], at: usize, way: usize) -> Vec<u8> {
    let (start, end) = (lines[at].offset, lines[at].end());
    let mut out = bytes.to_vec();
    match way {
        0 => out[start] ^= 1,
        1 => out[usize::midpoint(start, end)] ^= 0x10,
        2 => out[end - 4] ^= 2,
        3 => out[end - 1] ^= 4,
        4 => out[start..end].fill(0),
        5 => drop(out.drain(start..end)),
        _ => unreachable!(),
    }
    out
}

#[test]
fn damage_is_a_torn_tail_only_where_nothing_says_it_was_durable() {
    let Logs { unsealed, sealed } = logs();
    let (mut torn_cases, mut refusals) = (0, 0);
    for whole in [&unsealed, &sealed] {
        let bytes = &whole[LOG];
        let lines = lines(bytes);
        for at in 1..lines.len() {
            for way in 0..6 {
                // Without its last line, a log is just shorter.
                if way == 5 && at + 1 == lines.len() {
                    continue;
                }
                let broken = damaged(bytes, &lines, at, way);
                let (left, tear, first_lost) = replay(&lines, lines[at].offset);
                let later = lines.iter().skip(at + 1).map(FileLine::json);
                let proven = later.filter_map(|line| line["_w"].as_u64()).any(|w| w >= first_lost);
                // A missing seal between records changes nothing, and a zeroed last line looks like no line.
                let last_zeroed = way == 4 && at + 1 == lines.len();
                if lines[at].is_seal() && way == 5 || last_zeroed {
                    continue;
                }
                let what = format!("line {at} of {}, way {way}", lines.len());
                let case = Case { bytes: &broken, left: &left, tear, proven, what: &what };
                case.check(way % 2 == at % 2);
                if proven { refusals += 1 } else { torn_cases += 1 }
            }
        }
    }
    assert!(torn_cases >= 8 && refusals > 100, "{torn_cases} torn, {refusals} refused");
}

struct Case<'a> {
    bytes: &'a [u8],
    left: &'a Documents,
    tear: usize,
    proven: bool,
    what: &'a str,
}

impl Case<'_> {
    fn check(&self, also_point_in_time: bool) {
        let before = Image::from([(LOG.to_owned(), self.bytes.to_vec())]);
        self.refuses(&before, RecoveryMode::Strict);
        self.reads_only(&before);
        if self.proven {
            self.refuses(&before, RecoveryMode::TornTail);
        } else {
            self.sets_aside(&before, RecoveryMode::TornTail);
        }
        if also_point_in_time {
            self.sets_aside(&before, RecoveryMode::PointInTime);
        }
    }

    fn refuses(&self, before: &Image, mode: RecoveryMode) {
        let dir = directory(before);
        let error = refused(open_as(dir.path(), mode));
        assert_eq!(error.file(), Some(LOG), "{}: {error}", self.what);
        // Inside a batch, the damaged line itself or the batch that it spoils.
        assert!(error.offset() >= Some(self.tear as u64), "{}: {error}", self.what);
        assert_eq!(image(dir.path()), *before, "{}: a refusal writes nothing", self.what);
    }

    fn reads_only(&self, before: &Image) {
        let dir = directory(before);
        match Db::open_read_only(dir.path()) {
            Ok(db) => {
                assert!(!self.proven, "{}", self.what);
                assert_eq!(documents(&db), *self.left, "{}", self.what);
                let torn = db.recovery().torn.clone().expect("it tells about the tear");
                assert_eq!((torn.offset, torn.quarantined), (self.tear as u64, None), "{}", self.what);
                assert!(db.recovery().unclean);
                let verified = db.verify().unwrap();
                assert!(verified.is_sound() && verified.torn.is_some(), "{}", self.what);
            }
            Err(error) => assert!(self.proven && error.kind() == ErrorKind::Corrupt, "{}", self.what),
        }
        assert_eq!(image(dir.path()), *before, "{}: reading writes nothing", self.what);
        assert!(!dir.path().join("LOCK").exists());
    }

    fn sets_aside(&self, before: &Image, mode: RecoveryMode) {
        let dir = directory(before);
        let db = open_as(dir.path(), mode).unwrap();
        assert_eq!(documents(&db), *self.left, "{}", self.what);
        let torn = db.recovery().torn.clone().expect("it tells about the tear");
        let behind = without_zeros(&self.bytes[self.tear..]);
        assert_eq!((torn.file.as_str(), torn.offset), (LOG, self.tear as u64), "{}", self.what);
        assert_eq!(torn.bytes, behind.len() as u64, "{}", self.what);
        let after = image(dir.path());
        let kept = &after[&torn.quarantined.expect("a copy is kept")];
        assert!(kept == behind, "{}: the quarantine holds other bytes", self.what);
        // Never behind the tear: what is left of the segment is how it began, and a new one goes on.
        if let Some(old) = after.get(LOG) {
            assert!(self.bytes[..self.tear].starts_with(old), "{}: the torn segment changed", self.what);
        }
        let standing: Vec<_> = lines(&self.bytes[..self.tear]).into_iter().collect();
        let standing = standing.into_iter().filter(|l| !l.is_header() && !l.is_seal()).map(|l| l.text);
        assert_eq!(records(&after), standing.collect::<Vec<_>>(), "{}: records changed", self.what);
        assert_eq!(newest_epoch(&after), 1 + u64::from(self.proven), "{}: epoch", self.what);

        db.collection("c").put("after", &7).unwrap();
        db.close().unwrap();
        drop(db);
        let again = open_as(dir.path(), RecoveryMode::Strict).unwrap();
        assert_eq!((&again.recovery().torn, again.recovery().unclean), (&None, false), "{}", self.what);
        let mut left = self.left.clone();
        left.insert("after".to_owned(), 7);
        assert_eq!(documents(&again), left, "{}", self.what);
        assert!(again.verify().unwrap().is_sound());
    }
}

#[test]
fn a_log_cut_anywhere_holds_the_writes_before_the_cut() {
    let Logs { unsealed, .. } = logs();
    let bytes = without_zeros(&unsealed[LOG]);
    let lines = lines(bytes);
    for cut in (lines[0].end()..bytes.len())
        .filter(|cut| cut % 7 == 0 || lines.iter().any(|l| l.end().abs_diff(*cut) < 2))
    {
        let dir = directory(&Image::from([(LOG.to_owned(), bytes[..cut].to_vec())]));
        let db = open(dir.path()).unwrap();
        let whole = lines.iter().rfind(|l| l.end() <= cut).unwrap().end();
        let (left, tear, _) = replay(&lines, whole);
        assert_eq!(documents(&db), left, "cut at {cut}");
        let torn = db.recovery().torn.as_ref().map(|t| (t.offset, t.bytes));
        let wanted = (tear < cut).then_some((tear as u64, (cut - tear) as u64));
        assert_eq!(torn, wanted, "cut at {cut}");
        // On a machine that is slow at the moment, a seal may stand between the records.
        let sealed = lines.iter().any(|line| line.end() == cut && line.is_seal());
        assert_eq!(db.recovery().unclean, !sealed, "cut at {cut}");
    }
}

/// Carried over by an earlier recovery, a record counts as much as any other.
#[test]
fn damage_to_records_that_recovery_carried_over_is_refused() {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    db.collection("c").put("one", &1).unwrap();
    db.close().unwrap();
    drop(db);
    let mut killed = image(dir.path());
    let log = killed.get_mut(LOG).unwrap();
    let end = lines(log).into_iter().rfind(|l| !l.is_seal()).unwrap().end();
    log.truncate(end);
    let dir = directory(&killed);
    open(dir.path()).unwrap().close().unwrap();
    let recovered = image(dir.path());
    let (name, bytes) = recovered.iter().find(|(_, bytes)| lines(bytes).len() > 1).unwrap();
    let all = lines(bytes);
    assert!(
        all[0].json()["carried_bytes"].as_u64() > Some(0),
        "recovery carries what nothing says is durable"
    );
    for way in 0..5 {
        let mut broken = recovered.clone();
        broken.insert(name.clone(), damaged(bytes, &all, 1, way));
        let dir = directory(&broken);
        refused(Db::open_read_only(dir.path()));
        refused(open(dir.path()));
        assert_eq!(image(dir.path()), broken, "way {way}");
    }
    for cut in all[0].end()..all[1].end() {
        let mut broken = recovered.clone();
        broken.insert(name.clone(), bytes[..cut].to_vec());
        let dir = directory(&broken);
        refused(open(dir.path()));
        assert_eq!(image(dir.path()), broken, "cut at {cut}");
    }
}

#[test]
fn lines_written_by_hand_are_read() {
    let (first, _) = closed(
        r#"{"carried_bytes":0,"previous_bytes":0,"previous":"00000000","first":1,"epoch":3,"store":"000102030405060708090a0b0c0d0e0f","pumice":1"#,
    );
    let (one, p) = closed(
        r#"{"cmd":"INSERT","value":{"n": 1.50, "n":2},"key":"\u0061","collection":"c","_t":17,"_s":1,"_p":"00000000""#,
    );
    let (two, p) = closed(&format!(
        r#"{{"_s":2,"_p":"{p}","_w":1,"_t":18,"cmd":"INSERT","collection":"c","key":"b","value":null"#
    ));
    let (begin, p) = closed(&format!(
        r#"{{"_t":19,"key":"x","cmd":"TX_BEGIN","collection":"","value":null,"_p":"{p}","_s":3"#
    ));
    let (delete, p) = closed(&format!(
        r#"{{ "_s" : 4 , "_p" : "{p}" , "_t" : 19 , "cmd" : "DELETE" , "collection" : "c" , "key" : "b" , "value" : null"#
    ));
    let (commit, p) = closed(&format!(
        r#"{{"_s":5,"_p":"{p}","_t":19,"cmd":"TX_COMMIT","key":"x","collection":"","value":null"#
    ));
    let (seal, _) =
        closed(&format!(r#"{{"cmd":"SEAL","_w":5,"_p":"{p}","_t":20,"collection":"","key":"","value":null"#));
    let log = [first, one, two, begin, delete, commit, seal].concat();
    let dir = directory(&Image::from([(LOG.to_owned(), log.into_bytes())]));
    let db = open_as(dir.path(), RecoveryMode::Strict).unwrap();
    assert!(!db.recovery().unclean);
    assert_eq!(db.sequence(), 5);
    assert_eq!(db.collection("c").get_raw("a").unwrap().unwrap(), r#"{"n": 1.50, "n":2}"#);
    assert!(db.collection("c").get_raw("b").unwrap().is_none());
    assert!(db.verify().unwrap().is_sound());
    db.collection("c").put("d", &1).unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    drop(db);
    assert_eq!(open_as(dir.path(), RecoveryMode::Strict).unwrap().collection("c").count(..).unwrap(), 2);
}

#[test]
fn an_unfinished_snapshot_beside_its_log_is_ignored_and_removed() {
    let (before, after) = compacted();
    let (name, snapshot) = after.iter().find(|(name, _)| name.contains(".snapshot")).unwrap();
    for len in [0, 1, 63, 64, 200, snapshot.len() / 2, snapshot.len() - 9, snapshot.len() - 1] {
        let mut beside = before.clone();
        beside.insert(name.clone(), snapshot[..len].to_vec());
        let dir = directory(&beside);
        let db = Db::open_read_only(dir.path()).unwrap();
        assert_eq!(documents(&db), first_documents(30));
        assert!(db.verify().unwrap().is_sound());
        assert_eq!(image(dir.path()), beside);
        drop(db);
        let db = open(dir.path()).unwrap();
        assert_eq!(documents(&db), first_documents(30), "{len} bytes");
        assert_eq!(image(dir.path()), before, "{len} bytes");
        db.compact().unwrap();
        assert_eq!(documents(&db), first_documents(30));
    }
}

#[test]
fn a_missing_or_broken_snapshot_without_its_log_is_refused() {
    let (_, after) = compacted();
    let (name, snapshot) = after.iter().find(|(name, _)| name.contains(".snapshot")).unwrap();
    let mut missing = after.clone();
    missing.remove(name);
    let mut unfinished = after.clone();
    unfinished.insert(name.clone(), snapshot[..snapshot.len() - 1].to_vec());
    let mut without_log = after.clone();
    without_log.retain(|other, _| other == name);
    for (before, told) in
        [(missing, "no sound snapshot or segment holds them;"), (unfinished, name), (without_log, "log")]
    {
        for mode in [RecoveryMode::Strict, RecoveryMode::TornTail, RecoveryMode::PointInTime] {
            let dir = directory(&before);
            let error = refused(open_as(dir.path(), mode));
            assert!(error.message().contains("missing") && error.message().contains(told), "{error}");
            refused(Db::open_read_only(dir.path()));
            assert_eq!(image(dir.path()), before);
        }
    }
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_reading() {
    let storage = pumice::MemoryStorage::new();
    let error = Db::open_with(storage.clone(), manual().read_only(true)).err().expect("there is nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    // A writer that was killed while it made the first segment leaves a database all the same, an empty one.
    let dir = directory(&Image::from([(LOG.to_owned(), Vec::new())]));
    let db = Db::open_read_only(dir.path()).unwrap();
    assert!(db.recovery().unclean, "a segment without its beginning is not a clean end");
    assert!(documents(&db).is_empty());
}
