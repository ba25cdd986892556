//! Exporting: the whole database as one snapshot file, a piece at a time, and bringing one in.

use super::{Db, ReadView};
use crate::aside;
use crate::core::Core;
use crate::error::Result;
use crate::import::{self, Outside, SnapshotSource};
use crate::log::group_commit::Caller;
use crate::snapshot::writing::WRITE_BYTES;
use crate::snapshot::{Direction, SnapshotBuilder, SnapshotHeader, Summary};
use crate::state::merge::{Merge, Show};
use crate::storage::{PlatformStorage, Storage, platform};
use std::ops::Bound;
use std::sync::Arc;

/// A snapshot file in the making, from [`Db::export_snapshot`]: everything that was durable when it was asked for, whatever
/// is written meanwhile.
pub struct Export<S: Storage = PlatformStorage> {
    core: Arc<Core<S>>,
    merge: Merge<S>,
    /// `None` at the end.
    builder: Option<SnapshotBuilder>,
    summary: Option<Summary>,
    sequence: u64,
    /// Keeps the versions and files in place.
    _view: ReadView<S>,
}

impl<S: Storage> Db<S> {
    /// The whole database as one snapshot file, in pieces. [`import_snapshot`](Self::import_snapshot) takes it, and it opens
    /// in place as a part of a database. Writers and readers go on meanwhile. The pieces are plain, also where the storage encrypts.
    ///
    /// # Errors
    /// When what was written so far cannot be made durable.
    pub async fn export_snapshot(&self) -> Result<Export<S>> {
        self.export_as(Caller::Async).await
    }

    pub(crate) async fn export_as(&self, caller: Caller) -> Result<Export<S>> {
        let core = Arc::clone(self.core());
        core.check_open()?;
        let view = self.read_view();
        core.commit.sync(caller).await?;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let merge = view.merge(&everything, Direction::Forward, Show::Documents);
        let (store_id, epoch, sequence) = (core.store, core.epoch(), view.sequence());
        let header = SnapshotHeader { store_id, epoch, base: 0, sequence };
        let builder = SnapshotBuilder::new(header, core.options.pack_values);
        Ok(Export { core, merge, builder: Some(builder), summary: None, sequence, _view: view })
    }

    /// Replaces everything that the database holds by the contents of a snapshot file, all or nothing, also in a crash. The
    /// file is verified completely before anything changes. Writes wait meanwhile; reads go on.
    ///
    /// Sequence numbers go on growing: the documents get new ones. [Change feeds](Self::changes) end with
    /// [`NotFound`](crate::ErrorKind::NotFound): what they told is no longer what there is, so begin anew from a read view.
    /// [Read views](Self::read_view) go on showing what they show. Dropping the future does not stop the import.
    ///
    /// # Errors
    /// With nothing changed: [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the file is no full snapshot of
    /// Pumice, [`Version`](crate::ErrorKind::Version) when a newer one wrote it,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when it is damaged, [`TooLarge`](crate::ErrorKind::TooLarge) when a document
    /// is over the limits. When the storage fails, as for a write: reopen to see whether it happened.
    pub async fn import_snapshot<R: SnapshotSource>(&self, source: R) -> Result<()> {
        let name = source.name();
        self.import_from(Outside(source), name).await
    }

    /// The same for the snapshot `name` in a storage.
    pub(crate) async fn import_from<R: Storage>(&self, source: R, name: String) -> Result<()> {
        let core = Arc::clone(self.core());
        aside::run("pumice-import", move || async move { import::import(&core, source, &name).await }).await
    }
}

impl<S: Storage> Export<S> {
    /// The sequence number that the snapshot goes up to.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The next bytes of the file, about 1 MiB or one document; `None` after the last ones.
    ///
    /// # Errors
    /// When files cannot be read or are damaged, or the database is closed meanwhile.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(builder) = &mut self.builder else { return Ok(None) };
        self.core.check_open()?;
        platform::breathe().await;
        while self.merge.advance().await? {
            builder.push(self.merge.key(), self.merge.sequence(), self.merge.value())?;
            if builder.output_len() >= WRITE_BYTES {
                return Ok(Some(builder.take_output()));
            }
        }
        let Some(builder) = self.builder.take() else { return Ok(None) };
        let mut finished = builder.finish(&[])?;
        self.summary = Some(finished.summary);
        finished.tail.append(&mut finished.footer);
        Ok(Some(finished.tail))
    }

    /// What the file adds up to, once it is complete, for whoever reads it back.
    #[allow(dead_code)] // Not every platform has a face that does.
    pub(crate) fn summary(&self) -> Option<Summary> {
        self.summary
    }
}
