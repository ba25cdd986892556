//! Guards against openings and compactions that were interrupted, or that meet what such an interruption left: nothing counts
//! before it is whole, what is in the way is set aside or removed, and what cannot be read now is not given up.

use super::recovery::{LOG, documents, manual, open, open_as, refused, without_end_mark};
use super::segments::{OnlyRotates, SECOND, THIRD, compacted, first_documents, header, three_segments};
use crate::support::hooked::{Hook, Hooked, Op, Verdict};
use crate::support::image::{Image, directory, image};
use crate::support::log_file::{FileLine, lines};
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, RecoveryMode, SyncDiskStorage};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::tempdir;

fn records(bytes: &[u8]) -> Vec<FileLine> {
    lines(bytes).into_iter().filter(|line| line.json()["_s"].is_u64()).collect()
}

fn quarantined(files: &Image) -> Vec<&[u8]> {
    let kept = files.iter().filter(|(name, _)| name.starts_with("quarantine/"));
    kept.map(|(_, bytes)| &bytes[..]).collect()
}

/// The log of a writer that was killed after ten documents, of which the last `unproven` were buffered and never synced.
fn killed(unproven: u64) -> Image {
    let dir = tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    for n in 0..10_u64 {
        let durability = if n < 10 - unproven { Durability::Disk } else { Durability::Buffered };
        db.collection("c").with_durability(durability).put(&format!("k{n:02}"), &n).unwrap();
    }
    db.sync().unwrap();
    let mut files = without_end_mark(image(dir.path()));
    let log = files.get_mut(LOG).unwrap();
    let end = records(log).pop().unwrap().end();
    log.truncate(end);
    files
}

const CARRIED: &str = "00000000000000000008.log";
const LAST: &str = "00000000000000000010.log";

/// The files before recovery took the log over, and after.
fn taken_over(unproven: u64) -> (Image, Image) {
    let before = killed(unproven);
    let dir = directory(&before);
    drop(open(dir.path()).unwrap());
    (before, without_end_mark(image(dir.path())))
}

#[test]
fn exactly_the_records_that_nothing_proves_durable_are_carried_over() {
    let (before, after) = taken_over(3);
    let old = records(&before[LOG]);
    let new = &after[CARRIED];
    let carried = records(new).into_iter().map(|line| line.text).collect::<Vec<_>>();
    assert_eq!(carried, old[7..].iter().map(|line| line.text.clone()).collect::<Vec<_>>());
    assert_eq!(after[LOG], before[LOG][..old[6].end()]);
    let header = lines(new)[0].json();
    assert_eq!(header["carried_bytes"], (old[9].end() - old[6].end()) as u64);
    assert_eq!(header["previous_bytes"], old[6].end() as u64);
}

#[test]
fn a_taking_over_that_was_interrupted_is_done_again() {
    for (unproven, name) in [(3, CARRIED), (1, LAST)] {
        interrupted(unproven, name);
    }
}

fn interrupted(unproven: u64, name: &str) {
    let (before, after) = taken_over(unproven);
    let new = &after[name];
    let (begin, carried) = (lines(new)[0].end(), records(new).pop().unwrap().end());
    for cut in (0..=carried).filter(|cut| cut % 13 == 0 || cut.abs_diff(begin) < 2 || carried - cut < 2) {
        let mut files = before.clone();
        files.insert(name.to_owned(), new[..cut].to_vec());
        let dir = directory(&files);
        let reader = Db::open_read_only(dir.path()).unwrap();
        assert_eq!(documents(&reader), first_documents(10), "cut at {cut}");
        drop(reader);
        let db = open(dir.path()).unwrap();
        assert_eq!(documents(&db), first_documents(10), "cut at {cut}");
        let now = image(dir.path());
        // The old segment is cut where the new one begins. That is another one: in place of the unfinished one, or of
        // the whole one, which was not closed either.
        assert_eq!(now[LOG], after[LOG], "cut at {cut}");
        assert!(!now.contains_key(name), "cut at {cut}");
        // The beginning of a header tells nothing of what it was.
        let kept = if (1..begin).contains(&cut) { vec![&new[..cut]] } else { vec![] };
        assert_eq!(quarantined(&now), kept, "cut at {cut}");
        db.close().unwrap();
        assert_eq!(documents(&open_as(dir.path(), RecoveryMode::Strict).unwrap()), first_documents(10));
    }
}

