//! The same database for blocking callers: every method returns when it is done.
//!
//! ```
//! # fn main() -> pumice::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("app");
//! use serde_json::{Value, json};
//!
//! let db = pumice::blocking::Db::open(&path)?;
//! let users = db.collection("users");
//! users.put("u1", &json!({"name": "Ada"}))?;
//! db.batch(|b| {
//!     b.put("users", "u2", &json!({"name": "Grace"}))?;
//!     b.delete("users", "u1")?;
//!     Ok(())
//! })?;
//! for entry in users.scan::<Value>("u".."v")? {
//!     let entry = entry?;
//!     println!("{}: {}", entry.key, entry.document);
//! }
//! db.close()
//! # }
//! ```

#[path = "blocking/backup.rs"]
mod backup;
#[cfg(feature = "encryption")]
#[path = "blocking/encrypted.rs"]
mod encrypted;
#[path = "blocking/log_lines.rs"]
mod log_lines;
#[path = "blocking/places.rs"]
pub(crate) mod places;
#[path = "blocking/repair.rs"]
mod repair;
#[path = "blocking/restore.rs"]
mod restore;
#[path = "blocking/snapshot_file.rs"]
mod snapshot_file;
#[path = "blocking/staging.rs"]
pub(crate) mod staging;
#[path = "blocking/transfer.rs"]
mod transfer;

pub use backup::Backup;
#[cfg(feature = "encryption")]
pub use encrypted::encrypted;
pub use log_lines::LogLines;
pub use repair::Repair;
pub use transfer::Restored;

use crate::compaction;
use crate::db::{Batch, Change, Entry, Keys, RawScan, Stats};
use crate::error::Result;
use crate::log::group_commit::Caller;
use crate::log::recovery::Recovery;
use crate::options::{Durability, Options};
use crate::storage::platform::block_on;
use crate::storage::{Moment, PlatformStorage, Retention, Storage, SyncDiskStorage};
use crate::text::JsonText;
use crate::verify::Verification;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

/// A database of JSON documents, for blocking callers. Cheap to clone; all clones are one database.
///
/// See [`Db`](crate::Db) for what the methods do and how they fail.
pub struct Db<S: Storage = PlatformStorage>(crate::Db<S>);

impl<S: Storage> Clone for Db<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Db<SyncDiskStorage> {
    /// Opens the database in the directory `dir`, or makes one there.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another process has it open; otherwise as for
    /// [`open_with`](Self::open_with).
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(SyncDiskStorage::open(dir)?, Options::new())
    }

    /// Opens the database in `dir` beside a writer, or on a full disk: takes no lock and writes nothing.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no database in `dir`; otherwise as for
    /// [`open_with`](Self::open_with).
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(SyncDiskStorage::open_read_only(dir)?, Options::new().read_only(true))
    }
}

impl<S: Storage> Db<S> {
    /// Opens the database in `storage`, or makes one there if it is empty.
    ///
    /// # Errors
    /// As for [`Db::open_with`](crate::Db::open_with).
    pub fn open_with(storage: S, options: Options) -> Result<Self> {
        block_on(crate::Db::open_with(storage, options)).map(Self)
    }

    /// The same database for asynchronous callers.
    pub fn as_async(&self) -> &crate::Db<S> {
        &self.0
    }

