//! Guards against an encrypted database that shows what it holds, opens with another key, or takes what somebody has changed.

use crate::support::block_on;
use crate::support::effort::is_soak;
use pumice::blocking::{self, Db, encrypted};
use pumice::{EncryptedStorage, ErrorKind, Key, MemoryStorage, Options, Result, Storage};
use std::collections::BTreeMap;

fn key() -> Key {
    Key::bytes([1; 32])
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(storage: &MemoryStorage) -> Files {
    block_on(async {
        let mut files = Files::new();
        for name in storage.list().await.unwrap() {
            let bytes = storage.read_at(&name, 0, usize::MAX).await.unwrap();
            files.insert(name, bytes);
        }
        files
    })
}

fn place(files: &Files) -> MemoryStorage {
    let storage = MemoryStorage::new();
    block_on(async {
        for (name, bytes) in files {
            storage.create(name).await.unwrap();
            storage.append(name, bytes).await.unwrap();
        }
    });
    storage
}

const DOCUMENTS: usize = 40;

fn text(n: usize) -> String {
    format!("{{\"secret\":\"secret {n}\",\"long\":\"{}\"}}", "long ".repeat(n % 7 * 3))
}

/// A closed database with a snapshot and a log behind it.
fn database(key: &Key) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let db = open(&storage, key).unwrap();
    let notes = db.collection("secrets");
    for n in 0..DOCUMENTS {
        notes.put_raw(&format!("secret {n:03}"), &text(n)).unwrap();
        if n == DOCUMENTS / 2 {
            db.compact().unwrap();
        }
    }
    db.close().unwrap();
    storage
}

fn open(storage: &MemoryStorage, key: &Key) -> Result<Db<EncryptedStorage<MemoryStorage>>> {
    Db::open_with(encrypted(storage.clone(), key)?, Options::new().compact_at(None))
}

/// What is wrong with a database, if it is not whole; panics when it shows something that was never written.
fn damage(storage: &MemoryStorage) -> Option<String> {
    let db = match encrypted(storage.clone(), &key())
        .and_then(|storage| Db::open_with(storage, Options::new().read_only(true)))
    {
        Ok(db) => db,
        Err(error) => return Some(error.to_string()),
    };
    let mut found = 0;
    let scanned = db.read_view().for_each_of_all_raw(|_, key, shown| {
        let n: usize = key["secret ".len()..].parse().unwrap();
        assert_eq!(shown, text(n));
        found += 1;
        Ok(())
    });
    if let Err(error) = scanned {
        return Some(error.to_string());
    }
    let verified = db.verify().unwrap();
    if let Some(error) = verified.damage.first() {
        return Some(error.to_string());
    }
    if db.recovery().unclean || db.recovery().torn.is_some() {
        return Some("unclean".into());
    }
    assert_eq!(found, DOCUMENTS, "documents are missing, and nothing tells");
    None
}

#[test]
fn nothing_that_was_written_can_be_read_without_the_key() {
    let storage = database(&key());
    for (name, bytes) in files(&storage) {
        for plain in ["secret", "INSERT", "PUMICE", "long"] {
            assert!(!bytes.windows(plain.len()).any(|part| part == plain.as_bytes()), "{plain} in {name}");
        }
    }
    assert_eq!(damage(&storage), None);
}

#[test]
fn another_key_is_refused_and_changes_nothing() {
    let storage = database(&key());
    let before = files(&storage);
    for other in [Key::bytes([2; 32]), Key::passphrase("no").unwrap()] {
        let refused = open(&storage, &other).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert!(refused.to_string().contains("key"), "{refused}");
    }
    let refused = Db::open_with(storage.clone(), Options::new()).err().unwrap();
    assert!(refused.to_string().contains("encrypted"), "{refused}");
    assert!(blocking::verify(storage.clone()).is_err_and(|e| e.to_string().contains("encrypted")));
    assert_eq!(files(&storage), before);
}

#[test]
fn a_database_that_is_not_encrypted_is_not_opened_as_one() {
    let storage = MemoryStorage::new();
    let db = Db::open_with(storage.clone(), Options::new()).unwrap();
    db.collection("c").put("k", &1).unwrap();
    db.close().unwrap();
    let before = files(&storage);
    let refused = open(&storage, &key()).err().unwrap();
    assert!(refused.to_string().contains("not encrypted"), "{refused}");
    assert_eq!(files(&storage), before);
}

#[test]
fn without_its_key_file_a_database_is_left_alone() {
    let mut there = files(&database(&key()));
    there.retain(|name, _| !name.ends_with(".key"));
    let storage = place(&there);
    let refused = Db::open_with(storage.clone(), Options::new()).err().unwrap();
    assert!(refused.to_string().contains("encrypted"), "{refused}");
    assert!(open(&storage, &key()).is_err());
    assert_eq!(files(&storage), there);
    // Also where there is nothing but a log that was never closed.
    there.retain(|name, _| name.ends_with(".log"));
    let storage = place(&there);
    let refused = Db::open_with(storage.clone(), Options::new()).err().unwrap();
    assert!(refused.to_string().contains("encrypted"), "{refused}");
    assert_eq!(files(&storage), there);
}

