//! The past: every moment that is kept is as it was, on whatever way the files got where they are.

use crate::support::block_on;
use crate::support::snapshots::export;
use proptest::prelude::*;
use pumice::blocking::{Db, LogLines};
use pumice::{Environment, ErrorKind, MemoryStorage, Moment, Options, Result, Retention, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

type Contents = BTreeMap<(String, String), String>;

/// A clock that the test sets.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Environment for Clock {
    fn unix_millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(3);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8, u8),
    Delete(u8),
    Drop,
    Batch(Vec<u8>),
    Compact,
    Reopen,
    Import(Vec<u8>),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        10 => (0..20u8, any::<u8>()).prop_map(|(k, v)| Act::Put(k, v)),
        3 => (0..20u8).prop_map(Act::Delete),
        1 => Just(Act::Drop),
        3 => prop::collection::vec(0..20u8, 0..6).prop_map(Act::Batch),
        4 => Just(Act::Compact),
        2 => Just(Act::Reopen),
        1 => prop::collection::vec(0..20u8, 0..6).prop_map(Act::Import),
        4 => (1..50u64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..80)
}

/// A database whose whole past is kept, and what it held after each record.
struct Kept<S: Storage> {
    db: Db<S>,
    clock: Clock,
    now: Contents,
    /// By the number of a write: what it led to, and when.
    then: BTreeMap<u64, (Contents, u64)>,
}

impl<S: Storage> Kept<S> {
    fn new(storage: S) -> Self {
        let clock = Clock::default();
        clock.0.store(1_000, Ordering::Relaxed);
        let db = Db::open_with(storage, options(&clock)).unwrap();
        db.set_retention(Some(Retention::new())).unwrap();
        let then = BTreeMap::from([(0, (Contents::new(), 0))]);
        Self { db, clock, now: Contents::new(), then }
    }

    fn wrote(&mut self) {
        let now = (self.now.clone(), self.clock.unix_millis());
        self.then.entry(self.db.sequence()).or_insert(now);
    }

    fn act(&mut self, act: &Act, reopen: &dyn Fn() -> S) {
        let c = self.db.collection("c");
        let name = |k: &u8| ("c".to_owned(), k.to_string());
        match act {
            Act::Put(k, v) => {
                c.put_raw(&k.to_string(), &v.to_string()).unwrap();
                self.now.insert(name(k), v.to_string());
            }
            Act::Delete(k) => {
                c.delete(&k.to_string()).unwrap();
                self.now.remove(&name(k));
            }
            Act::Drop => {
                c.drop_all().unwrap();
                self.now.clear();
            }
            Act::Batch(keys) => {
                self.db
                    .batch(|b| {
                        keys.iter().try_for_each(|k| b.put_raw("c", &k.to_string(), "\"batch\"").map(drop))
                    })
                    .unwrap();
                self.now.extend(keys.iter().map(|k| (name(k), "\"batch\"".to_owned())));
            }
            Act::Compact => self.db.compact().unwrap(),
            Act::Reopen => {
                self.db.close().unwrap();
                self.db = Db::open_with(reopen(), options(&self.clock)).unwrap();
            }
            Act::Import(keys) => {
                let other = Db::open_with(MemoryStorage::new(), options(&self.clock)).unwrap();
                for k in keys {
                    other.collection("c").put_raw(&k.to_string(), "\"import\"").unwrap();
                }
                let file = block_on(export(other.as_async())).unwrap();
                block_on(self.db.as_async().import_snapshot(file)).unwrap();
                self.now = keys.iter().map(|k| (name(k), "\"import\"".to_owned())).collect();
            }
            Act::Wait(millis) => {
                self.clock.0.fetch_add(*millis, Ordering::Relaxed);
            }
        }
        self.wrote();
    }

    /// Every write, and every number inside of a batch.
    fn check(&self) {
        let mut last = None;
        for sequence in 0..=self.db.sequence() {
            if let Some((contents, _)) = self.then.get(&sequence) {
                last = Some(contents);
            }
            match self.db.read_view_at(Moment::Sequence(sequence)) {
                Ok(view) => assert_eq!(Some(&contents(&view)), last, "after record {sequence}"),
                // Only those that an import has passed over, and the nothing before a first one.
                Err(error) => {
                    assert!(
                        sequence == 0 || !self.then.contains_key(&sequence),
                        "after record {sequence}: {error}"
                    );
                }
            }
        }
        assert_eq!(self.db.verify().unwrap().damage.len(), 0);
    }

