//! A walk over the index of a snapshot: from page to page, within a range of keys, in either direction.

use super::cursor::{Direction, KeyRange};
use super::table::{Table, block_offset};
use crate::error::Result;
use crate::format::snapshot::{Block, Child, KIND_INDEX, floor};
use crate::storage::Storage;
use std::ops::Bound;

/// An index block on the way from the root, with its children still to be visited.
struct Frame {
    block: Block,
    offset: u64,
    low: usize,
    high: usize,
}

/// Where a walk stands.
#[derive(Default)]
pub(super) struct Path {
    frames: Vec<Frame>,
    /// Whether the walk goes past the cache, and so sees what the file holds now.
    past_cache: bool,
    /// Bytes of all blocks and pages so far.
    walked: u64,
    /// The index blocks' bytes so far, without the root's.
    pub(super) index_len: u64,
}

impl Path {
    /// A walk over all children of `root` that `range` touches.
    pub(super) fn new<S: Storage>(table: &Table<S>, range: &KeyRange, past_cache: bool) -> Result<Self> {
        let mut path = Self { past_cache, ..Self::default() };
        path.enter(table, table.root.clone(), table.footer.root.offset, range)?;
        Ok(path)
    }

    fn enter<S: Storage>(
        &mut self,
        table: &Table<S>,
        block: Block,
        offset: u64,
        range: &KeyRange,
    ) -> Result<()> {
        let (low, high) = covered(&block, range, true).ok_or_else(|| table.damaged(offset))?;
        self.frames.push(Frame { block, offset, low, high });
        Ok(())
    }

    /// The next page, or `None` at the end. After an error the walk goes on behind what could not be read.
    pub(super) async fn next<S: Storage>(
        &mut self,
        table: &Table<S>,
        range: &KeyRange,
        direction: Direction,
    ) -> Result<Option<Child>> {
        loop {
            let level = self.frames.len();
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            if frame.low >= frame.high {
                self.frames.pop();
                continue;
            }
            let index = match direction {
                Direction::Forward => {
                    frame.low += 1;
                    frame.low - 1
                }
                Direction::Reverse => {
                    frame.high -= 1;
                    frame.high
                }
            };
            let offset = frame.offset;
            let child = table.child(&frame.block, offset, index)?;
            // Each lies in the file once. An index that leads to some of them again and again has more ways through
            // it than anyone can walk.
            self.walked = self.walked.saturating_add(child.values_len + child.block_len);
            if self.walked > table.footer.file_len {
                self.frames.clear();
                return Err(table.damaged(offset));
            }
            if level as u64 == u64::from(table.footer.root_level) {
                return Ok(Some(child));
            }
            let block = if self.past_cache {
                table.read_block(child, KIND_INDEX).await?
            } else {
                table.block(child, KIND_INDEX).await?
            };
            let offset = block_offset(child);
            if !block.same_key(0, &frame.block, index).unwrap_or(false) {
                return Err(table.damaged(offset));
            }
            self.index_len += child.block_len;
            self.enter(table, block, offset, range)?;
        }
    }

    /// Whether `leaf` begins with the key under which the index has it, the page that [`next`](Self::next) gave
    /// last in a forward walk.
    pub(super) fn leads_to(&self, leaf: &Block) -> bool {
        self.frames.last().is_some_and(|frame| {
            let index = frame.low.wrapping_sub(1);
            leaf.same_key(0, &frame.block, index).unwrap_or(false)
        })
    }

    /// How many bytes can be read at once, from the last page's neighbours on, without exceeding `limit`: the pages
    /// that the walk will give next, as far as they lie side by side.
    pub(super) fn neighbours<S: Storage>(
        &self,
        table: &Table<S>,
        last: Child,
        direction: Direction,
        limit: u64,
    ) -> (u64, u64) {
        let (mut start, mut end) = (last.offset, block_offset(last) + last.block_len);
        let Some(frame) = self.frames.last() else { return (start, end) };
        let (mut low, mut high) = (frame.low, frame.high);
        while low < high {
            let index = match direction {
                Direction::Forward => low,
                Direction::Reverse => high - 1,
            };
            // Damage is reported when the walk comes to it.
            let Ok(child) = table.child(&frame.block, frame.offset, index) else { break };
            let child_end = block_offset(child) + child.block_len;
            if child_end - child.offset + (end - start) > limit {
                break;
            }
            match direction {
                Direction::Forward if child.offset == end => (end, low) = (child_end, low + 1),
                Direction::Reverse if child_end == start => (start, high) = (child.offset, high - 1),
                _ => break,
            }
        }
        (start, end)
    }
}

/// The entries of a block that the range covers; in an index block also the child within which it starts.
pub(super) fn covered(block: &Block, (start, end): &KeyRange, index: bool) -> Option<(usize, usize)> {
    let low = match start {
        Bound::Unbounded => 0,
        Bound::Included(key) | Bound::Excluded(key) if index => floor(block.search(key)?).unwrap_or(0),
        Bound::Included(key) => block.search(key)?.unwrap_or_else(|at| at),
        Bound::Excluded(key) => block.search(key)?.map_or_else(|at| at, |at| at + 1),
    };
    let high = match end {
        Bound::Unbounded => block.count(),
        Bound::Included(key) => block.search(key)?.map_or_else(|at| at, |at| at + 1),
        Bound::Excluded(key) => block.search(key)?.unwrap_or_else(|at| at),
    };
    Some((low, high))
}
