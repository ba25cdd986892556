//! Packing values: choosing the symbols that make them short, and writing them with these.
//!
//! The same values give the same bytes on every platform.

use crate::format::snapshot::{ESCAPE, MAX_SYMBOL_LEN, MAX_SYMBOLS, Symbol};

/// What a value begins with: `code | length << 12`, where the code is a symbol's number, or [`PLAIN`] and the byte.
type Step = u16;
const PLAIN: u16 = 256;
const CODES: usize = 512;
const LEN_SHIFT: u32 = 12;

/// A symbol of three bytes or more.
#[derive(Clone, Copy)]
struct Long {
    bytes: u64,
    /// How many bits of a word the symbol does not have.
    unused_bits: u32,
    /// 0 for none.
    step: Step,
}

/// Its bytes are those of no word that was shifted so.
const NO_SYMBOL: Long = Long { bytes: u64::MAX, unused_bits: 63, step: 0 };

const SLOT_BITS: u32 = 11;
/// The longer of two symbols in a slot is the first.
type Slot = [Long; 2];

/// How often the symbols are chosen anew, each time with pairs of those before, and on how many of 128 pieces of the sample.
const ROUNDS: [usize; 5] = [8, 38, 68, 98, 128];

/// Writes values with the symbols that were chosen.
pub(super) struct Packer {
    symbols: Vec<Symbol>,
    /// By the first two bytes.
    short: Vec<Step>,
    /// By a hash of the first three.
    long: Vec<Slot>,
}

impl Packer {
    /// With the symbols that are best for the pieces of the sample.
    pub(super) fn train<'a>(sample: &(impl Iterator<Item = &'a [u8]> + Clone)) -> Self {
        ROUNDS.iter().fold(Self::new([].into_iter()), |packer, &part| {
            let pieces = sample.clone().enumerate();
            // Spread over the sample, which may be in some order.
            let chosen = pieces.filter(|(n, _)| n.wrapping_mul(37) % 128 < part).map(|(_, piece)| piece);
            packer.better(chosen, part)
        })
    }

    pub(super) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// With as many of `candidates`, the best first, as there is room for.
    fn new(candidates: impl Iterator<Item = Symbol>) -> Self {
        let mut packer = Self {
            symbols: Vec::new(),
            short: (0..=u16::MAX).map(|pair| step(PLAIN | pair & 0xff, 1)).collect(),
            long: vec![[NO_SYMBOL; 2]; 1 << SLOT_BITS],
        };
        for symbol in candidates {
            if packer.symbols.len() < MAX_SYMBOLS && packer.has_room_for(symbol) {
                packer.symbols.push(symbol);
            }
        }
        let numbered = || packer.symbols.iter().zip(0..);
        for (symbol, code) in numbered().filter(|(symbol, _)| symbol.len == 1) {
            for second in 0..256 {
                packer.short[symbol.bytes as usize | second << 8] = step(code, 1);
            }
        }
        for (symbol, code) in numbered().filter(|(symbol, _)| symbol.len == 2) {
            packer.short[symbol.bytes as usize] = step(code, 2);
        }
        packer
    }

    /// Whether the symbol can be found; a long one takes its place.
    fn has_room_for(&mut self, symbol: Symbol) -> bool {
        if symbol.len < 3 {
            return true;
        }
        let unused_bits = 64 - 8 * u32::from(symbol.len);
        let long =
            Long { bytes: symbol.bytes, unused_bits, step: step(self.symbols.len() as u16, symbol.len) };
        let slot = &mut self.long[slot(symbol.bytes)];
        match slot {
            [first, second] if second.step == 0 => {
                *second = long;
                if first.step == 0 || second.unused_bits < first.unused_bits {
                    std::mem::swap(first, second);
                }
                true
            }
            _ => false,
        }
    }

    /// What a value begins with of which `word` are the next eight bytes.
    #[inline]
    fn step(&self, word: u64) -> Step {
        let [first, second] = &self.long[slot(word)];
        let has = |long: &Long| word << long.unused_bits >> long.unused_bits == long.bytes;
        // Without branches, which could not be foreseen.
        let step = self.short[usize::from(word as u16)];
        let step = if has(second) { second.step } else { step };
        if has(first) { first.step } else { step }
    }

    /// The same for the end of a value, where there are zeros behind the last byte.
    fn last_step(&self, rest: &[u8]) -> Step {
        let mut word = [0; MAX_SYMBOL_LEN];
        word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let found = self.step(u64::from_le_bytes(word));
        if step_len(found) <= rest.len() { found } else { step(PLAIN | u16::from(word[0]), 1) }
    }

    /// The value packed, in `scratch`.
    pub(super) fn pack<'s>(&self, value: &[u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
        // At most two bytes for each, and the second one is written always. It is not cut off again, since filling it with
        // zeros for each value takes time.
        if scratch.len() < 2 * value.len() + 2 {
            scratch.resize(2 * value.len() + 2, 0);
        }
        let mut rest = value;
        let mut to = 0;
        loop {
            let step = match rest.first_chunk() {
                Some(word) => self.step(u64::from_le_bytes(*word)),
                None if rest.is_empty() => break,
                None => self.last_step(rest),
            };
            let is_plain = step & PLAIN != 0;
            scratch[to] = if is_plain { ESCAPE } else { step as u8 };
            scratch[to + 1] = rest[0];
            to += 1 + usize::from(is_plain);
            rest = &rest[step_len(step)..];
        }
        &scratch[..to]
    }

    fn symbol(&self, code: usize) -> Symbol {
        self.symbols.get(code).copied().unwrap_or(Symbol { bytes: code as u64 & 0xff, len: 1 })
    }

    /// With the symbols that would have saved most, and pairs of them, when the pieces were written with these.
    fn better<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>, part: usize) -> Self {
        let mut counts = vec![0_u32; CODES];
        let mut pair_counts = vec![0_u32; CODES * CODES];
        for mut rest in pieces {
            let mut before = None;
            while let Some(&first) = rest.first() {
                let step = self.last_step(rest);
                let (code, len) = (usize::from(step) % CODES, step_len(step));
                for code in [code, usize::from(PLAIN) | usize::from(first)].into_iter().take(len.min(2)) {
                    counts[code] += 1;
                    if let Some(before) = before {
                        pair_counts[before * CODES + code] += 1;
                    }
                }
                before = Some(code);
                rest = &rest[len..];
            }
        }
        let least = (5 * part as u32 / 128).max(1);
        let often = |counts: &[u32]| -> Vec<(usize, u64)> {
            let often = counts.iter().enumerate().filter(|&(_, &count)| count >= least);
            often.map(|(code, &count)| (code, count.into())).collect()
        };
        // Both are sorted by one piece of code: a symbol's bytes, its length and its gain; gain and length, and its bytes.
        let mut candidates: Vec<[u64; 2]> = Vec::new();
        for (code, count) in often(&counts) {
            let Symbol { bytes, len } = self.symbol(code);
            // An escape costs twice, and there is no other way to write what no symbol has.
            let weight = if len == 1 { 8 } else { len.into() };
            candidates.push([bytes, (u64::from(len) << 32) | (count * weight)]);
        }
        let is_last = Some(&part) == ROUNDS.last();
        for (pair, count) in often(if is_last { &[] } else { &pair_counts }) {
            let (first, second) = (self.symbol(pair / CODES), self.symbol(pair % CODES));
            let len = usize::from(first.len + second.len).min(MAX_SYMBOL_LEN);
            if len > usize::from(first.len) {
                let unused_bits = 64 - 8 * len;
                let bytes = (first.bytes | second.bytes << (8 * first.len)) << unused_bits >> unused_bits;
                candidates.push([bytes, ((len as u64) << 32) | (count * len as u64)]);
            }
        }
        candidates.sort_unstable();
        let same = |one: &[u64; 2], other: &[u64; 2]| (one[0], one[1] >> 32) == (other[0], other[1] >> 32);
        let mut gains: Vec<[u64; 2]> = Vec::new();
        for same in candidates.chunk_by(same) {
            let gain: u64 = same.iter().map(|candidate| candidate[1] & u64::from(u32::MAX)).sum();
            gains.push([gain << 8 | same[0][1] >> 32, same[0][0]]);
        }
        gains.sort_unstable();
        Self::new(gains.iter().rev().map(|&[gain, bytes]| Symbol { bytes, len: gain as u8 }))
    }
}