#[test]
fn a_new_passphrase_replaces_the_old_one_and_no_data() {
    let old = Key::passphrase("the old one").unwrap();
    let storage = database(&old);
    let before = files(&storage);
    let db = open(&storage, &old).unwrap();
    db.change_key(&Key::of_file(b"the new one\n").unwrap()).unwrap();
    db.close().unwrap();
    assert!(open(&storage, &old).is_err());
    let db = open(&storage, &Key::passphrase("the new one").unwrap()).unwrap();
    assert_eq!(db.collection("secrets").count(..).unwrap(), DOCUMENTS as u64);
    db.change_key(&key()).unwrap();
    db.close().unwrap();
    assert_eq!(damage(&storage), None);
    let after = files(&storage);
    for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".snapshot")) {
        assert_eq!(after.get(name), Some(bytes));
    }
    assert_eq!(after.keys().filter(|name| name.ends_with(".key")).count(), 1);
}

#[test]
fn key_files_hold_32_bytes_or_a_passphrase() {
    let storage = database(&Key::of_file(&[b"01".repeat(32), b"\r\n".to_vec()].concat()).unwrap());
    assert_eq!(damage(&storage), None);
    assert_eq!(Key::of_file(b"\n").err().unwrap().kind(), ErrorKind::InvalidArgument);
    assert_eq!(format!("{:?}", key()), "Key");
}

/// Every bit in a soak, else one of each byte.
#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let whole = files(&database(&key()));
    let soak = is_soak();
    // Of an end mark only the name counts.
    for (name, bytes) in whole.iter().filter(|(name, _)| !name.ends_with(".end")) {
        let step = if soak { 1 } else { 1 + bytes.len() / 400 };
        for at in (0..bytes.len()).step_by(step) {
            for bit in (0..8).filter(|bit| soak || at % 8 == *bit) {
                let mut damaged = whole.clone();
                damaged.get_mut(name).unwrap()[at] ^= 1 << bit;
                assert!(damage(&place(&damaged)).is_some(), "bit {bit} of byte {at} of {name}");
            }
            let mut damaged = whole.clone();
            damaged.get_mut(name).unwrap().truncate(at);
            assert!(damage(&place(&damaged)).is_some(), "{name} cut to {at}");
        }
    }
}

#[test]
fn files_that_change_places_are_noticed() {
    let (whole, other) = (files(&database(&key())), files(&database(&key())));
    // Of an end mark only the name counts.
    let names: Vec<_> = whole.keys().filter(|name| !name.ends_with(".end")).collect();
    for name in &names {
        let mut swapped = whole.clone();
        swapped.insert((*name).clone(), other[*name].clone());
        assert!(damage(&place(&swapped)).is_some(), "{name} of another database");
        for with in names.iter().filter(|with| with != &name) {
            let mut swapped = whole.clone();
            swapped.insert((*name).clone(), whole[*with].clone());
            assert!(damage(&place(&swapped)).is_some(), "{name} is {with}");
        }
    }
}

#[test]
fn frames_that_change_places_are_noticed() {
    let storage = MemoryStorage::new();
    let sealed = encrypted(storage.clone(), &key()).unwrap();
    block_on(sealed.create("a.log")).unwrap();
    for n in 0..6 {
        block_on(sealed.append("a.log", format!("record {n}\n").as_bytes())).unwrap();
    }
    let whole = files(&storage);
    let bytes = &whole["a.log"];
    let header = bytes.len() - 6 * (9 + 56);
    let content = |there: &Files| {
        let sealed = encrypted(place(there), &key()).unwrap();
        block_on(sealed.read_at("a.log", 0, usize::MAX)).unwrap()
    };
    let written = content(&whole);
    assert_eq!(written.len(), 54);
    for from in 0..6 {
        for to in (0..6).filter(|to| *to != from) {
            let frame = |n: usize| header + n * 65..header + (n + 1) * 65;
            let mut changed = whole.clone();
            let file = changed.get_mut("a.log").unwrap();
            let moved = file[frame(from)].to_vec();
            file[frame(to)].copy_from_slice(&moved);
            let found = content(&changed);
            // What stands in its place is read; the rest is nothing that was written.
            let range = to * 9..((to + 1) * 9).min(found.len());
            assert!(found[range].iter().all(|byte| *byte == 0xFF), "{from} in the place of {to}");
        }
        let mut cut = whole.clone();
        cut.get_mut("a.log").unwrap().drain(header + from * 65..header + (from + 1) * 65);
        assert!(content(&cut).starts_with(&written[..from * 9]));
        assert!(!content(&cut)[from * 9..].windows(6).any(|part| part == b"record"), "one was taken out");
    }
}
