//! The files of a database: which there are, and setting some aside.

use super::replay::is_whole;
use crate::error::{Error, ErrorKind, Result};
use crate::format::end_mark::EndMark;
use crate::format::line::Header;
use crate::format::{sealed, segment, snapshot};
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::sorted_map::insert_sorted;
use crate::storage::Storage;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) first: u64,
    pub(crate) generation: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotFile {
    pub(crate) name: String,
    pub(crate) base: u64,
    pub(crate) sequence: u64,
}

/// The snapshot files of a database, opened.
pub(crate) struct Snapshots<S: Storage> {
    /// Those that count, oldest first.
    pub(crate) tables: Vec<Table<S>>,
    /// Those that were never finished or have been replaced.
    pub(crate) others: Vec<String>,
    /// Those of the others that were left out on purpose.
    pub(crate) left_out: Vec<String>,
    /// Those that imports have left behind which never happened.
    pub(crate) staged: Vec<Staged>,
}

/// A snapshot of an import that never happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) name: String,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// A header is mostly within so many bytes.
const HEADER_READ: usize = 4096;

/// A database's files, as one listing shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// By first sequence number, then the highest generation first.
    pub(crate) segments: Vec<SegmentFile>,
    /// By base, then the longest first.
    pub(crate) snapshots: Vec<SnapshotFile>,
    /// More than one when a close was interrupted.
    pub(crate) end_marks: Vec<EndMark>,
    /// What is in the archive.
    pub(crate) archived: Vec<String>,
}

/// Refuses an encrypted database without its key, of which nothing can be read and everything would look damaged.
pub(super) fn encrypted() -> Error {
    let message = "the database is encrypted; open it with its key (`--key-file`, `EncryptedStorage`, or `encryption` in a page)";
    Error::new(ErrorKind::InvalidArgument, message)
}

impl Files {
    pub(crate) async fn list<S: Storage>(storage: &S) -> Result<Self> {
        let mut files = Self::default();
        for name in storage.list().await? {
            if let Some((first, generation)) = segment::parse_name(&name) {
                let segment = SegmentFile { name, first, generation };
                insert_sorted(&mut files.segments, segment, |f| (f.first, std::cmp::Reverse(f.generation)));
            } else if let Some((base, sequence)) = snapshot::parse_name(&name) {
                let snapshot = SnapshotFile { name, base, sequence };
                insert_sorted(&mut files.snapshots, snapshot, |f| (f.base, std::cmp::Reverse(f.sequence)));
            } else if let Some(mark) = EndMark::parse_name(&name) {
                insert_sorted(&mut files.end_marks, mark, |mark| *mark);
            } else if name.starts_with("archive/") {
                insert_sorted(&mut files.archived, name, String::clone);
            } else if sealed::parse_key_file_name(&name).is_some() {
                return Err(encrypted());
            }
        }
        Ok(files)
    }

