//! Guards the fuzz targets against blindness: what mends their inputs must leave sound files as they are and make
//! changed ones pass their checksums, or nothing behind a checksum is ever reached.

#![cfg(not(target_family = "wasm"))]

#[allow(dead_code)] // The targets use the rest.
#[path = "../fuzz/src/log.rs"]
mod log;
#[allow(dead_code)]
#[path = "../fuzz/src/snapshot.rs"]
mod snapshot;
mod support;

use log::{Link, Mending};
use pumice::blocking::Db;
use pumice::{ErrorKind, MemoryStorage, Options, Storage};
use std::time::Duration;
use support::block_on;
use support::watchdog::within;

const SEGMENT: &[u8] = include_bytes!("fixtures/v1/closed/00000000000000000001.log");
const FULL: &[u8] = include_bytes!("fixtures/v1/compacted/00000000000000000073.snapshot");
const RUN: &[u8] = include_bytes!("fixtures/v1/compacted/00000000000000000078-00000000000000000073.snapshot");
const PACKED: &[u8] = include_bytes!("fixtures/v2/packed/00000000000000000078.snapshot");
const BEHIND: &[u8] = include_bytes!("fixtures/v1/compacted/00000000000000000079.log");
const CHAIN: Mending = Mending { checksums: true, chain: true };
const PLACES: snapshot::Mending = snapshot::Mending { checksums: true, places: true, range: None };

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|found| found == part).unwrap()
}

fn open(files: &[(&str, &[u8])]) -> pumice::Result<Db<MemoryStorage>> {
    let storage = MemoryStorage::new();
    block_on(async {
        for (name, bytes) in files {
            storage.create(name).await.unwrap();
            storage.append(name, bytes).await.unwrap();
        }
    });
    Db::open_with(storage, Options::new().read_only(true))
}

/// Opens these files and reads everything.
fn documents(files: &[(&str, &[u8])]) -> pumice::Result<u64> {
    let db = open(files)?;
    let mut documents = 0;
    db.read_view().for_each_of_all_raw(|_, _, _| {
        documents += 1;
        Ok(())
    })?;
    Ok(documents)
}

#[test]
fn a_sound_segment_stays_as_it_is() {
    let (mended, link) = log::segment(SEGMENT, CHAIN, Link::START);
    assert!(mended == SEGMENT);
    assert_eq!(link.previous_len, SEGMENT.len());
}

#[test]
fn a_changed_segment_is_sound_again() {
    let name = "00000000000000000001.log";
    let sound = documents(&[(name, SEGMENT)]).unwrap();
    let mut changed = SEGMENT.to_vec();
    changed[position(SEGMENT, b"Ada")] = b'B';
    assert!(documents(&[(name, &changed)]).is_err());
    let (mended, _) = log::segment(&changed, CHAIN, Link::START);
    assert_eq!(documents(&[(name, &mended)]).unwrap(), sound);
    assert!(position(&mended, b"Bda") > 0);
}

#[test]
fn a_sound_snapshot_stays_as_it_is() {
    assert!(snapshot::mend(FULL, snapshot::Mending { range: Some((0, 73)), ..PLACES }) == FULL);
    assert!(snapshot::mend(RUN, snapshot::Mending { range: Some((73, 78)), ..PLACES }) == RUN);
    assert!(snapshot::mend(PACKED, snapshot::Mending { range: Some((0, 78)), ..PLACES }) == PACKED);
}

#[test]
fn a_changed_snapshot_is_sound_again() {
    let read = |full: &[u8]| {
        documents(&[
            ("00000000000000000073.snapshot", full),
            ("00000000000000000078-00000000000000000073.snapshot", RUN),
            ("00000000000000000079.log", BEHIND),
        ])
    };
    let sound = read(FULL).unwrap();
    // A value, a key in a leaf, and the digest in the footer.
    let key = position(FULL, b"key-0");
    for at in [position(FULL, b"abcdefgh"), key, FULL.len() - 90] {
        let mut changed = FULL.to_vec();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "{at}");
        assert_eq!(read(&snapshot::mend(&changed, PLACES)).ok(), Some(sound), "{at}");
    }
    // Bytes put in between move everything behind them.
    let mut longer = FULL.to_vec();
    longer.insert(FULL.len() - 160, 0);
    assert!(snapshot::mend(&longer, PLACES).ends_with(b"PUMICEFT"));
}

#[test]
fn a_changed_snapshot_with_packed_values_is_sound_again() {
    let read = |full: &[u8]| {
        documents(&[("00000000000000000078.snapshot", full), ("00000000000000000079.log", BEHIND)])
    };
    let sound = read(PACKED).unwrap();
    // A symbol, and a key in a leaf.
    for at in [position(PACKED, b"abcdefgh"), position(PACKED, b"key-0")] {
        let mut changed = PACKED.to_vec();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "{at}");
        assert_eq!(read(&snapshot::mend(&changed, PLACES)).ok(), Some(sound), "{at}");
    }
}

#[test]
fn keys_out_of_order_do_not_make_collections_endless() {
    let input = include_bytes!("../fuzz/corpus/snapshot/found-endless-collections");
    let forged = snapshot::mend(&input[1..], snapshot::Mending { range: Some((0, 100)), ..PLACES });
    let (_, sequence, store) = snapshot::identity(&forged).unwrap();
    let behind = log::empty_segment(sequence, store);
    let files = [("00000000000000000100.snapshot", &*forged), ("00000000000000000101.log", &*behind)];
    let db = open(&files).unwrap();
    let view = db.read_view();
    let mut names = Vec::new();
    // Up to the first text that is none.
    let _ = view.for_each_of_all_raw(|collection, key, _| {
        names.push((collection.to_owned(), key.to_owned()));
        Ok(())
    });
    for (collection, key) in names {
        // Whether it is found or not: blocks that were read for a key are searched in another way than others.
        let _ = view.get_raw(&collection, &key);
    }
    let listed = within(Duration::from_secs(60), "listing the collections", move || db.collections());
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Corrupt);
}
