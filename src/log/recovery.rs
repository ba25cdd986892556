//! Opening: which files count, where the log ends, and what to do about a crash's traces or about damage.
//!
//! Guarantees: nothing that was acknowledged is given up except in [`RecoveryMode::PointInTime`]; a damaged byte is
//! never stepped over; nothing is removed before a copy was read back or its replacement is durable; a crash at any
//! moment of this leaves files that open the same way again.

use super::files::{Files, Snapshots, Staged, remove_if_there};
use super::replay::{Replayed, replay};
use super::take_over::make_writable;
use super::writer::{LogWriter, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::line::{self, Line};
use crate::format::segment::{self, Chain};
use crate::options::{Options, RecoveryMode};
use crate::snapshot::{BlockCache, Table};
use crate::state::memtable::Memtable;
use crate::storage::history::Archive;
use crate::storage::{Storage, salvage};
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
    /// What clients' writes were answered with.
    pub(crate) clients: Clients,
    /// The highest epoch and sequence number of snapshots that imports have left unfinished.
    pub(crate) beyond: (u64, u64),
    /// All segments that count, oldest first, the active one included.
    pub(crate) segments: Vec<Segment>,
    /// `None` when opened read-only.
    pub(crate) writer: Option<LogWriter<S>>,
    pub(crate) sealed: bool,
    pub(crate) report: Recovery,
}

/// Opens the database in `storage`; makes one if it is empty and may be written.
pub(crate) async fn open<S: Storage>(
    storage: Arc<S>,
    options: &Options,
    cache: Arc<BlockCache>,
    files: &Files,
    archive: &Archive,
) -> Result<Opened<S>> {
    if options.read_only && files.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no database to read; open it for writing to make one",
        ));
    }
    if options.recovery == RecoveryMode::Salvage {
        return salvage::open(storage, cache, files).await;
    }
    let Chosen { tables, stale_snapshots, left_out, staged, memtable, mut replayed } =
        choose(&storage, options, &cache, files).await?;
    let beyond = staged.iter().fold((0, 0), |(e, s), file| (file.epoch.max(e), file.sequence.max(s)));
    // No later epoch may be one of these, should their removal not last.
    replayed.newest_epoch = replayed.newest_epoch.max(beyond.0);
    let covered = tables.last().map_or(0, Table::sequence);
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
            "the log ends at record {} but a snapshot covers {covered}; restore a backup, or open it with another `RecoveryMode`",
            chain.last()
        );
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    let mut epoch = replayed.loaded.last().map_or(1, |l| l.header.epoch);
    let mut segments = replayed.segments();
    let mut sealed = !unclean;
    let mut writer = None;
    if !options.read_only {
        let mut kept = Vec::new();
        if !options.feed_grace.is_zero() {
            kept = replayed.replaced_segments(&*storage, files).await?;
        }
        // First of all: in a later epoch they would count.
        for file in &staged {
            remove_if_there(&*storage, &file.name).await?;
        }
        let recovered = make_writable(&storage, files, &replayed, store, &mut report).await?;
        let stale = Stale { snapshots: &stale_snapshots, left_out: &left_out, kept: &kept };
        remove_replaced(&storage, files, &tables, stale, archive).await?;
        sealed = recovered.resumed;
        epoch = recovered.writer.epoch();
        segments.retain(|s| s.first < recovered.writer.active().first);
        if let (Some(last), Some(cut)) = (segments.last_mut(), recovered.previous_cut) {
            last.last = recovered.writer.active().first - 1;
            last.bytes = cut;
        }
        segments.push(recovered.writer.active().clone());
        segments.splice(0..0, kept);
        writer = Some(recovered.writer);
    }
    let clients = replayed.clients;
    Ok(Opened {
        tables,
        memtable,
        chain,
        time,
        store,
        epoch,
        clients,
        beyond,
        segments,
        writer,
        sealed,
        report,
    })
}

/// The snapshots that count, oldest first, and the log behind them.
struct Chosen<S: Storage> {
    tables: Vec<Table<S>>,
    stale_snapshots: Vec<String>,
    left_out: Vec<String>,
    staged: Vec<Staged>,
    memtable: Memtable,
    replayed: Replayed,
}

