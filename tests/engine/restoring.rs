//! Guards against a restore that gives anything but what was there, or refuses what the past still has: each file of a database
//! that keeps its past is damaged in turn.

use pumice::blocking::Db;
use pumice::{ErrorKind, Moment, Options, Result, Retention, SyncDiskStorage};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ROUND: u64 = 12;
const ROUNDS: u64 = 3;
const LAST: u64 = ROUND * ROUNDS;

/// A closed database: of three rounds of writes, each was compacted but the last.
struct Place {
    folder: TempDir,
    /// Its files, by their names within the directory.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("app")).unwrap();
        db.set_retention(Some(Retention::new())).unwrap();
        for n in 1..=LAST {
            assert_eq!(db.collection("c").put_raw(&key(n), &n.to_string()).unwrap(), n);
            if n % ROUND == 0 && n < LAST {
                db.compact().unwrap();
            }
        }
        db.close().unwrap();
        let mut place = Self { folder, files: Vec::new() };
        let app = place.app();
        for dir in [app.clone(), app.join("archive")] {
            let entries = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
            for path in entries.filter(|path| path.is_file()) {
                let name = path.strip_prefix(&app).unwrap().to_owned();
                place.files.push((name, fs::read(&path).unwrap()));
            }
        }
        place.files.sort();
        place
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    /// The file in charge with that ending.
    fn live(&self, ending: &str) -> (&Path, &[u8]) {
        let mut found = self.files.iter().filter(|(name, _)| {
            name.components().count() == 1 && name.extension().is_some_and(|e| e == ending)
        });
        let (name, bytes) = found.next().unwrap();
        assert!(found.next().is_none());
        (name, bytes)
    }

    fn write(&self, name: &Path, bytes: &[u8]) {
        fs::write(self.app().join(name), bytes).unwrap();
    }

    /// What a restore gives, checked against what was there after that record, and how many files it went without.
    fn restore(&self, moment: Option<u64>) -> Result<usize> {
        let to = self.folder.path().join("restored");
        let restored = match moment {
            None => Db::restore(self.app(), &to),
            Some(sequence) => Db::restore_at(self.app(), &to, Moment::Sequence(sequence)),
        };
        let Ok(restored) = restored else {
            assert!(!to.exists(), "a refused restore leaves nothing");
            return restored.map(|_| 0);
        };
        let db = Db::open(&to).unwrap();
        let last = moment.unwrap_or(LAST);
        assert_eq!((db.sequence(), db.collection("c").count(..).unwrap()), (last, last.min(7)));
        for n in (1..=last).rev().take(7) {
            assert_eq!(db.collection("c").get::<u64>(&key(n)).unwrap(), Some(n), "at {last}");
        }
        db.close().unwrap();
        fs::remove_dir_all(&to).unwrap();
        Ok(restored.passed_over.len())
    }
}

/// How many lines are whole, the header's among them.
fn lines(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').count() as u64 - 1
}

fn key(n: u64) -> String {
    (n % 7).to_string()
}

