//! The bytes of a snapshot file: names, constants, header and footer, shared by the builder and the reader.
//!
//! ```text
//! header | pages | index blocks | drops | counts | footer
//! ```
//!
//! Everything is little-endian. Decoding checks magic, checksum and version, and never panics on any input.

mod block;
mod block_writer;
mod encoding;
mod sections;
mod symbols;

pub(crate) use block::{Block, Child, LeafEntry, ValueAt, floor};
pub(crate) use block_writer::BlockWriter;
pub(crate) use encoding::value_checksum;
pub(crate) use sections::{CollectionCount, Drops, decode_counts, decode_drops, encode_counts, encode_drops};
pub(crate) use symbols::{ESCAPE, MAX_SYMBOL_LEN, MAX_SYMBOLS, Symbol, Symbols};

use encoding::{Reader, seal, sealed};

/// First bytes of the file.
pub(crate) const HEADER_MAGIC: &[u8; 8] = b"PUMICESN";
/// Last bytes of the file.
pub(crate) const FOOTER_MAGIC: &[u8; 8] = b"PUMICEFT";
/// The version this crate writes, and the newest it reads. Version 1 has no packed leaves and no symbols.
pub(crate) const VERSION: u32 = 2;
pub(crate) const HEADER_LEN: usize = 64;
pub(crate) const FOOTER_LEN: usize = 160;
/// What follows a block or section: the xxh3-64 of its body.
pub(crate) const CHECKSUM_LEN: usize = 8;
pub(crate) const KIND_LEAF: u8 = 1;
pub(crate) const KIND_INDEX: u8 = 2;
pub(crate) const KIND_PACKED_LEAF: u8 = 3;
pub(crate) const KIND_SYMBOLS: u8 = 4;
pub(crate) const ENTRY_TOMBSTONE: u8 = 0;
pub(crate) const ENTRY_VALUE: u8 = 1;
pub(crate) const ENTRY_PACKED: u8 = 2;
/// The longest sort key: collection (255), separator, key (1,024).
pub(crate) const MAX_KEY_LEN: usize = 1280;
/// Two children a block at least, so 64 levels hold more pages than a file has bytes.
pub(crate) const MAX_LEVELS: u32 = 64;
/// Ends the collection in a sort key.
pub(crate) const SEPARATOR: u8 = 0;

const SUFFIX: &str = ".snapshot";
const DIGITS: usize = 20;

/// The name of the file that covers (`base`, `sequence`].
pub(crate) fn file_name(base: u64, sequence: u64) -> String {
    if base == 0 { format!("{sequence:020}{SUFFIX}") } else { format!("{sequence:020}-{base:020}{SUFFIX}") }
}

/// The `(base, sequence)` of a snapshot's file name, or `None` for any other name.
pub(crate) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let number = |text: &str| {
        let plain = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse::<u64>().ok() } else { None }
    };
    let stem = name.strip_suffix(SUFFIX)?;
    match stem.split_once('-') {
        None => Some((0, number(stem)?)),
        Some((sequence, base)) => {
            let (base, sequence) = (number(base)?, number(sequence)?);
            (0 < base && base < sequence).then_some((base, sequence))
        }
    }
}

/// Which part of which database a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) store_id: [u8; 16],
    pub(crate) epoch: u64,
    /// The file holds what changed after this sequence number; 0 for a full snapshot.
    pub(crate) base: u64,
    /// The last sequence number it covers.
    pub(crate) sequence: u64,
}

/// Why fixed bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not what was written.
    Damaged,
    /// Sound, but of this newer version.
    Newer(u32),
}

impl SnapshotHeader {
    /// The first [`HEADER_LEN`] bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(HEADER_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&self.store_id);
        for number in [self.epoch, self.base, self.sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        seal(&mut out, 0);
        out
    }