    /// Every time at which something was written, and one in between.
    fn check_times(&self) {
        let mut at: BTreeMap<u64, &Contents> = BTreeMap::new();
        for (contents, time) in self.then.values() {
            at.insert(*time, contents);
        }
        for (time, expected) in at {
            let view = self.db.read_view_at(Moment::Time(time)).unwrap();
            assert_eq!(contents(&view), *expected, "at {time}");
        }
    }
}

fn options(clock: &Clock) -> Options {
    Options::new().environment(clock.clone()).compact_at(None)
}

fn contents<S: Storage>(view: &pumice::blocking::ReadView<S>) -> Contents {
    let mut found = Contents::new();
    view.for_each_of_all_raw(|c, k, v| {
        found.insert((c.to_owned(), k.to_owned()), v.to_owned());
        Ok(())
    })
    .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_moment_is_as_it_was(acts in acts()) {
        let storage = MemoryStorage::new();
        let mut kept = Kept::new(storage.clone());
        for act in &acts {
            kept.act(act, &|| storage.clone());
        }
        kept.check();
        if !acts.iter().any(|act| matches!(act, Act::Import(_))) {
            kept.check_times();
            // And the log still has every record, though most of it was compacted.
            let mut records = 0;
            let mut lines = LogLines::open(storage, None, false).unwrap();
            lines.read(|_| { records += 1; Ok(()) }).unwrap();
            assert_eq!(records, kept.db.sequence());
        }
    }

    #[test]
    fn what_is_within_the_limits_is_as_it_was(acts in acts(), limit in prop_oneof![
        (20..500u64).prop_map(|ms| Retention::new().keep(Duration::from_millis(ms))),
        (500..20_000u64).prop_map(|bytes| Retention::new().max_bytes(bytes)),
    ]) {
        let storage = MemoryStorage::new();
        let mut kept = Kept::new(storage.clone());
        kept.db.set_retention(Some(limit)).unwrap();
        let acts = acts.iter().filter(|act| !matches!(act, Act::Import(_)));
        for act in acts.clone().chain([&Act::Compact]) {
            kept.act(act, &|| storage.clone());
        }
        let (mut oldest, mut last) = (None, &Contents::new());
        for sequence in 0..=kept.db.sequence() {
            last = kept.then.get(&sequence).map_or(last, |(contents, _)| contents);
            match kept.db.read_view_at(Moment::Sequence(sequence)) {
                Ok(view) => {
                    assert_eq!(contents(&view), *last, "after record {sequence}");
                    oldest.get_or_insert(sequence);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound);
                    assert_eq!(oldest, None, "record {sequence} is out of reach, and earlier ones are not");
                }
            }
        }
        if let Some(keep) = limit.limit_time() {
            // Whoever asks for a time within the limit gets an answer.
            let from = kept.clock.unix_millis().saturating_sub(u64::try_from(keep.as_millis()).unwrap());
            let wanted = kept.then.iter().filter(|(_, (_, time))| *time <= from).map(|(s, _)| *s).max();
            assert!(oldest <= wanted.or(Some(u64::MAX)), "{oldest:?} {wanted:?}");
        }
        if let Some(bytes) = limit.limit_bytes() {
            assert!(archived_bytes(&storage) <= bytes);
        }
    }
}

fn archived_bytes(storage: &MemoryStorage) -> u64 {
    let names = block_on(storage.list()).unwrap();
    let archived = names.iter().filter(|name| name.starts_with("archive/"));
    archived.map(|name| block_on(storage.len(name)).unwrap()).sum()
}

