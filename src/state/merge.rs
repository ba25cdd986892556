//! The ordered walk over all parts of a state: for each key, the newest part that knows it decides.

use super::memtable::{MemEntry, Memtable};
use super::{Parts, collection_of};
use crate::error::Result;
use crate::snapshot::{Direction, KeyRange, TableCursor};
use crate::storage::Storage;
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// What a walk shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Documents, with their values.
    Documents,
    /// Documents, without reading values from files.
    Keys,
    /// Documents and tombstones, for writing a run.
    Everything,
}

/// The documents of a range as of one sequence number.
pub(crate) struct Merge<S: Storage> {
    /// Newest first.
    sources: Vec<Source<S>>,
    /// Collections dropped in a source, with the source's index: older sources do not count for them.
    drops: Vec<(Box<[u8]>, usize)>,
    direction: Direction,
    show: Show,
    /// The source whose entry is the current one.
    current: Option<usize>,
}

#[allow(clippy::large_enum_variant)] // A handful, in a row that the inner loop walks over.
enum Source<S: Storage> {
    Memory(MemCursor),
    Table(TableCursor<S>),
}

impl<S: Storage> Merge<S> {
    pub(crate) fn new(parts: &Parts<S>, at: u64, range: &KeyRange, direction: Direction, show: Show) -> Self {
        let mut sources = Vec::new();
        let mut drops = Vec::new();
        for memtable in parts.memtables.iter().filter(|m| !m.is_empty()) {
            drops.extend(memtable.drops(at).into_iter().map(|(collection, _)| (collection, sources.len())));
            sources.push(Source::Memory(MemCursor::new(Arc::clone(memtable), at, range.clone(), direction)));
        }
        for table in &parts.tables {
            let dropped = table.drops().iter();
            drops.extend(dropped.map(|(collection, _)| (collection.as_bytes().into(), sources.len())));
            let cursor = table.cursor(range.clone(), direction, show == Show::Keys);
            sources.push(Source::Table(cursor));
        }
        Self { sources, drops, direction, show, current: None }
    }

    /// Moves to the next entry. False at the end.
    pub(crate) async fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some(source) = self.current.and_then(|i| self.sources.get_mut(i)) {
                source.advance();
            }
            for source in &mut self.sources {
                if source.key().is_none() {
                    source.fill().await?;
                }
            }
            let Some(best) = self.best() else {
                self.current = None;
                return Ok(false);
            };
            self.current = Some(best);
            self.skip_older(best);
            let shown = match self.sources.get(best) {
                Some(source) => self.show == Show::Everything || source.is_document(),
                None => false,
            };
            if shown && !self.is_dropped(best) {
                return Ok(true);
            }
        }
    }

    /// The newest source with the first key.
    fn best(&self) -> Option<usize> {
        let mut best: Option<(usize, &[u8])> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else { continue };
            let first = match (best, self.direction) {
                (None, _) => true,
                (Some((_, first)), Direction::Forward) => key < first,
                (Some((_, first)), Direction::Reverse) => key > first,
            };
            if first {
                best = Some((index, key));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Moves older sources past the key that `best` decides.
    fn skip_older(&mut self, best: usize) {
        let (newer, older) = self.sources.split_at_mut(best + 1);
        let Some(key) = newer.last().and_then(Source::key) else { return };
        for source in older {
            if source.key() == Some(key) {
                source.advance();
            }
        }
    }

    fn is_dropped(&self, source: usize) -> bool {
        if self.drops.is_empty() {
            return false;
        }
        let collection = collection_of(self.key());
        self.drops.iter().any(|(dropped, by)| *by < source && **dropped == *collection)
    }

    fn source(&self) -> Option<&Source<S>> {
        self.current.and_then(|i| self.sources.get(i))
    }

    /// The current entry's sort key.
    pub(crate) fn key(&self) -> &[u8] {
        self.source().and_then(Source::key).unwrap_or_default()
    }

    /// The sequence number of the current entry's write.
    pub(crate) fn sequence(&self) -> u64 {
        match self.source() {
            Some(Source::Memory(cursor)) => cursor.entry().map_or(0, |e| e.sequence),
            Some(Source::Table(cursor)) => cursor.entry().map_or(0, |e| e.sequence),
            None => 0,
        }
    }

    /// Whether the current entry is a document, not a tombstone.
    pub(crate) fn is_document(&self) -> bool {
        self.source().is_some_and(Source::is_document)
    }

    /// The current document's text; `None` for a tombstone, or when only keys are shown.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        match self.source()? {
            Source::Memory(cursor) => cursor.entry()?.value.as_deref(),
            Source::Table(cursor) => cursor.entry()?.value,
        }
    }

    /// The same, to keep. A value from a file is copied, for it would keep all of the read it came in.
    pub(crate) fn shared_value(&self) -> Option<Bytes> {
        match self.source()? {
            Source::Memory(cursor) => cursor.entry()?.value.clone(),
            Source::Table(cursor) => cursor.entry()?.value.map(Bytes::copy_from_slice),
        }
    }
}

impl<S: Storage> Source<S> {
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memory(cursor) => cursor.entry().map(|e| &*e.key),
            Self::Table(cursor) => cursor.entry().map(|e| e.key),
        }
    }

    fn is_document(&self) -> bool {
        match self {
            Self::Memory(cursor) => cursor.entry().is_some_and(|e| e.value.is_some()),
            Self::Table(cursor) => cursor.entry().is_some_and(|e| e.live),
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Memory(cursor) => cursor.position += 1,
            Self::Table(cursor) => cursor.advance(),
        }
    }

    async fn fill(&mut self) -> Result<()> {
        match self {
            Self::Memory(cursor) => cursor.fill(),
            Self::Table(cursor) => {
                cursor.fill().await?;
            }
        }
        Ok(())
    }
}

/// Walks a memtable in chunks, so that its lock is never held for long.
struct MemCursor {
    memtable: Arc<Memtable>,
    at: u64,
    direction: Direction,
    chunk: Vec<MemEntry>,
    position: usize,
    /// What is still to come; `None` at the end.
    rest: Option<KeyRange>,
}

impl MemCursor {
    const CHUNK: usize = 256;

    fn new(memtable: Arc<Memtable>, at: u64, range: KeyRange, direction: Direction) -> Self {
        Self { memtable, at, direction, chunk: Vec::new(), position: 0, rest: Some(range) }
    }

    fn entry(&self) -> Option<&MemEntry> {
        self.chunk.get(self.position)
    }

    fn fill(&mut self) {
        while self.entry().is_none() {
            let Some(mut range) = self.rest.take() else { return };
            self.chunk.clear();
            self.position = 0;
            let bounds = (as_slice(&range.0), as_slice(&range.1));
            let reverse = self.direction == Direction::Reverse;
            let last = self.memtable.chunk(bounds, reverse, self.at, Self::CHUNK, &mut self.chunk);
            self.rest = last.map(|key| {
                let edge = if reverse { &mut range.1 } else { &mut range.0 };
                *edge = Bound::Excluded(key.to_vec());
                range
            });
        }
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}
