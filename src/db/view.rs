//! A read view: the database as of one moment.

use super::scan::{RawScan, Scan};
use super::{Db, Keys};
use crate::core::Core;
use crate::document::{check_collection, check_key, sort_key};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::{Direction, KeyRange};
use crate::state::merge::{Merge, Show};
use crate::state::{View, collection_of, names_of};
use crate::storage::history::Reading;
use crate::storage::{PlatformStorage, Storage};
use crate::text::JsonText;
use serde::de::DeserializeOwned;
use std::ops::Bound;
use std::sync::Arc;

/// Sees exactly the writes up to [`sequence`](Self::sequence), however many follow. Holds nobody up; while it lives,
/// the files that it needs stay.
pub struct ReadView<S: Storage = PlatformStorage> {
    pub(super) core: Arc<Core<S>>,
    pub(super) view: View<S>,
    /// Of a view of the past, until it is gone.
    held: Option<Arc<Reading>>,
}

impl<S: Storage> Clone for ReadView<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), view: self.view.clone(), held: self.held.clone() }
    }
}

impl<S: Storage> ReadView<S> {
    pub(super) fn new(db: &Db<S>) -> Self {
        Self { core: Arc::clone(db.core()), view: db.core().state.view(), held: None }
    }

    /// Of what the archive holds, none of which goes before the view.
    #[allow(dead_code)] // Not every platform keeps its past.
    pub(crate) fn of_the_past(core: &Arc<Core<S>>, view: View<S>, held: Reading) -> Self {
        Self { core: Arc::clone(core), view, held: Some(Arc::new(held)) }
    }

    /// The sequence number of the last write it sees.
    pub fn sequence(&self) -> u64 {
        self.view.sequence
    }

    /// The document under `key` in `collection`, as a `T`.
    ///
    /// # Errors
    /// As for [`Collection::get`](super::Collection::get).
    pub async fn get<T: DeserializeOwned>(&self, collection: &str, key: &str) -> Result<Option<T>> {
        self.get_raw(collection, key).await?.map(|text| text.parse()).transpose()
    }

    /// The text of the document under `key` in `collection`.
    ///
    /// # Errors
    /// As for [`Collection::get`](super::Collection::get).
    pub async fn get_raw(&self, collection: &str, key: &str) -> Result<Option<JsonText>> {
        check_collection(collection)?;
        check_key(key)?;
        self.core.check_open()?;
        let found = self.view.parts.get(&sort_key(collection, key), self.sequence()).await?;
        found.map(|(_, bytes)| JsonText::from_stored(bytes)).transpose()
    }

    /// The documents of `collection` under the selected keys, in order.
    ///
    /// # Errors
    /// When the collection's name cannot be one.
    pub fn scan<T: DeserializeOwned>(&self, collection: &str, keys: impl Into<Keys>) -> Result<Scan<S, T>> {
        Ok(Scan::new(self.scan_raw(collection, &keys.into())?))
    }

    pub(crate) fn scan_raw(&self, collection: &str, keys: &Keys) -> Result<RawScan<S>> {
        check_collection(collection)?;
        self.core.check_open()?;
        Ok(RawScan::new(self.clone(), &keys.range(collection), keys.direction(), keys.max()))
    }

    /// All documents of all collections, ordered by collection, then by key.
    ///
    /// # Errors
    /// When the database is closed.
    #[allow(dead_code)] // Where nobody can wait on a thread.
    pub(crate) fn scan_all(&self) -> Result<RawScan<S>> {
        self.core.check_open()?;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        Ok(RawScan::new(self.clone(), &everything, Direction::Forward, u64::MAX))
    }

    /// How many of the selected keys of `collection` hold a document.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub async fn count(&self, collection: &str, keys: impl Into<Keys>) -> Result<u64> {
        check_collection(collection)?;
        self.core.check_open()?;
        let keys = keys.into();
        let range = keys.range(collection);
        let mut merge = self.merge(&range, Direction::Forward, Show::Keys);
        let mut count = 0;
        while count < keys.max() && merge.advance().await? {
            count += 1;
        }
        Ok(count)
    }

    /// The names of the collections that hold documents, in order.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub async fn collections(&self) -> Result<Vec<String>> {
        self.core.check_open()?;
        let mut names = Vec::new();
        let mut start = Bound::Unbounded;
        loop {
            let range: KeyRange = (start, Bound::Unbounded);
            let mut merge = self.merge(&range, Direction::Forward, Show::Keys);
            if !merge.advance().await? {
                return Ok(names);
            }
            let name = names_of(merge.key())?.0.to_owned();
            // A file whose keys are out of order could lead back here for ever.
            if names.last().is_some_and(|last| *last >= name) {
                return Err(not_sorted());
            }
            names.push(name);
            // Behind all sort keys of this collection.
            let mut next = collection_of(merge.key()).to_vec();
            next.push(crate::document::SEPARATOR + 1);
            start = Bound::Included(next);
        }
    }

    pub(super) fn merge(&self, range: &KeyRange, direction: Direction, show: Show) -> Merge<S> {
        Merge::new(&self.view.parts, self.sequence(), range, direction, show)
    }
}

fn not_sorted() -> Error {
    let message = "a snapshot's documents are not in order; run `pumice verify` to find the file";
    Error::new(ErrorKind::Corrupt, message)
}