#[test]
fn without_retention_only_what_safety_needs_is_kept() {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap();
    let c = db.collection("c");
    let first = c.put_raw("k", "1").unwrap();
    c.put_raw("k", "2").unwrap();
    // Not compacted yet: the log has it all.
    assert_eq!(
        db.read_view_at(Moment::Sequence(first)).unwrap().get_raw("c", "k").unwrap().as_deref(),
        Some("1")
    );
    db.compact().unwrap();
    assert_eq!(db.retention(), None);
    assert_eq!(archived_bytes(&storage), 0);
    let refused = db.read_view_at(Moment::Sequence(first)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("within reach: 2"), "{refused}");
    assert_eq!(db.read_view_at(Moment::Sequence(3)).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(db.read_view_at(Moment::Time(5)).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(db.read_view_at(Moment::Time(u64::MAX)).unwrap().sequence(), 2);
}

#[test]
fn the_setting_stays_and_turning_it_off_lets_everything_go() {
    let storage = MemoryStorage::new();
    let open = || Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap();
    let db = open();
    let setting = Retention::new().keep(Duration::from_secs(60)).max_bytes(1 << 20);
    db.set_retention(Some(Retention::new())).unwrap();
    db.set_retention(Some(setting)).unwrap();
    db.collection("c").put_raw("k", "1").unwrap();
    db.compact().unwrap();
    assert!(archived_bytes(&storage) > 0);
    db.close().unwrap();
    let db = open();
    assert_eq!(db.retention(), Some(setting));
    db.set_retention(None).unwrap();
    assert_eq!(archived_bytes(&storage), 0);
    db.close().unwrap();
    assert_eq!(open().retention(), None);
}

#[test]
fn a_view_of_the_past_stays_while_its_files_are_let_go() {
    let storage = MemoryStorage::new();
    let mut kept = Kept::new(storage.clone());
    for n in 0..6 {
        kept.act(&Act::Put(n, n), &|| unreachable!());
        kept.act(&Act::Compact, &|| unreachable!());
    }
    let view = kept.db.read_view_at(Moment::Sequence(3)).unwrap();
    let expected = kept.then[&3].0.clone();
    kept.db.set_retention(Some(Retention::new().max_bytes(0))).unwrap();
    kept.act(&Act::Put(9, 9), &|| unreachable!());
    kept.act(&Act::Compact, &|| unreachable!());
    assert_eq!(contents(&view), expected);
    drop(view);
    kept.act(&Act::Put(9, 8), &|| unreachable!());
    kept.act(&Act::Compact, &|| unreachable!());
    assert_eq!(archived_bytes(&storage), 0);
}

/// Files with right names and wrong contents, and the other way round.
#[test]
fn damage_in_the_archive_is_told_and_gives_nothing_wrong() {
    let storage = MemoryStorage::new();
    let mut kept = Kept::new(storage.clone());
    for n in 0..3 {
        kept.act(&Act::Batch(vec![n, n + 1]), &|| unreachable!());
        kept.act(&Act::Compact, &|| unreachable!());
    }
    let names = block_on(storage.list()).unwrap();
    let archived = names.iter().filter(|name| name.starts_with("archive/") && !name.ends_with(".retention"));
    for name in archived {
        let bytes = block_on(storage.read_at(name, 0, usize::MAX)).unwrap();
        for at in (0..bytes.len()).step_by(61) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            rewrite(&storage, name, &damaged);
            assert!(!kept.db.verify().unwrap().is_sound(), "{name} at {at}");
            let mut last = &Contents::new();
            for sequence in 0..=kept.db.sequence() {
                last = kept.then.get(&sequence).map_or(last, |(contents, _)| contents);
                let view = kept.db.read_view_at(Moment::Sequence(sequence));
                let read = view.and_then(|view| {
                    let mut found = Contents::new();
                    view.for_each_of_all_raw(|c, k, v| {
                        found.insert((c.to_owned(), k.to_owned()), v.to_owned());
                        Ok(())
                    })?;
                    Ok(found)
                });
                match read {
                    Ok(found) => assert_eq!(found, *last, "{name} at {at}, after record {sequence}"),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound), "{error}");
                    }
                }
            }
        }
        rewrite(&storage, name, &bytes);
        assert!(kept.db.verify().unwrap().is_sound());
    }
}

fn rewrite(storage: &MemoryStorage, name: &str, bytes: &[u8]) {
    block_on(async {
        storage.truncate(name, 0).await?;
        storage.append(name, bytes).await?;
        storage.sync(name).await
    })
    .unwrap();
}

