//! Opening: which files count, where the log ends, and what to do about a crash's traces or about damage.
//!
//! Guarantees: nothing that was acknowledged is given up except in [`RecoveryMode::PointInTime`]; a damaged byte is
//! never stepped over; nothing is removed before a copy was read back or its replacement is durable; a crash at any
//! moment of this leaves files that open the same way again.

use super::files::{Files, SegmentFile, copy_to_quarantine, remove_if_there};
use super::salvage;
use super::writer::{LogWriter, Segment};
use crate::document::sort_key;
use crate::error::{Error, ErrorKind, Result};
use crate::format::line::{Header, LineError};
use crate::format::segment::{self, Chain, End, Write};
use crate::options::{Options, RecoveryMode};
use crate::record::{Op, Record};
use crate::snapshot::{BlockCache, Table};
use crate::state::memtable::{Change, Memtable};
use crate::storage::Storage;
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// What opening found and did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// What stood behind the last record that counts.
    pub torn: Option<Torn>,
    /// The log did not end with a seal: the last writer was killed, crashed, or is still at work.
    pub unclean: bool,
    /// What could not be read, in [`RecoveryMode::Salvage`].
    pub damage: Vec<Error>,
    /// Records read from the log, those that a snapshot covers already included.
    pub replayed: u64,
}

/// Bytes that do not count: they are behind the last record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// The segment they stand (or stood) in.
    pub file: String,
    /// Where they begin, in bytes.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// Why the first of them is not a record.
    pub reason: String,
    /// The file that keeps a copy of them; `None` when nothing was written.
    pub quarantined: Option<String>,
}

/// What a database is made of at opening.
pub(crate) struct Opened<S: Storage> {
    pub(crate) tables: Vec<Arc<Table<S>>>,
    pub(crate) memtable: Memtable,
    pub(crate) chain: Chain,
    pub(crate) time: u64,
    pub(crate) store: [u8; 16],
    pub(crate) epoch: u64,
    /// All segments that count, oldest first, the active one included.
    pub(crate) segments: Vec<Segment>,
    /// `None` when opened read-only.
    pub(crate) writer: Option<LogWriter<S>>,
    pub(crate) sealed: bool,
    pub(crate) report: Recovery,
}

/// A segment in memory, with what its header says.
struct Loaded {
    file: SegmentFile,
    bytes: Bytes,
    header: Header,
    header_len: usize,
}

/// The log as read, before anything is written.
#[derive(Default)]
struct Replayed {
    loaded: Vec<Loaded>,
    ends: Vec<End>,
    /// Files that never became segments, or that others replaced.
    leftovers: Vec<SegmentFile>,
    /// Segments behind the damage that point-in-time recovery gives up.
    given_up: Vec<SegmentFile>,
    /// Point-in-time recovery gave up something that may have been acknowledged.
    history_changed: bool,
}

/// Opens the database in `storage`; makes one if it is empty and may be written.
pub(crate) async fn open<S: Storage>(
    storage: Arc<S>,
    options: &Options,
    cache: Arc<BlockCache>,
    files: &Files,
) -> Result<Opened<S>> {
    if options.read_only && files.segments.is_empty() && files.snapshots.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no database to read; open it for writing to make one",
        ));
    }
    if options.recovery == RecoveryMode::Salvage {
        return salvage::open(storage, cache, files).await;
    }
    let (tables, stale_snapshots) = open_snapshots(&storage, &cache, files, options.read_only).await?;
    let covered = tables.last().map_or(0, Table::sequence);
    let memtable = Memtable::default();
    let replayed = replay(&*storage, files, covered, options.recovery, &memtable).await?;
    let mut tables: Vec<_> = tables.into_iter().map(Arc::new).collect();
    tables.reverse();
    check_identity(&tables, &replayed)?;

    let (chain, time, sealed) = match replayed.ends.last() {
        Some(end) => (end.chain, end.time, end.sealed),
        None => (Chain { next: covered + 1, previous: 0 }, 0, true),
    };
    // A file that never became a segment may also be one that lost its beginning.
    let unclean = !sealed || !replayed.leftovers.is_empty();
    let store = match (replayed.loaded.last(), tables.first()) {
        (Some(segment), _) => segment.header.store,
        (None, Some(table)) => table.store_id(),
        (None, None) => {
            let mut store = [0; 16];
            options.environment.random(&mut store)?;
            store
        }
    };
    let mut report = Recovery { torn: torn(&replayed), unclean, ..Recovery::default() };
    report.replayed =
        replayed.ends.iter().zip(&replayed.loaded).map(|(e, l)| e.chain.next - l.header.first).sum();
    if chain.last() < covered {
        let message = format!(
            "the log ends at record {} but a snapshot covers {covered}; see `pumice repair`",
            chain.last()
        );
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    let mut epoch = replayed.loaded.last().map_or(1, |l| l.header.epoch);
    let mut segments = replayed.segments();
    let mut sealed = !unclean;
    let mut writer = None;
    if !options.read_only {
        let recovered = make_writable(&storage, files, &replayed, store, &mut report).await?;
        remove_replaced(&*storage, files, &tables, &stale_snapshots, covered).await?;
        sealed = recovered.resumed;
        epoch = recovered.writer.epoch();
        segments.retain(|s| s.first < recovered.writer.active().first);
        if let (Some(last), Some(cut)) = (segments.last_mut(), recovered.previous_cut) {
            last.last = recovered.writer.active().first - 1;
            last.bytes = cut;
        }
        segments.push(recovered.writer.active().clone());
        writer = Some(recovered.writer);
    }
    Ok(Opened { tables, memtable, chain, time, store, epoch, segments, writer, sealed, report })
}