    /// Whether there is nothing of a database.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.snapshots.is_empty() && self.end_marks.is_empty()
    }

    /// What names the last record that a log of this epoch must have.
    pub(crate) fn last_end_mark(&self, epoch: u64) -> Option<EndMark> {
        let marks = self.end_marks.iter().filter(|mark| mark.epoch >= epoch);
        marks.max_by_key(|mark| mark.sequence).copied()
    }

    /// The highest epoch that a closing has left a mark of; 0 without any.
    pub(crate) fn marked_epoch(&self) -> u64 {
        self.end_marks.iter().map(|mark| mark.epoch).max().unwrap_or(0)
    }

    /// Opens the snapshots that count: from the beginning on, always the longest whole one that continues.
    ///
    /// `excluded` names files that turned out not to hold what they should.
    pub(crate) async fn open_snapshots<S: Storage>(
        &self,
        storage: &Arc<S>,
        cache: &Arc<BlockCache>,
        excluded: &[String],
    ) -> Result<Snapshots<S>> {
        let left_out = excluded.to_vec();
        let mut found = Snapshots { tables: Vec::new(), others: Vec::new(), left_out, staged: Vec::new() };
        let mut covered = 0;
        for file in &self.snapshots {
            if file.base != covered || file.sequence <= covered || excluded.contains(&file.name) {
                found.others.push(file.name.clone());
                continue;
            }
            match Table::open(Arc::clone(storage), &file.name, Arc::clone(cache)).await? {
                OpenOutcome::Table(table) => {
                    if (table.base(), table.sequence()) != (file.base, file.sequence) {
                        let message =
                            "the snapshot's name is not its own; rename it back or restore a backup";
                        return Err(Error::corrupt(file.name.clone(), 0, message));
                    }
                    if self.is_staged(&**storage, &table).await? {
                        let (epoch, sequence) = (table.epoch(), table.sequence());
                        found.staged.push(Staged { name: file.name.clone(), epoch, sequence });
                        continue;
                    }
                    covered = table.sequence();
                    found.tables.push(*table);
                }
                // Whether anything is missing without it, the log will tell.
                OpenOutcome::NoFooter(_) => found.others.push(file.name.clone()),
            }
        }
        Ok(found)
    }

    /// Whether the table is what an import has written and then not begun the log anew behind: the import never happened.
    /// It is of an epoch that no segment is of.
    pub(crate) async fn is_staged<S: Storage>(&self, storage: &S, table: &Table<S>) -> Result<bool> {
        let mut any = false;
        for file in self.segments.iter().rev().filter(|_| table.base() == 0) {
            if let Some(header) = read_header(storage, &file.name).await? {
                any = true;
                if header.epoch >= table.epoch() {
                    return Ok(false);
                }
            }
        }
        Ok(any)
    }

    /// The segments that may hold records behind `covered`, by first sequence number; of each the generations,
    /// highest first.
    pub(crate) fn segments_beyond(&self, covered: u64) -> Vec<&[SegmentFile]> {
        let groups: Vec<&[SegmentFile]> = self.segments.chunk_by(|a, b| a.first == b.first).collect();
        let starts =
            |group: &&[SegmentFile]| group.first().is_some_and(|f| f.first <= covered.saturating_add(1));
        let from = groups.iter().rposition(starts).unwrap_or(0);
        groups.get(from..).unwrap_or_default().to_vec()
    }

    /// The segments that a snapshot up to `covered` has replaced.
    pub(crate) fn stale_segments(&self, covered: u64) -> Vec<String> {
        let needed = self.segments_beyond(covered).first().and_then(|g| g.first()).map_or(0, |f| f.first);
        self.segments.iter().filter(|f| f.first < needed).map(|f| f.name.clone()).collect()
    }

    /// The lowest generation for a segment that begins at `first` that no file bears.
    pub(crate) fn next_generation(&self, first: u64) -> u32 {
        let taken = self.segments.iter().filter(|f| f.first == first).map(|f| f.generation).max();
        taken.map_or(0, |generation| generation.saturating_add(1))
    }

    /// For a message: which snapshots there are, in case one of them should have held what is missing.
    pub(crate) fn broken_note(&self) -> String {
        match self.snapshots.as_slice() {
            [] => String::new(),
            files => {
                let names: Vec<_> = files.iter().map(|f| f.name.as_str()).collect();
                format!(" (snapshot files: {})", names.join(", "))
            }
        }
    }
}

/// The header of the segment `name`, if its making was finished.
pub(crate) async fn read_header<S: Storage>(storage: &S, name: &str) -> Result<Option<Header>> {
    let mut bytes = storage.read_at(name, 0, HEADER_READ).await?;
    if bytes.len() == HEADER_READ {
        // Rather than in pieces, for most headers are short.
        bytes = match segment::read_header(&bytes) {
            Ok((header, _)) if header.carried == 0 => bytes,
            _ => storage.read_at(name, 0, usize::MAX).await?,
        };
    }
    Ok(match segment::read_header(&bytes) {
        Ok((header, len)) if is_whole(&header, len, &bytes) => Some(header),
        _ => None,
    })
}

/// Keeps a durable copy of bytes that do not count, and reads it back. Returns its name.
pub(crate) async fn copy_to_quarantine<S: Storage>(
    storage: &S,
    file: &str,
    offset: u64,
    bytes: &[u8],
) -> Result<String> {
    let taken = storage.list().await?;
    let stem = format!("quarantine/{file}.{offset}");
    let mut name = stem.clone();
    let mut copy = 1;
    while taken.contains(&name) {
        if storage.read_at(&name, 0, usize::MAX).await? == bytes {
            // Of an opening that got no further.
            storage.sync(&name).await?;
            return Ok(name);
        }
        copy += 1;
        name = format!("{stem}.{copy}");
    }
    storage.create(&name).await?;
    match write_copy(storage, &name, bytes).await {
        Ok(()) => Ok(name),
        Err(error) => {
            // Every opening on a full disk would leave another part of a copy.
            let _ = storage.remove(&name).await;
            Err(error)
        }
    }
}

async fn write_copy<S: Storage>(storage: &S, name: &str, bytes: &[u8]) -> Result<()> {
    storage.append(name, bytes).await?;
    storage.sync(name).await?;
    if storage.read_at(name, 0, usize::MAX).await? != bytes {
        let message = "the copy of damaged bytes does not read back; nothing was changed, check the disk";
        return Err(Error::corrupt(name, 0, message));
    }
    Ok(())
}

/// Removes a file that is no longer needed, if it is there.
pub(crate) async fn remove_if_there<S: Storage>(storage: &S, name: &str) -> Result<()> {
    match storage.remove(name).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
