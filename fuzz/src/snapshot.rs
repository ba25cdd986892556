//! Gives mutated snapshots right checksums and lengths, so that a fuzzer gets beyond those.
//!
//! Written from the description of the format and not from the engine's own code.

use xxhash_rust::xxh3::xxh3_64;

const HEADER_LEN: usize = 64;
const FOOTER_LEN: usize = 160;
const KIND_LEAF: u8 = 1;
const KIND_PACKED_LEAF: u8 = 3;
/// Where its symbols are, at the end of a packed leaf's body.
const SYMBOLS_LEN: usize = 12;
const ESCAPE: u8 = 255;
/// Mutated indexes may lead to one block along very many paths.
const MAX_BLOCKS: usize = 200;

/// How much of a snapshot is mended.
#[derive(Clone, Copy, Debug)]
pub struct Mending {
    /// Those of header, blocks, values, sections and footer.
    pub checksums: bool,
    /// The length of the file in the footer, and the places of the parts in front of it.
    pub places: bool,
    /// The base and the sequence number of the file's name.
    pub range: Option<(u64, u64)>,
}

/// A whole file.
pub fn mend(bytes: &[u8], mending: Mending) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if file.len() < HEADER_LEN + FOOTER_LEN {
        return file;
    }
    let len = file.len();
    let footer = len - FOOTER_LEN;
    if let Some((base, sequence)) = mending.range {
        for (at, number) in [(40, base), (48, sequence), (footer + 72, base), (footer + 80, sequence)] {
            put(&mut file, at, number);
        }
    }
    if mending.places {
        let counts_len = number(&file, footer + 40).min(footer as u64 / 4);
        let drops_len = number(&file, footer + 24).min(footer as u64 / 4);
        let root_len = u64::from(u32_at(&file, footer + 8)).min(footer as u64 / 2);
        let counts = footer as u64 - counts_len;
        let drops = counts - drops_len;
        put(&mut file, footer, drops - root_len);
        file[footer + 8..footer + 12].copy_from_slice(&(root_len as u32).to_le_bytes());
        for (at, number) in [(16, drops), (24, drops_len), (32, counts), (40, counts_len), (112, len as u64)]
        {
            put(&mut file, footer + at, number);
        }
        file[footer + 152..].copy_from_slice(b"PUMICEFT");
    }
    if mending.checksums {
        seal(&mut file, 0, HEADER_LEN);
        let root = (number(&file, footer) as usize, u32_at(&file, footer + 8) as usize);
        let level = u32_at(&file, footer + 12);
        let mut budget = MAX_BLOCKS;
        mend_block(&mut file, root.0, root.1, level, 0, &mut budget);
        for at in [16, 32] {
            let place = (number(&file, footer + at) as usize, number(&file, footer + at + 8) as usize);
            seal(&mut file, place.0, place.1);
        }
        seal(&mut file, footer, 152);
    }
    file
}

/// Mends what an index block leads to, or a leaf's values, and then the block itself.
fn mend_block(file: &mut [u8], at: usize, len: usize, level: u32, values: usize, budget: &mut usize) {
    if *budget == 0 || at.checked_add(len).is_none_or(|end| end > file.len()) || len < 14 {
        return;
    }
    *budget -= 1;
    let mut body = at..at + len - 8;
    let is_packed = file[at] == KIND_PACKED_LEAF && body.len() >= 6 + SYMBOLS_LEN;
    let is_leaf = file[at] == KIND_LEAF || is_packed;
    let mut symbols = Vec::new();
    if is_packed {
        body.end -= SYMBOLS_LEN;
        let (symbols_at, symbols_len) =
            (number(file, body.end) as usize, u32_at(file, body.end + 8) as usize);
        if symbols_at.checked_add(symbols_len).is_some_and(|end| end <= at) {
            seal(file, symbols_at, symbols_len);
            symbols = symbols_of(&file[symbols_at..symbols_at + symbols_len]);
        }
    }
    let (count, prefix) = (usize::from(u16_at(file, at + 2)), usize::from(u16_at(file, at + 4)));
    for index in 0..count {
        let Some(offset) = at.checked_add(6 + prefix + 2 * index).filter(|end| end + 2 <= body.end) else {
            break;
        };
        let start = at + 6 + prefix + 2 * count + usize::from(u16_at(file, offset));
        let mut place = start;
        let Some(suffix) = varint(file, &mut place, body.end) else { continue };
        let Some(tail) = place.checked_add(suffix as usize).filter(|&tail| tail < body.end) else { continue };
        place = tail;
        if is_leaf {
            place += 1;
            let numbers = [(); 3].map(|()| varint(file, &mut place, body.end));
            let [Some(_), Some(value_len), Some(value_at)] = numbers else { continue };
            let value = values.checked_add(value_at as usize);
            let value = value.and_then(|from| file.get(from..from.checked_add(value_len as usize)?));
            let text = match (file[tail], value) {
                (1, Some(value)) => value.to_vec(),
                (2, Some(value)) => unpacked(&symbols, value),
                _ => continue,
            };
            let sum = xxh3_64(&text) as u32;
            if place + 4 <= body.end {
                file[place..place + 4].copy_from_slice(&sum.to_le_bytes());
            }
        } else if level > 0 {
            let numbers = [(); 3].map(|()| varint(file, &mut place, body.end));
            let [Some(page), Some(values_len), Some(block_len)] = numbers else { continue };
            let Some(block) = (page as usize).checked_add(values_len as usize) else { continue };
            if block < at {
                mend_block(file, block, block_len as usize, level - 1, page as usize, budget);
            }
        }
    }
    seal(file, at, len);
}

/// The symbols of a block, as many as there are whole.
fn symbols_of(block: &[u8]) -> Vec<Vec<u8>> {
    let Some((body, _)) = block.split_last_chunk::<8>() else { return Vec::new() };
    let Some((&[_, count], rest)) = body.split_first_chunk::<2>() else { return Vec::new() };
    let Some((lens, mut bytes)) = rest.split_at_checked(count.into()) else { return Vec::new() };
    let mut symbols = Vec::new();
    for &len in lens {
        let Some((symbol, behind)) = bytes.split_at_checked(len.into()) else { break };
        symbols.push(symbol.to_vec());
        bytes = behind;
    }
    symbols
}

fn unpacked(symbols: &[Vec<u8>], packed: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut codes = packed.iter();
    while let Some(&code) = codes.next() {
        match symbols.get(usize::from(code)) {
            _ if code == ESCAPE => text.extend(codes.next()),
            Some(symbol) => text.extend_from_slice(symbol),
            None => {}
        }
    }
    text
}

/// Makes the last eight of the bytes the checksum of those before.
fn seal(file: &mut [u8], at: usize, len: usize) {
    let Some(bytes) = at.checked_add(len).and_then(|end| file.get_mut(at..end)) else { return };
    if let Some((body, sum)) = bytes.split_last_chunk_mut::<8>() {
        *sum = xxh3_64(body).to_le_bytes();
    }
}

fn varint(file: &[u8], place: &mut usize, end: usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *file.get(..end)?.get(*place)?;
        *place += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn u16_at(file: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(file[at..at + 2].try_into().unwrap())
}

fn u32_at(file: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
}

fn number(file: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(file[at..at + 8].try_into().unwrap())
}

fn put(file: &mut [u8], at: usize, number: u64) {
    file[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// The base, the sequence number and the store id of a file that has a header.
pub fn identity(file: &[u8]) -> Option<(u64, u64, [u8; 16])> {
    (file.len() >= HEADER_LEN).then(|| (number(file, 40), number(file, 48), file[16..32].try_into().unwrap()))
}
