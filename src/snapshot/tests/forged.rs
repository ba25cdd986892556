//! Guards against a file whose checksums all hold and that is not what a builder makes: each rule of the format is broken by
//! itself, and each must be noticed.

use super::super::tally::{Counter, Digest};
use super::*;
use crate::format::snapshot::{
    BlockWriter, Child, FOOTER_LEN, Footer, HEADER_LEN, LeafEntry, Span, ValueAt, encode_counts,
    encode_drops, value_checksum,
};

/// A key, how far its sequence number is above the base, and its value.
type Row<'a> = (&'a str, u64, Option<&'a str>);

/// Writes a file piece by piece, whatever the pieces are.
struct Forger {
    header: SnapshotHeader,
    file: Vec<u8>,
    root: BlockWriter,
    digest: Digest,
    counts: Counter,
    entries: u64,
    documents: u64,
    drops: Vec<(String, u64)>,
}

/// The sort key of a document of the collection `c`.
fn name(text: &str) -> Vec<u8> {
    key("c", text)
}

impl Forger {
    fn new() -> Self {
        Self {
            header: HEADER,
            file: HEADER.encode(),
            root: BlockWriter::default(),
            digest: Digest::default(),
            counts: Counter::default(),
            entries: 0,
            documents: 0,
            drops: Vec::new(),
        }
    }

    fn count(&mut self, key: &[u8], above_base: u64, value: Option<&[u8]>) {
        self.digest.entry(key, self.header.base.wrapping_add(above_base), value);
        let _ = self.counts.entry(key, value.is_some());
        self.entries += 1;
        self.documents += u64::from(value.is_some());
    }

    /// A page of `values` and a leaf that says so of them, and where it is.
    fn raw_page(&mut self, values: &[u8], leaf: &[(Vec<u8>, u64, Option<ValueAt>)]) -> Child {
        let offset = self.file.len() as u64;
        self.file.extend_from_slice(values);
        let mut writer = BlockWriter::default();
        for (key, above_base, at) in leaf {
            let mut tail = Vec::new();
            LeafEntry::write_tail(*above_base, *at, &mut tail);
            writer.push(key, &tail);
            let value = at.and_then(|at| values.get(at.offset..at.offset.checked_add(at.len)?));
            self.count(key, *above_base, value);
        }
        let block_len = writer.write_leaf(None, &mut self.file) as u64;
        Child { offset, values_len: values.len() as u64, block_len }
    }