/// Opens the snapshots that count. Files that a snapshot replaced are still there when a compaction was interrupted,
/// perhaps before it had read its work back; before they go for its sake, that is made up for.
async fn open_snapshots<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    files: &Files,
    read_only: bool,
) -> Result<(Vec<Table<S>>, Vec<String>)> {
    let mut excluded = Vec::new();
    'choose: loop {
        let (tables, others) = files.open_snapshots(storage, cache, &excluded).await?;
        if read_only {
            return Ok((tables, others));
        }
        let covered = tables.last().map_or(0, Table::sequence);
        let stale = files.stale_segments(covered);
        let replaces = |t: &&Table<S>| {
            let old = files.snapshots.iter().filter(|f| others.contains(&f.name));
            let old_segments = files.segments.iter().filter(|f| stale.contains(&f.name));
            old.clone().any(|f| f.base < t.sequence() && f.sequence > t.base())
                || old_segments.clone().any(|f| f.first > t.base() && f.first <= t.sequence())
        };
        for table in tables.iter().filter(replaces) {
            if let Err(error) = table.verify().await {
                tracing::warn!(%error, "a snapshot is damaged; looking for the files it was made from");
                excluded.push(table.name().to_owned());
                continue 'choose;
            }
        }
        return Ok((tables, others));
    }
}

/// Removes the files that the snapshots `tables` have replaced.
async fn remove_replaced<S: Storage>(
    storage: &S,
    files: &Files,
    tables: &[Arc<Table<S>>],
    stale_snapshots: &[String],
    covered: u64,
) -> Result<()> {
    let stale_segments = files.stale_segments(covered);
    if stale_snapshots.is_empty() && stale_segments.is_empty() {
        return Ok(());
    }
    for table in tables {
        // A process can be killed between writing a snapshot and syncing it: it reads well, and may still be lost.
        storage.sync(table.name()).await?;
    }
    for name in stale_snapshots.iter().chain(&stale_segments) {
        remove_if_there(storage, name).await?;
    }
    Ok(())
}

/// Whether a database that could not be opened beside its writer looks different by now: then try again.
pub(crate) async fn was_overtaken<S: Storage>(storage: &S, before: &Files) -> bool {
    Files::list(storage).await.is_ok_and(|now| now != *before)
}

/// Whether the bytes behind the last record that counts have changed since: then a writer is at work on them.
pub(crate) async fn is_being_written<S: Storage>(storage: &S, report: &Recovery) -> bool {
    let Some(torn) = &report.torn else { return false };
    match storage.read_at(&torn.file, torn.offset, usize::MAX).await {
        Ok(now) => segment::without_zero_tail(&now).len() as u64 != torn.bytes,
        Err(_) => true,
    }
}

