//! Replay: reading the log's segments into a table, and telling what a crash leaves from damage.
//!
//! Writes nothing. Stops at the first byte that is not what a writer leaves behind, and refuses unless the recovery
//! mode takes that for the end of the log.

use super::files::{Files, SegmentFile, encrypted};
use super::writer::Segment;
use crate::document::sort_key;
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::end_mark::EndMark;
use crate::format::line::{Header, LineError};
use crate::format::sealed;
use crate::format::segment::{self, Chain, End, Write};
use crate::options::RecoveryMode;
use crate::record::{Op, Record};
use crate::state::memtable::{Change, Memtable};
use crate::storage::Storage;
use bytes::Bytes;

/// A segment in memory, with what its header says.
pub(super) struct Loaded {
    pub(super) file: SegmentFile,
    pub(super) bytes: Bytes,
    pub(super) header: Header,
    pub(super) header_len: usize,
}

/// The log as read, before anything is written.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) loaded: Vec<Loaded>,
    pub(super) ends: Vec<End>,
    /// Files that never became segments, or that others replaced.
    pub(super) leftovers: Vec<SegmentFile>,
    /// Those of the leftovers that hold something, and nothing that can be read.
    pub(super) unreadable: Vec<SegmentFile>,
    /// Segments behind the damage that point-in-time recovery gives up.
    pub(super) given_up: Vec<SegmentFile>,
    /// Point-in-time recovery gave up something that may have been acknowledged.
    pub(super) history_changed: bool,
    /// The highest epoch of the segments, those given up included.
    pub(super) newest_epoch: u64,
    /// What clients' writes were answered with.
    pub(super) clients: Clients,
}

/// Reads every segment beyond `covered` into `memtable`.
pub(super) async fn replay<S: Storage>(
    storage: &S,
    files: &Files,
    covered: u64,
    mode: RecoveryMode,
    memtable: &Memtable,
) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut unfinished: Vec<(SegmentFile, Bytes)> = Vec::new();
    for candidates in files.segments_beyond(covered) {
        // The highest generation that is whole counts; it replaces those below it.
        let mut chosen = None;
        for file in candidates {
            if chosen.is_some() {
                replayed.leftovers.push(file.clone());
                continue;
            }
            let bytes = Bytes::from(storage.read_at(&file.name, 0, usize::MAX).await?);
            match segment::read_header(&bytes) {
                Ok((header, header_len)) if is_whole(&header, header_len, &bytes) => {
                    chosen = Some(Loaded { file: file.clone(), bytes, header, header_len });
                }
                Err(LineError::NewerVersion(version)) => {
                    let error = LineError::NewerVersion(version).message();
                    return Err(Error::new(ErrorKind::Version, format!("{}: {error}", file.name)));
                }
                // Without its key file, which is missing.
                _ if bytes.starts_with(sealed::MAGIC) => return Err(encrypted()),
                _ => unfinished.push((file.clone(), bytes)),
            }
        }
        replayed.loaded.extend(chosen);
    }
    check_start(&replayed.loaded, &unfinished, files, covered)?;
    let epoch = replayed.loaded.last().map_or(0, |segment| segment.header.epoch);
    replayed.newest_epoch = replayed.loaded.iter().map(|segment| segment.header.epoch).max().unwrap_or(0);
    let mark = files.last_end_mark(epoch);
    let marked_end = mark.map_or(0, |mark| mark.sequence);
    walk_all(&mut replayed, &unfinished, covered, marked_end, mode, memtable)?;
    let end = replayed.ends.last().map_or(covered, |end| end.chain.last());
    let given_up = replayed.given_up.first().map(|f| f.first);
    for (file, bytes) in unfinished {
        // Recovery copies records into a new segment before it counts, and leaves them where they are until it does;
        // only records found nowhere else show that this one did count.
        let lost = segment::highest_record(&bytes).is_some_and(|highest| highest > end)
            || segment::read_header(&bytes).is_ok_and(|(h, _)| h.carried > 0 && h.first > end);
        if lost && mode != RecoveryMode::PointInTime {
            return Err(header_damaged(&file));
        }
        if lost || given_up.is_some_and(|first| file.first >= first) {
            replayed.history_changed = true;
            replayed.given_up.push(file);
        } else {
            if segment::read_header(&bytes).is_err() && !segment::only_zeros(&bytes) {
                replayed.unreadable.push(file.clone());
            }
            replayed.leftovers.push(file);
        }
    }
    if let Some(mark) = mark
        && end.max(covered) < mark.sequence
    {
        if mode != RecoveryMode::PointInTime {
            return Err(replayed.cut_short(end, mark));
        }
        replayed.history_changed = true;
    }
    Ok(replayed)
}

