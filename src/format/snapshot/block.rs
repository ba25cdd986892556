//! Blocks: the leaves and index nodes of the sorted table.
//!
//! ```text
//! block = body | u64 xxh3 of body
//! body  = u8 kind | u8 0 | u16 count | u16 prefix_len | prefix | count x u16 offset | entries
//! entry = varint suffix_len | suffix | tail
//! leaf tail  = u8 kind | varint sequence - base [| varint value_len | varint value_offset | u32 value checksum]
//! index tail = varint page_offset | varint values_len | varint block_len
//! ```
//!
//! Offsets count from the first entry's first byte, entries are in ascending order of keys, and the prefix is common
//! to all keys. Reading returns `None` for bytes that no writer made; nothing is allocated to search.

use super::encoding::{Reader, put_varint, seal, sealed};
use super::{CHECKSUM_LEN, ENTRY_TOMBSTONE, ENTRY_VALUE, KIND_INDEX, KIND_LEAF};
use bytes::Bytes;
use std::cmp::Ordering;

/// kind, reserved, count, `prefix_len`.
const FIXED_LEN: usize = 6;

/// Collects the entries of one block.
#[derive(Default)]
pub(crate) struct BlockWriter {
    keys: Vec<u8>,
    tails: Vec<u8>,
    /// Where each entry's key and tail end.
    ends: Vec<(usize, usize)>,
    prefix_len: usize,
}

impl BlockWriter {
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn first_key(&self) -> &[u8] {
        self.ends.first().map_or(&[], |&(end, _)| &self.keys[..end])
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        let start = self.ends.len().checked_sub(2).map_or(0, |before| self.ends[before].0);
        &self.keys[start..]
    }

    fn prefix_with(&self, key: &[u8]) -> usize {
        if self.ends.is_empty() {
            return key.len();
        }
        let prefix = &self.keys[..self.prefix_len];
        if key.starts_with(prefix) {
            return prefix.len();
        }
        prefix.iter().zip(key).take_while(|(a, b)| a == b).count()
    }

    /// An upper bound of the entries' and their offsets' bytes once `key` with a tail of `tail_len` is added.
    ///
    /// It can jump: a key that shares less lengthens every suffix.
    pub(crate) fn len_with(&self, key: &[u8], tail_len: usize) -> usize {
        let count = self.ends.len() + 1;
        // Two bytes of offset and at most two of suffix_len.
        self.keys.len() + key.len() - count * self.prefix_with(key) + self.tails.len() + tail_len + 4 * count
    }

    /// Adds an entry. Its key is greater than the last one's, and the block stays below 64 KiB.
    pub(crate) fn push(&mut self, key: &[u8], tail: &[u8]) {
        self.prefix_len = self.prefix_with(key);
        self.keys.extend_from_slice(key);
        self.tails.extend_from_slice(tail);
        self.ends.push((self.keys.len(), self.tails.len()));
    }

    /// Appends the block with its checksum to `out`, and starts anew. Returns its length.
    pub(crate) fn write(&mut self, kind: u8, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.push(kind);
        out.push(0);
        out.extend_from_slice(&(self.ends.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.prefix_len as u16).to_le_bytes());
        out.extend_from_slice(&self.keys[..self.prefix_len]);
        let mut offsets_at = out.len();
        out.resize(offsets_at + 2 * self.ends.len(), 0);
        let entries_at = out.len();
        let (mut key_start, mut tail_start) = (0, 0);
        for &(key_end, tail_end) in &self.ends {
            let offset = (out.len() - entries_at) as u16;
            out[offsets_at..offsets_at + 2].copy_from_slice(&offset.to_le_bytes());
            offsets_at += 2;
            let suffix = &self.keys[key_start + self.prefix_len..key_end];
            put_varint(out, suffix.len() as u64);
            out.extend_from_slice(suffix);
            out.extend_from_slice(&self.tails[tail_start..tail_end]);
            (key_start, tail_start) = (key_end, tail_end);
        }
        seal(out, start);
        self.keys.clear();
        self.tails.clear();
        self.ends.clear();
        self.prefix_len = 0;
        out.len() - start
    }
}

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
    pub(crate) checksum: u32,
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
        out.push(if value.is_some() { ENTRY_VALUE } else { ENTRY_TOMBSTONE });
        put_varint(out, sequence_above_base);
        if let Some(value) = value {
            put_varint(out, value.len as u64);
            put_varint(out, value.offset as u64);
            out.extend_from_slice(&value.checksum.to_le_bytes());
        }
    }
}

/// A block in memory, checksum checked. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    body: Bytes,
    count: usize,
    offsets_at: usize,
    entries_at: usize,
}

impl Block {
    /// Takes the bytes of a block with its checksum; `None` unless it is a sound one of `kind`.
    pub(crate) fn open(mut bytes: Bytes, kind: u8) -> Option<Self> {
        debug_assert!(kind == KIND_LEAF || kind == KIND_INDEX);
        let mut input = Reader(sealed(&bytes)?);
        if input.array()? != [kind, 0] {
            return None;
        }
        let (count, prefix_len) = (usize::from(input.u16()?), usize::from(input.u16()?));
        let offsets_at = FIXED_LEN + prefix_len;
        let entries_at = offsets_at + 2 * count;
        bytes.truncate(bytes.len() - CHECKSUM_LEN);
        (entries_at <= bytes.len()).then_some(Self { body: bytes, count, offsets_at, entries_at })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The bytes it occupies in memory.
    pub(crate) fn len(&self) -> usize {
        self.body.len() + size_of::<Self>()
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        self.body.get(FIXED_LEN..self.offsets_at).unwrap_or_default()
    }

    /// The suffix of an entry's key, and its tail with all that follows.
    #[inline]
    fn entry(&self, index: usize) -> Option<(&[u8], Reader<'_>)> {
        if index >= self.count {
            return None;
        }
        let at = self.offsets_at + 2 * index;
        let offset: [u8; 2] = self.body.get(at..at + 2)?.try_into().ok()?;
        let start = self.entries_at + usize::from(u16::from_le_bytes(offset));
        let mut input = Reader(self.body.get(start..)?);
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
            ENTRY_VALUE => Some(ValueAt { len: tail.size()?, offset: tail.size()?, checksum: tail.u32()? }),
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
            return Some(Err(if key < prefix { 0 } else { self.count }));
        };
        let (mut low, mut high) = (0, self.count);
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

/// The child whose keys may include the one searched for: the last that does not start above it.
pub(crate) fn floor(found: Result<usize, usize>) -> Option<usize> {
    match found {
        Ok(index) => Some(index),
        Err(index) => index.checked_sub(1),
    }
}
