//! The archive of an open database: taking in what snapshots have replaced, and letting go what is too old.
//!
//! A file is copied, read back, and only then removed from where it stood: storages cannot rename. A copy that was
//! interrupted is made anew, for the file is still there.

use super::catalog::{Catalog, Piece, Run};
use super::names::{ArchivedSegment, ArchivedSnapshot};
use super::retention::{self, Retention};
use super::timeline::{Timeline, chain_to};
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::{self, Chain};
use crate::log::files::{Files, remove_if_there};
use crate::log::replay::is_whole;
use crate::options::Environment;
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::storage::Storage;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::HashSet;
use std::sync::Arc;

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What becomes of the files that snapshots replace.
#[derive(Default)]
pub(crate) struct Archive {
    retention: Mutex<Option<Retention>>,
    /// Views of the past that are being read: no file goes from under them.
    readers: Mutex<usize>,
    /// Whether there was anything in it at opening.
    filled: bool,
}

/// Keeps the archive's files in place while it lives.
pub(crate) struct Reading(Arc<Archive>);

impl Drop for Reading {
    fn drop(&mut self) {
        *self.0.readers() -= 1;
    }
}

impl Archive {
    pub(crate) fn new(files: &Files) -> Self {
        let retention = Mutex::new(retention::of(&files.archived));
        let filled = files.archived.iter().any(|name| is_archived(name));
        Self { retention, readers: Mutex::default(), filled }
    }

    /// Refuses to take a directory of backups, or what is left of a database, for an empty place.
    pub(crate) fn require_log(&self, files: &Files) -> Result<()> {
        if !self.filled || !files.is_empty() {
            return Ok(());
        }
        let message = "there is no log, only history, as in a directory of backups; use `pumice restore`, or \
             `Db::restore`, to make a database of it";
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }

    pub(crate) fn retention(&self) -> Option<Retention> {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn set<S: Storage>(&self, storage: &S, retention: Option<Retention>) -> Result<()> {
        retention::write(storage, retention).await?;
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner) = retention;
        Ok(())
    }

    fn readers(&self) -> MutexGuard<'_, usize> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is let go while what this returns lives.
    pub(crate) fn begin_reading(self: &Arc<Self>) -> Reading {
        *self.readers() += 1;
        Reading(Arc::clone(self))
    }

    /// Takes in the file `name`, which is about to be removed, if the past is kept and the file is a part of it.
    pub(crate) async fn take_in<S: Storage>(&self, storage: &Arc<S>, name: &str) -> Result<()> {
        if self.retention().is_none() {
            return Ok(());
        }
        match archived_name(storage, name).await? {
            Some((to, len)) => copy_file(&**storage, name, len, &**storage, &to).await,
            None => Ok(()),
        }
    }

    /// Lets go what is beyond the limits, and everything if nothing is to be kept.
    pub(crate) async fn let_go<S: Storage>(&self, storage: &S, clock: &dyn Environment) -> Result<()> {
        if *self.readers() > 0 {
            return Ok(());
        }
        let retention = self.retention();
        if retention == Some(Retention::new()) {
            return Ok(());
        }
        let files = Files::list(storage).await?;
        if !files.archived.iter().any(|name| is_archived(name)) {
            return Ok(());
        }
        let mut kept = HashSet::new();
        if let Some(retention) = retention {
            let timeline = Timeline::read(storage, Catalog::of(storage, &files).await?).await?;
            kept = within(storage, &timeline, retention, clock.unix_millis()).await?;
        }
        for name in files.archived.iter().filter(|name| is_archived(name) && !kept.contains(*name)) {
            remove_if_there(storage, name).await?;
        }
        Ok(())
    }
}

fn is_archived(name: &str) -> bool {
    ArchivedSegment::parse_name(name).is_some() || ArchivedSnapshot::parse_name(name).is_some()
}

