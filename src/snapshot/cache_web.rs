//! The cache of leaves and index blocks, shared by all tables of a database: of little code, for one thread.

use crate::format::snapshot::Block;
use crate::sorted_map::SortedMap;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What a cache holds unless it is told otherwise.
pub(crate) const DEFAULT_BYTES: u64 = 16 << 20;

/// A file's number in the cache, and an offset in that file.
type Place = (u64, u64);

/// Sound blocks by place, up to a number of bytes.
pub(crate) struct BlockCache {
    generations: Mutex<Generations>,
    capacity: u64,
}

/// What is used is in the young generation. When that has half of the bytes, it becomes the old one, and what was the old
/// one goes.
#[derive(Default)]
struct Generations {
    young: SortedMap<Place, Block>,
    old: SortedMap<Place, Block>,
    young_bytes: u64,
    files: u64,
}

impl BlockCache {
    /// A cache that holds up to `capacity` bytes of blocks.
    pub(crate) fn new(capacity: u64) -> Self {
        Self { generations: Mutex::default(), capacity }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no other file of this cache has.
    pub(crate) fn new_file(&self) -> u64 {
        let mut generations = self.generations();
        generations.files += 1;
        generations.files
    }

    pub(crate) fn get(&self, file: u64, offset: u64) -> Option<Block> {
        let mut generations = self.generations();
        if let Some(block) = generations.young.get(&(file, offset)) {
            return Some(block.clone());
        }
        let block = generations.old.remove(&(file, offset))?;
        self.put(&mut generations, (file, offset), block.clone());
        Some(block)
    }

    pub(crate) fn insert(&self, file: u64, offset: u64, block: Block) {
        self.put(&mut self.generations(), (file, offset), block);
    }

    fn put(&self, generations: &mut Generations, place: Place, block: Block) {
        let bytes = block.memory() as u64;
        generations.young_bytes += bytes;
        if generations.young_bytes > self.capacity / 2 {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = bytes;
        }
        generations.young.insert(place, block);
    }
}