/// Judges the log as an opening does, but without the snapshots before it. Returns its last record; nothing where there is no log.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) for damage that no crash leaves, and failures of the storage.
#[allow(dead_code)] // A browser restores nothing.
pub(crate) async fn end_of_log<S: Storage>(storage: &S, files: &Files) -> Result<Option<u64>> {
    let Some(covered) = files.segments.first().and_then(|file| file.first.checked_sub(1)) else {
        return Ok(None);
    };
    let replayed = replay(storage, files, covered, RecoveryMode::TornTail, &Memtable::default()).await?;
    Ok(replayed.ends.last().map(|end| end.chain.last()))
}

fn header_damaged(file: &SegmentFile) -> Error {
    let message =
        "the beginning of the segment is damaged; restore a backup, or open it with another `RecoveryMode`";
    Error::corrupt(file.name.clone(), 0, message)
}

/// Whether a segment's creation was finished: what it carries over is all there.
pub(crate) fn is_whole(header: &Header, header_len: usize, bytes: &[u8]) -> bool {
    let Some(end) = usize::try_from(header.carried).ok().and_then(|carried| header_len.checked_add(carried))
    else {
        return false;
    };
    let chain = Chain { next: header.first, previous: header.previous };
    match bytes.get(..end) {
        Some(carried) => segment::walk(carried, header_len, chain, |_| {}).valid_len == end,
        None => false,
    }
}

/// The header of the segment `bytes`, if it is sound to the place where `next` says that it ends.
fn followed_by(bytes: &[u8], next: &Header) -> Option<Header> {
    let (header, header_len) = segment::read_header(bytes).ok()?;
    let bytes = bytes.get(..usize::try_from(next.previous_len).ok()?)?;
    let chain = Chain { next: header.first, previous: header.previous };
    let end = segment::walk(bytes, header_len, chain, |_| {});
    let complete = end.damage.is_none() && end.valid_len == bytes.len();
    (complete && end.chain == Chain { next: next.first, previous: next.previous }).then_some(header)
}

fn check_start(
    loaded: &[Loaded],
    unfinished: &[(SegmentFile, Bytes)],
    files: &Files,
    covered: u64,
) -> Result<()> {
    let damaged = unfinished.iter().find(|(file, _)| file.first <= covered + 1);
    // The log moved on before the snapshot was made, so there was a segment right behind it.
    let goes_on = covered == 0 || loaded.iter().any(|segment| segment.header.first == covered + 1);
    let first = match loaded.first() {
        Some(first) if first.header.first > covered + 1 => Some(first),
        _ if goes_on => return Ok(()),
        _ => None,
    };
    if let Some((file, _)) = damaged {
        return Err(header_damaged(file));
    }
    let Some(first) = first else {
        let message =
            format!("the log after record {covered} is missing; put its files back, or restore a backup");
        return Err(Error::new(ErrorKind::Corrupt, message));
    };
    let message = format!(
        "records {} to {} are missing: no sound snapshot or segment holds them{}; restore a backup, or open it with another `RecoveryMode`",
        covered + 1,
        first.header.first - 1,
        files.broken_note(),
    );
    Err(Error::corrupt(first.file.name.clone(), 0, message))
}

