//! The header of a slot: which file is in it. Pure; the bytes are in `docs/format.md`.
//!
//! A slot holds two copies, written and flushed one after the other, so that a torn write leaves one of them whole. The
//! whole copy with the higher generation counts. A slot without any is young: nothing is known of its name's fate.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::validate_name;
use xxhash_rust::xxh3::xxh3_64;

/// Where the bytes of a slot's file begin.
pub(super) const DATA: u64 = 8192;
/// How long a copy is.
pub(super) const LEN: usize = 512;

const MAGIC: &[u8; 8] = b"PUMICESL";
const VERSION: u32 = 1;
/// How much of a copy its checksum covers.
const CHECKED: usize = LEN - 8;
/// Where the name begins.
const NAME: usize = 28;
/// Where it ends at the latest, and the note of other slots begins.
const OTHERS: usize = CHECKED - Slots::LEN;

/// One of the two copies. They lie in different blocks, so that a torn block is one copy's only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    First,
    Second,
}

impl Side {
    pub(super) fn offset(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => 4096,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A set of slots, of the first 1,024: a pool has a dozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots([u8; Self::LEN]);

impl Slots {
    const LEN: usize = 128;

    pub(super) const NONE: Self = Self([0; Self::LEN]);

    pub(super) fn insert(&mut self, slot: u32) {
        if let Some(byte) = self.0.get_mut(slot as usize / 8) {
            *byte |= 1 << (slot % 8);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte |= other);
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 8).is_some_and(|byte| byte >> (slot % 8) & 1 == 1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..Self::LEN as u32 * 8).filter(|slot| self.contains(*slot))
    }
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Grows with every change of the header.
    pub(super) generation: u64,
    /// The file in the slot; `None` while it is free.
    pub(super) name: Option<String>,
    /// Slots that had headers when this one was written. Headers never go, so these still do.
    pub(super) others: Slots,
}

/// Encodes a copy of the header of slot `slot`.
pub(super) fn encode(slot: u32, header: &Header) -> Vec<u8> {
    let name = header.name.as_deref().unwrap_or_default().as_bytes();
    let mut bytes = Vec::with_capacity(LEN);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&slot.to_le_bytes());
    bytes.extend_from_slice(&header.generation.to_le_bytes());
    bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(name);
    bytes.resize(OTHERS, 0);
    bytes.extend_from_slice(&header.others.0);
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    bytes
}

/// Decodes one copy; `None` where it is not whole, or not one of slot `slot`.
///
/// # Errors
/// [`Version`](ErrorKind::Version) for a whole copy that a newer version wrote.
pub(super) fn decode(slot: u32, bytes: &[u8]) -> Result<Option<Header>> {
    let Some((checked, checksum)) = bytes.get(..LEN).and_then(|bytes| bytes.split_at_checked(CHECKED)) else {
        return Ok(None);
    };
    if !checked.starts_with(MAGIC) || checksum != xxh3_64(checked).to_le_bytes() {
        return Ok(None);
    }
    if number(checked, 8) > u64::from(VERSION) {
        let message = format!("slot {slot} was written by a newer version of Pumice; update it");
        return Err(Error::new(ErrorKind::Version, message));
    }
    if number(checked, 12) != u64::from(slot) {
        return Ok(None);
    }
    let generation = number(checked, 16) | number(checked, 20) << 32;
    let len = usize::try_from(number(checked, 24)).unwrap_or(usize::MAX);
    let (names, others) = checked.split_at(OTHERS);
    let name = NAME.checked_add(len).and_then(|end| names.get(NAME..end));
    let Some(Ok(name)) = name.map(str::from_utf8) else { return Ok(None) };
    let others = others.try_into().map_or(Slots::NONE, Slots);
    if name.is_empty() {
        return Ok(Some(Header { generation, name: None, others }));
    }
    let valid = validate_name(name).is_ok();
    Ok(valid.then(|| Header { generation, name: Some(name.to_owned()), others }))
}

/// Four bytes, little-endian.
fn number(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes.get(offset..).and_then(|bytes| bytes.first_chunk::<4>());
    bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

/// What the beginning of a slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No header was ever finished.
    Young,
    /// The header that counts, and the copy that it stands in.
    Aged(Header, Side),
    /// There was a header, and neither copy is whole.
    Damaged,
}

