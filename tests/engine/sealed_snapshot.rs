//! Guards against a snapshot file of an encrypted database that shows what it holds, opens with another key, or takes what
//! somebody has changed.

use pumice::blocking::Db;
use pumice::{ErrorKind, Key, KeyedDiskStorage, Moment, Options};
use std::fs;
use std::path::Path;
use tempfile::tempdir;

const DOCUMENTS: u64 = 200;

fn key() -> Key {
    Key::bytes([1; 32])
}

fn open(dir: &Path, key: Option<&Key>) -> Db<KeyedDiskStorage> {
    Db::open_with(KeyedDiskStorage::open(dir, key).unwrap(), Options::new()).unwrap()
}

fn filled(dir: &Path) -> Db<KeyedDiskStorage> {
    let db = open(dir, Some(&key()));
    for n in 0..DOCUMENTS {
        db.collection("secrets").put_raw(&format!("secret {n:03}"), &format!("\"secret {n}\"")).unwrap();
        if n == DOCUMENTS / 2 {
            db.compact().unwrap();
        }
    }
    db
}

fn is_filled(db: &Db<KeyedDiskStorage>) -> bool {
    (0..DOCUMENTS).all(|n| {
        let found = db.collection("secrets").get_raw(&format!("secret {n:03}")).unwrap();
        found.is_some_and(|text| *text == *format!("\"secret {n}\""))
    }) && db.collection("secrets").count(..).unwrap() == DOCUMENTS
}

#[test]
fn only_the_key_opens_it_and_what_it_opens_is_sealed_again() {
    let place = tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let db = filled(&path("app"));
    let file = path("all.snapshot");
    db.export_snapshot(&file).unwrap();
    assert_eq!(db.export_snapshot(&file).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let bytes = fs::read(&file).unwrap();
    for word in ["secret", "PUMICE"] {
        assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
    }
    let refused = |key: Option<&Key>| {
        let refused = Db::restore_with_key(&file, path("no"), None, key).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert!(!path("no").exists());
    };
    refused(None);
    refused(Some(&Key::bytes([2; 32])));
    assert_eq!(Db::restore(&file, path("no")).unwrap_err().kind(), ErrorKind::InvalidArgument);

    Db::restore_with_key(&file, path("again"), None, Some(&key())).unwrap();
    let again = open(&path("again"), Some(&key()));
    assert!(is_filled(&again) && again.verify().unwrap().is_sound());
    assert_eq!(again.sequence(), db.sequence());
    let earlier = Db::restore_with_key(&file, path("no"), Some(Moment::Sequence(3)), Some(&key()));
    assert_eq!(earlier.unwrap_err().kind(), ErrorKind::NotFound);

    // The key of that time goes on to open it, and the database itself takes it under any.
    db.change_key(&Key::bytes([3; 32])).unwrap();
    db.collection("secrets").put_raw("late", "1").unwrap();
    db.import_snapshot(&file).unwrap();
    assert!(is_filled(&db));
    refused(Some(&Key::bytes([3; 32])));
    let plain = open(&path("plain"), None);
    assert_eq!(plain.import_snapshot(&file).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let foreign = open(&path("foreign"), Some(&key()));
    assert_eq!(foreign.import_snapshot(&file).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(foreign.sequence(), 0);
}

#[test]
fn whatever_was_changed_in_it_is_refused() {
    let place = tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let db = filled(&path("app"));
    db.export_snapshot(path("all.snapshot")).unwrap();
    let sound = fs::read(path("all.snapshot")).unwrap();
    let refuse = |bytes: &[u8], what: &str| {
        fs::write(path("broken"), bytes).unwrap();
        let refused = Db::restore_with_key(path("broken"), path("new"), None, Some(&key())).unwrap_err();
        assert!(
            matches!(refused.kind(), ErrorKind::Corrupt | ErrorKind::InvalidArgument),
            "{what}: {refused}"
        );
        assert!(!path("new").exists());
        assert!(db.import_snapshot(path("broken")).is_err() || what == "key", "{what}");
    };
    let line = sound.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for at in 0..line {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        // The database itself has its own key and reads none, so it may take the rest.
        refuse(&damaged, "key");
    }
    for at in (line..sound.len()).step_by(7) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        refuse(&damaged, &format!("bit at {at}"));
    }
    for len in (0..sound.len()).step_by(61) {
        refuse(&sound[..len], &format!("cut to {len}"));
    }
    refuse(&sound[line..], "without its key");
    assert!(is_filled(&db));
}
