//! Guards against wrong answers from a file that is not what was written: every single bit flipped, every length
//! cut to. Each must be reported or harmless, without a panic and without reading past the end.

use super::*;
use crate::format::snapshot::{BlockWriter, Child, Footer, LeafEntry, Span, encode_counts, encode_drops};

/// Fails a test that asks for bytes beyond the file, or for more than the file has.
#[derive(Clone)]
struct Strict {
    inner: MemoryStorage,
    len: u64,
}

impl Storage for Strict {
    async fn list(&self) -> Result<Vec<String>> {
        self.inner.list().await
    }
    async fn create(&self, name: &str) -> Result<()> {
        self.inner.create(name).await
    }
    async fn len(&self, name: &str) -> Result<u64> {
        self.inner.len(name).await
    }
    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        // The fixed ends may be asked for in a file that is too short for them.
        assert!(offset + len as u64 <= self.len.max(160), "reads {len} bytes at {offset} of {}", self.len);
        self.inner.read_at(name, offset, len).await
    }
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.append(name, bytes).await
    }
    async fn sync(&self, name: &str) -> Result<()> {
        self.inner.sync(name).await
    }
    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.inner.truncate(name, len).await
    }
    async fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name).await
    }
}

fn small_file() -> (Vec<u8>, Vec<Entry>) {
    let entries = documents(60);
    let file = build(HEADER, SMALL, &entries, &[("gone".to_owned(), 150)]);
    assert!((2_500..8_000).contains(&file.len()), "{}", file.len());
    (file, entries)
}

/// The same with packed values.
fn packed_file() -> (Vec<u8>, Vec<Entry>) {
    let entries = documents(60);
    let file = build(HEADER, PACKED, &entries, &[("gone".to_owned(), 150)]);
    assert!(file.len() < small_file().0.len(), "{}", file.len());
    (file, entries)
}

fn open_strict(bytes: &[u8]) -> Result<Arc<Table<Strict>>> {
    let inner = MemoryStorage::clone(&stored(bytes));
    open_in(Arc::new(Strict { inner, len: bytes.len() as u64 }))
}

/// All of the contents, or the first error.
fn contents(bytes: &[u8], entries: &[Entry]) -> Result<()> {
    let table = open_strict(bytes)?;
    read_all(&table, entries)?;
    assert_eq!(block_on(table.counts())?, [("users".to_owned(), 48, 12)]);
    assert_eq!(table.drops(), [("gone".to_owned(), 150)]);
    assert_eq!(
        (table.base(), table.sequence(), table.store_id(), table.epoch()),
        (100, 1_000_000, [7; 16], 3)
    );
    block_on(table.verify()).map(drop)
}

