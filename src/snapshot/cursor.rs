//! Walks over the entries of a snapshot in order.
//!
//! Only [`TableCursor::fill`] waits. Within a page, looking at an entry and going on to the next is synchronous and
//! allocates nothing, so that merging several cursors is a plain loop.

use super::path::{Path, covered};
use super::table::{Table, block_offset};
use crate::error::{Error, Result};
use crate::format::snapshot::{Block, Child, KIND_LEAF, Span, Symbols, value_checksum};
use crate::storage::Storage;
use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// A range of sort keys. One that ends before it starts is empty.
pub(crate) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// In which order a cursor walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Reverse,
}

/// Pages are read one by one at first, then up to this many bytes at once: fewer calls, within the processor's cache.
const READ_AHEAD: u64 = 256 << 10;
const FIRST_READ_AHEAD: u64 = 64 << 10;

/// The entry on which a cursor stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryRef<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) sequence: u64,
    /// `false` for a tombstone.
    pub(crate) live: bool,
    /// `None` for a tombstone, and for all entries of a cursor over keys only.
    pub(crate) value: Option<&'a [u8]>,
}

/// A leaf with its values; `low..high` are the entries still to come.
struct Page {
    child: Child,
    /// Where they lie in what was read.
    values: Range<usize>,
    leaf: Block,
    symbols: Option<Arc<Symbols>>,
    low: usize,
    high: usize,
}

struct Current {
    sequence: u64,
    live: bool,
    value: Option<Value>,
}

enum Value {
    /// Where it lies in what was read.
    Read(Range<usize>),
    Unpacked,
}

/// A walk over the entries of a range.
pub(crate) struct TableCursor<S> {
    table: Arc<Table<S>>,
    range: KeyRange,
    direction: Direction,
    keys_only: bool,
    path: Option<Path>,
    page: Option<Page>,
    /// The current entry's key, behind the prefix of its page.
    key: Vec<u8>,
    prefix_len: usize,
    /// The last key of the page before, until the first of this page was compared with it.
    page_before: Option<Vec<u8>>,
    /// Whether `key` is one of this page's.
    on_page: bool,
    current: Option<Current>,
    /// The current entry's value, if it was packed.
    unpacked: Vec<u8>,
    /// Pages read in advance, and where they begin.
    ahead: Vec<u8>,
    ahead_offset: u64,
    read_ahead: u64,
    ended: bool,
    error: Option<Error>,
}

impl<S: Storage> Table<S> {
    /// A cursor over the entries of `range`, tombstones included. With `keys_only` no value is read.
    ///
    /// It stands on no entry before the first [`fill`](TableCursor::fill).
    pub(crate) fn cursor(
        self: &Arc<Self>,
        range: KeyRange,
        direction: Direction,
        keys_only: bool,
    ) -> TableCursor<S> {
        TableCursor {
            table: Arc::clone(self),
            range,
            direction,
            keys_only,
            path: None,
            page: None,
            key: Vec::new(),
            prefix_len: 0,
            page_before: None,
            on_page: false,
            current: None,
            unpacked: Vec::new(),
            ahead: Vec::new(),
            ahead_offset: 0,
            read_ahead: 0,
            ended: false,
            error: None,
        }
    }
}

