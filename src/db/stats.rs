//! Counts and sizes of a database.

use crate::core::Core;
use crate::error::Result;
use crate::state::count;
use crate::storage::Storage;
use serde::Serialize;

/// What a database holds and takes up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stats {
    /// Documents in all collections.
    pub documents: u64,
    /// The sequence number of the last write.
    pub sequence: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Bytes of the snapshot files that count.
    pub snapshot_bytes: u64,
    /// Log files.
    pub segments: u64,
    /// Snapshot files that count.
    pub snapshots: u64,
    /// Compactions since opening.
    pub compactions: u64,
}

pub(super) async fn stats<S: Storage>(core: &Core<S>) -> Result<Stats> {
    core.check_open()?;
    let view = core.state.view();
    let documents = count::documents(&view).await?;
    let compactions = core.files().compactions;
    let (log_bytes, segments) = {
        let queue = core.commit.queue();
        (queue.segments.iter().map(|s| s.bytes).sum(), queue.segments.len() as u64)
    };
    Ok(Stats {
        documents,
        sequence: view.sequence,
        log_bytes,
        snapshot_bytes: view.parts.tables.iter().map(|t| t.file_len()).sum(),
        segments,
        snapshots: view.parts.tables.len() as u64,
        compactions,
    })
}
