//! Checking the files in the archive.

use super::catalog::Piece;
use super::names::{ArchivedSegment, ArchivedSnapshot};
use super::past::walk;
use crate::error::{Error, ErrorKind, Result};
use crate::log::files::{Files, read_header};
use crate::snapshot::verify::OnProblem;
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::storage::Storage;
use std::sync::Arc;

/// Reads and checks every file in the archive. Damage goes to `problem`. Returns how many bytes were checked.
///
/// A copy is made before what it is made from is removed. So one that is not whole, beside that, is one that was
/// interrupted, and no damage.
///
/// # Errors
/// When files cannot be read.
pub(crate) async fn check<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    problem: &mut OnProblem<'_>,
) -> Result<u64> {
    let cache = Arc::new(BlockCache::new(1 << 20));
    let mut bytes = 0;
    for name in &files.archived {
        let mut found = Vec::new();
        let in_charge = if let Some(segment) = ArchivedSegment::parse_name(name) {
            found.extend(check_segment(&**storage, name, segment).await?);
            files.segments.iter().any(|file| file.first == segment.first)
        } else if let Some(snapshot) = ArchivedSnapshot::parse_name(name) {
            check_snapshot(storage, name, snapshot, &cache, &mut |error| found.push(error)).await?;
            files.snapshots.iter().any(|f| (f.base, f.sequence) == (snapshot.base, snapshot.sequence))
        } else {
            continue;
        };
        bytes += storage.len(name).await?;
        if !in_charge {
            found.into_iter().for_each(&mut *problem);
        }
    }
    Ok(bytes)
}

async fn check_segment<S: Storage>(
    storage: &S,
    name: &str,
    segment: ArchivedSegment,
) -> Result<Option<Error>> {
    let ArchivedSegment { epoch, first, last, time, checksum } = segment;
    let header = read_header(storage, name).await?;
    let Some(header) = header.filter(|header| (header.epoch, header.first) == (epoch, first)) else {
        return Ok(Some(Error::corrupt(
            name,
            0,
            "the segment's beginning is damaged, or its name is not its own",
        )));
    };
    let piece = Piece { name: name.to_owned(), live: false, header, last, checksum, time, cut: false };
    corrupt(walk(storage, &piece, |_, _| {}).await.map(drop))
}

async fn check_snapshot<S: Storage>(
    storage: &Arc<S>,
    name: &str,
    snapshot: ArchivedSnapshot,
    cache: &Arc<BlockCache>,
    problem: &mut OnProblem<'_>,
) -> Result<()> {
    match Table::open(Arc::clone(storage), name, Arc::clone(cache)).await {
        Ok(OpenOutcome::Table(table)) => {
            let (epoch, base, sequence) = (table.epoch(), table.base(), table.sequence());
            if (ArchivedSnapshot { epoch, base, sequence }) != snapshot {
                problem(Error::corrupt(name, 0, "the snapshot's name is not its own"));
            }
            table.check(problem).await;
        }
        Ok(OpenOutcome::NoFooter(error)) => problem(error),
        Err(error) => {
            if let Some(error) = corrupt(Err(error))? {
                problem(error);
            }
        }
    }
    Ok(())
}

/// The damage that was found, if that is what stopped it.
fn corrupt(checked: Result<()>) -> Result<Option<Error>> {
    match checked {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Some(error)),
        Err(error) => Err(error),
    }
}
