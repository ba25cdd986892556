//! What the journal keeps of the files in young slots: for each its header, and its content in pieces.
//!
//! Keys are decimal numbers of fixed width, so that their order is that of slots and offsets: `{slot}` for the header,
//! `{slot}/{offset}` for the piece that begins at `offset`.

use super::header::{self, Header, Slots};
use super::parts::JournalEdit;
use crate::error::{Error, Result};
use crate::sorted_map::SortedMap;
use bytes::Bytes;

/// A file as the journal holds it.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
    pub(super) pieces: Pieces,
}

/// Which pieces of a file are in the journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    /// Where each begins, ascending. The first begins at 0, each other one where the one before ends.
    starts: Vec<u64>,
    /// Where the last one ends.
    end: u64,
}

impl Pieces {
    /// Where the next piece begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// There is one more now, up to `end`.
    pub(super) fn extend(&mut self, end: u64) {
        if end > self.end {
            self.starts.push(self.end);
            self.end = end;
        }
    }

    /// Forgets what is behind `len`. Returns where the piece begins that `len` cuts in two.
    pub(super) fn cut(&mut self, len: u64) -> Option<u64> {
        if len >= self.end {
            return None;
        }
        let before = self.starts.partition_point(|start| *start < len);
        self.starts.truncate(before);
        self.end = len;
        self.starts.last().copied()
    }
}

fn key(slot: u64) -> String {
    format!("{slot:010}")
}

fn piece_key(slot: u32, offset: u64) -> String {
    format!("{slot:010}/{offset:020}")
}

/// The first key that is not of `slot`.
fn end_key(slot: u32) -> String {
    key(u64::from(slot) + 1)
}

/// The slot holds the empty file `name` from now on, and nothing else.
pub(super) fn create(slot: u32, name: &str) -> Vec<JournalEdit> {
    let header = Header { generation: 0, name: Some(name.to_owned()), others: Slots::NONE };
    vec![remove(slot), JournalEdit::Put { key: key(u64::from(slot)), value: header::encode(slot, &header) }]
}

/// One more piece of the slot's file.
pub(super) fn append(slot: u32, offset: u64, value: Vec<u8>) -> JournalEdit {
    JournalEdit::Put { key: piece_key(slot, offset), value }
}

/// No piece begins at `len` or behind it any more.
pub(super) fn cut(slot: u32, len: u64) -> JournalEdit {
    JournalEdit::Remove { from: piece_key(slot, len), to: end_key(slot) }
}

/// The journal knows nothing of the slot any more.
pub(super) fn remove(slot: u32) -> JournalEdit {
    JournalEdit::Remove { from: key(u64::from(slot)), to: end_key(slot) }
}

/// Which bytes of which slot's file the entry at `place` is, where the keys tell: one behind which another piece begins.
pub(super) fn extent(keys: &[String], place: usize) -> Option<(u32, u64, usize)> {
    let piece = |key: &String| {
        let (slot, offset) = key.split_once('/')?;
        Some((slot.parse::<u32>().ok()?, offset.parse::<u64>().ok()?))
    };
    let (slot, offset) = piece(keys.get(place)?)?;
    let (next, end) = piece(keys.get(place + 1)?)?;
    let len = end.checked_sub(offset).filter(|_| next == slot)?;
    Some((slot, offset, usize::try_from(len).ok()?))
}

/// Puts the files together that the journal's entries speak of.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) for entries that no [`PooledStorage`](super::PooledStorage) leaves.
pub(super) fn assemble(entries: Vec<(String, Bytes)>) -> Result<SortedMap<u32, Entry>> {
    let mut found = SortedMap::<u32, Entry>::default();
    for (key, value) in entries {
        let damaged = |what: &str| Err(Error::corrupt(format!("journal entry {key}"), 0, what));
        let (slot, offset) = match key.split_once('/') {
            Some((slot, offset)) => (slot.parse::<u32>(), Some(offset.parse::<u64>())),
            None => (key.parse(), None),
        };
        match (slot, offset) {
            (Ok(slot), None) => {
                let Some(Header { name: Some(name), .. }) = header::decode(slot, &value)? else {
                    return damaged("it is not the header of a file; restore a backup");
                };
                found.insert(slot, Entry { name, content: Vec::new(), pieces: Pieces::default() });
            }
            (Ok(slot), Some(Ok(offset))) => match found.get_mut(&slot) {
                Some(entry) if entry.pieces.end() == offset => {
                    entry.content.extend_from_slice(&value);
                    entry.pieces.extend(entry.content.len() as u64);
                }
                _ => return damaged("the piece before it is missing; restore a backup"),
            },
            _ => return damaged("its key is no slot's; restore a backup"),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_stay_without_gaps_when_they_are_cut() {
        let mut pieces = Pieces::default();
        for end in [10, 10, 25, 40] {
            pieces.extend(end);
        }
        assert_eq!(pieces.starts, [0, 10, 25]);
        assert_eq!((pieces.cut(40), pieces.cut(50), pieces.end()), (None, None, 40));
        assert_eq!((pieces.cut(30), pieces.end()), (Some(25), 30));
        assert_eq!((pieces.cut(25), pieces.end()), (Some(10), 25));
        pieces.extend(28);
        assert_eq!((pieces.cut(3), pieces.end()), (Some(0), 3));
        assert_eq!((pieces.cut(0), pieces.end(), pieces.starts.len()), (None, 0, 0));
    }

    #[test]
    fn entries_that_do_not_fit_together_are_damage() {
        let header = |slot: u32, name: &str| {
            let header = Header { generation: 0, name: Some(name.to_owned()), others: Slots::NONE };
            (key(u64::from(slot)), Bytes::from(header::encode(slot, &header)))
        };
        let piece = |slot, offset, bytes: &'static [u8]| (piece_key(slot, offset), Bytes::from(bytes));
        let whole = vec![header(1, "a.log"), piece(1, 0, b"ab"), piece(1, 2, b"c"), header(2, "b.log")];
        let found = assemble(whole.clone()).unwrap();
        let keys: Vec<String> = whole.iter().map(|(key, _)| key.clone()).collect();
        let extents: Vec<_> = (0..5).map(|place| extent(&keys, place)).collect();
        assert_eq!(extents, [None, Some((1, 0, 2)), None, None, None]);
        assert_eq!(
            (&*found.get(&1).unwrap().content, &*found.get(&2).unwrap().content),
            (&b"abc"[..], &b""[..])
        );
        for (place, entry) in [
            (0, piece(0, 0, b"x")),
            (4, (key(3), Bytes::from("x"))),
            (3, piece(1, 4, b"x")),
            (4, ("x".into(), Bytes::new())),
        ] {
            let mut damaged = whole.clone();
            damaged.insert(place, entry);
            assert!(assemble(damaged).is_err(), "{place}");
        }
    }
}