impl<S: Storage> Chosen<S> {
    async fn new(
        storage: &Arc<S>,
        files: &Files,
        mode: RecoveryMode,
        Snapshots { tables, others: stale_snapshots, left_out, staged }: Snapshots<S>,
    ) -> Result<Self> {
        let covered = tables.last().map_or(0, Table::sequence);
        let memtable = Memtable::default();
        let replayed = replay(&**storage, files, covered, mode, &memtable).await?;
        Ok(Self { tables, stale_snapshots, left_out, staged, memtable, replayed })
    }
}

/// Decides between a snapshot and the files it replaced, where a compaction was interrupted before it removed them.
///
/// A snapshot that reads well may be in the page cache only: its last sync may have failed, and no later sync would
/// tell. The files that it replaced have long been durable, so while they are complete they count, and the compaction
/// is done again. Once some of them are gone the snapshot counts: they are removed only after its sync succeeded.
async fn choose<S: Storage>(
    storage: &Arc<S>,
    options: &Options,
    cache: &Arc<BlockCache>,
    files: &Files,
) -> Result<Chosen<S>> {
    let found = files.open_snapshots(storage, cache, &[]).await?;
    let doubtful: Vec<_> = found.tables.iter().filter(|t| stands_beside_replaced(t, files, &found)).collect();
    if doubtful.is_empty() {
        return Chosen::new(storage, files, options.recovery, found).await;
    }
    let doubtful: Vec<_> = doubtful.into_iter().map(|table| table.name().to_owned()).collect();
    // What gives up history is for when neither is whole.
    let mode = match options.recovery {
        RecoveryMode::Strict => RecoveryMode::Strict,
        _ => RecoveryMode::TornTail,
    };
    let reach = found.tables.last().map_or(0, Table::sequence);
    if options.read_only {
        return match Chosen::new(storage, files, options.recovery, found).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                choose_without(storage, cache, files, mode, &doubtful, reach).await?.ok_or(error)
            }
            chosen => chosen,
        };
    }
    if let Some(chosen) = choose_without(storage, cache, files, mode, &doubtful, reach).await? {
        return Ok(chosen);
    }
    let snapshots = open_verified(storage, cache, files).await?;
    Chosen::new(storage, files, options.recovery, snapshots).await
}

/// The database without snapshots that are `doubtful`, oldest first: without all of them, or else without the newer ones,
/// for a feed may have kept a part of what an older one has long replaced.
async fn choose_without<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    files: &Files,
    mode: RecoveryMode,
    doubtful: &[String],
    reach: u64,
) -> Result<Option<Chosen<S>>> {
    for from in 0..doubtful.len() {
        let without = doubtful.get(from..).unwrap_or_default();
        match choose_replaced(storage, cache, files, mode, without, reach).await {
            Ok(chosen) => return Ok(Some(chosen)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            // A file that cannot be read now may be sound.
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether a file is still there of which `table` holds everything.
fn stands_beside_replaced<S: Storage>(
    table: &Table<S>,
    files: &Files,
    Snapshots { tables, others, .. }: &Snapshots<S>,
) -> bool {
    let stale = files.stale_segments(tables.last().map_or(0, Table::sequence));
    let mut old = files.snapshots.iter().filter(|f| others.contains(&f.name));
    let mut old_segments = files.segments.iter().filter(|f| stale.contains(&f.name));
    old.any(|f| f.base < table.sequence() && f.sequence > table.base())
        || old_segments.any(|f| f.first > table.base() && f.first <= table.sequence())
}

/// The database without the snapshots `doubtful`, if what is there without them is whole and goes to the record `reach`.
async fn choose_replaced<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    files: &Files,
    mode: RecoveryMode,
    doubtful: &[String],
    reach: u64,
) -> Result<Chosen<S>> {
    let snapshots = files.open_snapshots(storage, cache, doubtful).await?;
    let chosen = Chosen::new(storage, files, mode, snapshots).await?;
    // The log had moved on before the snapshot was made, so a segment began right behind it.
    let covered = chosen.tables.last().map_or(0, Table::sequence);
    let goes_on = chosen.replayed.loaded.iter().any(|segment| segment.header.first == reach + 1);
    if covered < reach && !goes_on {
        return Err(Error::new(ErrorKind::Corrupt, format!("the log does not go beyond record {reach}")));
    }
    for table in &chosen.tables {
        table.verify().await?;
    }
    Ok(chosen)
}

/// Opens the snapshots that count, and reads those that stand beside files that they replaced, before those go for
/// their sake.
async fn open_verified<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    files: &Files,
) -> Result<Snapshots<S>> {
    let mut excluded = Vec::new();
    'choose: loop {
        let found = files.open_snapshots(storage, cache, &excluded).await?;
        for table in found.tables.iter().filter(|table| stands_beside_replaced(table, files, &found)) {
            match table.verify().await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a snapshot is damaged; looking for the files it was made from");
                    excluded.push(table.name().to_owned());
                    continue 'choose;
                }
                // A file that cannot be read now may be sound.
                Err(error) => return Err(error),
            }
        }
        return Ok(found);
    }
}

