//! The cache of leaves and index blocks, shared by all tables of a database.

use crate::format::snapshot::Block;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache holds unless it is told otherwise: more than the leaves of a million documents with short keys, 21 MB. Where
/// they do not fit, many a get of a random key reads a leaf besides its value.
pub(crate) const DEFAULT_BYTES: u64 = 32 << 20;

/// Parts with a lock each. Left to itself, the cache asks the system for the number of processors, which takes twenty calls and
/// a twentieth of the time that it takes to open a database.
const SHARDS: usize = 16;

/// A file's number in the cache, and an offset in that file.
type Place = (u64, u64);

#[derive(Clone)]
struct Bytes;

impl Weighter<Place, Block> for Bytes {
    fn weight(&self, _: &Place, block: &Block) -> u64 {
        block.memory() as u64
    }
}

/// Sound blocks by place, up to a number of bytes.
pub(crate) struct BlockCache {
    blocks: Cache<Place, Block, Bytes>,
    next_file: AtomicU64,
}

impl BlockCache {
    /// A cache that holds up to `capacity` bytes of blocks.
    pub(crate) fn new(capacity: u64) -> Self {
        // Leaves are of about 3 KiB.
        let items = usize::try_from(capacity / 3072).unwrap_or(usize::MAX).max(1);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(capacity).shards(SHARDS);
        let blocks = match options.build() {
            Ok(options) => {
                let hasher = DefaultHashBuilder::default();
                Cache::with_options(options, Bytes, hasher, DefaultLifecycle::default())
            }
            // It says that something is not set, and all is.
            Err(_) => Cache::with_weighter(items, capacity, Bytes),
        };
        Self { blocks, next_file: AtomicU64::new(0) }
    }

    /// A number that no other file of this cache has.
    pub(crate) fn new_file(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        self.blocks.get(&(file, offset))
    }

    pub(crate) fn insert(&self, file: u64, offset: u64, block: Block) {
        self.blocks.insert((file, offset), block);
    }

    /// The bytes held now.
    #[cfg(test)]
    pub(crate) fn weight(&self) -> u64 {
        self.blocks.weight()
    }
}
