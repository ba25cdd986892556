//! Builds a snapshot file from entries in ascending order of keys.
//!
//! Pure: the caller takes the bytes as they come and appends them to the file. Held back are the entries until there are
//! enough to choose symbols by, the keys of one page, and the index entries of the pages before it.

use super::packer::Packer;
use super::tally::{Counter, Digest, Summary};
use crate::error::{Error, ErrorKind, Result};
use crate::format::snapshot::{
    BlockWriter, Child, FOOTER_LEN, Footer, HEADER_LEN, LeafEntry, MAX_KEY_LEN, SnapshotHeader, Span,
    Symbols, ValueAt, encode_counts, encode_drops, value_checksum,
};

/// When pages and index blocks are closed, and which values are packed, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) leaf: usize,
    pub(crate) values: usize,
    pub(crate) index: usize,
    /// For so many in a row the symbols are looked at anew; with 0 nothing is packed.
    pub(crate) held: usize,
    /// Fewer are not worth looking for symbols.
    pub(crate) packed: usize,
}

impl Layout {
    /// The usual sizes. With `pack`, values are packed where that is worth it.
    pub(crate) fn new(pack: bool) -> Self {
        let (held, packed) = if pack { (1 << 20, 4 << 10) } else { (0, 0) };
        Self { leaf: 4 << 10, values: 32 << 10, index: 16 << 10, held, packed }
    }
}

/// Symbols are chosen by so many pieces of the values, of so many bytes each.
const SAMPLE_PIECES: usize = 128;
const SAMPLE_PIECE: usize = 160;

/// The entries that wait for symbols, one behind the other.
#[derive(Default)]
struct Held {
    keys: Vec<u8>,
    values: Vec<u8>,
    entries: Vec<HeldEntry>,
}

struct HeldEntry {
    key_len: usize,
    sequence: u64,
    value_len: Option<usize>,
}

/// The symbols that values are packed with now.
struct Packing {
    packer: Packer,
    /// Where they stand in the file.
    symbols: Span,
    /// How many of a thousand bytes were left of the values that they were chosen by.
    left: usize,
}

/// The end of a build.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The bytes that were not taken yet, the footer left out.
    pub(crate) tail: Vec<u8>,
    /// The end of the file, for when everything before it is durable: it says that the rest can be relied on.
    pub(crate) footer: Vec<u8>,
    pub(crate) summary: Summary,
}

/// Turns entries into a snapshot file.
pub(crate) struct SnapshotBuilder {
    header: SnapshotHeader,
    layout: Layout,
    out: Vec<u8>,
    /// Bytes of the file that were taken from `out`.
    taken: u64,
    held: Held,
    packing: Option<Packing>,
    /// What a value is packed into.
    packed: Vec<u8>,
    page_offset: u64,
    leaf: BlockWriter,
    /// The unfinished index block of each level, from the one above the leaves to the root.
    levels: Vec<BlockWriter>,
    tail: Vec<u8>,
    last_key: Vec<u8>,
    digest: Digest,
    counts: Counter,
    entries: u64,
    documents: u64,
}

fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

impl SnapshotBuilder {
    /// With `pack`, values are made shorter where that is worth it.
    pub(crate) fn new(header: SnapshotHeader, pack: bool) -> Self {
        Self::with_layout(header, Layout::new(pack))
    }

    pub(crate) fn with_layout(header: SnapshotHeader, layout: Layout) -> Self {
        // Two keys of full length beyond these limits still leave the offsets within 16 bits.
        let layout = Layout {
            leaf: layout.leaf.min(32 << 10),
            values: layout.values.min(1 << 20),
            index: layout.index.min(32 << 10),
            ..layout
        };
        Self {
            header,
            layout,
            out: header.encode(),
            taken: 0,
            held: Held::default(),
            packing: None,
            packed: Vec::new(),
            page_offset: HEADER_LEN as u64,
            leaf: BlockWriter::default(),
            levels: vec![BlockWriter::default()],
            tail: Vec::new(),
            last_key: Vec::new(),
            digest: Digest::default(),
            counts: Counter::default(),
            entries: 0,
            documents: 0,
        }
    }

