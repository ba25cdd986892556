//! What there is of a database's past: segments and snapshots, those in charge and those in the archive.

use super::names::{ArchivedSegment, ArchivedSnapshot};
use crate::error::Result;
use crate::format::line::Header;
use crate::format::segment::{self, Chain};
use crate::format::snapshot::{HEADER_LEN, SnapshotHeader};
use crate::log::files::{Files, read_header};
use crate::log::replay::is_whole;
use crate::storage::Storage;

/// A segment, as far as its records can be read.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: String,
    /// Whether it is in charge, and not in the archive.
    pub(crate) live: bool,
    pub(crate) header: Header,
    /// The last record that counts; `first - 1` without any.
    pub(crate) last: u64,
    /// The checksum of that record.
    pub(crate) checksum: u32,
    /// The time of the last line, in Unix milliseconds; 0 without any.
    pub(crate) time: u64,
    /// Whether records behind `last` are left out: they are not what followed.
    pub(crate) cut: bool,
}

impl Piece {
    pub(crate) fn first(&self) -> u64 {
        self.header.first
    }
}

/// A snapshot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) live: bool,
    pub(crate) store: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) base: u64,
    pub(crate) sequence: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) bases: Vec<Run>,
}

impl Catalog {
    /// Lists what is in `storage`. Reads the segments that are in charge, and the headers of the others. What was not
    /// finished is left out.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when a file goes meanwhile, and failures of the storage.
    pub(crate) async fn read<S: Storage>(storage: &S) -> Result<Self> {
        Self::of(storage, &Files::list(storage).await?).await
    }

    /// The same of these files.
    pub(crate) async fn of<S: Storage>(storage: &S, files: &Files) -> Result<Self> {
        let mut catalog = Self::default();
        for generations in files.segments.chunk_by(|a, b| a.first == b.first) {
            for file in generations {
                let bytes = storage.read_at(&file.name, 0, usize::MAX).await?;
                if let Some(piece) = live_piece(&file.name, &bytes) {
                    catalog.pieces.push(piece);
                    break;
                }
            }
        }
        for file in &files.snapshots {
            catalog.add_base(storage, file.name.clone(), true).await?;
        }
        // What an import has written that has not happened yet is of an epoch that no segment is of.
        let epoch = catalog.pieces.iter().map(|p| p.header.epoch).max().unwrap_or(u64::MAX);
        catalog.bases.retain(|base| base.epoch <= epoch);
        for name in &files.archived {
            if let Some(segment) = ArchivedSegment::parse_name(name) {
                catalog.add_archived(storage, name.clone(), segment).await?;
            } else if ArchivedSnapshot::parse_name(name).is_some() {
                catalog.add_base(storage, name.clone(), false).await?;
            }
        }
        Ok(catalog)
    }

    /// The databases that the files are of, which is one unless they were mixed up.
    pub(crate) fn stores(&self) -> impl Iterator<Item = [u8; 16]> {
        let pieces = self.pieces.iter().map(|piece| piece.header.store);
        pieces.chain(self.bases.iter().map(|base| base.store))
    }

    /// Whether any file is in charge, so that this is a database and no backup.
    pub(crate) fn is_live(&self) -> bool {
        self.pieces.iter().any(|piece| piece.live) || self.bases.iter().any(|base| base.live)
    }

    async fn add_archived<S: Storage>(
        &mut self,
        storage: &S,
        name: String,
        segment: ArchivedSegment,
    ) -> Result<()> {
        // A copy that was not finished may have no header yet. The file that it is made from is still there then.
        if let Some(header) = read_header(storage, &name).await?
            && (header.epoch, header.first) == (segment.epoch, segment.first)
        {
            let ArchivedSegment { last, checksum, time, .. } = segment;
            self.pieces.push(Piece { name, live: false, header, last, checksum, time, cut: false });
        }
        Ok(())
    }

    async fn add_base<S: Storage>(&mut self, storage: &S, name: String, live: bool) -> Result<()> {
        let header = storage.read_at(&name, 0, HEADER_LEN).await?;
        if let Ok(SnapshotHeader { store_id, epoch, base, sequence }) = SnapshotHeader::decode(&header) {
            self.bases.push(Run { name, live, store: store_id, epoch, base, sequence });
        }
        Ok(())
    }
}

fn live_piece(name: &str, bytes: &[u8]) -> Option<Piece> {
    let (header, header_len) = segment::read_header(bytes).ok()?;
    if !is_whole(&header, header_len, bytes) {
        return None;
    }
    let chain = Chain { next: header.first, previous: header.previous };
    let end = segment::walk(bytes, header_len, chain, |_| {});
    Some(Piece {
        name: name.to_owned(),
        live: true,
        header,
        last: end.chain.last(),
        checksum: end.chain.previous,
        time: end.time,
        cut: false,
    })
}
