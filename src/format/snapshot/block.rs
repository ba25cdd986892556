//! Blocks: the leaves and index nodes of the sorted table.
//!
//! ```text
//! block = body | u64 xxh3 of body
//! body  = u8 kind | u8 0 | u16 count | u16 prefix_len | prefix | count x u16 offset | entries
//! entry = varint suffix_len | suffix | tail
//! leaf tail  = u8 kind | varint sequence - base [| varint value_len | varint value_offset | u32 value checksum
//!              [| varint unpacked_len]]
//! index tail = varint page_offset | varint values_len | varint block_len
//! ```
//!
//! The body of a packed leaf ends in `u64 offset | u32 length` of the symbols of its packed values.
//!
//! Offsets count from the first entry's first byte, entries are in ascending order of keys, and the prefix is common
//! to all keys. Reading returns `None` for bytes that no writer made; nothing is allocated to search.

use super::encoding::{Reader, put_varint, sealed};
use super::{ENTRY_PACKED, ENTRY_TOMBSTONE, ENTRY_VALUE, KIND_INDEX, KIND_LEAF, KIND_PACKED_LEAF, Span};
use std::cmp::Ordering;
use std::sync::Arc;

/// kind, reserved, count, `prefix_len`.
const FIXED_LEN: u32 = 6;
/// Where the symbols are, in a packed leaf.
const SYMBOLS_LEN: usize = 12;
/// In memory only, little-endian.
type Head = [u8; HEAD_LEN];
const HEAD_LEN: usize = 4;

/// Where a page or an index block lies: its values (none for an index block), then its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) offset: u64,
    pub(crate) values_len: u64,
    /// With the checksum.
    pub(crate) block_len: u64,
}

impl Child {
    pub(crate) fn write_tail(self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, self.values_len);
        put_varint(out, self.block_len);
    }
}

/// Where a value lies within its page, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueAt {
    pub(crate) len: usize,
    pub(crate) offset: usize,
    /// Of the value as it was given, unpacked.
    pub(crate) checksum: u32,
    /// How long it is when it is unpacked; `None` where it stands as it was given.
    pub(crate) unpacked: Option<usize>,
}

/// An entry of a leaf; its key is the block's prefix and this suffix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafEntry<'a> {
    pub(crate) suffix: &'a [u8],
    pub(crate) sequence_above_base: u64,
    /// `None` for a tombstone.
    pub(crate) value: Option<ValueAt>,
}

impl LeafEntry<'_> {
    pub(crate) fn write_tail(sequence_above_base: u64, value: Option<ValueAt>, out: &mut Vec<u8>) {
        out.push(match value {
            None => ENTRY_TOMBSTONE,
            Some(ValueAt { unpacked: None, .. }) => ENTRY_VALUE,
            Some(ValueAt { unpacked: Some(_), .. }) => ENTRY_PACKED,
        });
        put_varint(out, sequence_above_base);
        if let Some(value) = value {
            put_varint(out, value.len as u64);
            put_varint(out, value.offset as u64);
            out.extend_from_slice(&value.checksum.to_le_bytes());
            if let Some(unpacked) = value.unpacked {
                put_varint(out, unpacked as u64);
            }
        }
    }
}

/// A block in memory, checksum checked. Cheap to clone.
///
/// One that is kept for searches also has its heads: the first bytes of every suffix, side by side. Searching them
/// touches far less memory than the entries. All is one allocation, for the same reason.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The heads, then the body.
    bytes: Arc<[u8]>,
    body_at: u32,
    count: u32,
    /// From the start of the body, as is the next.
    offsets_at: u32,
    entries_at: u32,
    symbols: Option<Span>,
}

impl Block {
    /// Takes the bytes of a block with its checksum; `None` unless it is a sound one of `kind`. A packed leaf is a leaf too.
    pub(crate) fn open(bytes: &[u8], kind: u8) -> Option<Self> {
        debug_assert!(kind == KIND_LEAF || kind == KIND_INDEX);
        let mut body = sealed(bytes)?;
        let mut input = Reader(body);
        let mut symbols = None;
        match input.array()? {
            [KIND_PACKED_LEAF, 0] if kind == KIND_LEAF => {
                let (rest, end) = body.split_last_chunk::<SYMBOLS_LEN>()?;
                let mut end = Reader(end);
                symbols = Some(Span { offset: end.u64()?, len: end.u32()?.into() });
                body = rest;
            }
            own if own == [kind, 0] => {}
            _ => return None,
        }
        let (count, prefix_len) = (u32::from(input.u16()?), u32::from(input.u16()?));
        let offsets_at = FIXED_LEN + prefix_len;
        let entries_at = offsets_at + 2 * count;
        let block = Self { bytes: body.into(), body_at: 0, count, offsets_at, entries_at, symbols };
        (entries_at as usize <= body.len()).then_some(block)
    }