    fn offset(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    fn values_len(&self) -> usize {
        // A page's values are shorter than its limit plus one value, which fits memory.
        (self.offset() - self.page_offset) as usize
    }

    /// Adds a document, or a tombstone when there is no value. Keys come in strictly ascending order.
    pub(crate) fn push(&mut self, key: &[u8], sequence: u64, value: Option<&[u8]>) -> Result<()> {
        if key.len() > MAX_KEY_LEN || value.is_some_and(|v| u32::try_from(v.len()).is_err()) {
            return Err(Error::new(ErrorKind::TooLarge, "a key or value is too long for a snapshot"));
        }
        if self.entries > 0 && key <= self.last_key.as_slice() {
            return Err(refuse("the entries of a snapshot must come in ascending order of keys"));
        }
        if sequence <= self.header.base || sequence > self.header.sequence {
            return Err(refuse(format!("sequence {sequence} is not of the range that the snapshot covers")));
        }
        self.counts
            .entry(key, value.is_some())
            .ok_or_else(|| refuse("the key of a snapshot entry does not begin with a collection"))?;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.entries += 1;
        self.documents += u64::from(value.is_some());
        self.digest.entry(key, sequence, value);

        if self.layout.held == 0 {
            self.place(key, sequence - self.header.base, value);
            return Ok(());
        }
        self.held.keys.extend_from_slice(key);
        self.held.values.extend_from_slice(value.unwrap_or_default());
        self.held.entries.push(HeldEntry { key_len: key.len(), sequence, value_len: value.map(<[u8]>::len) });
        if self.held.keys.len() + self.held.values.len() >= self.layout.held {
            self.place_held();
        }
        Ok(())
    }

    /// Brings what was held back into pages.
    fn place_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        self.choose_symbols(&held.values);
        let (mut keys, mut values) = (held.keys.as_slice(), held.values.as_slice());
        for HeldEntry { key_len, sequence, value_len } in held.entries.drain(..) {
            let (key, other_keys) = keys.split_at(key_len);
            let (value, other_values) = values.split_at(value_len.unwrap_or(0));
            (keys, values) = (other_keys, other_values);
            self.place(key, sequence - self.header.base, value_len.map(|_| value));
        }
        held.keys.clear();
        held.values.clear();
        // With its memory.
        self.held = held;
    }

    /// Chooses new symbols where those that there are leave more of such values than they did of others, and new ones are worth
    /// their own bytes.
    fn choose_symbols(&mut self, values: &[u8]) {
        if values.len() < self.layout.packed.max(SAMPLE_PIECES) {
            return;
        }
        let sample = sample(values);
        let sampled: usize = sample.clone().map(<[u8]>::len).sum();
        let mut left_by = |packer: &Packer| {
            let packed: usize = sample.clone().map(|piece| packer.pack(piece, &mut self.packed).len()).sum();
            packed * 1000 / sampled
        };
        let left = match &self.packing {
            None => 1000,
            Some(packing) => left_by(&packing.packer),
        };
        if self.packing.as_ref().is_some_and(|packing| left <= packing.left + packing.left / 20) {
            return;
        }
        let packer = Packer::train(&sample);
        let left_then = left_by(&packer);
        let block = Symbols::encode(packer.symbols());
        if values.len() / 1000 * left.saturating_sub(left_then) < 2 * block.len() {
            return;
        }
        if self.leaf.count() > 0 {
            self.close_page();
        }
        let symbols = Span { offset: self.offset(), len: block.len() as u64 };
        self.out.extend_from_slice(&block);
        self.page_offset = self.offset();
        self.packing = Some(Packing { packer, symbols, left: left_then });
    }

    fn place(&mut self, key: &[u8], above_base: u64, value: Option<&[u8]>) {
        let mut stored = value.unwrap_or_default();
        let mut unpacked = None;
        if let Some(Packing { packer, .. }) = &self.packing {
            let packed = packer.pack(stored, &mut self.packed);
            if packed.len() < stored.len() {
                unpacked = Some(stored.len());
                stored = packed;
            }
        }
        let len = stored.len();
        let mut at = value.map(|value| ValueAt {
            len,
            offset: self.values_len(),
            checksum: value_checksum(value),
            unpacked,
        });
        self.tail.clear();
        LeafEntry::write_tail(above_base, at, &mut self.tail);
        if self.leaf.count() > 0
            && (self.values_len() >= self.layout.values
                || self.leaf.len_with(key, self.tail.len()) > self.layout.leaf)
        {
            self.close_page();
            // The value opens a new page, and the index entry has taken the place of the tail.
            at = at.map(|at| ValueAt { offset: 0, ..at });
            self.tail.clear();
            LeafEntry::write_tail(above_base, at, &mut self.tail);
        }
        self.leaf.push(key, &self.tail);
        let stored = if unpacked.is_some() { &self.packed[..len] } else { value.unwrap_or_default() };
        self.out.extend_from_slice(stored);
    }

