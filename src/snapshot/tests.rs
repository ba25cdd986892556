//! What builder and reader must agree on: whatever goes in comes out, by every way of reading.

mod damage;
mod forged;
mod golden;
mod model;
mod reads;

use super::builder::{Finished, Layout};
use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::format::snapshot::{file_name, parse_name};
use crate::storage::platform::block_on;
use crate::storage::{MemoryStorage, Storage};
use std::ops::Bound;
use std::sync::Arc;

const NAME: &str = "test.snapshot";
const ALL: KeyRange = (Bound::Unbounded, Bound::Unbounded);
/// Several levels of index over a handful of entries.
const SMALL: Layout = Layout { leaf: 120, values: 200, index: 90, held: 0, packed: 0 };
/// The same with packed values, whose symbols are looked at again and again.
const PACKED: Layout = Layout { held: 3000, packed: 1000, ..SMALL };
const HEADER: SnapshotHeader = SnapshotHeader { store_id: [7; 16], epoch: 3, base: 100, sequence: 1_000_000 };

type Entry = (Vec<u8>, u64, Option<Vec<u8>>);
/// With whether it is live.
type Scanned = (Vec<u8>, u64, bool, Option<Vec<u8>>);

fn key(collection: &str, key: impl AsRef<[u8]>) -> Vec<u8> {
    [collection.as_bytes(), b"\0", key.as_ref()].concat()
}

/// A file with these entries, built in chunks as a compaction would.
fn build(header: SnapshotHeader, layout: Layout, entries: &[Entry], drops: &[(String, u64)]) -> Vec<u8> {
    let mut builder = SnapshotBuilder::with_layout(header, layout);
    let mut file = Vec::new();
    for (key, sequence, value) in entries {
        builder.push(key, *sequence, value.as_deref()).unwrap();
        if builder.output_len() > 500 {
            file.extend(builder.take_output());
        }
    }
    let Finished { tail, footer, summary } = builder.finish(drops).unwrap();
    file.extend(tail);
    file.extend(footer);
    assert_eq!(summary.file_len, file.len() as u64);
    assert_eq!(summary.entries, entries.len() as u64);
    file
}

fn stored(bytes: &[u8]) -> Arc<MemoryStorage> {
    let storage = MemoryStorage::new();
    block_on(storage.create(NAME)).unwrap();
    block_on(storage.append(NAME, bytes)).unwrap();
    Arc::new(storage)
}

fn open_in<S: Storage>(storage: Arc<S>) -> Result<Arc<Table<S>>> {
    let cache = Arc::new(BlockCache::new(1 << 20));
    match block_on(Table::open(storage, NAME, cache))? {
        OpenOutcome::Table(table) => Ok(Arc::from(table)),
        OpenOutcome::NoFooter(error) => Err(error),
    }
}

fn open(bytes: &[u8]) -> Arc<Table<MemoryStorage>> {
    open_in(stored(bytes)).unwrap()
}

fn scan<S: Storage>(
    table: &Arc<Table<S>>,
    range: KeyRange,
    direction: Direction,
    keys_only: bool,
) -> Result<Vec<Scanned>> {
    let mut cursor = table.cursor(range, direction, keys_only);
    let mut found = Vec::new();
    while block_on(cursor.fill())? {
        while let Some(entry) = cursor.entry() {
            found.push((entry.key.to_vec(), entry.sequence, entry.live, entry.value.map(<[u8]>::to_vec)));
            cursor.advance();
        }
    }
    assert!(!block_on(cursor.fill())?);
    Ok(found)
}

/// Reads everything by every way there is.
fn read_all<S: Storage>(table: &Arc<Table<S>>, expected: &[Entry]) -> Result<()> {
    for (key, sequence, value) in expected {
        let found = block_on(table.get(key))?.expect("a stored key");
        assert_eq!((found.sequence, found.value.as_deref()), (*sequence, value.as_deref()));
        assert_eq!(block_on(table.find(key))?, Some((*sequence, value.is_some())));
    }
    let whole = |(key, sequence, value): &Entry| (key.clone(), *sequence, value.is_some(), value.clone());
    let forward: Vec<_> = expected.iter().map(whole).collect();
    assert_eq!(scan(table, ALL, Direction::Forward, false)?, forward);
    let reverse: Vec<_> = expected.iter().rev().map(whole).collect();
    assert_eq!(scan(table, ALL, Direction::Reverse, false)?, reverse);
    let keys: Vec<_> = expected.iter().map(|e| (e.0.clone(), e.1, e.2.is_some(), None)).collect();
    assert_eq!(scan(table, ALL, Direction::Forward, true)?, keys);
    Ok(())
}

fn round_trip(layout: Layout, entries: &[Entry]) -> Arc<Table<MemoryStorage>> {
    let table = open(&build(HEADER, layout, entries, &[]));
    read_all(&table, entries).unwrap();
    assert_eq!(block_on(table.verify()).unwrap(), table.summary());
    table
}