#[test]
fn every_flipped_bit_is_reported() {
    for (mut file, entries) in [small_file(), packed_file()] {
        contents(&file, &entries).unwrap();
        for at in 0..file.len() {
            for bit in 0..8 {
                file[at] ^= 1 << bit;
                let error = contents(&file, &entries).expect_err("no byte of the file is without a checksum");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}, bit {bit}: {error}");
                assert_eq!(error.file(), Some(NAME));
                assert!(error.offset().is_some_and(|offset| offset <= at as u64), "byte {at}: {error}");
                file[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_seen_by_verify_alone() {
    for (mut file, _) in [small_file(), packed_file()] {
        for at in 0..file.len() {
            file[at] ^= 0x10;
            if let Ok(table) = open_strict(&file) {
                let error = block_on(table.verify()).expect_err("verify reads every byte");
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                let mut problems = 0;
                block_on(table.check(&mut |_| problems += 1));
                assert!(problems > 0);
            }
            file[at] ^= 0x10;
        }
    }
}

#[test]
fn a_damaged_value_is_reported_where_it_begins() {
    let (whole, entries) = small_file();
    // Some of them begin a page, and some do not.
    for (key, _, value) in &entries[31..35] {
        let value = value.as_ref().unwrap();
        let at = whole.windows(value.len()).position(|bytes| bytes == value).unwrap();
        let mut file = whole.clone();
        file[at + 3] ^= 1;
        let table = open_strict(&file).unwrap();
        let errors = [
            block_on(table.get(key)).map(drop),
            scan(&table, ALL, Direction::Forward, false).map(drop),
            scan(&table, ALL, Direction::Reverse, false).map(drop),
            block_on(table.verify()).map(drop),
        ];
        for error in errors {
            assert_eq!(error.unwrap_err().offset(), Some(at as u64));
        }
    }
}

#[test]
fn every_truncation_is_an_unfinished_file() {
    let (file, _) = small_file();
    for len in 0..file.len() {
        let storage = stored(&file[..len]);
        let cache = Arc::new(BlockCache::new(1 << 20));
        match block_on(Table::open(storage, NAME, cache)) {
            Ok(OpenOutcome::NoFooter(error)) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            Ok(OpenOutcome::Table(_)) => panic!("a file of {len} bytes has no footer"),
            Err(error) => panic!("{len}: {error}"),
        }
    }
    let mut longer = file;
    longer.push(0);
    assert!(open_strict(&longer).is_err());
}

#[test]
fn a_truncation_after_opening_is_reported() {
    let (file, entries) = small_file();
    for len in (0..file.len()).step_by(7) {
        let storage = stored(&file);
        let table = open_in(Arc::clone(&storage)).unwrap();
        block_on(storage.truncate(NAME, len as u64)).unwrap();
        assert!(block_on(table.verify()).is_err());
        // The root stays in memory.
        assert_eq!(read_all(&table, &entries).is_ok(), len as u64 >= table.footer.root.offset);
    }
}

#[test]
fn damage_inside_a_good_footer_is_not_an_unfinished_file() {
    let (file, _) = small_file();
    for at in [0, 10, 60] {
        let mut file = file.clone();
        file[at] ^= 1;
        let opened = block_on(Table::open(stored(&file), NAME, Arc::new(BlockCache::new(0))));
        assert!(matches!(opened, Err(error) if error.kind() == ErrorKind::Corrupt));
    }
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let (mut file, _) = small_file();
    file[8] += 1;
    let sum = xxhash_rust::xxh3::xxh3_64(&file[..56]);
    file[56..64].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(open_strict(&file).err().map(|error| error.kind()), Some(ErrorKind::Version));
    // Whatever a newer footer looks like.
    assert_eq!(open_strict(&file[..700]).err().map(|error| error.kind()), Some(ErrorKind::Version));
}

#[test]
fn salvage_gives_all_that_is_undamaged() {
    let (file, entries) = small_file();
    for at in (64..file.len() - 400).step_by(5) {
        let mut file = file.clone();
        file[at] ^= 0x40;
        let Ok(table) = open_strict(&file) else { continue };
        let mut found = Vec::new();
        let mut problems = Vec::new();
        let summary = block_on(table.salvage(
            &mut |key, sequence, value| found.push((key.to_vec(), sequence, value.map(<[u8]>::to_vec))),
            &mut |problem| problems.push(problem),
        ));
        assert_eq!(problems.len(), 1, "{at}: {problems:?}");
        assert_eq!(summary.entries, found.len() as u64);
        assert!(found.iter().all(|entry| entries.contains(entry)));
        // One value, one page, or the pages below one index block.
        assert!(found.len() >= 30 && found.len() <= entries.len(), "{at}: {}", found.len());
    }
}

#[test]
fn noise_with_right_checksums_is_refused() {
    // A block whose checksum holds but whose numbers lie: only a forger or a bug makes one.
    let entries = documents(5);
    let file = build(HEADER, Layout::new(false), &entries, &[]);
    let table = open(&file);
    let root = table.footer.root;
    let (start, end) = (root.offset as usize, (root.offset + root.len) as usize);
    for at in start..end - 8 {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut file = file.clone();
            file[at] = byte;
            let sum = xxhash_rust::xxh3::xxh3_64(&file[start..end - 8]);
            file[end - 8..end].copy_from_slice(&sum.to_le_bytes());
            if let Ok(table) = open_strict(&file) {
                let _ = block_on(table.get(&entries[2].0));
                let _ = scan(&table, ALL, Direction::Forward, false);
                let _ = scan(&table, ALL, Direction::Reverse, true);
                let _ = block_on(table.verify());
            }
        }
    }
}

/// A file of a few kilobytes with two ways from every index block to the next, so with 2^`levels` to its one leaf.
fn shared_children(levels: u32) -> Vec<u8> {
    let key = key("c", "k");
    let mut file = HEADER.encode();
    let mut writer = BlockWriter::default();
    let mut tail = Vec::new();
    LeafEntry::write_tail(1, None, &mut tail);
    writer.push(&key, &tail);
    let mut span = Span { offset: file.len() as u64, len: 0 };
    span.len = writer.write_leaf(None, &mut file) as u64;
    for _ in 0..levels {
        tail.clear();
        Child { offset: span.offset, values_len: 0, block_len: span.len }.write_tail(&mut tail);
        writer.push(&key, &tail);
        writer.push(&key, &tail);
        span.offset = file.len() as u64;
        span.len = writer.write_index(&mut file) as u64;
    }
    let mut section = |bytes: Vec<u8>| {
        file.extend_from_slice(&bytes);
        Span { offset: (file.len() - bytes.len()) as u64, len: bytes.len() as u64 }
    };
    let drops = section(encode_drops(&[]));
    let counts = section(encode_counts(&[("c".to_owned(), 0, 1)]));
    let file_len = counts.end() + 160;
    let (root, root_level) = (span, levels);
    let footer = Footer {
        header: HEADER,
        root,
        root_level,
        drops,
        counts,
        entries: 1,
        documents: 0,
        digest: 0,
        file_len,
    };
    file.extend(footer.encode());
    file
}

#[test]
fn an_index_with_too_many_ways_through_it_is_refused() {
    let table = open(&shared_children(20));
    let mut problems = 0;
    block_on(table.check(&mut |_| problems += 1));
    assert!((1..100).contains(&problems), "{problems}");
    assert!(scan(&table, ALL, Direction::Forward, true).is_err());
    assert!(scan(&table, ALL, Direction::Reverse, false).is_err());
}

#[test]
fn a_sequence_number_that_none_can_follow_is_refused() {
    let last = SnapshotHeader { sequence: u64::MAX, ..HEADER };
    assert!(SnapshotHeader::decode(&last.encode()).is_err());
    let before = SnapshotHeader { sequence: u64::MAX - 1, ..HEADER };
    assert_eq!(SnapshotHeader::decode(&before.encode()), Ok(before));
}
