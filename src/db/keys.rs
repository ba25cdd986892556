//! Which keys of a collection a scan covers, in what order, and how many.

use crate::document::sort_key;
use crate::snapshot::{Direction, KeyRange};
use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// A selection of keys, ordered by their UTF-8 bytes. Ranges of strings turn into one.
///
/// ```
/// use pumice::Keys;
///
/// let last_ten_of_march = Keys::prefix("2026-03-").reverse().limit(10);
/// let half_open: Keys = ("a".."m").into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    start: Bound<String>,
    end: Bound<String>,
    prefix: String,
    reverse: bool,
    limit: Option<u64>,
}

impl Keys {
    /// All keys, ascending.
    pub fn all() -> Self {
        Self::between(Bound::Unbounded, Bound::Unbounded)
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::all() }
    }

    /// The keys between two bounds.
    pub fn between(start: Bound<&str>, end: Bound<&str>) -> Self {
        let (start, end) = (start.map(str::to_owned), end.map(str::to_owned));
        Self { start, end, prefix: String::new(), reverse: false, limit: None }
    }

    /// Of these, only the keys that begin with `prefix`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Descending instead of ascending.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// At most so many documents.
    #[must_use]
    pub fn limit(mut self, documents: u64) -> Self {
        self.limit = Some(documents);
        self
    }

    pub(crate) fn max(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    pub(crate) fn direction(&self) -> Direction {
        if self.reverse { Direction::Reverse } else { Direction::Forward }
    }

    /// The sort keys of `collection` that this covers.
    pub(crate) fn range(&self, collection: &str) -> KeyRange {
        let bytes = |key: &str| sort_key(collection, key).to_vec();
        let first = bytes(&self.prefix);
        let start = match &self.start {
            Bound::Included(key) if bytes(key) > first => Bound::Included(bytes(key)),
            Bound::Excluded(key) if bytes(key) >= first => Bound::Excluded(bytes(key)),
            _ => Bound::Included(first.clone()),
        };
        // The prefix is never empty here: it has at least the byte that ends the collection's name.
        let behind = successor(first).map_or(Bound::Unbounded, Bound::Excluded);
        let end = match (&self.end, &behind) {
            (Bound::Included(key), Bound::Excluded(behind)) if bytes(key) < *behind => {
                Bound::Included(bytes(key))
            }
            (Bound::Excluded(key), Bound::Excluded(behind)) if bytes(key) < *behind => {
                Bound::Excluded(bytes(key))
            }
            _ => behind,
        };
        (start, end)
    }
}

/// The first byte string behind all that begin with `prefix`.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

impl From<Range<&str>> for Keys {
    fn from(range: Range<&str>) -> Self {
        Self::between(Bound::Included(range.start), Bound::Excluded(range.end))
    }
}

impl From<RangeInclusive<&str>> for Keys {
    fn from(range: RangeInclusive<&str>) -> Self {
        Self::between(Bound::Included(range.start()), Bound::Included(range.end()))
    }
}

impl From<RangeFrom<&str>> for Keys {
    fn from(range: RangeFrom<&str>) -> Self {
        Self::between(Bound::Included(range.start), Bound::Unbounded)
    }
}

impl From<RangeTo<&str>> for Keys {
    fn from(range: RangeTo<&str>) -> Self {
        Self::between(Bound::Unbounded, Bound::Excluded(range.end))
    }
}

impl From<RangeToInclusive<&str>> for Keys {
    fn from(range: RangeToInclusive<&str>) -> Self {
        Self::between(Bound::Unbounded, Bound::Included(range.end))
    }
}

impl From<RangeFull> for Keys {
    fn from(_: RangeFull) -> Self {
        Self::all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(keys: &Keys, key: &str) -> bool {
        let key = sort_key("c", key).to_vec();
        let range = keys.range("c");
        std::ops::RangeBounds::contains(&range, &key)
    }

    #[test]
    fn prefix_and_bounds_narrow_each_other() {
        let keys = Keys::from("b".."d");
        assert!(!covers(&keys, "a") && covers(&keys, "b") && covers(&keys, "czz") && !covers(&keys, "d"));
        let keys = keys.with_prefix("c");
        assert!(!covers(&keys, "b") && covers(&keys, "c") && covers(&keys, "czz") && !covers(&keys, "d"));
        let keys = Keys::from("a"..="b").with_prefix("b");
        assert!(covers(&keys, "b") && !covers(&keys, "bb"));
        assert!(covers(&Keys::all(), "\u{10ffff}") && covers(&Keys::prefix("\u{10ffff}"), "\u{10ffff}x"));
    }

    #[test]
    fn another_collection_is_never_covered() {
        let range = Keys::all().range("c");
        for other in ["b", "c ", "cc", "d"] {
            let key = sort_key(other, "k").to_vec();
            assert!(!std::ops::RangeBounds::contains(&range, &key), "{other}");
        }
    }
}
