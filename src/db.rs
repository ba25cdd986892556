//! The database handle for asynchronous callers.

mod batch;
mod changes;
mod collection;
mod export;
mod keys;
mod scan;
mod stats;
mod submit;
mod view;

pub use batch::Batch;
pub use changes::{Change, ChangeKind, Changes, Chunk, Confirmations, Feed};
pub use collection::Collection;
pub use export::Export;
pub use keys::Keys;
pub use scan::{Entry, Scan};
pub use stats::Stats;
pub use submit::{Accepted, Answer, Origin, Submission};
pub use view::ReadView;

#[allow(unused_imports)] // Where nobody can wait on a thread.
pub(crate) use {batch::to_text, scan::RawScan};

use crate::compaction;
use crate::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::log::group_commit::Caller;
use crate::log::queue::Want;
use crate::log::recovery::Recovery;
use crate::options::{Durability, Options};
use crate::storage::{PlatformStorage, Storage, platform};
use crate::verify::{self, Verification};
use std::sync::Arc;

/// A database of JSON documents. Cheap to clone; all clones are one database.
///
/// Every method may be called from any task or thread at any time. A future that is dropped before it is ready may or
/// may not have done its work, but never half of it.
///
/// ```
/// # fn main() -> pumice::Result<()> { tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use pumice::{Db, MemoryStorage, Options};
/// use serde_json::{Value, json};
///
/// let db = Db::open_with(MemoryStorage::new(), Options::new()).await?;
/// let users = db.collection("users");
/// users.put("u1", &json!({"name": "Ada"})).await?;
/// let ada: Option<Value> = users.get("u1").await?;
/// assert_eq!(ada, Some(json!({"name": "Ada"})));
/// db.close().await
/// # }) }
/// ```
pub struct Db<S: Storage = PlatformStorage> {
    handle: Arc<Handle<S>>,
    durability: Durability,
}

/// What all clones share. The last one to go ends the background task.
pub(crate) struct Handle<S: Storage> {
    core: Arc<Core<S>>,
    task: Option<platform::Task>,
}

impl<S: Storage> Drop for Handle<S> {
    fn drop(&mut self) {
        self.core.begin_close();
        if let Some(task) = self.task.take() {
            task.finish();
        }
    }
}

impl<S: Storage> Clone for Db<S> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), durability: self.durability }
    }
}

impl<S: Storage> Db<S> {
    /// Opens the database in `storage`, or makes one there if it is empty.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) with file and offset when stored bytes are damaged,
    /// [`Version`](ErrorKind::Version) when a newer Pumice wrote them, [`NotFound`](ErrorKind::NotFound) when there is
    /// nothing to open read-only, and whatever the storage fails with.
    pub async fn open_with(storage: S, options: Options) -> Result<Self> {
        let durability = options.durability;
        let core = Arc::new(Core::open(storage, options).await?);
        let task = if core.options.read_only { None } else { Some(core.start()?) };
        Ok(Self { handle: Arc::new(Handle { core, task }), durability })
    }

    pub(crate) fn core(&self) -> &Arc<Core<S>> {
        &self.handle.core
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// The same database with another durability for the writes made through this handle.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { handle: Arc::clone(&self.handle), durability }
    }

    /// A named collection. It exists as soon as it holds a document.
    pub fn collection(&self, name: &str) -> Collection<S> {
        Collection::new(self.clone(), name)
    }

    /// The names of the collections that hold documents, in order.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub async fn collections(&self) -> Result<Vec<String>> {
        self.read_view().collections().await
    }

    /// Writes everything that `build` puts into the batch, or nothing. Returns the sequence number of the write, or
    /// the last one when the batch is empty.
    ///
    /// # Errors
    /// Whatever `build` returns, with nothing written; otherwise as for [`Collection::put`].
    pub async fn batch(&self, build: impl FnOnce(&mut Batch) -> Result<()>) -> Result<u64> {
        let batch = Batch::build(self.core().options.limits, build)?;
        self.core().commit.write(&batch.ops(), self.durability, None, Caller::Async).await
    }

    /// A consistent view of everything written up to now.
    pub fn read_view(&self) -> ReadView<S> {
        ReadView::new(self)
    }

    /// Every durable change after the sequence number `after`, in order, then live.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the log no longer holds the change after `after`: begin anew from a
    /// [read view](Self::read_view). [`InvalidArgument`](ErrorKind::InvalidArgument) when `after` lies in the future.
    pub fn changes(&self, after: u64) -> Result<Changes<S>> {
        Changes::new(self, after)
    }

    /// The sequence number of the last write that reads see.
    pub fn sequence(&self) -> u64 {
        self.core().state.visible()
    }

    /// Waits until everything written so far is durable.
    ///
    /// # Errors
    /// When the storage fails or failed before.
    pub async fn sync(&self) -> Result<()> {
        self.core().commit.sync(Caller::Async).await
    }

    /// Merges the log and all snapshots into one snapshot file. Writers and readers go on meanwhile.
    ///
    /// # Errors
    /// When files cannot be read or written; the old ones stay in charge then.
    pub async fn compact(&self) -> Result<()> {
        compaction::compact_aside(self.core()).await
    }

    /// Counts and sizes. Counting may walk over all keys, never over values.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub async fn stats(&self) -> Result<Stats> {
        stats::stats(self.core()).await
    }

    /// Reads and checks every byte of every file that counts.
    ///
    /// # Errors
    /// When files cannot be read. Damage is no error here but part of the answer.
    pub async fn verify(&self) -> Result<Verification> {
        self.core().check_open()?;
        verify::verify(&self.core().storage).await
    }

    /// The failure that stopped all writing, if there was one.
    ///
    /// # Errors
    /// That failure. Reads go on; reopen the database to write again.
    pub fn health(&self) -> Result<()> {
        self.core().failure().map_or(Ok(()), Err)
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.core().report
    }

    /// Makes everything durable, seals the log and lets the files go, for all clones of this handle. Once it returns,
    /// the database can be opened again. Closing twice is fine.
    ///
    /// # Errors
    /// When the storage fails or failed before: then something that was accepted may be missing, unless the message says
    /// that everything is durable.
    pub async fn close(&self) -> Result<()> {
        self.close_as(Caller::Async).await
    }

    pub(crate) async fn close_as(&self, caller: Caller) -> Result<()> {
        let core = self.core();
        core.begin_close();
        if self.handle.task.is_none() {
            core.release().await;
        }
        core.commit.until(Want::Closed, caller).await?;
        match core.failure() {
            None => Ok(()),
            Some(cause) => {
                let message =
                    format!("the database was closed after a failure; reopen it to recover. It was: {cause}");
                Err(Error::new(ErrorKind::Poisoned, message))
            }
        }
    }
}