/// What the snapshots that count have replaced.
struct Stale<'f> {
    snapshots: &'f [String],
    /// Those of them that nothing was ever built on.
    left_out: &'f [String],
    /// Segments that stay for a while.
    kept: &'f [Segment],
}

/// Removes the files that the snapshots `tables` have replaced, after taking them into the archive if the past is kept.
async fn remove_replaced<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    tables: &[Arc<Table<S>>],
    stale: Stale<'_>,
    archive: &Archive,
) -> Result<()> {
    let mut segments = files.stale_segments(tables.first().map_or(0, |t| t.sequence()));
    segments.retain(|name| stale.kept.iter().all(|segment| segment.name != *name));
    if stale.snapshots.is_empty() && segments.is_empty() {
        return Ok(());
    }
    for table in tables {
        // A process can be killed between writing a snapshot and syncing it: it reads well, and may still be lost.
        storage.sync(table.name()).await?;
    }
    for name in stale.snapshots.iter().chain(&segments) {
        if !stale.left_out.contains(name) {
            archive.take_in(storage, name).await?;
        }
        remove_if_there(&**storage, name).await?;
    }
    Ok(())
}

/// Whether a database that could not be opened beside its writer looks different by now: then try again.
pub(crate) async fn was_overtaken<S: Storage>(storage: &S, before: &Files) -> bool {
    Files::list(storage).await.is_ok_and(|now| now != *before)
}

/// Whether the log that was read is another one by now: a writer that recovers moves records to a segment that an older
/// listing does not have.
pub(crate) async fn log_moved_on<S: Storage>(storage: &S, before: &Files) -> bool {
    Files::list(storage).await.is_ok_and(|now| now.segments != before.segments)
}

/// Whether the bytes behind the last record that counts have changed since: then a writer is at work on them.
pub(crate) async fn is_being_written<S: Storage>(storage: &S, report: &Recovery) -> bool {
    let Some(torn) = &report.torn else { return false };
    match storage.read_at(&torn.file, torn.offset, usize::MAX).await {
        Ok(now) => segment::without_zero_tail(&now).len() as u64 != torn.bytes,
        Err(_) => true,
    }
}

/// Whether what was found damaged may have been a line that another process was just writing: it is whole by now, or a page of it is
/// zeros from somewhere on, as it is for a moment. One zero alone is what a flipped bit makes of a space.
pub(crate) async fn is_half_written<S: Storage>(storage: &S, error: &Error) -> bool {
    let (Some(name), Some(offset)) = (error.file(), error.offset()) else { return false };
    if error.kind() != ErrorKind::Corrupt || segment::parse_name(name).is_none() {
        return false;
    }
    let behind = storage.read_at(name, offset, 64 << 10).await.unwrap_or_default();
    let line = behind.split(|b| *b == b'\n').next().unwrap_or_default();
    // A header that is whole is found there when what should stand before its segment is missing: no writer mends that.
    matches!(line::decode(line), Ok(Line::Record { .. } | Line::Seal(_)))
        || line.windows(2).any(|pair| pair == [0, 0]) && !segment::only_zeros(line)
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
