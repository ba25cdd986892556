//! The two sections behind the index: collection drops, and documents per collection.
//!
//! ```text
//! drops  = u32 count | count x (u8 name_len | name | u64 sequence) | u64 xxh3
//! counts = u32 count | count x (u8 name_len | name | u64 documents | u64 tombstones) | u64 xxh3
//! ```
//!
//! Both are in ascending order of names, without duplicates.

use super::encoding::{Reader, seal, sealed};

/// Dropped collections with the sequence number of the drop.
pub(crate) type Drops = Vec<(String, u64)>;

/// A collection's name, live documents and tombstones in this file.
pub(crate) type CollectionCount = (String, u64, u64);

/// The section's bytes. Names are 1-255 bytes long: the builder has seen to that.
pub(crate) fn encode_drops(drops: &[(String, u64)]) -> Vec<u8> {
    encode(drops.iter().map(|(name, sequence)| (name.as_str(), [*sequence])))
}

/// The section's bytes. Names are 1-255 bytes long: the builder has seen to that.
pub(crate) fn encode_counts(counts: &[CollectionCount]) -> Vec<u8> {
    encode(counts.iter().map(|(name, documents, tombstones)| (name.as_str(), [*documents, *tombstones])))
}

/// Reads [`encode_drops`]'s bytes; `None` when they are damaged.
pub(crate) fn decode_drops(bytes: &[u8]) -> Option<Drops> {
    decode(bytes, |name, [sequence]| (name, sequence))
}

/// Reads [`encode_counts`]'s bytes; `None` when they are damaged.
pub(crate) fn decode_counts(bytes: &[u8]) -> Option<Vec<CollectionCount>> {
    decode(bytes, |name, [documents, tombstones]| (name, documents, tombstones))
}

fn encode<'a, const N: usize>(rows: impl ExactSizeIterator<Item = (&'a str, [u64; N])>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    for (name, numbers) in rows {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    seal(&mut out, 0);
    out
}

fn decode<const N: usize, T>(bytes: &[u8], row: impl Fn(String, [u64; N]) -> T) -> Option<Vec<T>> {
    let mut input = Reader(sealed(bytes)?);
    let count = input.u32()?;
    let mut rows = Vec::new();
    let mut last: &[u8] = &[];
    for _ in 0..count {
        let len = usize::from(input.u8()?);
        let name = input.take(len)?;
        // The empty name is not one, so the first comparison holds for every real name.
        if name <= last {
            return None;
        }
        last = name;
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = input.u64()?;
        }
        rows.push(row(str::from_utf8(name).ok()?.to_owned(), numbers));
    }
    input.0.is_empty().then_some(rows)
}