/// The name of a file in the archive, and how many of its bytes count; `None` for what was never finished, or holds
/// nothing.
pub(crate) async fn archived_name<S: Storage>(storage: &Arc<S>, name: &str) -> Result<Option<(String, u64)>> {
    if segment::parse_name(name).is_some() {
        let bytes = storage.read_at(name, 0, usize::MAX).await?;
        return Ok(archived_segment(&bytes).map(|(segment, len)| (segment.file_name(), len)));
    }
    let cache = Arc::new(BlockCache::new(0));
    Ok(match Table::open(Arc::clone(storage), name, cache).await? {
        OpenOutcome::Table(table) => {
            let (epoch, base, sequence) = (table.epoch(), table.base(), table.sequence());
            Some((ArchivedSnapshot { epoch, base, sequence }.file_name(), table.file_len()))
        }
        OpenOutcome::NoFooter(_) => None,
    })
}

fn archived_segment(bytes: &[u8]) -> Option<(ArchivedSegment, u64)> {
    let (header, header_len) = segment::read_header(bytes).ok()?;
    let chain = Chain { next: header.first, previous: header.previous };
    // Without a seal at the end, which is not there yet in an earlier copy.
    let (mut time, mut len) = (0, header_len);
    let end = segment::walk(bytes, header_len, chain, |write| (time, len) = (write.time, write.range.end));
    let (epoch, first, last) = (header.epoch, header.first, end.chain.last());
    let segment = ArchivedSegment { epoch, first, last, time, checksum: end.chain.previous };
    // One without records tells nothing, unless that the log began anew here.
    let tells = first <= last || header.begins_anew();
    (tells && is_whole(&header, header_len, bytes)).then_some((segment, len as u64))
}

/// Copies the first `len` bytes of a file durably, and reads the copy back. What has the name already is replaced unless it
/// is the same.
pub(crate) async fn copy_file<S: Storage, T: Storage>(
    from: &S,
    name: &str,
    len: u64,
    to: &T,
    copy: &str,
) -> Result<()> {
    if to.list().await?.iter().any(|there| there == copy) {
        if same(from, name, len, to, copy).await? {
            // Of a process that was killed before its sync, it may be.
            return to.sync(copy).await;
        }
        to.remove(copy).await?;
    }
    to.create(copy).await?;
    let copied = async {
        let mut at = 0;
        while at < len {
            let piece = from.read_at(name, at, piece_len(at, len)).await?;
            if piece.is_empty() {
                break;
            }
            to.append(copy, &piece).await?;
            at += piece.len() as u64;
        }
        to.sync(copy).await?;
        if same(from, name, len, to, copy).await? {
            return Ok(());
        }
        let message = "the copy does not read back as it was written; nothing was removed, check the disk";
        Err(Error::corrupt(copy, 0, message))
    };
    let copied = copied.await;
    if copied.is_err() {
        // Every further try on a full disk would leave it there.
        let _ = to.remove(copy).await;
    }
    copied
}

fn piece_len(at: u64, len: u64) -> usize {
    usize::try_from(len - at).unwrap_or(usize::MAX).min(COPY_BYTES)
}

/// Whether the file `copy` is the first `len` bytes of the file `name`.
pub(crate) async fn same<S: Storage, T: Storage>(
    from: &S,
    name: &str,
    len: u64,
    to: &T,
    copy: &str,
) -> Result<bool> {
    if to.len(copy).await? != len {
        return Ok(false);
    }
    let mut at = 0;
    while at < len {
        let piece = piece_len(at, len);
        if from.read_at(name, at, piece).await? != to.read_at(copy, at, piece).await? {
            return Ok(false);
        }
        at += piece as u64;
    }
    Ok(true)
}

