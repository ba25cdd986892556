//! A sorted table in memory of the writes since the last compaction, with the versions that read views need.

use super::collection_of;
use crate::document::SortKey;
use crate::sorted_map::SortedMap;
use crate::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

/// One change to the state. Values are slices of the log lines they came in.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put { key: SortKey, sequence: u64, value: Bytes },
    Delete { key: SortKey, sequence: u64 },
    Drop { collection: Box<[u8]>, sequence: u64 },
}

/// What one table knows of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Found(u64, Bytes),
    /// Deleted or dropped here: older parts do not matter.
    Gone,
    /// Nothing: look in older parts.
    Unknown,
}

#[derive(Clone, Debug)]
struct Version {
    sequence: u64,
    /// `None` is a tombstone.
    value: Option<Bytes>,
}

/// The versions of one document.
#[derive(Debug)]
struct Versions {
    latest: Version,
    /// Kept for read views, oldest first.
    older: Vec<Version>,
}

impl Versions {
    fn at(&self, sequence: u64) -> Option<&Version> {
        if self.latest.sequence <= sequence {
            return Some(&self.latest);
        }
        self.older.iter().rev().find(|v| v.sequence <= sequence)
    }
}

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<SortKey, Versions>,
    /// The sequence numbers of each collection's drops, ascending.
    drops: SortedMap<Box<[u8]>, Vec<u64>>,
}

/// An entry of a table: a document or its tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemEntry {
    pub(crate) key: SortKey,
    pub(crate) sequence: u64,
    pub(crate) value: Option<Bytes>,
}

#[derive(Debug, Default)]
pub(crate) struct Memtable(RwLock<Inner>);

impl Memtable {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies one write. `needed(a, b)` tells whether a view needs version `a` though `b` follows it.
    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = Change>, needed: impl Fn(u64, u64) -> bool) {
        let mut inner = self.write();
        for change in changes {
            match change {
                Change::Put { key, sequence, value } => {
                    inner.insert(key, Version { sequence, value: Some(value) }, &needed);
                }
                Change::Delete { key, sequence } => {
                    inner.insert(key, Version { sequence, value: None }, &needed);
                }
                Change::Drop { collection, sequence } => {
                    inner.drops.or_default(collection).push(sequence);
                }
            }
        }
    }

    /// What the table knows of `key` at `sequence`.
    pub(crate) fn get(&self, key: &[u8], sequence: u64) -> Lookup {
        let inner = self.read();
        let version = inner.documents.get(key).and_then(|versions| versions.at(sequence));
        let dropped = inner.dropped(collection_of(key), sequence);
        match (version, dropped) {
            (Some(v), dropped) if dropped.is_none_or(|d| d < v.sequence) => {
                v.value.as_ref().map_or(Lookup::Gone, |value| Lookup::Found(v.sequence, value.clone()))
            }
            (_, Some(_)) => Lookup::Gone,
            _ => Lookup::Unknown,
        }
    }

    /// The collections dropped up to `sequence`, each with its last drop.
    pub(crate) fn drops(&self, sequence: u64) -> Vec<(Box<[u8]>, u64)> {
        let inner = self.read();
        let collections = inner.drops.keys();
        collections.filter_map(|c| Some((c.clone(), inner.dropped(c, sequence)?))).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.read();
        inner.documents.is_empty() && inner.drops.is_empty()
    }

    /// Up to `limit` entries of the range as of `sequence`, in order or in reverse order, appended to `out`.
    /// Returns the key to go on from when there may be more.
    pub(crate) fn chunk(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        sequence: u64,
        limit: usize,
        out: &mut Vec<MemEntry>,
    ) -> Option<SortKey> {
        let inner = self.read();
        if is_empty_range(range) {
            return None;
        }
        let found = inner.documents.range::<[u8], _>(range);
        if reverse {
            inner.collect(found.rev(), sequence, limit, out)
        } else {
            inner.collect(found, sequence, limit, out)
        }
    }
}

