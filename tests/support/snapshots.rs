//! Snapshot files in memory: what is exported, and to be imported.

use pumice::{Db, Result, SnapshotSource, Storage};
use std::sync::Arc;

/// A file from which a snapshot is imported.
#[derive(Clone)]
pub struct SnapshotBytes(pub Arc<[u8]>);

impl SnapshotSource for SnapshotBytes {
    async fn len(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        Ok(self.0[start..start.saturating_add(len).min(self.0.len())].to_vec())
    }
}

/// The whole file.
pub async fn export<S: Storage>(db: &Db<S>) -> Result<SnapshotBytes> {
    let mut export = db.export_snapshot().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = export.next_chunk().await? {
        bytes.extend(chunk);
    }
    Ok(SnapshotBytes(bytes.into()))
}