fn check_identity<S: Storage>(tables: &[Arc<Table<S>>], replayed: &Replayed) -> Result<()> {
    let mut ids = tables.iter().map(|t| (t.store_id(), t.name().to_owned()));
    let mut segments = replayed.loaded.iter().map(|l| (l.header.store, l.file.name.clone()));
    let Some((first, _)) = ids.next().or_else(|| segments.next()) else { return Ok(()) };
    match ids.chain(segments).find(|(id, _)| *id != first) {
        None => Ok(()),
        Some((_, file)) => {
            let message = "the file belongs to another database; restore this database from a backup";
            Err(Error::corrupt(file, 0, message))
        }
    }
}

/// Reads every segment beyond `covered` into `memtable`.
async fn replay<S: Storage>(
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
                _ => unfinished.push((file.clone(), bytes)),
            }
        }
        replayed.loaded.extend(chosen);
    }
    check_start(&replayed.loaded, &unfinished, files, covered)?;
    walk_all(&mut replayed, &unfinished, covered, mode, memtable)?;
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
            replayed.leftovers.push(file);
        }
    }
    Ok(replayed)
}

fn header_damaged(file: &SegmentFile) -> Error {
    let message = "the beginning of the segment is damaged; restore a backup, or see `pumice repair`";
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

fn check_start(
    loaded: &[Loaded],
    unfinished: &[(SegmentFile, Bytes)],
    files: &Files,
    covered: u64,
) -> Result<()> {
    let damaged = unfinished.iter().find(|(file, _)| file.first <= covered + 1);
    let Some(first) = loaded.first() else {
        if covered > 0 {
            if let Some((file, _)) = damaged {
                return Err(header_damaged(file));
            }
            let message = format!(
                "the log after record {covered} is missing; put its files back, or restore the newest snapshot \
                 into a new database"
            );
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        return Ok(());
    };
    if first.header.first <= covered + 1 {
        return Ok(());
    }
    if let Some((file, _)) = damaged {
        return Err(header_damaged(file));
    }
    let message = format!(
        "records {} to {} are missing: no sound snapshot or segment holds them{}; restore a backup, or see `pumice repair`",
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
        let end = walk_one(segment, next, chain, |bytes, write| apply(bytes, write, covered, memtable));
        if let Some((offset, message)) = damage_of(&end, next) {
            if let (None, Some(next)) = (&end.damage, next)
                && mode != RecoveryMode::PointInTime
                && let Some((file, _)) = unfinished.iter().find(|(f, _)| f.first == end.chain.next)
                && file.first < next.header.first
            {
                return Err(header_damaged(file));
            }
            let rest = segment.bytes.get(end.valid_len..).unwrap_or_default();
            let torn = next.is_none() && !segment::proves_durable(rest, end.chain.next);
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
        "restore a backup, or see `pumice repair`"
    };
    Error::corrupt(file, offset as u64, format!("the log is damaged: {message}; {advice}"))
}

/// Applies one write, unless a snapshot covers it.
fn apply(bytes: &Bytes, write: &Write<'_, '_>, covered: u64, memtable: &Memtable) {
    if write.sequence > covered {
        let changes = write.records.iter().filter_map(|record| change(bytes, record)).collect();
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

    fn segments(&self) -> Vec<Segment> {
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

/// The bytes behind the last record that counts, if there are any.
fn torn(replayed: &Replayed) -> Option<Torn> {
    let (segment, end) = (replayed.loaded.last()?, replayed.ends.last()?);
    let reason = end.damage.as_ref()?.message.clone();
    let behind = segment::without_zero_tail(segment.bytes.get(end.valid_len..)?);
    Some(Torn {
        file: segment.file.name.clone(),
        offset: end.valid_len as u64,
        bytes: behind.len() as u64,
        reason,
        quarantined: None,
    })
}

struct Writable<S: Storage> {
    writer: LogWriter<S>,
    /// The segment goes on as it stood: its last line is a seal.
    resumed: bool,
    /// To what length the segment before was cut.
    previous_cut: Option<u64>,
}

/// Prepares the log for writing. A log that ends with a seal goes on; otherwise a new segment takes over the records
/// of which nothing says that they are durable, so that they are written anew, and whatever is behind them is set
/// aside first.
async fn make_writable<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    replayed: &Replayed,
    store: [u8; 16],
    report: &mut Recovery,
) -> Result<Writable<S>> {
    let tail = replayed.loaded.last().zip(replayed.ends.last());
    if let (Some((segment, end)), true) = (tail, replayed.given_up.is_empty())
        && end.sealed
        && end.damage.is_none()
    {
        remove_all(&**storage, &replayed.leftovers).await?;
        return resume(storage, segment, end).await;
    }
    if let Some((segment, _)) = tail {
        // A killed process leaves records that no sync has reached. Were a power cut to take them back after some of
        // their copies are on the disk, those would look like records that this segment lost.
        storage.sync(&segment.file.name).await?;
    }
    if let (Some(torn), Some((segment, end))) = (&mut report.torn, tail) {
        let behind = segment.bytes.get(end.valid_len..).unwrap_or_default();
        let behind = segment::without_zero_tail(behind);
        torn.quarantined =
            Some(copy_to_quarantine(&**storage, &segment.file.name, torn.offset, behind).await?);
    }
    for file in replayed.given_up.iter().rev() {
        keep_copy(&**storage, file).await?;
    }
    for file in replayed.given_up.iter().rev() {
        remove_if_there(&**storage, &file.name).await?;
    }
    let created = take_over(storage, files, tail, store, replayed.history_changed).await?;
    remove_all(&**storage, &replayed.leftovers).await?;
    Ok(created)
}

async fn keep_copy<S: Storage>(storage: &S, file: &SegmentFile) -> Result<()> {
    let bytes = storage.read_at(&file.name, 0, usize::MAX).await?;
    copy_to_quarantine(storage, &file.name, 0, &bytes).await.map(drop)
}

async fn remove_all<S: Storage>(storage: &S, files: &[SegmentFile]) -> Result<()> {
    for file in files {
        remove_if_there(storage, &file.name).await?;
    }
    Ok(())
}

async fn resume<S: Storage>(storage: &Arc<S>, segment: &Loaded, end: &End) -> Result<Writable<S>> {
    let bytes = end.valid_len as u64;
    // The storage may have grown the file ahead; appending goes on at the end that counts.
    storage.truncate(&segment.file.name, bytes).await?;
    let active = Segment {
        name: segment.file.name.clone(),
        first: segment.header.first,
        last: end.chain.last(),
        bytes,
    };
    let header = &segment.header;
    let writer = LogWriter::resume(Arc::clone(storage), header.store, header.epoch, active, end.chain);
    Ok(Writable { writer, resumed: true, previous_cut: None })
}

async fn take_over<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    tail: Option<(&Loaded, &End)>,
    store: [u8; 16],
    history_changed: bool,
) -> Result<Writable<S>> {
    let Some((segment, end)) = tail else {
        let header = Header { store, epoch: 1, first: 1, previous: 0, previous_len: 0, carried: 0 };
        let generation = files.next_generation(header.first);
        let writer = LogWriter::create(Arc::clone(storage), &header, generation, &[], Chain::START).await?;
        return Ok(Writable { writer, resumed: false, previous_cut: None });
    };
    let (start, from) = unproven(segment, end);
    let carried: Cow<'_, [u8]> = Cow::Borrowed(segment.bytes.get(from..end.valid_len).unwrap_or_default());
    let replaces = start.next == segment.header.first;
    let header = Header {
        store,
        epoch: segment.header.epoch + u64::from(history_changed),
        first: start.next,
        previous: start.previous,
        previous_len: if replaces { segment.header.previous_len } else { from as u64 },
        carried: carried.len() as u64,
    };
    let generation = files.next_generation(header.first);
    let writer = LogWriter::create(Arc::clone(storage), &header, generation, &carried, end.chain).await?;
    if replaces {
        storage.remove(&segment.file.name).await?;
        Ok(Writable { writer, resumed: false, previous_cut: None })
    } else {
        storage.truncate(&segment.file.name, from as u64).await?;
        Ok(Writable { writer, resumed: false, previous_cut: Some(from as u64) })
    }
}

/// Where the first write stands of which nothing in the segment says that it is durable.
fn unproven(segment: &Loaded, end: &End) -> (Chain, usize) {
    let chain = Chain { next: segment.header.first, previous: segment.header.previous };
    let mut found = None;
    let valid = segment.bytes.get(..end.valid_len).unwrap_or_default();
    segment::walk(valid, segment.header_len, chain, |write| {
        if write.sequence > end.watermark && found.is_none() {
            found = Some((write.before, write.range.start));
        }
    });
    found.unwrap_or((end.chain, end.valid_len))
}