fn documents(count: u64) -> Vec<Entry> {
    let value = |n: u64| {
        (!n.is_multiple_of(5)).then(|| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(n as usize % 40)))
    };
    (0..count)
        .map(|n| (key("users", format!("user/{n:05}")), 101 + n, value(n).map(String::into_bytes)))
        .collect()
}

#[test]
fn nothing_and_one() {
    let table = round_trip(Layout::new(false), &[]);
    assert_eq!(block_on(table.get(b"users\0a")).unwrap(), None);
    assert_eq!(block_on(table.counts()).unwrap(), []);
    round_trip(Layout::new(false), &[(key("c", "k"), 101, Some(b"{}".to_vec()))]);
    round_trip(Layout::new(false), &[(key("c", ""), 1_000_000, None)]);
    round_trip(Layout::new(false), &[(key("c", "k"), 101, Some(Vec::new()))]);
}

#[test]
fn many_pages_and_levels() {
    for layout in [SMALL, PACKED, Layout { leaf: 0, values: 0, index: 0, ..SMALL }, Layout::new(false)] {
        let entries = documents(700);
        let table = round_trip(layout, &entries);
        assert_eq!((table.entries(), table.documents()), (700, 560));
        assert_eq!(block_on(table.counts()).unwrap(), [("users".to_owned(), 560, 140)]);
        assert_eq!(block_on(table.get(b"users\0user/00001x")).unwrap(), None);
        assert_eq!(block_on(table.find(b"zebras\0")).unwrap(), None);
    }
}

#[test]
fn the_digest_is_of_the_contents_not_of_the_pages() {
    let digest = |layout| open(&build(HEADER, layout, &documents(100), &[])).summary().digest;
    assert_eq!(digest(SMALL), digest(Layout::new(false)));
    assert_eq!(digest(SMALL), digest(PACKED));
    assert_ne!(digest(SMALL), open(&build(HEADER, SMALL, &documents(99), &[])).summary().digest);
}

#[test]
fn header_drops_and_counts_are_kept() {
    let entries = vec![
        (key("a", "1"), 200, Some(b"1".to_vec())),
        (key("b", "1"), 201, None),
        (key("b", "2"), 202, None),
    ];
    let drops = [("zoo".to_owned(), 150), ("b".to_owned(), 160)];
    let table = open(&build(HEADER, Layout::new(false), &entries, &drops));
    assert_eq!((table.base(), table.sequence(), table.epoch()), (100, 1_000_000, 3));
    assert_eq!((table.store_id(), table.name()), ([7; 16], NAME));
    assert_eq!(table.drops(), [("b".to_owned(), 160), ("zoo".to_owned(), 150)]);
    assert_eq!(
        (table.drop_of(b"b"), table.drop_of(b"zoo"), table.drop_of(b"a")),
        (Some(160), Some(150), None)
    );
    let counts = [("a".to_owned(), 1, 0), ("b".to_owned(), 0, 2)];
    assert_eq!(block_on(table.counts()).unwrap(), counts);
    block_on(table.verify()).unwrap();
}

#[test]
fn long_keys_with_long_prefixes() {
    let mut entries = Vec::new();
    for n in 0..300_u64 {
        // 1,280 bytes in all, alike but for the last four; then a few that share nothing.
        entries.push((key("c", format!("{}{n:04}", "p".repeat(1274))), 101 + n, Some(vec![b'v'; 10])));
    }
    for n in 0..30_u64 {
        entries.push((key("d", format!("{n:02}{}", "q".repeat(1276))), 500 + n, None));
    }
    assert!(entries.iter().all(|(key, ..)| key.len() == 1280));
    round_trip(Layout::new(false), &entries);
    round_trip(
        Layout { leaf: usize::MAX, values: usize::MAX, index: usize::MAX, held: usize::MAX, packed: 0 },
        &entries,
    );
}

#[test]
fn many_keys_of_one_leaf_that_begin_alike() {
    let wide = Layout { leaf: 32 << 10, values: 1 << 20, index: 32 << 10, ..Layout::new(false) };
    for alike in [1_u64, 256, 257, 600] {
        let mut keys = vec![key("c", "a")];
        keys.extend((0..alike).map(|n| key("c", format!("bbbb{n:04}"))));
        keys.push(key("c", "c"));
        let entries: Vec<Entry> = keys.into_iter().map(|key| (key, 101, Some(b"1".to_vec()))).collect();
        let table = round_trip(wide, &entries);
        for missing in ["bbb", "bbbb", "bbbb0000x", "bbbb9999", "bbbc"] {
            assert_eq!(block_on(table.find(&key("c", missing))).unwrap(), None, "{missing}");
        }
    }
}

