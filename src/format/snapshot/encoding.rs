//! Numbers, checksums and bounded reading: what every part of the format is made of.

use super::CHECKSUM_LEN;
use xxhash_rust::xxh3::xxh3_64;

/// The checksum of a body: xxh3-64, no seed.
fn checksum(body: &[u8]) -> u64 {
    xxh3_64(body)
}

/// The checksum of one value: the low half of [`checksum`].
pub(crate) fn value_checksum(value: &[u8]) -> u32 {
    xxh3_64(value) as u32
}

/// Appends the checksum of what stands in `out` from `start` on.
pub(super) fn seal(out: &mut Vec<u8>, start: usize) {
    let sum = checksum(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
}

/// The body of `bytes`, when the checksum behind it is right.
pub(super) fn sealed(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
    (checksum(body) == u64::from_le_bytes(*sum)).then_some(body)
}

/// Appends `number` in groups of seven bits, lowest first; a set high bit says that more follow.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes bytes from the front; `None` once there are not enough.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads [`put_varint`]'s bytes; `None` also for what does not fit 64 bits.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        if first < 0x80 {
            return Some(u64::from(first));
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A varint that is a length or an offset in memory.
    #[inline]
    pub(super) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }
}
