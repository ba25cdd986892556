//! The cache of leaves and index blocks, shared by all tables of a database: of little code, for one thread.

use crate::format::snapshot::Block;
use crate::sorted_map::SortedMap;
use std::cell::{Cell, RefCell};

/// A file's number in the cache, and an offset in that file.
type Place = (u64, u64);

/// Sound blocks by place, up to a number of bytes.
///
/// They are of two generations. What is used is of the young one; when that has half of the bytes, it becomes the old one,
/// and what was the old one goes.
pub(crate) struct BlockCache {
    young: RefCell<SortedMap<Place, Block>>,
    old: RefCell<SortedMap<Place, Block>>,
    young_bytes: Cell<u64>,
    capacity: u64,
    next_file: Cell<u64>,
}

impl BlockCache {
    /// A cache that holds up to `capacity` bytes of blocks.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            young: RefCell::default(),
            old: RefCell::default(),
            young_bytes: Cell::new(0),
            capacity,
            next_file: Cell::new(0),
        }
    }

    /// A number that no other file of this cache has.
    pub(crate) fn new_file(&self) -> u64 {
        self.next_file.replace(self.next_file.get() + 1)
    }

    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        if let Some(block) = self.young.borrow().get(&(file, offset)) {
            return Some(block.clone());
        }
        let block = self.old.borrow_mut().remove(&(file, offset))?;
        self.insert(file, offset, block.clone());
        Some(block)
    }

    pub(crate) fn insert(&self, file: u64, offset: u64, block: Block) {
        let bytes = self.young_bytes.get() + block.memory() as u64;
        if bytes > self.capacity / 2 {
            self.old.replace(self.young.take());
            self.young_bytes.set(block.memory() as u64);
        } else {
            self.young_bytes.set(bytes);
        }
        self.young.borrow_mut().insert((file, offset), block);
    }
}
