//! The snapshot file of `MoltenDB` up to 0.10: a header of 24 bytes, then records, each behind its length.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `MOLTSNAP` |
//! | 8 | lines of the log that it covers, little-endian as all numbers; 0 after a compaction, which empties the log |
//! | 8 | records that follow |
//! | for each: 8 | its length |
//! | as many | the record, as a line of the log without its end |

/// What every file begins with.
pub(crate) const MAGIC: [u8; 8] = *b"MOLTSNAP";
/// What files of `MoltenDB` from 1.0 on begin with, which hold something else.
const LATER_MAGIC: [u8; 8] = *b"MOLTSNG4";

pub(crate) const HEADER_LEN: usize = 24;
/// The length before a record.
pub(crate) const LENGTH_LEN: usize = 8;

/// The beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Lines at the beginning of the log that must not be replayed.
    pub(crate) covered: u64,
    pub(crate) records: u64,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It ends within the header, or begins in another way.
    None,
    /// It is of `MoltenDB` 1.0 or later.
    Later,
}

/// Decodes the beginning of a file, of which `bytes` are at least [`HEADER_LEN`] or all.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, HeaderError> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(HeaderError::None)?;
    if *magic == LATER_MAGIC {
        return Err(HeaderError::Later);
    }
    let (covered, rest) = rest.split_first_chunk::<8>().ok_or(HeaderError::None)?;
    let records = rest.first_chunk::<8>().ok_or(HeaderError::None)?;
    if *magic != MAGIC {
        return Err(HeaderError::None);
    }
    Ok(Header { covered: u64::from_le_bytes(*covered), records: u64::from_le_bytes(*records) })
}

pub(crate) fn encode_header(header: Header) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let fields = [u64::from_le_bytes(MAGIC), header.covered, header.records];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

/// The length of a record, if the `left` bytes of the file behind it can hold so much, and if it is at most `limit`. Nothing
/// may be allocated for a length before this has bounded it.
pub(crate) fn decode_length(bytes: [u8; LENGTH_LEN], left: u64, limit: usize) -> Option<usize> {
    let len = u64::from_le_bytes(bytes);
    if len > left {
        return None;
    }
    usize::try_from(len).ok().filter(|len| *len <= limit)
}

/// Appends a record that `write` writes, behind its length.
pub(crate) fn push_record(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_LEN]);
    write(out);
    let len = (out.len() - start - LENGTH_LEN) as u64;
    if let Some(place) = out.get_mut(start..start + LENGTH_LEN) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_looks_as_documented() {
        let header = Header { covered: 3, records: 0x0102 };
        let bytes = encode_header(header);
        assert_eq!(&bytes, b"MOLTSNAP\x03\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0");
        assert_eq!(decode_header(&bytes), Ok(header));
        assert_eq!(decode_header(b"MOLTSNG4\x1f\x8b"), Err(HeaderError::Later));
        for len in 0..HEADER_LEN {
            assert_eq!(decode_header(&bytes[..len]), Err(HeaderError::None));
        }
        for bit in 0..64 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_header(&changed).is_err());
        }
    }

    #[test]
    fn a_length_is_bounded_by_what_is_left_and_by_the_limit() {
        let length = |len: u64| len.to_le_bytes();
        assert_eq!(decode_length(length(5), 5, 10), Some(5));
        assert_eq!(decode_length(length(6), 5, 10), None);
        assert_eq!(decode_length(length(10), 100, 10), Some(10));
        assert_eq!(decode_length(length(11), 100, 10), None);
        // One flipped bit makes 1.9 PB of 200 bytes.
        assert_eq!(decode_length(length((1 << 50) + 200), 1 << 30, usize::MAX), None);
        assert_eq!(decode_length(length(u64::MAX), u64::MAX, 1 << 20), None);
    }

    #[test]
    fn a_record_stands_behind_its_length() {
        let mut out = b"x".to_vec();
        push_record(&mut out, |out| out.extend_from_slice(b"{}"));
        assert_eq!(out, b"x\x02\0\0\0\0\0\0\0{}");
    }
}