    fn close_page(&mut self) {
        let first_key = self.leaf.first_key().to_vec();
        let (offset, values_len) = (self.page_offset, self.values_len() as u64);
        let symbols = self.packing.as_ref().map(|packing| packing.symbols);
        let block_len = self.leaf.write_leaf(symbols, &mut self.out) as u64;
        self.add_child(0, &first_key, Child { offset, values_len, block_len });
        self.page_offset = self.offset();
    }

    fn add_child(&mut self, level: usize, first_key: &[u8], child: Child) {
        if level == self.levels.len() {
            self.levels.push(BlockWriter::default());
        }
        self.tail.clear();
        child.write_tail(&mut self.tail);
        let block = &self.levels[level];
        // With fewer than two children a block, the levels would never come to an end.
        if block.count() >= 2 && block.len_with(first_key, self.tail.len()) > self.layout.index {
            self.close_index(level);
            self.tail.clear();
            child.write_tail(&mut self.tail);
        }
        self.levels[level].push(first_key, &self.tail);
    }

    fn close_index(&mut self, level: usize) {
        let first_key = self.levels[level].first_key().to_vec();
        let offset = self.offset();
        let block_len = self.levels[level].write_index(&mut self.out) as u64;
        self.add_child(level + 1, &first_key, Child { offset, values_len: 0, block_len });
    }

    /// How many bytes [`take_output`](Self::take_output) would return.
    pub(crate) fn output_len(&self) -> usize {
        self.out.len()
    }

    /// The bytes of the file that were made since the last call.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        let capacity = self.out.len();
        std::mem::replace(&mut self.out, Vec::with_capacity(capacity))
    }

    /// Ends the file. `drops` are the collections dropped after the base, with the sequence number of the drop.
    pub(crate) fn finish(mut self, drops: &[(String, u64)]) -> Result<Finished> {
        let drops = self.sorted(drops)?;
        self.place_held();
        if self.leaf.count() > 0 {
            self.close_page();
        }
        let mut level = 0;
        while level + 1 < self.levels.len() {
            self.close_index(level);
            level += 1;
        }
        let root_offset = self.offset();
        let root_len = self.levels[level].write_index(&mut self.out) as u64;
        let root = Span { offset: root_offset, len: root_len };

        let section = encode_drops(&drops);
        let drops = Span { offset: root.end(), len: section.len() as u64 };
        self.out.extend_from_slice(&section);
        let digest = self.digest.finish(&section);
        let section = encode_counts(&self.counts.rows());
        let counts = Span { offset: drops.end(), len: section.len() as u64 };
        self.out.extend_from_slice(&section);

        let footer = Footer {
            header: self.header,
            root,
            root_level: level as u32 + 1,
            drops,
            counts,
            entries: self.entries,
            documents: self.documents,
            digest,
            file_len: counts.end() + FOOTER_LEN as u64,
        };
        let Footer { entries, documents, file_len, .. } = footer;
        let summary = Summary { entries, documents, digest, file_len };
        Ok(Finished { tail: self.out, footer: footer.encode(), summary })
    }

    fn sorted(&self, drops: &[(String, u64)]) -> Result<Vec<(String, u64)>> {
        let SnapshotHeader { base, sequence, .. } = self.header;
        if base > sequence {
            return Err(refuse("a snapshot cannot end before its base"));
        }
        if base == 0 && !drops.is_empty() {
            return Err(refuse("a full snapshot has nothing below it to drop"));
        }
        let mut sorted: Vec<(String, u64)> = Vec::with_capacity(drops.len());
        for drop in drops {
            let place = sorted.partition_point(|there| there <= drop);
            sorted.insert(place, drop.clone());
        }
        let drops = sorted;
        let sound = drops.iter().all(|(name, dropped)| {
            (1..=255).contains(&name.len()) && *dropped > base && *dropped <= sequence
        });
        let distinct = drops.iter().zip(drops.iter().skip(1)).all(|(a, b)| a.0 != b.0);
        if sound && distinct {
            Ok(drops)
        } else {
            Err(refuse("a collection drop is out of the snapshot's range"))
        }
    }
}

/// Pieces of the values, spread over all of them.
fn sample(values: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let apart = values.len() / SAMPLE_PIECES;
    (0..SAMPLE_PIECES).map(move |n| {
        // At no regular distances: documents of equal length would show the same part of each.
        let shift = n.wrapping_mul(0x9e37) % (apart.saturating_sub(SAMPLE_PIECE) + 1);
        let piece = values.get(n * apart + shift..).unwrap_or_default();
        piece.get(..SAMPLE_PIECE.min(apart)).unwrap_or_default()
    })
}
