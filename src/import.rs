//! Importing a snapshot: the contents of a file in the place of everything that an open database holds.
//!
//! The file is verified first. Then writes are held back, and the documents are written anew, as a full snapshot of a new
//! epoch that ends beyond everything written before. It does not count until the log has begun anew behind it, in a
//! segment of that epoch: the one durable step that decides. Until then the old contents are complete, and from then on
//! the new ones; only then the old files go.

mod source;

pub use source::SnapshotSource;

use crate::compaction;
use crate::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::Chain;
use crate::log::group_commit::Duty;
use crate::log::queue::closed;
use crate::snapshot::{Direction, SnapshotHeader, SnapshotWriter, Table};
use crate::state::Parts;
use crate::state::merge::{Merge, Show};
use crate::storage::{Storage, platform};
pub(crate) use source::{Outside, open_verified};
use std::ops::Bound;
use std::sync::Arc;

/// Writes wait while it is there.
struct Hold<'a, S: Storage>(&'a Core<S>);

impl<'a, S: Storage> Hold<'a, S> {
    fn new(core: &'a Core<S>) -> Self {
        core.commit.queue().importing = true;
        Self(core)
    }
}

impl<S: Storage> Drop for Hold<'_, S> {
    fn drop(&mut self) {
        self.0.commit.queue().importing = false;
        self.0.commit.wake();
    }
}

/// Replaces everything that the database holds by what is in the snapshot `name` of `source`.
pub(crate) async fn import<S: Storage, R: Storage>(core: &Core<S>, source: R, name: &str) -> Result<()> {
    core.commit.refusal(&core.commit.queue())?;
    let table = open_verified(source, name, &core.options.limits).await?;
    let _running = compaction::claim(core).await?;
    let _hold = Hold::new(core);
    // What was accepted before becomes durable, for it may be acknowledged, and for an import that fails.
    core.commit.take_turn(Duty::Sync).await?;
    let last = core.commit.queue().accepted();
    let header = {
        let mut files = core.files();
        let (epoch, sequence) = files.beyond;
        let epoch = epoch.max(core.epoch()).saturating_add(1);
        // One for each document, but never none: the log must not go on where it ended.
        let sequence = sequence.max(last).saturating_add(table.documents().max(1));
        files.beyond = (epoch, sequence);
        SnapshotHeader { store_id: core.store, epoch, base: 0, sequence }
    };
    let file = SnapshotWriter::create(Arc::clone(&core.storage), header, core.options.pack_values).await?;
    let name = file.name().to_owned();
    let first = header.sequence - table.documents();
    let staged = match write(core, table, file, first).await {
        Ok(staged) => staged,
        Err(error) => {
            // It never counted; a later opening would ignore and remove it as well.
            let _ = core.storage.remove(&name).await;
            return Err(error);
        }
    };
    let chain = Chain { next: header.sequence + 1, previous: 0 };
    // When this fails, nothing is removed: nobody knows whether the new segment is there.
    let (segments, tables) = core.commit.begin_anew(header.epoch, chain, staged).await?;
    core.set_epoch(header.epoch);
    for segment in segments {
        if let Err(error) = core.remove(&segment.name).await {
            tracing::warn!(%error, segment.name, "a file that was replaced could not be removed");
        }
    }
    core.files().replaced.extend(tables);
    core.clean_up(header.sequence).await;
    Ok(())
}

/// Writes the documents of `table` to `file`, with sequence numbers behind `before`.
async fn write<S: Storage, R: Storage>(
    core: &Core<S>,
    table: Arc<Table<R>>,
    mut file: SnapshotWriter<S>,
    before: u64,
) -> Result<Arc<Table<S>>> {
    let documents = table.documents();
    let parts = Parts { memtables: Vec::new(), tables: vec![table] };
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let mut merge = Merge::new(&parts, u64::MAX, &everything, Direction::Forward, Show::Documents);
    let mut sequence = before;
    while merge.advance().await? {
        sequence = sequence.saturating_add(1);
        file.push(merge.key(), sequence, merge.value())?;
        if file.is_full() {
            if core.commit.queue().closing {
                return Err(closed());
            }
            file.write().await?;
            platform::breathe().await;
        }
    }
    if sequence - before != documents {
        let message = "the snapshot file changed while it was read; import it again";
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    file.finish(&[], &core.cache).await
}
