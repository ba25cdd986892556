//! Where a reader of JSON is: how far a string goes on, and in which arrays and objects it stands.

/// How many bytes from the first one on stand for themselves in a string: no quote, no backslash, no control character.
///
/// Looks at eight at once. Where a byte is none of those, all bits of the tests below it stay as they are, so the lowest
/// bit that is found is right; higher ones need not be.
#[inline]
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let is_control = word.wrapping_sub(ONES * 0x20) & !word;
        let is_special = is_zero(word ^ (ONES * u64::from(b'"'))) | is_zero(word ^ (ONES * u64::from(b'\\')));
        let found = (is_control | is_special) & (ONES << 7);
        if found != 0 {
            return 8 * index + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    let plain = rest.iter().take_while(|byte| is_plain(byte)).count();
    8 * words.len() + plain
}

/// The arrays and objects that a place is in: for each, whether it is an object.
#[derive(Default)]
pub(super) struct Open {
    /// The innermost ones, at most 64, in its lowest bits.
    inner: u64,
    /// The others, 64 each.
    outer: Vec<u64>,
    pub(super) depth: usize,
}

impl Open {
    pub(super) fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(is_object);
        self.depth += 1;
    }

    pub(super) fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.inner >>= 1;
        if self.depth.is_multiple_of(64)
            && let Some(inner) = self.outer.pop()
        {
            self.inner = inner;
        }
    }

    /// Whether the innermost one is an object; nothing where there is none.
    pub(super) fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_itself_ends_where_it_does() {
        for special in 0..=u8::MAX {
            let is_plain = special >= 0x20 && special != b'"' && special != b'\\';
            for (len, around) in
                (0..20).flat_map(|len| [(len, b'a'), (len, 0x7f), (len, 0x80), (len, 0xff), (len, b'!')])
            {
                for at in 0..len {
                    let mut bytes = vec![around; len];
                    bytes[at] = special;
                    assert_eq!(plain_len(&bytes), if is_plain { len } else { at }, "{bytes:?}");
                    // What is behind the first one does not matter.
                    bytes[at..].fill(special);
                    assert_eq!(plain_len(&bytes), if is_plain { len } else { at }, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn arrays_and_objects_end_in_the_order_in_which_they_began() {
        let (mut open, mut model) = (Open::default(), Vec::new());
        for n in 0..1000_u32 {
            // Up and down across the words' edges.
            let steps = n * 7919 % 150;
            for step in 0..steps {
                if n % 2 == 0 {
                    let is_object = step * n % 3 == 0;
                    open.push(is_object);
                    model.push(is_object);
                } else {
                    open.pop();
                    model.pop();
                }
                assert_eq!((open.last(), open.depth), (model.last().copied(), model.len()));
            }
        }
    }
}