#[test]
fn an_unfinished_segment_of_which_some_bytes_never_came_is_none() {
    let (before, after) = taken_over(3);
    let new = &after[CARRIED];
    // The records are there and the header is not, or is but for a page of zeros.
    for zeros in [0..lines(new)[0].end(), 10..60, 0..new.len()] {
        let mut files = before.clone();
        let mut bytes = new.clone();
        bytes[zeros.clone()].fill(0);
        files.insert(CARRIED.to_owned(), bytes.clone());
        let dir = directory(&files);
        let db = open(dir.path()).unwrap();
        assert_eq!(documents(&db), first_documents(10), "{zeros:?}");
        let now = image(dir.path());
        let only_zeros = bytes.iter().all(|byte| *byte == 0);
        assert_eq!(quarantined(&now), if only_zeros { vec![] } else { vec![&bytes[..]] }, "{zeros:?}");
    }
}

#[test]
fn damage_to_the_only_copy_of_carried_records_is_refused_also_after_a_crash() {
    for (unproven, name) in [(3, CARRIED), (1, LAST)] {
        let (_, after) = taken_over(unproven);
        for record in records(&after[name]) {
            let mut damaged = after.clone();
            damaged.get_mut(name).unwrap()[record.offset + 20] ^= 1;
            let dir = directory(&damaged);
            assert_eq!(refused(open(dir.path())).file(), Some(name));
            assert_eq!(image(dir.path()), damaged);
            // On request what stands before them can be had, and nothing is thrown away.
            let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
            assert_eq!(documents(&db), first_documents(10 - unproven));
            assert_eq!(quarantined(&image(dir.path())), [&damaged[name][..]]);
        }
    }
}

#[test]
fn what_stands_behind_the_end_of_a_segment_is_cut_off_once_the_next_one_counts() {
    let (before, after) = taken_over(3);
    let mut files = after.clone();
    files.insert(LOG.to_owned(), before[LOG].clone());
    // Both after a crash and after a clean end.
    let dir = directory(&files);
    drop(open(dir.path()).unwrap());
    assert_eq!(image(dir.path())[LOG], after[LOG]);

    let dir = directory(&after);
    open(dir.path()).unwrap().close().unwrap();
    let mut sealed = image(dir.path());
    sealed.insert(LOG.to_owned(), before[LOG].clone());
    let dir = directory(&sealed);
    drop(open_as(dir.path(), RecoveryMode::Strict).unwrap());
    assert_eq!(image(dir.path())[LOG], after[LOG]);
}

#[test]
fn a_copy_never_takes_the_place_of_another_one() {
    let torn = b"{\"_s\":11,\"_p\":\"0123";
    let mut files = killed(1);
    let end = files[LOG].len();
    files.get_mut(LOG).unwrap().extend_from_slice(torn);
    let name = |number: &str| format!("quarantine/{LOG}.{end}{number}");
    let opened = |there: &[(&str, &[u8])]| {
        let mut files = files.clone();
        files.extend(there.iter().map(|(number, bytes)| (name(number), bytes.to_vec())));
        let dir = directory(&files);
        let copy = open(dir.path()).unwrap().recovery().torn.clone().unwrap().quarantined.unwrap();
        let now = image(dir.path());
        for (number, bytes) in there {
            assert_eq!(now[&name(number)], *bytes);
        }
        assert_eq!(now[&copy], torn);
        (copy, quarantined(&now).len())
    };
    assert_eq!(opened(&[]), (name(""), 1));
    assert_eq!(opened(&[("", b"other")]), (name(".2"), 2));
    assert_eq!(opened(&[("", b"other"), (".2", b"another")]), (name(".3"), 3));
    // The copy of an opening that got no further is as good.
    assert_eq!(opened(&[("", torn)]), (name(""), 1));
    assert_eq!(opened(&[("", b"other"), (".2", torn)]), (name(".2"), 2));
}

#[test]
fn a_compaction_right_after_a_torn_tail_covers_no_more_than_there_is() {
    let mut files = three_segments();
    files.get_mut(THIRD).unwrap().extend_from_slice(b"{\"_s\":31,");
    let dir = directory(&files);
    let db = open(dir.path()).unwrap();
    db.compact().unwrap();
    db.collection("c").put("k30", &30).unwrap();
    db.close().unwrap();
    drop(db);
    assert_eq!(documents(&open(dir.path()).unwrap()), first_documents(31));
}

/// Fails the calls of one kind for a file, as often as is told, with an error of that kind.
struct Fails {
    op: Op,
    name: &'static str,
    kind: ErrorKind,
    times: AtomicUsize,
}

impl Hook for Fails {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        let fails = op == self.op && name.contains(self.name);
        let left = |times: usize| times.checked_sub(1);
        if fails && self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
            return Verdict::Fail(Error::new(self.kind, "as it was told"));
        }
        Verdict::Go
    }
}