impl Inner {
    fn insert(&mut self, key: SortKey, version: Version, needed: &impl Fn(u64, u64) -> bool) {
        use std::collections::btree_map::Entry;
        match self.documents.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Versions { latest: version, older: Vec::new() });
            }
            Entry::Occupied(mut occupied) => {
                let versions = occupied.get_mut();
                let replaced = std::mem::replace(&mut versions.latest, version);
                let newer = versions.latest.sequence;
                if !versions.older.is_empty() {
                    let following: Vec<u64> = versions
                        .older
                        .iter()
                        .skip(1)
                        .map(|v| v.sequence)
                        .chain([replaced.sequence])
                        .collect();
                    let mut following = following.into_iter();
                    versions.older.retain(|v| following.next().is_some_and(|next| needed(v.sequence, next)));
                }
                if needed(replaced.sequence, newer) {
                    versions.older.push(replaced);
                }
            }
        }
    }

    fn dropped(&self, collection: &[u8], sequence: u64) -> Option<u64> {
        if self.drops.is_empty() {
            return None;
        }
        self.drops.get(collection)?.iter().rev().find(|d| **d <= sequence).copied()
    }

    fn collect<'m>(
        &self,
        entries: impl Iterator<Item = (&'m SortKey, &'m Versions)>,
        sequence: u64,
        limit: usize,
        out: &mut Vec<MemEntry>,
    ) -> Option<SortKey> {
        for (visited, (key, versions)) in entries.enumerate() {
            if let Some(version) = versions.at(sequence)
                && self.dropped(collection_of(key), sequence).is_none_or(|d| d < version.sequence)
            {
                out.push(MemEntry {
                    key: key.clone(),
                    sequence: version.sequence,
                    value: version.value.clone(),
                });
            }
            // Counts what was looked at, so that the lock is held briefly whatever is hidden.
            if visited + 1 >= limit {
                return Some(key.clone());
            }
        }
        None
    }
}

/// `BTreeMap::range` panics on these.
fn is_empty_range(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::sort_key;

    fn put(key: &str, sequence: u64) -> Change {
        Change::Put { key: sort_key("c", key), sequence, value: Bytes::from(sequence.to_string()) }
    }

    fn value(table: &Memtable, key: &str, at: u64) -> Lookup {
        table.get(&sort_key("c", key), at)
    }

    fn found(sequence: u64) -> Lookup {
        Lookup::Found(sequence, Bytes::from(sequence.to_string()))
    }

    #[test]
    fn keeps_just_the_versions_that_views_need() {
        let table = Memtable::default();
        let needed = |a: u64, b: u64| (a..b).contains(&2);
        for sequence in 1..=4 {
            table.apply(vec![put("k", sequence)], needed);
        }
        assert_eq!(value(&table, "k", 4), found(4));
        assert_eq!(value(&table, "k", 2), found(2));
        assert_eq!(value(&table, "k", 1), Lookup::Unknown);
        table.apply(vec![put("k", 5)], |_, _| false);
        assert_eq!(value(&table, "k", 2), Lookup::Unknown);
    }

    #[test]
    fn a_drop_hides_what_came_before_it() {
        let table = Memtable::default();
        table.apply(vec![put("a", 1), put("b", 2)], |_, _| true);
        table
            .apply(vec![Change::Drop { collection: b"c"[..].into(), sequence: 3 }, put("b", 4)], |_, _| true);
        assert_eq!(value(&table, "a", 4), Lookup::Gone);
        assert_eq!(value(&table, "never", 4), Lookup::Gone);
        assert_eq!(value(&table, "b", 4), found(4));
        assert_eq!(value(&table, "a", 2), found(1));
        assert_eq!(table.drops(2), vec![]);
        let mut out = Vec::new();
        table.chunk((Bound::Unbounded, Bound::Unbounded), false, 4, 10, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn chunks_say_where_to_go_on() {
        let table = Memtable::default();
        table.apply((0..5).map(|i| put(&format!("k{i}"), i)), |_, _| true);
        let mut out = Vec::new();
        let next = table.chunk((Bound::Unbounded, Bound::Unbounded), true, 9, 2, &mut out).unwrap();
        assert_eq!(next, sort_key("c", "k3"));
        let rest = table.chunk((Bound::Unbounded, Bound::Excluded(&next)), true, 9, 9, &mut out);
        assert_eq!((rest, out.len()), (None, 5));
        assert!(out.is_sorted_by(|a, b| a.key > b.key));
    }
}
