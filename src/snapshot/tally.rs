//! What a snapshot adds up to: computed while it is built, and again while it is verified.

use crate::format::snapshot::{CollectionCount, SEPARATOR};
use xxhash_rust::xxh3::Xxh3Default;

/// What a snapshot file holds, as its footer says and as reading it must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Documents and tombstones.
    pub(crate) entries: u64,
    pub(crate) documents: u64,
    pub(crate) digest: u64,
    pub(crate) file_len: u64,
}

/// A running digest of entries and drops: equal contents have equal digests, whatever their pages.
#[derive(Default)]
pub(super) struct Digest {
    state: Xxh3Default,
    head: Vec<u8>,
}

impl Digest {
    pub(super) fn entry(&mut self, key: &[u8], sequence: u64, value: Option<&[u8]>) {
        self.head.clear();
        self.head.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.head.extend_from_slice(key);
        self.head.extend_from_slice(&sequence.to_le_bytes());
        self.head.push(u8::from(value.is_some()));
        self.head.extend_from_slice(&(value.map_or(0, <[u8]>::len) as u32).to_le_bytes());
        self.state.update(&self.head);
        self.state.update(value.unwrap_or_default());
    }

    /// `drops` is the section as it stands in the file.
    pub(super) fn finish(mut self, drops: &[u8]) -> u64 {
        self.state.update(drops);
        self.state.digest()
    }
}

/// Documents and tombstones of each collection, counted as entries come by in order.
#[derive(Default)]
pub(super) struct Counter {
    rows: Vec<CollectionCount>,
}

impl Counter {
    /// `None` when the key has no collection before a separator.
    pub(super) fn entry(&mut self, key: &[u8], live: bool) -> Option<()> {
        let same = self.rows.last().is_some_and(|(name, ..)| {
            key.get(name.len()) == Some(&SEPARATOR) && key.starts_with(name.as_bytes())
        });
        if !same {
            let name = key.split(|&b| b == SEPARATOR).next()?;
            if !(1..=255).contains(&name.len()) || name.len() == key.len() {
                return None;
            }
            self.rows.push((str::from_utf8(name).ok()?.to_owned(), 0, 0));
        }
        let (_, documents, tombstones) = self.rows.last_mut()?;
        *if live { documents } else { tombstones } += 1;
        Some(())
    }

    pub(super) fn rows(self) -> Vec<CollectionCount> {
        self.rows
    }
}
