//! What the database holds now: snapshot files, and sorted tables in memory of what came after them.
//!
//! Reads look from the newest part to the oldest. A read view pins the parts and the versions that it needs, so writes
//! and compactions go on beside it. Nothing here writes to storage.

pub(crate) mod count;
pub(crate) mod memtable;
pub(crate) mod merge;

use crate::document::{SEPARATOR, split_sort_key};
use crate::error::{Error, Result};
use crate::snapshot::Table;
use crate::sorted_map::SortedMap;
use crate::storage::Storage;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use bytes::Bytes;
use memtable::{Change, Lookup, Memtable};
use std::sync::Arc;

/// The parts that reads look through, each list newest first.
pub(crate) struct Parts<S: Storage> {
    /// The first one takes writes; the others await compaction.
    pub(crate) memtables: Vec<Arc<Memtable>>,
    pub(crate) tables: Vec<Arc<Table<S>>>,
}

impl<S: Storage> Clone for Parts<S> {
    fn clone(&self) -> Self {
        Self { memtables: self.memtables.clone(), tables: self.tables.clone() }
    }
}

/// The sequence numbers that read views see, each with how many views do.
#[derive(Default)]
struct Views(SortedMap<u64, usize>);

impl Views {
    /// Whether a view needs the version of `sequence` although one of `newer` follows it.
    fn need(&self, sequence: u64, newer: u64) -> bool {
        self.0.first_from(&sequence).is_some_and(|(view, _)| *view < newer)
    }
}

pub(crate) struct State<S: Storage> {
    parts: RwLock<Arc<Parts<S>>>,
    visible: AtomicU64,
    views: Mutex<Views>,
}

impl<S: Storage> State<S> {
    /// The state of `tables` and `memtable`, which hold everything up to `visible`.
    pub(crate) fn new(tables: Vec<Arc<Table<S>>>, memtable: Memtable, visible: u64) -> Self {
        let parts = Parts { memtables: vec![Arc::new(memtable)], tables };
        Self {
            parts: RwLock::new(Arc::new(parts)),
            visible: AtomicU64::new(visible),
            views: Mutex::default(),
        }
    }

    pub(crate) fn parts(&self) -> Arc<Parts<S>> {
        Arc::clone(&self.parts.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest sequence number that reads see.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Makes one write visible, all of it at once.
    pub(crate) fn apply(&self, changes: Vec<Change>, sequence: u64) {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        // Held until the number is out, so that no view is made at a number whose versions were just let go.
        let views = self.views();
        if let Some(active) = parts.memtables.first() {
            active.apply(changes, |version, newer| views.need(version, newer));
        }
        self.visible.store(sequence, Ordering::Release);
    }

    /// Starts a new table for writes, unless there is nothing in the old one, which holds everything up to what is
    /// visible now.
    pub(crate) fn freeze(&self) {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        if parts.memtables.first().is_some_and(|active| active.is_empty()) {
            return;
        }
        let mut next = Parts::clone(&parts);
        next.memtables.insert(0, Arc::default());
        *parts = Arc::new(next);
    }

    /// Replaces `compacted`'s frozen tables and files by `table`.
    pub(crate) fn publish(&self, compacted: &Parts<S>, table: Arc<Table<S>>) {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Parts::clone(&parts);
        next.memtables.retain(|m| !compacted.memtables.iter().any(|done| Arc::ptr_eq(m, done)));
        next.tables.retain(|t| !compacted.tables.iter().any(|done| Arc::ptr_eq(t, done)));
        next.tables.insert(0, table);
        *parts = Arc::new(next);
    }

    /// Shows `table` and nothing else, as of `sequence`. Returns the files that were shown.
    pub(crate) fn replace(&self, table: Arc<Table<S>>, sequence: u64) -> Vec<Arc<Table<S>>> {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let next = Parts { memtables: vec![Arc::default()], tables: vec![table] };
        let replaced = std::mem::replace(&mut *parts, Arc::new(next));
        self.visible.store(sequence, Ordering::Release);
        replaced.tables.clone()
    }

    /// A view of everything visible now.
    pub(crate) fn view(self: &Arc<Self>) -> View<S> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let mut views = self.views();
        let sequence = self.visible();
        *views.0.or_default(sequence) += 1;
        View { state: Arc::clone(self), parts: Arc::clone(&parts), sequence }
    }

    /// The newest version of a document.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<(u64, Bytes)>> {
        self.parts().get(key, u64::MAX).await
    }

    /// Whether a document exists, without reading its value from a file.
    pub(crate) async fn contains(&self, key: &[u8]) -> Result<bool> {
        self.parts().contains(key, u64::MAX).await
    }
}

impl<S: Storage> Parts<S> {
    fn lookup_memory(&self, key: &[u8], at: u64) -> Lookup {
        for memtable in &self.memtables {
            match memtable.get(key, at) {
                Lookup::Unknown => {}
                found => return found,
            }
        }
        Lookup::Unknown
    }

    pub(crate) async fn get(&self, key: &[u8], at: u64) -> Result<Option<(u64, Bytes)>> {
        match self.lookup_memory(key, at) {
            Lookup::Found(sequence, value) => return Ok(Some((sequence, value))),
            Lookup::Gone => return Ok(None),
            Lookup::Unknown => {}
        }
        for table in &self.tables {
            if let Some(found) = table.get(key).await? {
                return Ok(found.value.map(|value| (found.sequence, value)));
            }
            if is_dropped(table, key) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    pub(crate) async fn contains(&self, key: &[u8], at: u64) -> Result<bool> {
        match self.lookup_memory(key, at) {
            Lookup::Found(..) => return Ok(true),
            Lookup::Gone => return Ok(false),
            Lookup::Unknown => {}
        }
        for table in &self.tables {
            if let Some((_, live)) = table.find(key).await? {
                return Ok(live);
            }
            if is_dropped(table, key) {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

/// Whether `table` says that everything older of the key's collection is gone.
fn is_dropped<S: Storage>(table: &Table<S>, key: &[u8]) -> bool {
    !table.drops().is_empty() && table.drop_of(collection_of(key)).is_some()
}

/// The collection part of a sort key.
pub(crate) fn collection_of(key: &[u8]) -> &[u8] {
    let end = memchr::memchr(SEPARATOR, key).unwrap_or(key.len());
    key.get(..end).unwrap_or_default()
}

/// A stored sort key as collection and key.
pub(crate) fn names_of(key: &[u8]) -> Result<(&str, &str)> {
    split_sort_key(key).ok_or_else(|| {
        Error::new(
            crate::ErrorKind::Corrupt,
            "a stored key is not UTF-8; run `pumice verify` to find the file",
        )
    })
}

/// Sees exactly what was visible when it was made.
pub(crate) struct View<S: Storage> {
    state: Arc<State<S>>,
    pub(crate) parts: Arc<Parts<S>>,
    pub(crate) sequence: u64,
}

impl<S: Storage> Clone for View<S> {
    fn clone(&self) -> Self {
        *self.state.views().0.or_default(self.sequence) += 1;
        Self { state: Arc::clone(&self.state), parts: Arc::clone(&self.parts), sequence: self.sequence }
    }
}

impl<S: Storage> Drop for View<S> {
    fn drop(&mut self) {
        let mut views = self.state.views();
        if let Some(count) = views.0.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                views.0.remove(&self.sequence);
            }
        }
    }
}
