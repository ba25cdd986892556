//! The intact end of a damaged line.

use super::{TRAILER_BYTES, TRAILER_END, TRAILER_START, parse_checksum};

/// The longest end of `line` that the checksum behind it holds for and that begins like a record or a seal; nothing if
/// there is none. A damaged line end joins two lines, of which the second may be intact.
///
/// Goes backwards from the checksum, so that it takes one look at each byte whatever the bytes are.
pub(crate) fn intact_end(line: &[u8]) -> &[u8] {
    let split = line.len().checked_sub(TRAILER_BYTES).map(|body_len| line.split_at(body_len));
    let digits = split.and_then(|(_, t)| t.strip_prefix(TRAILER_START)?.strip_suffix(TRAILER_END));
    let (Some((body, _)), Some(checksum)) = (split, digits.and_then(parse_checksum)) else { return &[] };
    let mut found: &[u8] = &[];
    let mut state = !checksum;
    for (at, byte) in body.iter().enumerate().rev() {
        state = crc_before(state, *byte);
        if state == u32::MAX
            && let Some(end) = line.get(at..)
            && (end.starts_with(b"{\"_s\":") || end.starts_with(b"{\"_p\":"))
        {
            found = end;
        }
    }
    found
}

/// What the CRC-32C's register held before it took in `byte` and came to `state`.
fn crc_before(state: u32, byte: u8) -> u32 {
    let [.., top] = state.to_le_bytes();
    let index = CRC_INDEX[usize::from(top)];
    (state ^ CRC_TABLE[usize::from(index)]) << 8 | u32::from(index ^ byte)
}

/// The CRC-32C of each byte, as a step of the register.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Which entry of the table has that highest byte. Each has another.
const CRC_INDEX: [u8; 256] = {
    let mut indices = [0; 256];
    let mut index = 0;
    while index < 256 {
        indices[(CRC_TABLE[index] >> 24) as usize] = index as u8;
        index += 1;
    }
    indices
};
