//! Making a database of a snapshot file, in an empty storage: the same store, one epoch further.

use crate::error::Result;
use crate::format::clients::Clients;
use crate::format::line::Header;
use crate::format::segment::Chain;
use crate::format::snapshot::{FOOTER_LEN, file_name};
use crate::import::SnapshotSource;
use crate::log::writer::LogWriter;
use crate::snapshot::writing::{self, WRITE_BYTES};
use crate::snapshot::{BlockCache, Table};
use crate::storage::Storage;
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
    let header = Header {
        store: table.store_id(),
        epoch: table.epoch().saturating_add(1),
        first: table.sequence() + 1,
        previous: 0,
        previous_len: 0,
        carried: 0,
        clients: Clients::default(),
    };
    let chain = Chain { next: header.first, previous: 0 };
    LogWriter::create(Arc::clone(storage), &header, 0, &[], chain).await.map(drop)
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