    /// The same database with another durability for the writes made through this handle.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self(self.0.with_durability(durability))
    }

    /// A named collection. It exists as soon as it holds a document.
    pub fn collection(&self, name: &str) -> Collection<S> {
        Collection(self.0.collection(name))
    }

    /// The names of the collections that hold documents, in order.
    ///
    /// # Errors
    /// As for [`Db::collections`](crate::Db::collections).
    pub fn collections(&self) -> Result<Vec<String>> {
        block_on(self.0.collections())
    }

    /// Writes everything that `build` puts into the batch, or nothing. Returns the write's sequence number.
    ///
    /// # Errors
    /// As for [`Db::batch`](crate::Db::batch).
    pub fn batch(&self, build: impl FnOnce(&mut Batch) -> Result<()>) -> Result<u64> {
        let core = self.0.core();
        let batch = Batch::build(core.options.limits, build)?;
        block_on(core.commit.write(&batch.ops(), self.0.durability(), None, Caller::Blocking))
    }

    /// A consistent view of everything written up to now.
    pub fn read_view(&self) -> ReadView<S> {
        ReadView(self.0.read_view())
    }

    /// The database as of an earlier moment.
    ///
    /// ```
    /// # fn main() -> pumice::Result<()> {
    /// use pumice::{MemoryStorage, Moment, Options, blocking::Db};
    ///
    /// let db = Db::open_with(MemoryStorage::new(), Options::new())?;
    /// let notes = db.collection("notes");
    /// let first = notes.put("n1", "buy milk")?;
    /// notes.put("n1", "buy bread")?;
    /// let then = db.read_view_at(Moment::Sequence(first))?;
    /// assert_eq!(then.get::<String>("notes", "n1")?.as_deref(), Some("buy milk"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Db::read_view_at`](crate::Db::read_view_at).
    pub fn read_view_at(&self, moment: Moment) -> Result<ReadView<S>> {
        block_on(self.0.read_view_at(moment)).map(ReadView)
    }

    /// How much of its past the database keeps; `None` for what safety needs and nothing more.
    pub fn retention(&self) -> Option<Retention> {
        self.0.retention()
    }

    /// Changes how much of its past the database keeps, durably.
    ///
    /// ```
    /// # fn main() -> pumice::Result<()> {
    /// use pumice::{MemoryStorage, Options, Retention, blocking::Db};
    /// use std::time::Duration;
    ///
    /// let db = Db::open_with(MemoryStorage::new(), Options::new())?;
    /// db.set_retention(Some(Retention::new().keep(Duration::from_secs(7 * 24 * 60 * 60))))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Db::set_retention`](crate::Db::set_retention).
    pub fn set_retention(&self, retention: Option<Retention>) -> Result<()> {
        block_on(self.0.set_retention(retention))
    }

    /// Every durable change after the sequence number `after`, in order, then live.
    ///
    /// # Errors
    /// As for [`Db::changes`](crate::Db::changes).
    pub fn changes(&self, after: u64) -> Result<Changes<S>> {
        self.0.changes(after).map(Changes)
    }

    /// The sequence number of the last write that reads see.
    pub fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    /// Waits until everything written so far is durable.
    ///
    /// # Errors
    /// As for [`Db::sync`](crate::Db::sync).
    pub fn sync(&self) -> Result<()> {
        block_on(self.0.core().commit.sync(Caller::Blocking))
    }

    /// Merges the log and all snapshots into one snapshot file. Writers and readers go on meanwhile.
    ///
    /// # Errors
    /// As for [`Db::compact`](crate::Db::compact).
    pub fn compact(&self) -> Result<()> {
        block_on(compaction::compact_now(self.0.core()))
    }

    /// Counts and sizes.
    ///
    /// # Errors
    /// As for [`Db::stats`](crate::Db::stats).
    pub fn stats(&self) -> Result<Stats> {
        block_on(self.0.stats())
    }

    /// Reads and checks every byte of every file that counts.
    ///
    /// # Errors
    /// As for [`Db::verify`](crate::Db::verify).
    pub fn verify(&self) -> Result<Verification> {
        block_on(self.0.verify())
    }

    /// The failure that stopped all writing, if there was one.
    ///
    /// # Errors
    /// That failure.
    pub fn health(&self) -> Result<()> {
        self.0.health()
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        self.0.recovery()
    }

    /// Makes everything durable, seals the log and lets the files go, for all clones of this handle.
    ///
    /// # Errors
    /// As for [`Db::close`](crate::Db::close).
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close_as(Caller::Blocking))
    }
}