#[test]
fn every_record_can_be_restored_from_one_directory_of_backups() {
    let place = tempfile::tempdir().unwrap();
    let (app, backups) = (place.path().join("app"), place.path().join("backups"));
    let storage = || pumice::SyncDiskStorage::open(&app).unwrap();
    let mut kept = Kept::new(storage());
    for n in 0..40_u8 {
        kept.act(&Act::Put(n % 7, n), &storage);
        match n % 9 {
            2 => kept.act(&Act::Batch(vec![n, n + 1, n + 2]), &storage),
            4 => kept.act(&Act::Compact, &storage),
            5 => kept.act(&Act::Delete(n % 5), &storage),
            6 => assert_eq!(kept.db.backup(&backups).unwrap().sequence, kept.db.sequence()),
            7 if n > 20 => kept.act(&Act::Reopen, &storage),
            8 => kept.act(&Act::Drop, &storage),
            _ => {}
        }
    }
    kept.db.backup(&backups).unwrap();
    let again = kept.db.backup(&backups).unwrap();
    assert_eq!((again.new_files, again.new_bytes), (0, 0));
    kept.db.close().unwrap();
    let last = kept.then.last_key_value().map(|(sequence, _)| *sequence).unwrap();
    let mut expected = &Contents::new();
    for sequence in 0..=last {
        expected = kept.then.get(&sequence).map_or(expected, |(contents, _)| contents);
        let restored = place.path().join(format!("at-{sequence}"));
        Db::restore_at(&backups, &restored, Moment::Sequence(sequence)).unwrap();
        let db = Db::open(&restored).unwrap();
        assert_eq!(contents(&db.read_view()), *expected, "after record {sequence}");
        assert_eq!(db.sequence(), sequence);
        assert_eq!(db.retention(), Some(Retention::new()));
        assert!(db.collection("c").put_raw("new", "1").unwrap() > sequence);
        assert!(db.verify().unwrap().is_sound());
        db.close().unwrap();
    }
    let refused = Db::restore_at(&backups, place.path().join("no"), Moment::Sequence(last + 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(!place.path().join("no").exists());
    // A database whose past is kept does as well as its backups.
    let (sequence, (expected, _)) = kept.then.iter().nth(5).unwrap();
    Db::restore_at(&app, place.path().join("straight"), Moment::Sequence(*sequence)).unwrap();
    let straight = Db::open_read_only(place.path().join("straight")).unwrap();
    assert_eq!(contents(&straight.read_view()), *expected);
}

#[test]
fn backups_beside_writers_and_compactions_are_whole() {
    let place = tempfile::tempdir().unwrap();
    let db = Db::open_with(
        pumice::SyncDiskStorage::open(place.path().join("app")).unwrap(),
        Options::new().compact_at(Some(20_000)),
    )
    .unwrap();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let db = db.clone();
            thread::spawn(move || {
                for n in 0..400 {
                    // Two documents that are always equal.
                    let text = format!("\"{n} {}\"", "x".repeat(100));
                    db.batch(|b| {
                        b.put_raw("a", &writer.to_string(), &text)?;
                        b.put_raw("b", &writer.to_string(), &text).map(drop)
                    })
                    .unwrap();
                }
            })
        })
        .collect();
    // Of an empty database there is nothing to back up.
    while db.sequence() == 0 {
        thread::yield_now();
    }
    let mut made = Vec::new();
    for n in 0..8 {
        // Into one directory from within, and into others from beside.
        made.push(db.backup(place.path().join("backups")).unwrap().sequence);
        let beside = Db::open_read_only(place.path().join("app")).unwrap();
        beside.backup(place.path().join(format!("beside-{n}"))).unwrap();
        let restored = place.path().join(format!("restored-{n}"));
        Db::restore(place.path().join(format!("beside-{n}")), &restored).unwrap();
        let found = contents(&Db::open_read_only(&restored).unwrap().read_view());
        for writer in 0..3 {
            let of = |c: &str| found.get(&(c.to_owned(), writer.to_string()));
            assert_eq!(of("a"), of("b"));
        }
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    for (n, sequence) in made.iter().enumerate() {
        let restored = place.path().join(format!("again-{n}"));
        Db::restore_at(place.path().join("backups"), &restored, Moment::Sequence(*sequence)).unwrap();
        assert_eq!(Db::open_read_only(&restored).unwrap().sequence(), *sequence);
    }
}

#[test]
fn a_backup_goes_only_where_it_belongs() {
    let place = tempfile::tempdir().unwrap();
    let open = |name: &str| Db::open(place.path().join(name)).unwrap();
    let (one, two) = (open("one"), open("two"));
    one.collection("c").put_raw("k", "1").unwrap();
    two.collection("c").put_raw("k", "2").unwrap();
    one.backup(place.path().join("backups")).unwrap();
    for wrong in ["backups", "one"] {
        let refused = two.backup(place.path().join(wrong)).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::InvalidArgument | ErrorKind::Busy), "{refused}");
    }
    std::fs::create_dir(place.path().join("full")).unwrap();
    std::fs::write(place.path().join("full/note"), "mine").unwrap();
    assert_eq!(two.backup(place.path().join("full")).unwrap_err().kind(), ErrorKind::InvalidArgument);
    // Nor does a directory of backups pass for a database.
    for refused in
        [Db::open(place.path().join("backups")).err(), Db::open_read_only(place.path().join("backups")).err()]
    {
        assert_eq!(refused.unwrap().kind(), ErrorKind::InvalidArgument);
    }
}