/// Chooses the copy that counts from the first [`DATA`] bytes of a slot, or as many as it has.
///
/// # Errors
/// As for [`decode`].
pub(super) fn choose(slot: u32, beginning: &[u8]) -> Result<Found> {
    let copy = |side: Side| beginning.get(side.offset() as usize..).unwrap_or_default();
    let first = decode(slot, copy(Side::First))?;
    let second = decode(slot, copy(Side::Second))?;
    Ok(match (first, second) {
        (Some(first), Some(second)) if second.generation > first.generation => {
            Found::Aged(second, Side::Second)
        }
        (Some(first), _) => Found::Aged(first, Side::First),
        (None, Some(second)) => Found::Aged(second, Side::Second),
        // The second copy is begun only when the first is durable.
        (None, None) if copy(Side::Second).iter().all(|byte| *byte == 0) => Found::Young,
        (None, None) => Found::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(generation: u64, name: Option<&str>) -> Header {
        let mut others = Slots::NONE;
        [0, 9, 1023, 1024].into_iter().for_each(|slot| others.insert(slot));
        Header { generation, name: name.map(str::to_owned), others }
    }

    #[test]
    fn a_set_of_slots_is_kept() {
        let copy = encode(1, &header(1, Some("a.log")));
        let others = decode(1, &copy).unwrap().unwrap().others;
        assert_eq!(others.iter().collect::<Vec<_>>(), [0, 9, 1023]);
        let mut more = Slots::NONE;
        more.insert(8);
        more.add(&others);
        assert_eq!(more.iter().collect::<Vec<_>>(), [0, 8, 9, 1023]);
        assert!(!more.contains(7) && !more.contains(5000));
    }

    fn slot(first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; DATA as usize];
        bytes[..first.len()].copy_from_slice(first);
        bytes[4096..4096 + second.len()].copy_from_slice(second);
        bytes
    }

    #[test]
    fn the_newer_whole_copy_counts() {
        let (old, new) = (header(1, None), header(2, Some("quarantine/a.log")));
        let (a, b) = (encode(3, &old), encode(3, &new));
        assert_eq!(choose(3, &slot(&a, &b)).unwrap(), Found::Aged(new.clone(), Side::Second));
        assert_eq!(choose(3, &slot(&b, &a)).unwrap(), Found::Aged(new.clone(), Side::First));
        // Of a header that is being changed, any part of the new copy may be there.
        for torn in 0..LEN {
            let mut copy = a.clone();
            copy[..torn].copy_from_slice(&b[..torn]);
            let found = choose(3, &slot(&copy, &a)).unwrap();
            let Found::Aged(found, _) = found else { panic!("{found:?}, torn at {torn}") };
            assert!(found == old || found == new);
            assert!(matches!(choose(3, &slot(&b[..torn], &[])).unwrap(), Found::Young | Found::Aged(..)));
        }
        assert_eq!(choose(3, &[]).unwrap(), Found::Young);
        assert_eq!(choose(3, &a[..100]).unwrap(), Found::Young);
    }

    #[test]
    fn a_flipped_bit_changes_nothing() {
        let whole = header(7, Some("00000000000000000001.log"));
        let copy = encode(9, &whole);
        for bit in 0..LEN * 8 {
            let mut flipped = copy.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(9, &flipped).unwrap(), None, "bit {bit}");
            assert_eq!(choose(9, &slot(&flipped, &copy)).unwrap(), Found::Aged(whole.clone(), Side::Second));
            assert_eq!(choose(9, &slot(&copy, &flipped)).unwrap(), Found::Aged(whole.clone(), Side::First));
            assert_eq!(choose(9, &slot(&flipped, &flipped)).unwrap(), Found::Damaged);
        }
    }

    #[test]
    fn a_header_that_does_not_belong_there_is_not_taken() {
        let copy = encode(4, &header(1, Some("a.log")));
        assert!(decode(4, &copy).unwrap().is_some());
        assert_eq!(decode(5, &copy).unwrap(), None, "another slot's");
        assert_eq!(decode(4, &encode(4, &header(1, Some("../a")))).unwrap(), None, "no name");
        let mut newer = copy[..CHECKED].to_vec();
        newer[8] = 2;
        newer.extend_from_slice(&xxh3_64(&newer).to_le_bytes());
        assert_eq!(decode(4, &newer).unwrap_err().kind(), ErrorKind::Version);
    }
}