/// A collection of a [`Db`]. Cheap to clone. See [`Collection`](crate::Collection).
pub struct Collection<S: Storage = PlatformStorage>(crate::Collection<S>);

impl<S: Storage> Clone for Collection<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Storage> Collection<S> {
    /// The collection's name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The same collection with another durability for the writes made through this handle.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self(self.0.with_durability(durability))
    }

    /// The document under `key`, as a `T`.
    ///
    /// # Errors
    /// As for [`Collection::get`](crate::Collection::get).
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        block_on(self.0.get(key))
    }

    /// The text of the document under `key`, as it was stored.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_raw(&self, key: &str) -> Result<Option<JsonText>> {
        block_on(self.0.get_raw(key))
    }

    /// Stores a document, replacing any before it. Returns the write's sequence number.
    ///
    /// # Errors
    /// As for [`Collection::put`](crate::Collection::put).
    pub fn put<T: Serialize + ?Sized>(&self, key: &str, document: &T) -> Result<u64> {
        self.put_raw(key, &crate::db::to_text(document)?)
    }

    /// Stores a document given as JSON text, digit for digit and in its order of members.
    ///
    /// # Errors
    /// As for [`put`](Self::put), and when `json` is not one JSON value.
    pub fn put_raw(&self, key: &str, json: &str) -> Result<u64> {
        block_on(self.0.put_raw_as(key, json, Caller::Blocking))
    }

    /// Removes a document. False, with nothing written, when it was not there.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn delete(&self, key: &str) -> Result<bool> {
        block_on(self.0.delete_as(key, Caller::Blocking))
    }

    /// Removes all documents of the collection. Returns the write's sequence number.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn drop_all(&self) -> Result<u64> {
        block_on(self.0.drop_all_as(Caller::Blocking))
    }

    /// The documents under the selected keys, in order, as of now whatever is written meanwhile.
    ///
    /// # Errors
    /// As for [`Collection::scan`](crate::Collection::scan).
    pub fn scan<T: DeserializeOwned>(&self, keys: impl Into<Keys>) -> Result<Scan<S, T>> {
        self.0.scan(keys).map(|scan| Scan { scan, done: false })
    }

    /// Calls `visit` with each selected key and document as text, without copying either.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and whatever `visit` returns.
    pub fn for_each_raw(
        &self,
        keys: impl Into<Keys>,
        visit: impl FnMut(&str, &str) -> Result<()>,
    ) -> Result<()> {
        ReadView(self.0.read_view()).for_each_raw(self.name(), keys, visit)
    }

    /// How many of the selected keys hold a document.
    ///
    /// # Errors
    /// As for [`Collection::count`](crate::Collection::count).
    pub fn count(&self, keys: impl Into<Keys>) -> Result<u64> {
        block_on(self.0.count(keys))
    }
}

/// The database as of one moment. See [`ReadView`](crate::ReadView).
pub struct ReadView<S: Storage = PlatformStorage>(crate::ReadView<S>);

impl<S: Storage> Clone for ReadView<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Storage> ReadView<S> {
    /// The sequence number of the last write it sees.
    pub fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    /// The document under `key` in `collection`, as a `T`.
    ///
    /// # Errors
    /// As for [`Collection::get`](crate::Collection::get).
    pub fn get<T: DeserializeOwned>(&self, collection: &str, key: &str) -> Result<Option<T>> {
        block_on(self.0.get(collection, key))
    }