/// Opens `files` while calls fail. Returns the error's kind, and the files then.
fn opened_while(files: &Image, mode: RecoveryMode, fails: Fails) -> (Option<ErrorKind>, Image) {
    let dir = directory(files);
    let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &Arc::new(fails));
    let opened = Db::open_with(storage, manual().recovery(mode));
    let kind = opened.as_ref().err().map(Error::kind);
    if let Ok(db) = opened {
        assert_eq!(documents(&db), first_documents(30));
    }
    (kind, image(dir.path()))
}

/// The files of a compaction that was interrupted before it removed anything.
fn both() -> Image {
    let (mut files, after) = compacted();
    files.extend(after);
    files
}

/// Fails one read of the snapshot, of those that are counted.
struct Last(AtomicUsize, usize);

impl Hook for Last {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        let at = op == Op::ReadAt && name.ends_with(".snapshot");
        if at && self.0.fetch_add(1, Ordering::SeqCst) == self.1 {
            return Verdict::Fail(Error::new(ErrorKind::Io, "as it was told"));
        }
        Verdict::Go
    }
}

#[test]
fn what_cannot_be_read_now_is_not_taken_for_damaged() {
    for name in [LOG, ".snapshot"] {
        for times in 1..4 {
            let files = both();
            let fails = Fails { op: Op::ReadAt, name, kind: ErrorKind::Io, times: AtomicUsize::new(times) };
            let (kind, now) = opened_while(&files, RecoveryMode::TornTail, fails);
            assert_eq!(kind, Some(ErrorKind::Io), "{name}, {times} times");
            assert_eq!(now, files);
        }
    }
    // With the old files incomplete the snapshot is read whole, before they go for its sake.
    let mut files = both();
    files.remove(LOG);
    let reads = |count| {
        let fails = Fails { op: Op::ReadAt, name: ".snapshot", kind: ErrorKind::Io, times: count };
        opened_while(&files, RecoveryMode::TornTail, fails)
    };
    assert_eq!(reads(AtomicUsize::new(0)).0, None);
    let mut failed = 0;
    for at in 0.. {
        let dir = directory(&files);
        let hook = Arc::new(Last(AtomicUsize::new(0), at));
        let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &hook);
        let opened = Db::open_with(storage, manual());
        if hook.0.load(Ordering::SeqCst) <= at {
            break;
        }
        assert_eq!(opened.err().map(|error| error.kind()), Some(ErrorKind::Io), "read {at}");
        assert_eq!(image(dir.path()), files);
        failed += 1;
    }
    assert!(failed > 5, "{failed} reads");
}

#[test]
fn a_file_that_is_gone_already_need_not_be_removed() {
    let mut files = both();
    files.remove(LOG);
    let fails = |kind| Fails { op: Op::Remove, name: SECOND, kind, times: AtomicUsize::new(1) };
    assert_eq!(opened_while(&files, RecoveryMode::TornTail, fails(ErrorKind::NotFound)).0, None);
    let (kind, _) = opened_while(&files, RecoveryMode::TornTail, fails(ErrorKind::Io));
    assert_eq!(kind, Some(ErrorKind::Io));
}

