//! Guards against key files that lose a database: a change of the key that fails half-way, a key file that never
//! reached the medium, one that asks for more than the machine has, and a backup over the only copy of another one.

use crate::faults::fault::{Fault, Manner, manners};
use crate::support::block_on;
use crate::support::hooked::{Hooked, Op};
use crate::support::log_file::crc32c;
use crate::support::page_cache::PageCache;
use pumice::blocking::{Db, encrypted};
use pumice::{EncryptedStorage, ErrorKind, Key, KeyedDiskStorage, MemoryStorage, Options, Result, Storage};
use std::time::{Duration, Instant};

fn old() -> Key {
    Key::bytes([1; 32])
}

fn new() -> Key {
    Key::bytes([2; 32])
}

fn changes(op: Op, _: &str) -> bool {
    !matches!(op, Op::List | Op::Len | Op::ReadAt | Op::Close)
}

fn open<S: Storage>(storage: S, key: &Key) -> Result<Db<EncryptedStorage<S>>> {
    Db::open_with(encrypted(storage, key)?, Options::new().compact_at(None))
}

fn write(cache: &PageCache, key: &Key, n: u32) -> Result<()> {
    let db = open(cache.clone(), key)?;
    db.collection("c").put(&format!("k{n}"), &n)?;
    db.close()
}

/// Whether `key` opens what a power cut leaves of `cache`, with `count` documents.
fn opens(cache: &PageCache, key: &Key, count: u64) -> bool {
    match open(cache.after_a_power_cut(), key) {
        Ok(db) => {
            assert_eq!(db.collection("c").count(..).unwrap(), count);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            false
        }
    }
}

/// Fails each call of `body` in every manner, until it has no more of them.
fn each_fault(body: impl Fn(&PageCache, Hooked<PageCache>, &Fault)) {
    for manner in manners() {
        each_call(manner, &body);
    }
}

fn each_call(manner: Manner, body: &impl Fn(&PageCache, Hooked<PageCache>, &Fault)) {
    for at in 0.. {
        let cache = PageCache::new();
        let fault = Fault::new(at, manner, changes, Some(cache.clone()));
        body(&cache, Hooked::new(cache.clone(), &fault), &fault);
        if !fault.hit() {
            return;
        }
    }
}

#[test]
fn a_failed_change_of_the_key_leaves_one_that_opens_and_says_which() {
    each_fault(|cache, hooked, fault| {
        write(cache, &old(), 0).unwrap();
        let changed = encrypted(hooked, &old()).and_then(|storage| block_on(storage.change_key(&new())));
        let what = format!("{:?}, {}", fault.manner, fault.met());
        let opened = [old(), new()].map(|key| opens(&cache.copy(), &key, 1));
        assert!(opened[0] != opened[1], "{what}: {opened:?}");
        match changed {
            Ok(()) => assert!(opened[1], "{what}"),
            Err(error) if error.message().contains("new key opens") => assert!(opened[1], "{what}: {error}"),
            Err(error) if error.message().contains("keep both") => {}
            Err(error) => assert!(opened[0], "{what}: {error}"),
        }
    });
}

#[test]
fn what_is_opened_after_a_failed_change_of_the_key_outlives_a_power_cut() {
    each_fault(|cache, hooked, fault| {
        write(cache, &old(), 0).unwrap();
        let _ = encrypted(hooked, &old()).and_then(|storage| block_on(storage.change_key(&new())));
        let what = format!("{:?}, {}", fault.manner, fault.met());
        // The next process sees what the cache has, which the medium may never have got.
        let key = [old(), new()].into_iter().find(|key| encrypted(cache.clone(), key).is_ok());
        let key = key.unwrap_or_else(|| panic!("{what}: no key opens"));
        write(cache, &key, 1).unwrap();
        assert!(opens(cache, &key, 2), "{what}: the key is lost");
    });
}

#[test]
fn what_is_opened_after_a_failed_making_of_the_key_outlives_a_power_cut() {
    each_fault(|cache, hooked, fault| {
        let _ = encrypted(hooked, &old());
        write(cache, &old(), 0).unwrap();
        assert!(opens(cache, &old(), 1), "{:?}, {}: the key is lost", fault.manner, fault.met());
    });
}

#[test]
fn a_failed_opening_changes_no_key() {
    each_fault(|cache, hooked, fault| {
        write(cache, &old(), 0).unwrap();
        // What a process leaves that is killed before it removes the old file.
        block_on(async {
            let bytes = cache.read_at("encryption.1.key", 0, usize::MAX).await.unwrap();
            cache.create("encryption.2.key").await.unwrap();
            cache.append("encryption.2.key", &bytes).await.unwrap();
        });
        let _ = encrypted(hooked, &old());
        assert!(opens(cache, &old(), 1), "{:?}, {}", fault.manner, fault.met());
        write(cache, &old(), 1).unwrap();
        assert!(opens(cache, &old(), 2), "{:?}, {}", fault.manner, fault.met());
        let names = block_on(cache.list()).unwrap();
        assert_eq!(names.iter().filter(|name| name.ends_with(".key")).count(), 1);
    });
}

