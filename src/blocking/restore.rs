//! Making a database of a snapshot file, or of a moment of the past, in an empty storage: the same store, one epoch further.

use super::Db;
use super::places::Places;
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::line::Header;
use crate::format::segment::Chain;
use crate::format::snapshot::{FOOTER_LEN, file_name};
use crate::import::SnapshotSource;
use crate::log::files::{Files, read_header};
use crate::log::replay::end_of_log;
use crate::log::writer::LogWriter;
use crate::options::Options;
use crate::snapshot::writing::{self, WRITE_BYTES};
use crate::snapshot::{BlockCache, Direction, KeyRange, SnapshotHeader, SnapshotWriter, Table};
use crate::state::View;
use crate::state::merge::{Merge, Show};
use crate::storage::history::{self, Catalog, Look, Past};
use crate::storage::platform::{self, block_on};
use crate::storage::{Moment, Retention, Storage};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// Copies the snapshot as it stands, and begins the log behind it. `table` is what `source` was found to hold.
pub(super) async fn restore<S: Storage, R: Storage>(
    storage: &Arc<S>,
    source: &impl SnapshotSource,
    table: &Table<R>,
) -> Result<()> {
    // Nothing was ever written: then there is no snapshot either.
    if table.sequence() > 0 {
        copy(storage, source, table).await?;
    }
    begin_log(storage, table.store_id(), table.epoch().saturating_add(1), table.sequence(), 0).await
}

/// Begins the log anew behind the record `sequence`.
pub(super) async fn begin_log<S: Storage>(
    storage: &Arc<S>,
    store: [u8; 16],
    epoch: u64,
    sequence: u64,
    generation: u32,
) -> Result<()> {
    let (first, clients) = (sequence + 1, Clients::default());
    let header = Header { store, epoch, first, previous: 0, previous_len: 0, carried: 0, clients };
    let chain = Chain { next: first, previous: 0 };
    LogWriter::create(Arc::clone(storage), &header, generation, &[], chain).await.map(drop)
}

/// Copies the file byte for byte, and reads the copy back.
async fn copy<S: Storage, R: Storage>(
    storage: &Arc<S>,
    source: &impl SnapshotSource,
    table: &Table<R>,
) -> Result<()> {
    let name = file_name(0, table.sequence());
    storage.create(&name).await?;
    let footer = table.file_len().saturating_sub(FOOTER_LEN as u64);
    let mut offset = 0;
    while offset < footer {
        let len = usize::try_from(footer - offset).unwrap_or(usize::MAX).min(WRITE_BYTES);
        storage.append(&name, &source.read_at(offset, len).await?).await?;
        offset += len as u64;
    }
    let footer = source.read_at(footer, FOOTER_LEN).await?;
    writing::finish(&**storage, &name, &[], &footer).await?;
    let cache = Arc::new(BlockCache::new(1 << 20));
    writing::read_back(storage, &name, &cache, &table.summary()).await.map(drop)
}

/// A moment of what a directory holds, a database or backups of one.
pub(super) struct OpenedPast<S: Storage> {
    view: View<S>,
    store: [u8; 16],
    newest_epoch: u64,
    retention: Option<Retention>,
    cache: Arc<BlockCache>,
    /// What is damaged and was not needed.
    pub(super) passed_over: Vec<Error>,
}

/// Whether that moment of a database is known for certain, though a plain opening is `refused`.
fn is_known<S: Storage>(storage: &Arc<S>, past: &Past<S>, moment: Option<Moment>) -> Result<bool> {
    let files = block_on(Files::list(&**storage))?;
    // A segment that is missing, or cannot be told, may have given up what the archive still has.
    let mut epochs_are_known = !files.segments.is_empty() && past.newest_epoch >= files.marked_epoch();
    for generations in files.segments.chunk_by(|a, b| a.first == b.first) {
        let newest = generations.first().map(|file| &file.name);
        let header = newest.map_or(Ok(None), |name| block_on(read_header(&**storage, name)))?;
        epochs_are_known &= header.is_some();
    }
    match moment {
        _ if !epochs_are_known => return Ok(false),
        // Its records are all there, whatever became of what followed.
        Some(Moment::Sequence(_)) => return Ok(true),
        // What followed begins later.
        Some(Moment::Time(_)) if past.view.sequence < past.last => return Ok(true),
        _ => {}
    }
    // The log is whole by itself, and the past has what was before it.
    let end = block_on(end_of_log(&**storage, &files))?;
    Ok(end == Some(past.last))
}

impl<S: Storage> OpenedPast<S> {
    pub(super) fn open(
        places: &impl Places<Storage = S>,
        dir: &Path,
        moment: Option<Moment>,
    ) -> Result<Self> {
        let storage = places.open_read_only(dir)?;
        let options = Options::new();
        let now = options.environment.unix_millis();
        let moment = moment.filter(|moment| !matches!(moment, Moment::Time(time) if *time >= now));
        let is_live = block_on(Catalog::read(&storage))?.is_live();
        let plain =
            is_live.then(|| Db::open_with(places.open_read_only(dir)?, Options::new().read_only(true)));
        let refused = match plain.transpose() {
            Ok(opened) => {
                drop(opened);
                None
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => Some(error),
            Err(error) => return Err(error),
        };
        let (storage, cache) = (Arc::new(storage), Arc::new(BlockCache::new(options.cache_bytes)));
        let past = block_on(history::past(&storage, &cache, &[], moment, Look::Verify));
        let past = match (past, &refused) {
            (Err(error), Some(refused)) if error.kind() == ErrorKind::NotFound => return Err(refused.clone()),
            (past, _) => past?,
        };
        if let Some(refused) = &refused
            && !is_known(&storage, &past, moment)?
        {
            return Err(refused.clone());
        }
        let Past { view, store, newest_epoch, mut passed_over, .. } = past;
        // What is wrong with the database, where it is not a snapshot that was passed over.
        passed_over.extend(refused.filter(|_| passed_over.is_empty()));
        let retention = history::retention_of(&block_on(Files::list(&*storage))?.archived);
        Ok(Self { view, store, newest_epoch, retention, cache, passed_over })
    }

    /// Writes the documents as one snapshot into an empty storage, and begins the log behind it.
    pub(super) fn write<T: Storage>(&self, to: &Arc<T>) -> Result<()> {
        let (sequence, epoch) = (self.view.sequence, self.newest_epoch.saturating_add(1));
        if sequence > 0 {
            let header = SnapshotHeader { store_id: self.store, epoch, base: 0, sequence };
            block_on(self.write_snapshot(SnapshotWriter::create(
                Arc::clone(to),
                header,
                platform::PACKS_VALUES,
            )))?;
        }
        block_on(begin_log(to, self.store, epoch, sequence, 0))?;
        if self.retention.is_some() {
            block_on(history::write_retention(&**to, self.retention))?;
        }
        Ok(())
    }

    async fn write_snapshot<T: Storage>(
        &self,
        file: impl Future<Output = Result<SnapshotWriter<T>>>,
    ) -> Result<()> {
        let mut file = file.await?;
        let everything: KeyRange = (Bound::Unbounded, Bound::Unbounded);
        let at = self.view.sequence;
        let mut merge = Merge::new(&self.view.parts, at, &everything, Direction::Forward, Show::Documents);
        while merge.advance().await? {
            file.push(merge.key(), merge.sequence(), merge.value())?;
            if file.is_full() {
                file.write().await?;
            }
        }
        file.finish(&[], &self.cache).await.map(drop)
    }
}
