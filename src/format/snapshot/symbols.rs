//! Symbols: strings of up to eight bytes that are common in the values, each of which a packed value has as one byte.
//!
//! ```text
//! block  = body | u64 xxh3 of body
//! body   = u8 kind | u8 count | count x u8 length | the symbols' bytes
//! packed = code*
//! code   = u8 number of a symbol | u8 255, u8 a byte as it is
//! ```
//!
//! The scheme is that of FSST (Boncz, Neumann and Leis, *FSST: Fast Random Access String Compression*, PVLDB 13, 2020):
//! each value can be read by itself. Reading returns `None` for bytes that no writer made.

use super::KIND_SYMBOLS;
use super::encoding::{Reader, seal, sealed};

/// Stands before a byte that is no symbol.
pub(crate) const ESCAPE: u8 = 255;
pub(crate) const MAX_SYMBOLS: usize = ESCAPE as usize;
pub(crate) const MAX_SYMBOL_LEN: usize = 8;

/// The first byte is the lowest; what is behind the last one is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub(crate) bytes: u64,
    /// 1 to [`MAX_SYMBOL_LEN`].
    pub(crate) len: u8,
}

/// What packed values are unpacked with.
pub(crate) struct Symbols {
    bytes: [[u8; MAX_SYMBOL_LEN]; 256],
    /// 0 where there is no symbol.
    lens: [u8; 256],
}

impl Symbols {
    /// The block of `symbols`, of which there are at most [`MAX_SYMBOLS`].
    pub(crate) fn encode(symbols: &[Symbol]) -> Vec<u8> {
        let mut out = vec![KIND_SYMBOLS, symbols.len() as u8];
        out.extend(symbols.iter().map(|symbol| symbol.len));
        for symbol in symbols {
            out.extend(symbol.bytes.to_le_bytes().iter().take(symbol.len.into()));
        }
        seal(&mut out, 0);
        out
    }

    /// Reads [`encode`](Self::encode)'s bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(sealed(bytes)?);
        if input.u8()? != KIND_SYMBOLS {
            return None;
        }
        let count = usize::from(input.u8()?);
        let stated = input.take(count)?;
        let mut symbols = Self { bytes: [[0; MAX_SYMBOL_LEN]; 256], lens: [0; 256] };
        for ((to, len), &stated) in symbols.bytes.iter_mut().zip(&mut symbols.lens).zip(stated) {
            let bytes = input.take(stated.into())?;
            to.get_mut(..bytes.len())?.copy_from_slice(bytes);
            *len = stated;
        }
        (input.0.is_empty() && count <= MAX_SYMBOLS && !stated.contains(&0)).then_some(symbols)
    }

    /// Puts the value in place of what `out` holds; `None` unless `packed` gives exactly `len` bytes.
    #[inline]
    pub(crate) fn unpack(&self, packed: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
        if len > packed.len().saturating_mul(MAX_SYMBOL_LEN) {
            return None;
        }
        out.clear();
        // A symbol is written whole, however long it is.
        out.resize(len + MAX_SYMBOL_LEN, 0);
        let mut at = 0;
        let mut codes = packed.iter();
        while let Some(&code) = codes.next() {
            let place = out.get_mut(at..)?.first_chunk_mut()?;
            if code == ESCAPE {
                *place = [0; MAX_SYMBOL_LEN];
                place[0] = *codes.next()?;
                at += 1;
            } else {
                *place = self.bytes[usize::from(code)];
                at += usize::from(self.lens[usize::from(code)]);
            }
        }
        out.truncate(len);
        (at == len).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        let mut bytes = [0; MAX_SYMBOL_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Symbol { bytes: u64::from_le_bytes(bytes), len: text.len() as u8 }
    }

    fn unpacked(symbols: &Symbols, packed: &[u8], len: usize) -> Option<String> {
        let mut out = b"what was there".to_vec();
        symbols.unpack(packed, len, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_code_is_a_symbol_or_a_byte_as_it_is() {
        let block = Symbols::encode(&[symbol("{\"name\":"), symbol("a"), symbol("\"}")]);
        let symbols = Symbols::decode(&block).unwrap();
        assert_eq!(
            unpacked(&symbols, b"\0\xff\"\x01\xff\xc3\xff\xa4\x02", 14).as_deref(),
            Some("{\"name\":\"aä\"}")
        );
        assert_eq!(unpacked(&symbols, b"", 0).as_deref(), Some(""));
        for (packed, len) in [
            // Another length than stated, no symbol, nothing behind the escape, more than packed bytes can give.
            (&b"\x01\x01"[..], 1),
            (b"\x01\x01", 3),
            (b"\0", 7),
            (b"\x03", 1),
            (b"\xff", 0),
            (b"\xff", 1),
            (b"\x01", usize::MAX),
        ] {
            assert_eq!(unpacked(&symbols, packed, len), None, "{packed:?} as {len}");
        }
    }

    #[test]
    fn what_no_writer_made_is_refused() {
        let sound = |body: &[u8]| {
            let mut block = body.to_vec();
            seal(&mut block, 0);
            Symbols::decode(&block).is_some()
        };
        assert!(sound(&[KIND_SYMBOLS, 2, 1, 8, b'a', 1, 2, 3, 4, 5, 6, 7, 8]));
        assert!(sound(&[KIND_SYMBOLS, 0]));
        for body in [
            // Another kind, no bytes, too few, too many, a length of 0 and of 9.
            &[1, 1, 1, b'a'][..],
            &[],
            &[KIND_SYMBOLS, 1, 2, b'a'],
            &[KIND_SYMBOLS, 1, 1, b'a', b'b'],
            &[KIND_SYMBOLS, 1, 0],
            &[KIND_SYMBOLS, 1, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ] {
            assert!(!sound(body), "{body:?}");
        }
        let all = [symbol("ab"); MAX_SYMBOLS];
        assert!(Symbols::decode(&Symbols::encode(&all)).is_some());
        let mut flipped = Symbols::encode(&all);
        flipped[300] ^= 1;
        assert!(Symbols::decode(&flipped).is_none());
    }
}