fn walk_all(
    replayed: &mut Replayed,
    unfinished: &[(SegmentFile, Bytes)],
    covered: u64,
    marked_end: u64,
    mode: RecoveryMode,
    memtable: &Memtable,
) -> Result<()> {
    let mut expected: Option<Chain> = None;
    for index in 0..replayed.loaded.len() {
        let Some(segment) = replayed.loaded.get(index) else { break };
        let next = replayed.loaded.get(index + 1);
        let chain = Chain { next: segment.header.first, previous: segment.header.previous };
        if expected.is_some_and(|expected| expected != chain) || segment.file.first != segment.header.first {
            // With nothing before it there is no point in time to go back to.
            if mode != RecoveryMode::PointInTime || index == 0 {
                let message = "the segment does not continue the one before it";
                return Err(refuse(&segment.file.name, 0, message, false));
            }
            replayed.give_up_from(index);
            break;
        }
        // As of its beginning. What an earlier segment has told besides, the clients have the answers of.
        let mut clients = segment.header.clients.clone();
        let end = walk_one(segment, next, chain, |bytes, write| {
            if let Some(origin) = write.origin {
                clients.written(&origin.client, origin.number, write.sequence, write.time);
            }
            apply(bytes, write, covered, memtable);
        });
        clients.forget_silent(end.time);
        if let Some((offset, message)) = damage_of(&end, next) {
            if let (None, Some(next)) = (&end.damage, next)
                && mode != RecoveryMode::PointInTime
                && let Some((file, _)) = unfinished.iter().find(|(f, _)| f.first == end.chain.next)
                && file.first < next.header.first
            {
                return Err(header_damaged(file));
            }
            let rest = segment.bytes.get(end.valid_len..).unwrap_or_default();
            let torn = next.is_none()
                && end.chain.next > marked_end
                && !segment::proves_durable(rest, end.chain.next);
            let accepted = match mode {
                RecoveryMode::Strict => false,
                // Salvage does not come here.
                RecoveryMode::TornTail | RecoveryMode::Salvage => torn,
                RecoveryMode::PointInTime => true,
            };
            if !accepted {
                return Err(refuse(&segment.file.name, offset, &message, torn));
            }
            replayed.history_changed = !torn;
            replayed.give_up_from(index + 1);
        }
        expected = Some(end.chain);
        replayed.clients = clients;
        replayed.ends.push(end);
    }
    Ok(())
}

/// Walks over what counts of a segment before `next`.
fn walk_one(
    segment: &Loaded,
    next: Option<&Loaded>,
    chain: Chain,
    mut visit: impl FnMut(&Bytes, &Write<'_, '_>),
) -> End {
    let all = &segment.bytes;
    let Some(next) = next else {
        return segment::walk(all, segment.header_len, chain, |write| visit(all, &write));
    };
    let limit = usize::try_from(next.header.previous_len).unwrap_or(usize::MAX).min(all.len());
    let bytes = all.slice(..limit);
    let end = segment::walk(&bytes, segment.header_len, chain, |write| visit(&bytes, &write));
    if damage_of(&end, Some(next)).is_none() {
        return end;
    }
    // If it is not this segment that `next` followed, its header does not know where this one ends.
    let seen = end.valid_len;
    segment::walk(all, segment.header_len, chain, |write| {
        if write.range.start >= seen {
            visit(all, &write);
        }
    })
}

/// Why a segment that ends like that, before `next`, is not as it was written, and where.
fn damage_of(end: &End, next: Option<&Loaded>) -> Option<(usize, String)> {
    if let Some(damage) = &end.damage {
        return Some((damage.offset, damage.message.clone()));
    }
    let header = &next?.header;
    let message = if end.chain.next < header.first {
        format!("records {} to {} are missing", end.chain.next, header.first - 1)
    } else if end.chain.next == header.first && end.valid_len as u64 == header.previous_len {
        return None;
    } else {
        "the segment does not end where the next one begins".to_owned()
    };
    Some((end.valid_len, message))
}

