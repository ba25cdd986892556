//! Exact counts that read as few keys as possible.

use super::View;
use super::merge::{Merge, Show};
use super::{Parts, collection_of};
use crate::error::Result;
use crate::snapshot::{Direction, KeyRange};
use crate::sorted_map::SortedMap;
use crate::storage::Storage;
use std::ops::Bound;

/// The documents that `view` sees, in all collections.
///
/// The full snapshot knows its own count; only what changed on top of it is looked up, unless that is most of it.
pub(crate) async fn documents<S: Storage>(view: &View<S>) -> Result<u64> {
    let Some((base, runs)) = view.parts.tables.split_last() else {
        return walk(view).await;
    };
    let changed: u64 = runs.iter().map(|t| t.entries()).sum();
    if changed > base.entries() / 4 {
        return walk(view).await;
    }
    let upper = Parts { memtables: view.parts.memtables.clone(), tables: runs.to_vec() };
    let mut dropped = SortedMap::<Vec<u8>, ()>::default();
    for memtable in &upper.memtables {
        for (name, _) in memtable.drops(view.sequence) {
            dropped.insert(name.into_vec(), ());
        }
    }
    for table in &upper.tables {
        for (name, _) in table.drops() {
            dropped.insert(name.as_bytes().to_vec(), ());
        }
    }
    let mut count = base.documents();
    if !dropped.is_empty() {
        let counts = base.counts().await?;
        let gone = counts.iter().filter(|(name, ..)| dropped.contains_key(name.as_bytes()));
        count = count.saturating_sub(gone.map(|(_, documents, _)| documents).sum());
    }
    let mut merge = Merge::new(&upper, view.sequence, &everything(), Direction::Forward, Show::Everything);
    while merge.advance().await? {
        let below = !dropped.contains_key(collection_of(merge.key()))
            && base.find(merge.key()).await?.is_some_and(|(_, live)| live);
        match (merge.is_document(), below) {
            (true, false) => count += 1,
            (false, true) => count = count.saturating_sub(1),
            _ => {}
        }
    }
    Ok(count)
}

async fn walk<S: Storage>(view: &View<S>) -> Result<u64> {
    let mut merge = Merge::new(&view.parts, view.sequence, &everything(), Direction::Forward, Show::Keys);
    let mut count = 0;
    while merge.advance().await? {
        count += 1;
    }
    Ok(count)
}

fn everything() -> KeyRange {
    (Bound::Unbounded, Bound::Unbounded)
}