    /// A page as a builder makes it of such rows, with `index_key` in the index.
    fn page(mut self, index_key: &str, rows: &[Row<'_>]) -> Self {
        let (mut values, mut leaf) = (Vec::new(), Vec::new());
        for (text, above_base, value) in rows {
            let at = value.map(|value| place(&mut values, value.as_bytes()));
            leaf.push((name(text), *above_base, at));
        }
        let child = self.raw_page(&values, &leaf);
        self.child(&name(index_key), child);
        self
    }

    fn child(&mut self, index_key: &[u8], child: Child) {
        let mut tail = Vec::new();
        child.write_tail(&mut tail);
        self.root.push(index_key, &tail);
    }

    fn finish(self, edit: impl FnOnce(&mut Footer)) -> Vec<u8> {
        self.finish_with(1, edit)
    }

    fn finish_with(mut self, root_level: u32, edit: impl FnOnce(&mut Footer)) -> Vec<u8> {
        let offset = self.file.len() as u64;
        let root = Span { offset, len: self.root.write_index(&mut self.file) as u64 };
        let drops = encode_drops(&self.drops);
        let digest = self.digest.finish(&drops);
        let counts = encode_counts(&self.counts.rows());
        let drops_at = Span { offset: root.end(), len: drops.len() as u64 };
        let counts_at = Span { offset: drops_at.end(), len: counts.len() as u64 };
        self.file.extend(drops);
        self.file.extend(counts);
        let mut footer = Footer {
            header: self.header,
            root,
            root_level,
            drops: drops_at,
            counts: counts_at,
            entries: self.entries,
            documents: self.documents,
            digest,
            file_len: (self.file.len() + FOOTER_LEN) as u64,
        };
        edit(&mut footer);
        self.file.extend(footer.encode());
        self.file
    }
}

/// Appends a value, and tells where it stands.
fn place(values: &mut Vec<u8>, value: &[u8]) -> ValueAt {
    let at =
        ValueAt { len: value.len(), offset: values.len(), checksum: value_checksum(value), unpacked: None };
    values.extend_from_slice(value);
    at
}

fn verified(file: &[u8]) -> Result<()> {
    block_on(open_in(stored(file))?.verify()).map(drop)
}

fn found(file: &[u8], text: &str) -> Result<bool> {
    block_on(open(file).get(&name(text))).map(|found| found.is_some())
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(result: Result<T>) {
    assert_eq!(result.map(drop).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn what_a_builder_could_have_made_is_sound() {
    let mut forger = Forger::new();
    // The last number of the range is in it, for a drop as for an entry.
    forger.drops = vec![("d".to_owned(), HEADER.sequence)];
    let rows = [("a", 1, Some("1")), ("b", HEADER.sequence - HEADER.base, Some("22")), ("c", 3, None)];
    let file = forger.page("a", &rows).page("d", &[("d", 4, Some("4"))]).finish(|_| ());
    verified(&file).unwrap();
    for text in ["a", "b", "c", "d"] {
        assert!(found(&file, text).unwrap());
    }
    assert_eq!(scan(&open(&file), ALL, Direction::Forward, false).unwrap().len(), 4);
}

#[test]
fn sums_that_do_not_add_up_are_noticed() {
    let forged = |edit: fn(&mut Footer)| {
        let pages = Forger::new().page("a", &[("a", 1, Some("1"))]).page("b", &[("b", 2, None)]);
        verified(&pages.finish(edit))
    };
    forged(|_| ()).unwrap();
    assert_corrupt(forged(|footer| footer.digest ^= 1));
    assert_corrupt(forged(|footer| footer.entries += 1));
    assert_corrupt(forged(|footer| footer.documents += 1));
    assert_corrupt(forged(|footer| footer.documents -= 1));

    let mut miscounted = Forger::new();
    miscounted.counts.entry(&name("none"), true).unwrap();
    assert_corrupt(verified(&miscounted.page("a", &[("a", 1, Some("1"))]).finish(|_| ())));

    let mut dead_bytes = Forger::new().page("a", &[("a", 1, Some("1"))]);
    dead_bytes.file.push(0);
    assert_corrupt(verified(&dead_bytes.page("b", &[("b", 2, None)]).finish(|_| ())));
}

#[test]
fn drops_out_of_the_range_are_noticed() {
    let forged = |base, sequence| {
        let mut forger = Forger::new();
        forger.header.base = base;
        forger.file = forger.header.encode();
        forger.drops = vec![("c".to_owned(), sequence)];
        verified(&forger.finish(|_| ()))
    };
    forged(HEADER.base, HEADER.base + 1).unwrap();
    assert_corrupt(forged(HEADER.base, HEADER.base));
    assert_corrupt(forged(HEADER.base, HEADER.sequence + 1));
    // A full snapshot has nothing below it to drop.
    assert_corrupt(forged(0, 5));
}

#[test]
fn keys_out_of_order_are_noticed_by_scans_and_by_verifying() {
    let rows = |texts: &[&'static str]| texts.iter().map(|text| (*text, 1, None)).collect::<Vec<Row<'_>>>();
    let pages = |pages: &[&[&'static str]]| {
        let page = |forger: Forger, texts: &&[&'static str]| forger.page(texts[0], &rows(texts));
        pages.iter().fold(Forger::new(), page).finish(|_| ())
    };
    let seen = |file: &[u8]| {
        let scans =
            [Direction::Forward, Direction::Reverse].map(|d| scan(&open(file), ALL, d, false).is_ok());
        (verified(file).is_ok(), scans)
    };
    assert_eq!(seen(&pages(&[&["a", "b"], &["c", "d"]])), (true, [true, true]));
    for broken in [
        &[&["b", "a"][..]][..],
        &[&["a", "a"]],
        &[&["a", "c", "b", "d"]],
        &[&["a", "b"], &["b", "c"]],
        &[&["a", "c"], &["b", "d"]],
        &[&["a"], &["a"]],
    ] {
        assert_eq!(seen(&pages(broken)), (false, [false, false]), "{broken:?}");
    }
    // A page under another key than its first one's.
    let misled = Forger::new().page("a", &rows(&["b"])).page("c", &rows(&["c"])).finish(|_| ());
    assert_corrupt(verified(&misled));
}

#[test]
fn a_key_without_a_collection_is_noticed() {
    let mut forger = Forger::new();
    let child = forger.raw_page(b"", &[(b"c".to_vec(), 1, None)]);
    forger.child(b"c", child);
    assert_corrupt(verified(&forger.finish(|_| ())));
}

#[test]
fn numbers_out_of_their_range_are_noticed() {
    let whole = HEADER.sequence - HEADER.base;
    for above_base in [0, whole + 1, whole + 2 * HEADER.base] {
        let file = Forger::new().page("a", &[("a", above_base, None)]).finish(|_| ());
        assert_corrupt(found(&file, "a"));
        assert_corrupt(verified(&file));
    }
}

#[test]
fn values_outside_of_their_page_or_with_gaps_are_noticed() {
    let page = |values: &[u8], places: &[ValueAt]| {
        let mut forger = Forger::new();
        let keys = ["a", "b"].into_iter().map(name);
        let leaf: Vec<_> = keys.zip(places).map(|(key, at)| (key, 1, Some(*at))).collect();
        let child = forger.raw_page(values, &leaf);
        forger.child(&name("a"), child);
        forger.finish(|_| ())
    };
    let mut values = Vec::new();
    let one = place(&mut values, b"one");
    let two = place(&mut values, b"two");
    verified(&page(&values, &[one, two])).unwrap();
    // In the wrong order, a gap between them, a gap behind them.
    for places in [&[two, one][..], &[one, ValueAt { offset: 4, ..two }], &[one]] {
        assert_corrupt(verified(&page(&values, places)));
    }
    // A page that ends before its value does.
    let block = ValueAt { offset: 3, len: 4, ..two };
    assert_corrupt(found(&page(&values, &[one, block]), "b"));
    let far = ValueAt { offset: usize::MAX, ..two };
    assert_corrupt(found(&page(&values, &[one, far]), "b"));
    // Checksums hold, for the bytes are in the file.
    let mut forger = Forger::new();
    let long = place(&mut Vec::new(), b"onetwo");
    let mut child = forger.raw_page(b"onetwo", &[(name("a"), 1, Some(long))]);
    child.offset += 3;
    child.values_len -= 3;
    forger.child(&name("a"), child);
    let file = forger.finish(|_| ());
    assert_corrupt(found(&file, "a"));
    assert_corrupt(scan(&open(&file), ALL, Direction::Forward, false));
}

#[test]
fn children_that_lie_in_the_header_or_behind_their_index_are_noticed() {
    // Its values would begin in the header.
    let mut forger = Forger::new();
    let mut child = forger.raw_page(b"", &[(name("a"), 1, None)]);
    child.offset -= 10;
    child.values_len = 10;
    forger.child(&name("a"), child);
    assert_corrupt(found(&forger.finish(|_| ()), "a"));

    // An index block before its page. Both are whole, and the page is found by its number.
    let index_of = |child: Child, file: &mut Vec<u8>| {
        let mut tail = Vec::new();
        child.write_tail(&mut tail);
        let mut index = BlockWriter::default();
        index.push(&name("a"), &tail);
        index.write_index(file) as u64
    };
    let mut forger = Forger::new();
    let guess = Child { offset: 100, values_len: 0, block_len: 30 };
    let index_len = index_of(guess, &mut Vec::new());
    let leaf = Forger::new().raw_page(b"", &[(name("a"), 1, None)]);
    let leaf = Child { offset: HEADER_LEN as u64 + index_len, ..leaf };
    assert_eq!(index_of(leaf, &mut forger.file), index_len);
    assert_eq!(forger.raw_page(b"", &[(name("a"), 1, None)]), leaf);
    let index = Child { offset: HEADER_LEN as u64, values_len: 0, block_len: index_len };
    forger.child(&name("a"), index);
    assert_corrupt(found(&forger.finish_with(2, |_| ()), "a"));
}

/// `bytes` with the checksum that stands at `sum` made right again.
fn resealed(mut bytes: Vec<u8>, sum: usize) -> Vec<u8> {
    let right = xxhash_rust::xxh3::xxh3_64(&bytes[..sum]).to_le_bytes();
    bytes[sum..sum + 8].copy_from_slice(&right);
    bytes
}

#[test]
fn each_number_of_the_header_is_checked() {
    use crate::format::snapshot::Unreadable;
    let with = |at: usize, byte: u8| {
        let mut bytes = HEADER.encode();
        bytes[at] = byte;
        SnapshotHeader::decode(&resealed(bytes, 56))
    };
    assert_eq!((with(8, 1), with(8, 2)), (Ok(HEADER), Ok(HEADER)));
    assert_eq!(with(8, 3), Err(Unreadable::Newer(3)));
    for (at, byte) in [(0, b'p'), (8, 0), (12, 1), (47, 1)] {
        assert_eq!(with(at, byte), Err(Unreadable::Damaged), "byte {at}");
    }
}

#[test]
fn each_number_of_the_footer_is_checked() {
    use crate::format::snapshot::Unreadable;
    let spans = |root: u64, [drops, counts, end]: [i64; 3]| {
        let root = Span { offset: root, len: 20 };
        let drops = Span { offset: root.end().wrapping_add_signed(drops), len: 12 };
        let counts = Span { offset: drops.end().wrapping_add_signed(counts), len: 12 };
        let file_len = counts.end().wrapping_add_signed(end) + FOOTER_LEN as u64;
        let (entries, documents) = (3, 3);
        Footer { header: HEADER, root, root_level: 1, drops, counts, entries, documents, digest: 0, file_len }
    };
    let read = |footer: &Footer| Footer::decode(&footer.encode(), footer.file_len);
    let sound = spans(64, [0; 3]);
    assert_eq!(read(&sound).as_ref(), Ok(&sound));
    assert_eq!(read(&Footer { root_level: 64, ..sound.clone() }).map(drop), Ok(()));
    let damaged = [
        spans(63, [0; 3]),
        spans(64, [1, 0, 0]),
        spans(64, [0, 1, 0]),
        spans(64, [0, 0, 1]),
        Footer { root_level: 0, ..sound.clone() },
        Footer { root_level: 65, ..sound.clone() },
        Footer { documents: 4, ..sound.clone() },
    ];
    for footer in damaged {
        assert_eq!(read(&footer), Err(Unreadable::Damaged), "{footer:?}");
    }
    assert_eq!(Footer::decode(&sound.encode(), sound.file_len + 1), Err(Unreadable::Damaged));
    let with = |at: usize, byte: u8| {
        let mut bytes = sound.encode();
        bytes[at] = byte;
        Footer::decode(&resealed(bytes, 144), sound.file_len)
    };
    assert_eq!((with(120, 1).as_ref(), with(120, 2).as_ref()), (Ok(&sound), Ok(&sound)));
    assert_eq!(with(120, 3), Err(Unreadable::Newer(3)));
    for at in [120, 124, 128, 143] {
        assert_eq!(with(at, u8::from(at > 120)), Err(Unreadable::Damaged), "byte {at}");
    }
}