impl<S: Storage> TableCursor<S> {
    /// Makes sure that the cursor stands on an entry, reading the next page if need be; `false` at the end.
    ///
    /// # Errors
    /// When the page or the entry is damaged or cannot be read. The cursor then stays where it is, and every later
    /// call fails too.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        loop {
            if let Some(error) = &self.error {
                return Err(error.clone());
            }
            if self.current.is_some() {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            match self.next_page().await {
                Ok(()) => self.advance(),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// The current entry. `None` once the page is used up: [`fill`](Self::fill) tells what comes.
    #[inline]
    pub(crate) fn entry(&self) -> Option<EntryRef<'_>> {
        let current = self.current.as_ref()?;
        let value = current.value.as_ref().and_then(|value| match value {
            Value::Read(at) => self.ahead.get(at.clone()),
            Value::Unpacked => Some(self.unpacked.as_slice()),
        });
        let Current { sequence, live, .. } = *current;
        Some(EntryRef { key: &self.key, sequence, live, value })
    }

    /// Goes on to the next entry of the page.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.current = None;
        let Some(page) = &mut self.page else { return };
        if page.low >= page.high {
            return;
        }
        let index = match self.direction {
            Direction::Forward => {
                page.low += 1;
                page.low - 1
            }
            Direction::Reverse => {
                page.high -= 1;
                page.high
            }
        };
        let page = &*page;
        let entry = match self.table.leaf_entry(&page.leaf, page.child, index) {
            Ok(entry) => entry,
            Err(error) => return self.error = Some(error),
        };
        let mut value = None;
        if !self.keys_only
            && let Some(at) = entry.value
        {
            // Inside the page, as the entry's numbers were checked.
            let start = page.values.start + at.offset;
            let place = start..start + at.len;
            let read = self.ahead.get(place.clone());
            let text = match at.unpacked {
                None => read,
                Some(len) => read
                    .and_then(|read| page.symbols.as_ref()?.unpack(read, len, &mut self.unpacked))
                    .map(|()| self.unpacked.as_slice()),
            };
            if text.is_none_or(|bytes| value_checksum(bytes) != at.checksum) {
                let offset = page.child.offset + at.offset as u64;
                return self.error = Some(self.table.damaged_value(offset));
            }
            value = Some(if at.unpacked.is_some() { Value::Unpacked } else { Value::Read(place) });
        }
        // Checksums that hold say nothing about the order in a forged file, and a scan must not show a key twice.
        let beyond = match self.direction {
            Direction::Forward => Ordering::Greater,
            Direction::Reverse => Ordering::Less,
        };
        let within = self.page_before.is_none() && self.on_page;
        let in_order =
            !within || self.key.get(self.prefix_len..).is_some_and(|last| entry.suffix.cmp(last) == beyond);
        self.key.truncate(self.prefix_len);
        self.key.extend_from_slice(entry.suffix);
        let before = self.page_before.take();
        self.on_page = true;
        if !in_order || before.is_some_and(|last| self.key.cmp(&last) != beyond) {
            return self.error = Some(self.table.damaged(block_offset(page.child)));
        }
        self.current =
            Some(Current { sequence: self.table.sequence_of(&entry), live: entry.value.is_some(), value });
    }

    async fn next_page(&mut self) -> Result<()> {
        self.page = None;
        let table = Arc::clone(&self.table);
        let path = match &mut self.path {
            Some(path) => path,
            path => path.insert(Path::new(&table, &self.range, false)?),
        };
        let Some(child) = path.next(&table, &self.range, self.direction).await? else {
            self.ended = true;
            self.ahead = Vec::new();
            return Ok(());
        };
        let (values, leaf) = if self.keys_only {
            let leaf = match table.cached(child) {
                Some(leaf) => leaf,
                None => table.read_block(child, KIND_LEAF).await?,
            };
            (0..0, leaf)
        } else {
            let page = self.read_page(&table, child).await?;
            // The page has been read whole, so the length of its values fits memory.
            let values = page.start..page.start + child.values_len as usize;
            let block = self.ahead.get(values.end..page.end).unwrap_or_default();
            let leaf = Block::open(block, KIND_LEAF).ok_or_else(|| table.damaged(block_offset(child)))?;
            (values, leaf)
        };
        let symbols =
            if self.keys_only { None } else { table.symbols(&leaf, child).await?.as_deref().cloned() };
        let (low, high) =
            covered(&leaf, &self.range, false).ok_or_else(|| table.damaged(block_offset(child)))?;
        if std::mem::replace(&mut self.on_page, false) {
            self.page_before = Some(std::mem::take(&mut self.key));
        }
        self.key.clear();
        self.key.extend_from_slice(leaf.prefix());
        self.prefix_len = self.key.len();
        self.page = Some(Page { child, values, leaf, symbols, low, high });
        Ok(())
    }

    /// Where the page's values and leaf lie in what was read, before or now together with the pages that come next.
    async fn read_page(&mut self, table: &Table<S>, child: Child) -> Result<Range<usize>> {
        let end = block_offset(child) + child.block_len;
        let ahead_end = self.ahead_offset + self.ahead.len() as u64;
        if child.offset < self.ahead_offset || end > ahead_end {
            let (start, end) = match &self.path {
                Some(path) => path.neighbours(table, child, self.direction, self.read_ahead),
                None => (child.offset, end),
            };
            self.read_ahead = (2 * self.read_ahead).clamp(FIRST_READ_AHEAD, READ_AHEAD);
            // Taken out, so that after a failure nothing counts as read.
            let mut ahead = std::mem::take(&mut self.ahead);
            table.read_into(Span { offset: start, len: end - start }, &mut ahead).await?;
            self.ahead = ahead;
            self.ahead_offset = start;
        }
        // Inside what was read, and so within memory.
        let from = (child.offset - self.ahead_offset) as usize;
        let to = (end - self.ahead_offset) as usize;
        Ok(from..to)
    }
}
