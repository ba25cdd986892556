//! Scans: documents in key order, from one read view.

use super::ReadView;
use crate::error::Result;
use crate::snapshot::{Direction, KeyRange};
use crate::state::merge::{Merge, Show};
use crate::state::names_of;
use crate::storage::{PlatformStorage, Storage};
use crate::text::{JsonText, not_utf8, parse};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A document and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Its key.
    pub key: String,
    /// The document.
    pub document: T,
}

/// The documents of a range. See [`Collection::scan`](super::Collection::scan).
pub struct Scan<S: Storage = PlatformStorage, T = serde_json::Value> {
    raw: RawScan<S>,
    document: PhantomData<fn() -> T>,
}

impl<S: Storage, T: DeserializeOwned> Scan<S, T> {
    pub(crate) fn new(raw: RawScan<S>) -> Self {
        Self { raw, document: PhantomData }
    }

    /// The next document; `None` at the end.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when a file is damaged,
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when a document has another shape than `T`.
    pub async fn next(&mut self) -> Result<Option<Entry<T>>> {
        if !self.raw.advance().await? {
            return Ok(None);
        }
        let document = parse(self.raw.text()?)?;
        Ok(Some(Entry { key: self.raw.names()?.1.to_owned(), document }))
    }

    /// The next document as text; `None` at the end.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when a file is damaged.
    pub async fn next_raw(&mut self) -> Result<Option<Entry<JsonText>>> {
        if !self.raw.advance().await? {
            return Ok(None);
        }
        Ok(Some(Entry { key: self.raw.names()?.1.to_owned(), document: self.raw.shared_text()? }))
    }

    /// Everything that is left.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Entry<T>>> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next().await? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// The walk beneath: moves, and shows where it stands without copying.
pub(crate) struct RawScan<S: Storage> {
    merge: Merge<S>,
    left: u64,
    /// Keeps the versions and files in place.
    _view: ReadView<S>,
}

impl<S: Storage> RawScan<S> {
    pub(crate) fn new(view: ReadView<S>, range: &KeyRange, direction: Direction, limit: u64) -> Self {
        Self { merge: view.merge(range, direction, Show::Documents), left: limit, _view: view }
    }

    pub(crate) async fn advance(&mut self) -> Result<bool> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(false) };
        self.left = left;
        self.merge.advance().await
    }

    /// The current document's collection and key.
    pub(crate) fn names(&self) -> Result<(&str, &str)> {
        names_of(self.merge.key())
    }

    /// The current document's text where it lies.
    pub(crate) fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.merge.value().unwrap_or_default()).map_err(|_| not_utf8())
    }

    /// The current document's text, shared.
    pub(crate) fn shared_text(&self) -> Result<JsonText> {
        JsonText::from_stored(self.merge.shared_value().unwrap_or_default())
    }
}