fn step(code: u16, len: u8) -> Step {
    code | u16::from(len) << LEN_SHIFT
}

#[inline]
fn step_len(step: Step) -> usize {
    usize::from(step >> LEN_SHIFT)
}

/// Which slot the first three bytes belong to.
#[inline]
fn slot(word: u64) -> usize {
    ((word as u32) << 8).wrapping_mul(0x9e37_79b1) as usize >> (32 - SLOT_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::snapshot::Symbols;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    fn documents() -> Vec<Vec<u8>> {
        let name = |n: usize| ["Ada", "Bob", "Cyd", "Dörte"][n % 4];
        let document =
            |n| format!("{{\"id\":{},\"name\":\"{}\",\"active\":true}}", n * 7919 % 10_007, name(n));
        (0..500).map(|n| document(n).into_bytes()).collect()
    }

    fn trained(values: &[Vec<u8>]) -> Packer {
        Packer::train(&values.iter().map(Vec::as_slice))
    }

    /// Packs each value, unpacks it as a reader of the file does, and returns all of the packed bytes.
    fn round_trip(packer: &Packer, values: &[Vec<u8>]) -> Vec<u8> {
        let symbols = Symbols::decode(&Symbols::encode(packer.symbols())).unwrap();
        let (mut scratch, mut text, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            let short = packer.pack(value, &mut scratch);
            symbols.unpack(short, value.len(), &mut text).unwrap();
            assert_eq!(text, *value);
            all.extend_from_slice(short);
        }
        all
    }

    #[test]
    fn what_looks_alike_takes_less_than_a_third() {
        let documents = documents();
        let packed = round_trip(&trained(&documents), &documents);
        assert!(3 * packed.len() < documents.concat().len(), "{}", packed.len());
    }

    #[test]
    fn the_same_values_give_the_same_symbols_everywhere() {
        let symbols = Symbols::encode(trained(&documents()).symbols());
        assert_eq!((symbols.len(), xxh3_64(&symbols)), (849, 16_669_315_637_842_622_842));
    }

    #[test]
    fn values_that_symbols_were_not_chosen_for_come_back_too() {
        let packer = trained(&documents());
        let every_byte: Vec<u8> = (0..=255).collect();
        let others = [vec![], vec![0], vec![255; 40], every_byte, b"{\"id\"".to_vec(), vec![0; 9]];
        round_trip(&packer, &others);
        round_trip(&trained(&[]), &others);
        round_trip(&trained(&others), &others);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_packed_comes_back(
            sample in vec(vec(0..4_u8, 0..40), 0..60),
            values in vec(vec(0..6_u8, 0..40), 0..60),
        ) {
            let packer = trained(&sample);
            round_trip(&packer, &sample);
            round_trip(&packer, &values);
        }
    }
}