#[test]
fn behind_the_last_number_no_key_file_is_overwritten() {
    let cache = PageCache::new();
    write(&cache, &old(), 0).unwrap();
    block_on(async {
        let bytes = cache.read_at("encryption.1.key", 0, usize::MAX).await.unwrap();
        let last = format!("encryption.{}.key", u32::MAX);
        cache.create(&last).await.unwrap();
        cache.append(&last, &bytes).await.unwrap();
        cache.sync(&last).await.unwrap();
        cache.remove("encryption.1.key").await.unwrap();
    });
    let refused = block_on(encrypted(cache.clone(), &old()).unwrap().change_key(&new())).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    assert!(opens(&cache, &old(), 1));
}

/// A key file as somebody would forge it, with a checksum that holds.
fn forged(json: &str) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let line = format!("{json} {:08x}\n", crc32c(json.as_bytes()));
    block_on(async {
        storage.create("encryption.1.key").await.unwrap();
        storage.append("encryption.1.key", line.as_bytes()).await.unwrap();
    });
    storage
}

#[test]
fn no_key_file_takes_the_memory_or_the_time_of_the_machine() {
    let passphrase = Key::passphrase("a passphrase").unwrap();
    let (salt, nonce, key) = ("00".repeat(16), "00".repeat(24), "00".repeat(48));
    let costs = [
        (u32::MAX, 1, ErrorKind::Corrupt),
        (1, u32::MAX, ErrorKind::Corrupt),
        ((256 << 10) + 1, 1, ErrorKind::Corrupt),
        (64 << 10, 9, ErrorKind::Corrupt),
        // Less than there can be.
        (0, 0, ErrorKind::InvalidArgument),
    ];
    for (memory, passes, kind) in costs {
        let cost = format!(r#"{{"memory_kib":{memory},"passes":{passes}}}"#);
        let json = format!(
            r#"{{"pumice_key":1,"argon2id":{cost},"salt":"{salt}","nonce":"{nonce}","key":"{key}"}}"#
        );
        let storage = forged(&json);
        let start = Instant::now();
        let error = encrypted(storage, &passphrase).err().unwrap();
        assert_eq!(error.kind(), kind, "{cost}: {error}");
        assert!(start.elapsed() < Duration::from_secs(2), "{cost} took {:?}", start.elapsed());
    }
    let other = forged(&format!(r#"{{"pumice_key":2,"salt":"{salt}","nonce":"{nonce}","key":"{key}"}}"#));
    assert_eq!(encrypted(other, &old()).err().unwrap().kind(), ErrorKind::Version);
    for json in ["", "{}", "[", r#"{"pumice_key":1,"salt":"","nonce":"","key":""}"#] {
        assert_eq!(encrypted(forged(json), &old()).err().unwrap().kind(), ErrorKind::Corrupt, "{json}");
    }
    let long = forged(&"x".repeat(5000));
    assert_eq!(encrypted(long, &old()).err().unwrap().kind(), ErrorKind::Corrupt);
}

#[test]
fn the_cost_of_a_passphrase_cannot_be_lowered() {
    let passphrase = Key::passphrase("a passphrase").unwrap();
    let storage = MemoryStorage::new();
    drop(encrypted(storage.clone(), &passphrase).unwrap());
    let file = block_on(storage.read_at("encryption.1.key", 0, usize::MAX)).unwrap();
    let text = String::from_utf8(file).unwrap();
    let json = text.rsplit_once(' ').unwrap().0;
    let cheap = json.replace(r#""memory_kib":65536,"passes":3"#, r#""memory_kib":8,"passes":1"#);
    assert_ne!(cheap, json);
    let error = encrypted(forged(&cheap), &passphrase).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(encrypted(forged(json), &passphrase).is_ok());
}

#[test]
fn a_backup_leaves_the_only_copy_of_another_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mine, copies) = (dir.path().join("mine"), dir.path().join("copies"));
    std::fs::create_dir(&copies).unwrap();
    let other = MemoryStorage::new();
    drop(encrypted(other.clone(), &old()).unwrap());
    let kept = copies.join("encryption.1.key");
    let bytes = block_on(other.read_at("encryption.1.key", 0, usize::MAX)).unwrap();
    std::fs::write(&kept, &bytes).unwrap();

    let db = Db::open_encrypted(&mine, &old()).unwrap();
    db.collection("c").put("k", &1).unwrap();
    let refused = db.backup(&copies).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    assert_eq!(std::fs::read(&kept).unwrap(), bytes);
    let backups = dir.path().join("backups");
    db.backup(&backups).unwrap();
    // With a new key, over what is under the same one of the database.
    db.change_key(&new()).unwrap();
    db.backup(&backups).unwrap();
    db.close().unwrap();
    let restored = dir.path().join("restored");
    Db::<KeyedDiskStorage>::restore_with_key(&backups, &restored, None, Some(&new())).unwrap();
    let refused =
        Db::<KeyedDiskStorage>::restore_with_key(&backups, dir.path().join("no"), None, Some(&old()));
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::InvalidArgument);
}