    /// Reads [`encode`](Self::encode)'s bytes.
    ///
    /// The checksum comes before the version, so that a damaged version is not taken for a newer one.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::read(bytes).unwrap_or(Err(Unreadable::Damaged))
    }

    fn read(bytes: &[u8]) -> Option<Result<Self, Unreadable>> {
        let mut input = Reader(sealed(bytes.get(..HEADER_LEN)?)?);
        if input.array()? != *HEADER_MAGIC {
            return None;
        }
        let (version, flags) = (input.u32()?, input.u32()?);
        if version > VERSION {
            return Some(Err(Unreadable::Newer(version)));
        }
        let header = Self {
            store_id: input.array()?,
            epoch: input.u64()?,
            base: input.u64()?,
            sequence: input.u64()?,
        };
        // A record must still be able to follow.
        let in_order = header.base <= header.sequence && header.sequence < u64::MAX;
        ((1..=VERSION).contains(&version) && flags == 0 && in_order).then_some(Ok(header))
    }
}

/// A range of bytes in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Span {
    /// The first byte after the range. Spans of a decoded footer lie inside the file, so this cannot overflow.
    pub(crate) fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// The end of the file: where its parts are, and what the whole must add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) header: SnapshotHeader,
    pub(crate) root: Span,
    /// The number of steps from the root to a leaf, at least 1.
    pub(crate) root_level: u32,
    pub(crate) drops: Span,
    pub(crate) counts: Span,
    pub(crate) entries: u64,
    pub(crate) documents: u64,
    pub(crate) digest: u64,
    pub(crate) file_len: u64,
}

impl Footer {
    /// The last [`FOOTER_LEN`] bytes of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_LEN);
        out.extend_from_slice(&self.root.offset.to_le_bytes());
        out.extend_from_slice(&(self.root.len as u32).to_le_bytes());
        out.extend_from_slice(&self.root_level.to_le_bytes());
        let header = &self.header;
        for number in [
            self.drops.offset,
            self.drops.len,
            self.counts.offset,
            self.counts.len,
            self.entries,
            self.documents,
            self.digest,
            header.base,
            header.sequence,
            header.epoch,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&header.store_id);
        out.extend_from_slice(&self.file_len.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.resize(FOOTER_LEN - CHECKSUM_LEN - FOOTER_MAGIC.len(), 0);
        seal(&mut out, 0);
        out.extend_from_slice(FOOTER_MAGIC);
        out
    }

    /// Reads the last [`FOOTER_LEN`] bytes of a file of `file_len` bytes.
    ///
    /// The parts of the file that it names lie inside the file, one directly behind the other.
    pub(crate) fn decode(bytes: &[u8], file_len: u64) -> Result<Self, Unreadable> {
        Self::read(bytes, file_len).unwrap_or(Err(Unreadable::Damaged))
    }

    fn read(bytes: &[u8], file_len: u64) -> Option<Result<Self, Unreadable>> {
        let bytes = bytes.strip_suffix(FOOTER_MAGIC)?;
        if bytes.len() != FOOTER_LEN - FOOTER_MAGIC.len() {
            return None;
        }
        let mut input = Reader(sealed(bytes)?);
        let offset = input.u64()?;
        let root = Span { offset, len: u64::from(input.u32()?) };
        let root_level = input.u32()?;
        let drops = Span { offset: input.u64()?, len: input.u64()? };
        let counts = Span { offset: input.u64()?, len: input.u64()? };
        let (entries, documents, digest) = (input.u64()?, input.u64()?, input.u64()?);
        let (base, sequence, epoch) = (input.u64()?, input.u64()?, input.u64()?);
        let header = SnapshotHeader { store_id: input.array()?, epoch, base, sequence };
        let footer = Self {
            header,
            root,
            root_level,
            drops,
            counts,
            entries,
            documents,
            digest,
            file_len: input.u64()?,
        };
        let (version, flags) = (input.u32()?, input.u32()?);
        if version > VERSION {
            return Some(Err(Unreadable::Newer(version)));
        }
        let behind = |span: Span| span.offset.checked_add(span.len);
        let sound = (1..=VERSION).contains(&version)
            && flags == 0
            && input.0.iter().all(|&b| b == 0)
            && footer.file_len == file_len
            && (1..=MAX_LEVELS).contains(&root_level)
            && root.offset >= HEADER_LEN as u64
            && behind(root) == Some(drops.offset)
            && behind(drops) == Some(counts.offset)
            && behind(counts) == file_len.checked_sub(FOOTER_LEN as u64)
            && documents <= entries;
        sound.then_some(Ok(footer))
    }
}
