//! Writing one block: the entries are collected, then laid out behind the prefix that all of their keys share.

use super::encoding::{put_varint, seal};
use super::{KIND_INDEX, KIND_LEAF, KIND_PACKED_LEAF, Span};

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

    /// Appends the index block with its checksum to `out`, and starts anew. Returns its length.
    pub(crate) fn write_index(&mut self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        self.write_body(KIND_INDEX, out);
        seal(out, start);
        out.len() - start
    }

    /// The same for a leaf. `symbols` tells where those of its packed values are.
    pub(crate) fn write_leaf(&mut self, symbols: Option<Span>, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        match symbols {
            None => self.write_body(KIND_LEAF, out),
            Some(Span { offset, len }) => {
                self.write_body(KIND_PACKED_LEAF, out);
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        seal(out, start);
        out.len() - start
    }

    fn write_body(&mut self, kind: u8, out: &mut Vec<u8>) {
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
        self.keys.clear();
        self.tails.clear();
        self.ends.clear();
        self.prefix_len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::snapshot::CHECKSUM_LEN;

    /// What is not the entries': kind, 0, count, length of the prefix, the prefix, the checksum.
    const AROUND: usize = 6 + CHECKSUM_LEN;

    #[test]
    fn the_length_is_foretold_to_a_byte_for_each_entry() {
        for prefix in ["", "p", "a longer prefix"] {
            for count in 1..40 {
                let mut block = BlockWriter::default();
                let mut foretold = 0;
                for n in 0..count {
                    let (key, tail) = (format!("{prefix}{n:02}"), vec![0; n]);
                    foretold = block.len_with(key.as_bytes(), tail.len());
                    block.push(key.as_bytes(), &tail);
                }
                let shared = block.prefix_len;
                let mut out = Vec::new();
                // One byte tells the length of a short suffix, where two were reckoned with.
                assert_eq!(block.write_leaf(None, &mut out), AROUND + shared + foretold - count);
            }
        }
    }
}