/// The files of the archive that are within the limits.
async fn within<S: Storage>(
    storage: &S,
    timeline: &Timeline,
    retention: Retention,
    now: u64,
) -> Result<HashSet<String>> {
    let mut kept = Kept::everything(storage, timeline).await?;
    if let Some(keep) = retention.limit_time() {
        let from = now.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        kept.only_from(timeline, |part_before| part_before.time <= from);
    }
    while retention.limit_bytes().is_some_and(|limit| kept.bytes() > limit) && kept.shorten(timeline) {}
    Ok(kept.names())
}

/// A stretch of the past, from the state after one record on.
struct Kept<'t> {
    pieces: Vec<(&'t Piece, u64)>,
    bases: Vec<(&'t Run, u64)>,
}

impl<'t> Kept<'t> {
    async fn everything<S: Storage>(storage: &S, timeline: &'t Timeline) -> Result<Self> {
        let mut kept = Self { pieces: Vec::new(), bases: Vec::new() };
        for part in &timeline.parts {
            for piece in part.pieces.iter().filter(|piece| !piece.live) {
                kept.pieces.push((piece, storage.len(&piece.name).await?));
            }
            let chains = timeline.chains(part, &[]);
            for base in chains.values().flatten().filter(|base| !base.live) {
                if kept.bases.iter().all(|(known, _)| known.name != base.name) {
                    kept.bases.push((base, storage.len(&base.name).await?));
                }
            }
        }
        Ok(kept)
    }

    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, len)| len).chain(self.bases.iter().map(|(_, len)| len)).sum()
    }

    fn names(&self) -> HashSet<String> {
        let pieces = self.pieces.iter().map(|(piece, _)| piece.name.clone());
        pieces.chain(self.bases.iter().map(|(base, _)| base.name.clone())).collect()
    }

    /// Begins with the latest state that a chain of snapshots gives directly, and behind which no piece is old.
    fn only_from(&mut self, timeline: &'t Timeline, is_old: impl Fn(&Piece) -> bool) {
        let Some(last_old) = self.pieces.iter().filter(|(p, _)| is_old(p)).map(|(p, _)| p.last).max() else {
            return;
        };
        for (index, part) in timeline.parts.iter().enumerate() {
            let chains = timeline.chains(part, &[]);
            let start = chains.keys().copied().filter(|end| *end <= last_old && *end + 1 >= part.first).max();
            if let Some(start) = start.filter(|start| *start > 0) {
                self.begin(timeline, index, start);
                return;
            }
        }
    }

    /// Begins with the next later state that a chain of snapshots gives directly. Returns whether anything went.
    fn shorten(&mut self, timeline: &'t Timeline) -> bool {
        let before = self.pieces.len() + self.bases.len();
        let oldest = self.pieces.iter().map(|(p, _)| p.first()).min();
        let oldest = oldest.unwrap_or(0).max(self.bases.iter().map(|(b, _)| b.sequence).min().unwrap_or(0));
        for (index, part) in timeline.parts.iter().enumerate().rev() {
            let chains = timeline.chains(part, &[]);
            let later = |end: &u64| *end >= oldest && *end + 1 >= part.first && *end <= part.last;
            for start in chains.keys().copied().filter(later) {
                self.begin(timeline, index, start);
                if self.pieces.len() + self.bases.len() < before {
                    return true;
                }
            }
        }
        self.pieces.clear();
        self.bases.clear();
        before > 0
    }

    /// Begins with the state after `start` in the part of that index.
    fn begin(&mut self, timeline: &'t Timeline, index: usize, start: u64) {
        let Some(part) = timeline.parts.get(index) else { return };
        let chains = timeline.chains(part, &[]);
        let chain = chain_to(&chains, start);
        let newer = timeline.parts.get(..=index).unwrap_or_default();
        self.pieces.retain(|(piece, _)| {
            piece.last > start && newer.iter().any(|part| part.pieces.iter().any(|p| p.name == piece.name))
        });
        self.bases.retain(|(base, _)| base.sequence > start || chain.iter().any(|c| c.name == base.name));
    }
}
