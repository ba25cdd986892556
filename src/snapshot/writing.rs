//! Writing a snapshot file into a storage: in pieces, the footer only when all before it is durable, and read back.

use super::builder::SnapshotBuilder;
use super::{BlockCache, OpenOutcome, SnapshotHeader, Summary, Table};
use crate::error::{Error, Result};
use crate::format::snapshot::file_name;
use crate::storage::Storage;
use std::sync::Arc;

/// How much goes to the storage in one piece.
pub(crate) const WRITE_BYTES: usize = 1 << 20;
/// How much may wait for its sync: a long sync at the end would stall the writers' own.
const SYNC_BYTES: usize = 8 << 20;

/// A snapshot file that is being written. Until it is finished it does not count.
pub(crate) struct SnapshotWriter<S: Storage> {
    storage: Arc<S>,
    name: String,
    builder: SnapshotBuilder,
    /// Bytes of the entries that were added since the last piece was written.
    added: usize,
    unsynced: usize,
}

impl<S: Storage> SnapshotWriter<S> {
    /// Creates the file, whose values are packed if `pack` says so. One that has its name already stays as it is.
    pub(crate) async fn create(storage: Arc<S>, header: SnapshotHeader, pack: bool) -> Result<Self> {
        let name = file_name(header.base, header.sequence);
        storage.create(&name).await?;
        Ok(Self { storage, name, builder: SnapshotBuilder::new(header, pack), added: 0, unsynced: 0 })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds an entry. Keys come in strictly ascending order.
    pub(crate) fn push(&mut self, key: &[u8], sequence: u64, value: Option<&[u8]>) -> Result<()> {
        self.added += key.len() + value.map_or(0, <[u8]>::len);
        self.builder.push(key, sequence, value)
    }

    /// Whether there is enough for [`write`](Self::write). Values that are packed make less of it and more work, which others
    /// wait for between two pieces.
    pub(crate) fn is_full(&self) -> bool {
        self.added >= WRITE_BYTES || self.builder.output_len() >= WRITE_BYTES
    }

    /// Writes what was added.
    pub(crate) async fn write(&mut self) -> Result<()> {
        self.added = 0;
        let piece = self.builder.take_output();
        self.storage.append(&self.name, &piece).await?;
        self.unsynced += piece.len();
        if self.unsynced >= SYNC_BYTES {
            self.storage.sync(&self.name).await?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Ends the file, durably, and reads all of it as any reader would.
    pub(crate) async fn finish(
        self,
        drops: &[(String, u64)],
        cache: &Arc<BlockCache>,
    ) -> Result<Arc<Table<S>>> {
        let finished = self.builder.finish(drops)?;
        finish(&*self.storage, &self.name, &finished.tail, &finished.footer).await?;
        read_back(&self.storage, &self.name, cache, &finished.summary).await
    }
}

/// Appends the last bytes of a snapshot file, and makes all of it durable.
pub(crate) async fn finish<S: Storage>(storage: &S, name: &str, tail: &[u8], footer: &[u8]) -> Result<()> {
    storage.append(name, tail).await?;
    storage.sync(name).await?;
    // Only now: a power cut may keep the end of a file and lose what stands before it.
    storage.append(name, footer).await?;
    storage.sync(name).await
}

/// Opens the file as any reader would, and compares all of it with what was meant to be written.
pub(crate) async fn read_back<S: Storage>(
    storage: &Arc<S>,
    name: &str,
    cache: &Arc<BlockCache>,
    written: &Summary,
) -> Result<Arc<Table<S>>> {
    let table = match Table::open(Arc::clone(storage), name, Arc::clone(cache)).await? {
        OpenOutcome::Table(table) => Arc::<Table<S>>::from(table),
        OpenOutcome::NoFooter(error) => return Err(error),
    };
    if table.verify().await? != *written {
        let message = "a new snapshot does not hold what was written to it; check the disk";
        return Err(Error::corrupt(name, 0, message));
    }
    Ok(table)
}
