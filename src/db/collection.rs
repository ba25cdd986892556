//! A named set of documents.

use super::batch::to_text;
use super::{Db, Entry, Keys, Scan};
use crate::document::{check_collection, check_key, minify, sort_key};
use crate::error::Result;
use crate::log::group_commit::Caller;
use crate::log::queue::{Queue, WriteOp};
use crate::options::Durability;
use crate::storage::{PlatformStorage, Storage};
use crate::text::JsonText;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A collection of a [`Db`]. Cheap to clone.
pub struct Collection<S: Storage = PlatformStorage> {
    pub(super) db: Db<S>,
    pub(super) name: Arc<str>,
}

impl<S: Storage> Clone for Collection<S> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), name: Arc::clone(&self.name) }
    }
}

impl<S: Storage> Collection<S> {
    pub(super) fn new(db: Db<S>, name: &str) -> Self {
        Self { db, name: name.into() }
    }

    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same collection with another durability for the writes made through this handle.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { db: self.db.with_durability(durability), name: Arc::clone(&self.name) }
    }

    /// The document under `key`, as a `T`.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when its file is damaged,
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when it has another shape than `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.get_raw(key).await?.map(|text| text.parse()).transpose()
    }

    /// The text of the document under `key`, as it was stored.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn get_raw(&self, key: &str) -> Result<Option<JsonText>> {
        check_collection(&self.name)?;
        check_key(key)?;
        self.db.core().check_open()?;
        let found = self.db.core().state.get(&sort_key(&self.name, key)).await?;
        found.map(|(_, bytes)| JsonText::from_stored(bytes)).transpose()
    }

    /// Stores a document, replacing any before it. Returns the write's sequence number.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) or [`TooLarge`](crate::ErrorKind::TooLarge), with nothing
    /// written, for what cannot be stored; the storage's failure, after which nothing more is written;
    /// [`Poisoned`](crate::ErrorKind::Poisoned) after an earlier one.
    pub async fn put<T: Serialize + ?Sized>(&self, key: &str, document: &T) -> Result<u64> {
        self.put_raw(key, &to_text(document)?).await
    }

    /// Stores a document given as JSON text, digit for digit and in its order of members.
    ///
    /// # Errors
    /// As for [`put`](Self::put), and when `json` is not one JSON value.
    pub async fn put_raw(&self, key: &str, json: &str) -> Result<u64> {
        self.put_raw_as(key, json, Caller::Async).await
    }

    pub(crate) async fn put_raw_as(&self, key: &str, json: &str, caller: Caller) -> Result<u64> {
        check_collection(&self.name)?;
        check_key(key)?;
        let value = minify(json, &self.db.core().options.limits)?;
        self.write(&[WriteOp::Put { collection: &self.name, key, value: &value }], caller).await
    }

    /// Removes a document. False, with nothing written, when it was not there.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn delete(&self, key: &str) -> Result<bool> {
        self.delete_as(key, Caller::Async).await
    }

    pub(crate) async fn delete_as(&self, key: &str, caller: Caller) -> Result<bool> {
        check_collection(&self.name)?;
        check_key(key)?;
        let core = self.db.core();
        let (op, durability) = ([WriteOp::Delete { collection: &self.name, key }], self.db.durability());
        loop {
            // Writes on their way count: they come before this one. After a failure nobody knows what became of them.
            let (pending, seen) = {
                let queue = core.commit.queue();
                core.commit.refusal(&queue)?;
                (queue.will_exist(&self.name, key), queue.accepted())
            };
            let exists = match pending {
                Some(exists) => exists,
                None => core.state.contains(&sort_key(&self.name, key)).await?,
            };
            if !exists {
                if pending.is_some() || durability == Durability::Disk {
                    // Whoever removed it may still fail, or have been buffered, and then it is there again.
                    core.commit.sync(caller).await?;
                }
                return Ok(false);
            }
            // Of several deletes at once, one finds the document. Look again if another one may have come first.
            let overtaken = |queue: &Queue| queue.last_removal > seen;
            if core.commit.write_unless(overtaken, &op, durability, None, caller).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Removes all documents of the collection. Returns the write's sequence number.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn drop_all(&self) -> Result<u64> {
        self.drop_all_as(Caller::Async).await
    }

    pub(crate) async fn drop_all_as(&self, caller: Caller) -> Result<u64> {
        check_collection(&self.name)?;
        self.write(&[WriteOp::Drop { collection: &self.name }], caller).await
    }

    async fn write(&self, ops: &[WriteOp<'_>], caller: Caller) -> Result<u64> {
        self.db.core().commit.write(ops, self.db.durability(), None, caller).await
    }

    #[allow(dead_code)] // Where nobody can wait on a thread.
    pub(crate) fn read_view(&self) -> super::ReadView<S> {
        self.db.read_view()
    }

    /// The documents under the selected keys, in order, as of now whatever is written meanwhile.
    ///
    /// # Errors
    /// When the collection's name cannot be one.
    pub fn scan<T: DeserializeOwned>(&self, keys: impl Into<Keys>) -> Result<Scan<S, T>> {
        self.db.read_view().scan(&self.name, keys)
    }

    /// The first of the selected documents.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn first<T: DeserializeOwned>(&self, keys: impl Into<Keys>) -> Result<Option<Entry<T>>> {
        self.scan(keys)?.next().await
    }

    /// How many of the selected keys hold a document.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub async fn count(&self, keys: impl Into<Keys>) -> Result<u64> {
        self.db.read_view().count(&self.name, keys).await
    }
}