#[test]
fn what_an_interrupted_compaction_left_is_removed_once_some_of_it_is_gone() {
    let (_, after) = compacted();
    for gone in [LOG, SECOND] {
        let mut files = both();
        files.remove(gone);
        let dir = directory(&files);
        let db = open(dir.path()).unwrap();
        assert_eq!(documents(&db), first_documents(30));
        assert_eq!(image(dir.path()).keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{gone}");
    }
}

#[test]
fn strict_opening_refuses_a_torn_tail_also_beside_what_a_snapshot_replaced() {
    let (_, after) = compacted();
    let last = after.keys().find(|name| name.ends_with(".log")).unwrap();
    let mut files = both();
    files.get_mut(last).unwrap().extend_from_slice(b"{\"_s\":31,");
    let dir = directory(&files);
    refused(open_as(dir.path(), RecoveryMode::Strict));
    assert_eq!(documents(&open(dir.path()).unwrap()), first_documents(30));
}

#[test]
fn point_in_time_goes_back_behind_a_damaged_snapshot_to_what_it_was_made_from() {
    let mut files = both();
    let snapshot = files.keys().find(|name| name.ends_with(".snapshot")).unwrap().clone();
    files.get_mut(&snapshot).unwrap()[70] ^= 1;
    let at = records(&files[SECOND])[4].offset;
    files.get_mut(SECOND).unwrap()[at + 20] ^= 1;
    let dir = directory(&files);
    refused(open(dir.path()));
    let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
    assert_eq!(documents(&db), first_documents(14));
}

#[test]
fn point_in_time_keeps_a_copy_of_what_was_being_made_behind_the_damage() {
    let mut files = three_segments();
    let at = records(&files[SECOND])[4].offset;
    files.get_mut(SECOND).unwrap()[at + 20] ^= 1;
    let first = lines(&files[THIRD])[0].clone();
    let unfinished = header(&first, &[("first", 29.into()), ("carried_bytes", 500.into())]).into_bytes();
    files.insert("00000000000000000029.log".to_owned(), unfinished.clone());
    let dir = directory(&files);
    let db = open_as(dir.path(), RecoveryMode::PointInTime).unwrap();
    assert_eq!(documents(&db), first_documents(14));
    let now = image(dir.path());
    for given_up in [&files[SECOND][at..], &files[THIRD], &unfinished] {
        assert!(quarantined(&now).contains(&given_up), "something was deleted");
    }
}

#[test]
fn point_in_time_keeps_all_of_a_segment_whatever_the_one_behind_the_gap_says() {
    let dir = tempdir().unwrap();
    let storage = Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &Arc::new(OnlyRotates));
    let db = Db::open_with(storage, manual()).unwrap();
    for n in 0..30_u64 {
        db.collection("c").put(&format!("k{n:02}"), &n).unwrap();
        if n == 19 || n == 21 {
            db.compact().unwrap_err();
        }
    }
    db.close().unwrap();
    let mut files = without_end_mark(image(dir.path()));
    files.remove("00000000000000000021.log").expect("a short segment");
    let dir = directory(&files);
    assert_eq!(documents(&open_as(dir.path(), RecoveryMode::PointInTime).unwrap()), first_documents(20));
}

#[test]
fn a_segment_that_does_not_continue_the_one_before_it_is_refused() {
    let whole = three_segments();
    let changed = |name: &str, member: &str, to: serde_json::Value| {
        let first = lines(&whole[name])[0].clone();
        let mut files = whole.clone();
        let spliced = header(&first, &[(member, to)]);
        files.insert(name.to_owned(), [spliced.as_bytes(), &whole[name][first.end()..]].concat());
        files
    };
    let length = lines(&whole[SECOND])[0].json()["previous_bytes"].as_u64().unwrap();
    for to in [0, 1, length - 1, length + 1, length + 100] {
        let files = changed(SECOND, "previous_bytes", to.into());
        assert_eq!(refused(open(directory(&files).path())).file(), Some(LOG), "{to} instead of {length}");
    }
    let files = changed(SECOND, "previous", "01234567".into());
    refused(open(directory(&files).path()));
    let dir = directory(&files);
    assert_eq!(documents(&open_as(dir.path(), RecoveryMode::PointInTime).unwrap()), first_documents(10));
    // With nothing before it there is no point in time to go back to.
    let mut files = whole.clone();
    files.insert("00000000000000000000.log".to_owned(), files[LOG].clone());
    files.retain(|name, _| name.starts_with("00000000000000000000"));
    for mode in [RecoveryMode::TornTail, RecoveryMode::PointInTime] {
        refused(open_as(directory(&files).path(), mode));
    }
}

#[test]
fn of_two_damaged_segments_the_first_one_needed_is_named() {
    let (_, after) = compacted();
    let last = after.keys().find(|name| name.ends_with(".log")).unwrap();
    let mut files = after.clone();
    files.get_mut(last).unwrap()[3] ^= 1;
    let damaged = files[last].clone();
    files.insert("00000000000000000040.log".to_owned(), damaged);
    let error = refused(open(directory(&files).path()));
    assert_eq!(error.file(), Some(last.as_str()));
}

#[test]
fn opening_reads_little_of_a_sound_snapshot() {
    struct Bytes(AtomicUsize);
    impl Hook for Bytes {
        fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
            let counts = op == Op::ReadAt && name.ends_with(".snapshot");
            self.0.fetch_add(usize::from(counts), Ordering::SeqCst);
            Verdict::Go
        }
    }
    let (_, after) = compacted();
    let dir = directory(&after);
    let reads = Arc::new(Bytes(AtomicUsize::new(0)));
    let db =
        Db::open_with(Hooked::new(SyncDiskStorage::open(dir.path()).unwrap(), &reads), manual()).unwrap();
    // Header, footer, and the index with the drops.
    assert_eq!(reads.0.load(Ordering::SeqCst), 3);
    assert_eq!(documents(&db), first_documents(30));
}