#[test]
fn keys_at_both_ends_of_the_bytes() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for collection in ["a", "b"] {
        for rest in [&b""[..], b"\0", b"\0\0", b"\0\xff", b"a", b"\xff", b"\xff\0", b"\xff\xff\xff"] {
            keys.push(key(collection, rest));
        }
    }
    let entries: Vec<Entry> = keys.into_iter().map(|k| (k, 101, Some(b"1".to_vec()))).collect();
    round_trip(SMALL, &entries);
    round_trip(Layout::new(false), &entries);
}

#[test]
fn big_values() {
    let entries: Vec<Entry> = (0..4_u8)
        .map(|n| (key("big", [n]), 101, Some(vec![n; if n == 2 { 5 << 20 } else { 100 }])))
        .collect();
    round_trip(Layout::new(false), &entries);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |header, entries: &[(&[u8], u64)]| {
        let mut builder = SnapshotBuilder::new(header, false);
        let (last, before) = entries.split_last().unwrap();
        for (key, sequence) in before {
            builder.push(key, *sequence, None).unwrap();
        }
        builder.push(last.0, last.1, None).unwrap_err().kind()
    };
    assert_eq!(refused(HEADER, &[(b"c\0b", 101), (b"c\0a", 101)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(HEADER, &[(b"c\0b", 101), (b"c\0b", 102)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(HEADER, &[(b"c\0b", 100)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(HEADER, &[(b"c\0b", 1_000_001)]), ErrorKind::InvalidArgument);
    for no_collection in [&b""[..], b"c", b"\0k", b"\xff\0k"] {
        assert_eq!(refused(HEADER, &[(no_collection, 101)]), ErrorKind::InvalidArgument);
    }
    assert_eq!(refused(HEADER, &[(&key("c", [0; 1279]), 101)]), ErrorKind::TooLarge);

    let drops = |header, drops: &[(&str, u64)]| {
        let drops: Vec<_> = drops.iter().map(|&(name, sequence)| (name.to_owned(), sequence)).collect();
        SnapshotBuilder::new(header, false).finish(&drops).is_err()
    };
    let full = SnapshotHeader { base: 0, ..HEADER };
    assert!(drops(full, &[("c", 5)]) && drops(HEADER, &[("c", 100)]) && drops(HEADER, &[("", 101)]));
    assert!(drops(HEADER, &[("c", 101), ("c", 102)]) && drops(HEADER, &[("c", 1_000_001)]));
    assert!(drops(SnapshotHeader { base: 1_000_001, ..HEADER }, &[]) && !drops(full, &[]));
    assert!(!drops(SnapshotHeader { base: 1_000_000, ..HEADER }, &[]), "an empty range is none too large");
}

#[test]
fn names() {
    assert_eq!(file_name(0, 1042), "00000000000000001042.snapshot");
    assert_eq!(file_name(7, 1042), "00000000000000001042-00000000000000000007.snapshot");
    for (base, sequence) in [(0, 0), (0, 1042), (7, 1042), (u64::MAX - 1, u64::MAX)] {
        assert_eq!(parse_name(&file_name(base, sequence)), Some((base, sequence)));
    }
    for other in [
        "1042.snapshot",
        "00000000000000001042.log",
        "+0000000000000001042.snapshot",
        "99999999999999999999.snapshot",
        "00000000000000001042-00000000000000001042.snapshot",
        "00000000000000001042-00000000000000000000.snapshot",
        "00000000000000001042-.snapshot",
        "archive/00000000000000001042.snapshot",
    ] {
        assert_eq!(parse_name(other), None, "{other}");
    }
}

#[test]
fn a_scan_leaves_the_cache_alone() {
    let entries = documents(2_000);
    let cache = Arc::new(BlockCache::new(1 << 20));
    let storage = stored(&build(HEADER, SMALL, &entries, &[]));
    let OpenOutcome::Table(table) = block_on(Table::open(storage, NAME, Arc::clone(&cache))).unwrap() else {
        panic!("an unfinished file");
    };
    let table = Arc::from(table);
    scan(&table, ALL, Direction::Forward, false).unwrap();
    // The second time, the index blocks are there, and no leaf has joined them.
    let before = cache.weight();
    scan(&table, ALL, Direction::Reverse, true).unwrap();
    assert_eq!(cache.weight(), before);
    block_on(table.get(&entries[77].0)).unwrap();
    // One leaf, with what searches it, and hardly more.
    assert!((before + 100..before + 400).contains(&cache.weight()), "{}", cache.weight() - before);
}

#[test]
fn futures_can_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    let table = open(&build(HEADER, SMALL, &documents(3), &[]));
    let mut cursor = table.cursor(ALL, Direction::Forward, false);
    check(&cursor);
    check(&cursor.fill());
    check(&table.get(b"k"));
    check(&table.find(b"k"));
    check(&table.counts());
    check(&table.verify());
    let mut problem = |_: Error| ();
    check(&table.check(&mut problem));
    check(&Table::open(Arc::new(MemoryStorage::new()), NAME, Arc::new(BlockCache::new(0))));
}