    /// Prepares a block that is kept for faster searches.
    pub(crate) fn with_heads(mut self) -> Option<Self> {
        let heads_len = HEAD_LEN * self.count();
        let mut bytes = Vec::with_capacity(heads_len + self.bytes.len());
        for index in 0..self.count() {
            bytes.extend_from_slice(&head(self.entry(index)?.0).to_le_bytes());
        }
        bytes.extend_from_slice(self.body());
        self.bytes = bytes.into();
        self.body_at = heads_len as u32;
        Some(self)
    }

    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    /// Where the symbols of a packed leaf are said to be.
    pub(crate) fn symbols(&self) -> Option<Span> {
        self.symbols
    }

    /// The bytes it occupies in memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    #[inline]
    fn body(&self) -> &[u8] {
        self.bytes.get(self.body_at as usize..).unwrap_or_default()
    }

    /// Empty unless [`with_heads`](Self::with_heads) has made them.
    #[inline]
    fn heads(&self) -> &[Head] {
        self.bytes.get(..self.body_at as usize).unwrap_or_default().as_chunks().0
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        self.body().get(FIXED_LEN as usize..self.offsets_at as usize).unwrap_or_default()
    }

    /// The suffix of an entry's key, and its tail with all that follows.
    #[inline]
    fn entry(&self, index: usize) -> Option<(&[u8], Reader<'_>)> {
        if index >= self.count() {
            return None;
        }
        let body = self.body();
        let at = self.offsets_at as usize + 2 * index;
        let offset = u16::from_le_bytes(*body.get(at..)?.first_chunk()?);
        let start = self.entries_at as usize + usize::from(offset);
        let mut input = Reader(body.get(start..)?);
        let suffix_len = input.size()?;
        Some((input.take(suffix_len)?, input))
    }

    #[inline]
    pub(crate) fn leaf_entry(&self, index: usize) -> Option<LeafEntry<'_>> {
        let (suffix, mut tail) = self.entry(index)?;
        let kind = tail.u8()?;
        let sequence_above_base = tail.varint()?;
        let value = match kind {
            ENTRY_TOMBSTONE => None,
            ENTRY_VALUE | ENTRY_PACKED => Some(ValueAt {
                len: tail.size()?,
                offset: tail.size()?,
                checksum: tail.u32()?,
                unpacked: if kind == ENTRY_PACKED { Some(tail.size()?) } else { None },
            }),
            _ => return None,
        };
        Some(LeafEntry { suffix, sequence_above_base, value })
    }

    /// The child that an index entry points to.
    pub(crate) fn child(&self, index: usize) -> Option<Child> {
        let (_, mut tail) = self.entry(index)?;
        Some(Child { offset: tail.varint()?, values_len: tail.varint()?, block_len: tail.varint()? })
    }

    /// Whether the entry at `index` has the key of `other`'s entry at `other_index`.
    pub(crate) fn same_key(&self, index: usize, other: &Self, other_index: usize) -> Option<bool> {
        let (suffix, _) = self.entry(index)?;
        let (other_suffix, _) = other.entry(other_index)?;
        Some(self.prefix().iter().chain(suffix).eq(other.prefix().iter().chain(other_suffix)))
    }

    /// Where `key` is (`Ok`), or where it would have to be inserted (`Err`).
    #[inline]
    pub(crate) fn search(&self, key: &[u8]) -> Option<Result<usize, usize>> {
        let prefix = self.prefix();
        let Some(wanted) = key.strip_prefix(prefix) else {
            return Some(Err(if key < prefix { 0 } else { self.count() }));
        };
        let (mut low, mut high) = (0, self.count());
        let heads = self.heads();
        if !heads.is_empty() {
            let wanted = head(wanted);
            low = below(heads, wanted);
            high = low + heads.get(low..)?.partition_point(|&head| u32::from_le_bytes(head) == wanted);
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.entry(middle)?.0.cmp(wanted) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(Ok(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Some(Err(low))
    }
}

/// In the order of suffixes, but for those that differ only further on.
#[inline]
fn head(suffix: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    match suffix.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes.iter_mut().zip(suffix).for_each(|(to, from)| *to = *from),
    }
    u32::from_be_bytes(bytes)
}

/// How many heads are lower: the last few hundred are counted rather than halved, since reading them in a row takes
/// less time than waiting for memory at each step.
#[inline]
fn below(mut heads: &[Head], wanted: u32) -> usize {
    let mut count = 0;
    while heads.len() > 256 {
        let (lower, upper) = heads.split_at(heads.len() / 2);
        if upper.first().is_some_and(|&first| u32::from_le_bytes(first) < wanted) {
            count += lower.len();
            heads = upper;
        } else {
            heads = lower;
        }
    }
    let lower: u32 = heads.iter().map(|&head| u32::from(u32::from_le_bytes(head) < wanted)).sum();
    count + lower as usize
}

/// The child whose keys may include the one searched for: the last that does not start above it.
pub(crate) fn floor(found: Result<usize, usize>) -> Option<usize> {
    match found {
        Ok(index) => Some(index),
        Err(index) => index.checked_sub(1),
    }
}