#[test]
fn a_damaged_snapshot_is_made_of_the_past() {
    let place = Place::new();
    assert_eq!(place.restore(None).unwrap(), 0);
    let (name, sound) = place.live("snapshot");
    for at in (0..sound.len()).step_by(5) {
        let mut damaged = sound.to_vec();
        damaged[at] ^= 0x20;
        place.write(name, &damaged);
        assert_eq!(place.restore(None).unwrap(), 1, "at {at}");
        assert_eq!(place.restore(Some(ROUND * 2 + 3)).unwrap(), 1, "at {at}");
        place.restore(Some(ROUND + 3)).unwrap();
    }
    // And the log behind it is cut: a restore of the newest state must not give less than that.
    let (log, whole) = place.live("log");
    for len in (0..whole.len()).step_by(40).filter(|len| lines(&whole[..*len]) <= ROUND) {
        place.write(log, &whole[..len]);
        assert_eq!(place.restore(None).unwrap_err().kind(), ErrorKind::Corrupt, "cut to {len}");
    }
    fs::remove_file(place.app().join(log)).unwrap();
    assert_eq!(place.restore(None).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn damage_behind_a_record_does_not_matter_to_it() {
    let place = Place::new();
    let (name, sound) = place.live("log");
    for at in (0..sound.len()).step_by(97) {
        let mut damaged = sound.to_vec();
        damaged[at] ^= 0x20;
        place.write(name, &damaged);
        let lines = lines(&sound[..at]);
        if lines > ROUND {
            // The seal behind the last record tells nothing that is needed.
            assert_eq!(place.restore(None).unwrap(), 0, "at {at}");
            continue;
        }
        assert_eq!(place.restore(None).unwrap_err().kind(), ErrorKind::Corrupt, "at {at}");
        if lines == 0 {
            // Without its header nobody knows what it may have given up of the archive.
            for sequence in [1, ROUND, ROUND * 2, LAST] {
                let refused = place.restore(Some(sequence)).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Corrupt, "{sequence} at {at}");
            }
            continue;
        }
        for sequence in [1, ROUND, ROUND * 2 - 1, ROUND * 2] {
            place.restore(Some(sequence)).unwrap();
        }
        for sequence in ROUND * 2 + 1..=LAST {
            match place.restore(Some(sequence)) {
                Ok(_) => assert!(sequence < ROUND * 2 + lines, "at {at}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "at {at}: {error}");
                    assert!(sequence >= ROUND * 2 + lines, "{sequence} at {at}");
                }
            }
        }
    }
}

/// A repair gives up a damaged snapshot and the log behind it, of which the archive still has a part.
#[test]
fn what_a_repair_gave_up_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let files = |ending: &str| -> Vec<PathBuf> {
        let paths = fs::read_dir(&app).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
    };
    let open = |compact_at| {
        let storage = SyncDiskStorage::open(&app).unwrap();
        Db::open_with(storage, Options::new().compact_at(compact_at)).unwrap()
    };
    let put = |db: &Db<SyncDiskStorage>, n: u64, value: &str| {
        let document = format!("{value} {}", "x".repeat(500));
        assert_eq!(db.collection("c").put(&n.to_string(), &document).unwrap(), n);
    };
    let db = open(None);
    db.set_retention(Some(Retention::new())).unwrap();
    (1..=400).for_each(|n| put(&db, n, "kept"));
    db.compact().unwrap();
    db.close().unwrap();
    let db = open(Some(4000));
    let mut last = 400;
    while files("snapshot").len() < 2 {
        last += 1;
        put(&db, last, "given up");
    }
    db.close().unwrap();
    let mut snapshots = files("snapshot");
    snapshots.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let mut bytes = fs::read(&snapshots[0]).unwrap();
    bytes[200] ^= 1;
    fs::write(&snapshots[0], bytes).unwrap();
    assert_eq!(Db::repair_to_point_in_time(&app).unwrap().kept, 400);
    let db = open(None);
    (401..=405).for_each(|n| put(&db, n, "new"));
    db.close().unwrap();

    let at = |sequence: u64| -> Result<Option<String>> {
        let to = folder.path().join("restored");
        Db::restore_at(&app, &to, Moment::Sequence(sequence))?;
        let db = Db::open(&to)?;
        let found = db.collection("c").get::<String>(&sequence.to_string())?;
        db.close()?;
        fs::remove_dir_all(&to).unwrap();
        Ok(found.and_then(|text| text.split(" x").next().map(str::to_owned)))
    };
    assert_eq!(at(400).unwrap().as_deref(), Some("kept"));
    assert_eq!(at(403).unwrap().as_deref(), Some("new"));
    // Nor where the segment that tells of it is ruined, or gone.
    let [log] = &files("log")[..] else { panic!("one segment") };
    let sound = fs::read(log).unwrap();
    for byte in (0..300).step_by(7) {
        let mut damaged = sound.clone();
        damaged[byte] ^= 4;
        fs::write(log, damaged).unwrap();
        assert_eq!(at(403).unwrap_err().kind(), ErrorKind::Corrupt, "at {byte}");
    }
    fs::remove_file(log).unwrap();
    assert_eq!(at(403).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn whatever_is_damaged_nothing_wrong_is_restored() {
    let place = Place::new();
    for (name, sound) in place.files.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        for at in (0..sound.len()).step_by(89) {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            place.write(name, &damaged);
            for moment in [None, Some(3), Some(ROUND), Some(ROUND * 2 - 1), Some(ROUND * 2 + 1), Some(LAST)] {
                if let Err(error) = place.restore(moment) {
                    let kind = error.kind();
                    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::NotFound), "{error}");
                }
            }
        }
        fs::remove_file(place.app().join(name)).unwrap();
        for moment in [None, Some(3), Some(ROUND * 2 - 1), Some(LAST)] {
            let _ = place.restore(moment);
        }
        place.write(name, sound);
    }
}