    /// The text of the document under `key` in `collection`.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_raw(&self, collection: &str, key: &str) -> Result<Option<JsonText>> {
        block_on(self.0.get_raw(collection, key))
    }

    /// The documents of `collection` under the selected keys, in order.
    ///
    /// # Errors
    /// When the collection's name cannot be one.
    pub fn scan<T: DeserializeOwned>(&self, collection: &str, keys: impl Into<Keys>) -> Result<Scan<S, T>> {
        self.0.scan(collection, keys).map(|scan| Scan { scan, done: false })
    }

    /// Calls `visit` with each selected key and document of `collection` as text, without copying either.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and whatever `visit` returns.
    pub fn for_each_raw(
        &self,
        collection: &str,
        keys: impl Into<Keys>,
        mut visit: impl FnMut(&str, &str) -> Result<()>,
    ) -> Result<()> {
        visit_all(self.0.scan_raw(collection, &keys.into())?, |_, key, text| visit(key, text))
    }

    /// Calls `visit` with the collection, the key and the text of every document of the database, in order.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and whatever `visit` returns.
    pub fn for_each_of_all_raw(&self, visit: impl FnMut(&str, &str, &str) -> Result<()>) -> Result<()> {
        visit_all(self.0.scan_all()?, visit)
    }

    /// How many of the selected keys of `collection` hold a document.
    ///
    /// # Errors
    /// As for [`Collection::count`](crate::Collection::count).
    pub fn count(&self, collection: &str, keys: impl Into<Keys>) -> Result<u64> {
        block_on(self.0.count(collection, keys))
    }

    /// The names of the collections that hold documents, in order.
    ///
    /// # Errors
    /// As for [`Db::collections`](crate::Db::collections).
    pub fn collections(&self) -> Result<Vec<String>> {
        block_on(self.0.collections())
    }
}

fn visit_all<S: Storage>(
    mut scan: RawScan<S>,
    mut visit: impl FnMut(&str, &str, &str) -> Result<()>,
) -> Result<()> {
    block_on(async {
        while scan.advance().await? {
            let (collection, key) = scan.names()?;
            visit(collection, key, scan.text()?)?;
        }
        Ok(())
    })
}

/// The documents of a range, as an iterator. After an error it ends.
pub struct Scan<S: Storage = PlatformStorage, T = serde_json::Value> {
    scan: crate::Scan<S, T>,
    done: bool,
}

impl<S: Storage, T: DeserializeOwned> Scan<S, T> {
    /// The documents as text, as they were stored.
    pub fn raw(self) -> impl FusedIterator<Item = Result<Entry<JsonText>>> {
        let Self { mut scan, done } = self;
        Steps { next: move || block_on(scan.next_raw()), done, item: PhantomData }
    }
}

impl<S: Storage, T: DeserializeOwned> Iterator for Scan<S, T> {
    type Item = Result<Entry<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.done, || block_on(self.scan.next()))
    }
}

impl<S: Storage, T: DeserializeOwned> FusedIterator for Scan<S, T> {}

struct Steps<F, T> {
    next: F,
    done: bool,
    item: PhantomData<fn() -> T>,
}

impl<T, F: FnMut() -> Result<Option<T>>> Iterator for Steps<F, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        step(&mut self.done, &mut self.next)
    }
}

impl<T, F: FnMut() -> Result<Option<T>>> FusedIterator for Steps<F, T> {}

fn step<T>(done: &mut bool, next: impl FnOnce() -> Result<Option<T>>) -> Option<Result<T>> {
    if *done {
        return None;
    }
    let item = next().transpose();
    *done = !matches!(item, Some(Ok(_)));
    item
}

/// A feed of changes, as an iterator that waits for the next one. See [`Changes`](crate::Changes).
pub struct Changes<S: Storage = PlatformStorage>(crate::Changes<S>);

impl<S: Storage> Changes<S> {
    /// The next change if it is there already.
    ///
    /// # Errors
    /// As for [`Changes::next`](crate::Changes::next).
    pub fn try_next(&mut self) -> Result<Option<Change>> {
        block_on(self.0.try_next())
    }
}

impl<S: Storage> Iterator for Changes<S> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        block_on(self.0.next()).transpose()
    }
}

/// Verifies a database that need not be open, or even be possible to open.
///
/// # Errors
/// When files cannot be listed or read. Damage is no error but part of the answer.
pub fn verify<S: Storage>(storage: S) -> Result<Verification> {
    block_on(crate::verify::verify(&Arc::new(storage)))
}