fn refuse(file: &str, offset: usize, message: &str, torn: bool) -> Error {
    let advice = if torn {
        "it looks like the torn tail of a crash; open in torn-tail mode to set it aside"
    } else {
        "restore a backup, or open it with another `RecoveryMode`"
    };
    Error::corrupt(file, offset as u64, format!("the log is damaged: {message}; {advice}"))
}

/// Applies one write, unless a snapshot covers it.
fn apply(bytes: &Bytes, write: &Write<'_, '_>, covered: u64, memtable: &Memtable) {
    if write.sequence > covered {
        let changes = write.records.iter().filter_map(|record| change(bytes, record));
        memtable.apply(changes, |_, _| false);
    }
}

/// What a record does to the state. Its value stays a slice of the segment's bytes.
pub(crate) fn change(bytes: &Bytes, record: &Record<'_>) -> Option<Change> {
    let sequence = record.sequence;
    Some(match &record.op {
        Op::Put { collection, key, value } => {
            Change::Put { key: sort_key(collection, key), sequence, value: shared(bytes, value) }
        }
        Op::Delete { collection, key } => Change::Delete { key: sort_key(collection, key), sequence },
        Op::Drop { collection } => Change::Drop { collection: collection.as_bytes().into(), sequence },
        Op::Begin { .. } | Op::Commit { .. } => return None,
    })
}

fn shared(bytes: &Bytes, text: &str) -> Bytes {
    bytes.slice_ref(text.as_bytes())
}

impl Replayed {
    fn give_up_from(&mut self, index: usize) {
        let behind = self.loaded.split_off(index);
        self.history_changed |= !behind.is_empty();
        self.given_up.extend(behind.into_iter().map(|l| l.file));
    }

    /// The log ends soundly, but too early.
    fn cut_short(&self, end: u64, mark: EndMark) -> Error {
        let message = format!(
            "the log ends at record {end}, but the database was closed at record {}, as {} says; put the log's files \
             back, restore a backup, or open it with another `RecoveryMode`",
            mark.sequence,
            mark.file_name()
        );
        match self.loaded.last().zip(self.ends.last()) {
            Some((segment, end)) => Error::corrupt(segment.file.name.clone(), end.valid_len as u64, message),
            None => Error::new(ErrorKind::Corrupt, message),
        }
    }

    /// The complete segments directly before the ones that were read, oldest first: snapshots have replaced them, and
    /// their removal has not come, or was put off.
    pub(super) async fn replaced_segments<S: Storage>(
        &self,
        storage: &S,
        files: &Files,
    ) -> Result<Vec<Segment>> {
        let mut found = Vec::new();
        let Some(mut next) = self.loaded.first().map(|l| l.header.clone()) else { return Ok(found) };
        let mut groups: Vec<_> = files.segments.chunk_by(|a, b| a.first == b.first).collect();
        groups.retain(|group| group.first().is_some_and(|file| file.first < next.first));
        while let Some(group) = groups.pop() {
            let mut before = None;
            for file in group {
                let bytes = storage.read_at(&file.name, 0, usize::MAX).await?;
                if let Some(header) = followed_by(&bytes, &next).filter(|header| header.first == file.first) {
                    let (first, last, bytes) = (header.first, next.first - 1, next.previous_len);
                    before = Some((Segment { name: file.name.clone(), first, last, bytes }, header));
                    break;
                }
            }
            let Some((segment, header)) = before else { break };
            found.insert(0, segment);
            next = header;
        }
        Ok(found)
    }

    pub(super) fn segments(&self) -> Vec<Segment> {
        let counted = self.loaded.iter().zip(&self.ends);
        counted
            .map(|(l, end)| Segment {
                name: l.file.name.clone(),
                first: l.header.first,
                last: end.chain.last(),
                bytes: end.valid_len as u64,
            })
            .collect()
    }
}
