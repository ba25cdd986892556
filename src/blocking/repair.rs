//! Repair: making a damaged database usable again, at the price that its owner names.
//!
//! Nothing is deleted: what is given up is copied to `quarantine/` first, and the copy is read back.

use super::Db;
use super::places::{Places, Plain};
use super::restore::begin_log;
use crate::error::{Error, ErrorKind, Result};
use crate::log::files::{Files, copy_to_quarantine, read_header, remove_if_there};
use crate::log::recovery::Torn;
use crate::options::{Options, RecoveryMode};
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::storage::platform::block_on;
use crate::storage::{Storage, SyncDiskStorage};
use crate::verify::verify;
use std::path::Path;
use std::sync::Arc;

/// What a repair found and did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Repair {
    /// The damage, as it was before.
    pub damage: Vec<Error>,
    /// What stood behind the last record, if that was a crash's trace.
    pub torn: Option<Torn>,
    /// The last record that is kept.
    pub kept: u64,
    /// Copies of what was given up, in the database's directory.
    pub quarantined: Vec<String>,
}

impl Db<SyncDiskStorage> {
    /// Sets aside what a crash left behind the last record, which opening does as well.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when there is other damage, with nothing changed.
    pub fn repair_torn_tail(dir: impl AsRef<Path>) -> Result<Repair> {
        repair(&Plain, dir.as_ref(), RecoveryMode::TornTail)
    }

    /// Keeps what stands before the first damage, and gives up everything behind it.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when nothing stands before it, with nothing changed.
    pub fn repair_to_point_in_time(dir: impl AsRef<Path>) -> Result<Repair> {
        repair(&Plain, dir.as_ref(), RecoveryMode::PointInTime)
    }
}

pub(super) fn repair(places: &impl Places, dir: &Path, mode: RecoveryMode) -> Result<Repair> {
    // Whoever writes to it has it locked.
    drop(places.open_read_only(dir)?);
    let storage = Arc::new(places.open(dir)?);
    let found = block_on(verify(&storage))?;
    if mode == RecoveryMode::TornTail
        && let Some(damage) = found.damage.first()
    {
        return Err(damage.clone());
    }
    let before = block_on(storage.list())?;
    if !found.is_sound() {
        block_on(give_up_snapshots(&storage))?;
        block_on(give_up_history(&storage, &found.damage))?;
    }
    block_on(storage.close())?;
    let db = Db::open_with(places.open(dir)?, Options::new().recovery(mode))?;
    let (kept, torn) = (db.sequence(), db.recovery().torn.clone());
    let left = db.verify()?;
    db.close()?;
    if let Some(damage) = left.damage.first() {
        return Err(damage.clone());
    }
    let after = block_on(places.open_read_only(dir)?.list())?;
    let new = |name: &String| name.starts_with("quarantine/") && !before.contains(name);
    let quarantined = after.into_iter().filter(new).collect();
    Ok(Repair { damage: found.damage, torn, kept, quarantined })
}

/// Gives up the snapshots from the first damaged one on, and the log behind them, which does not lead there any more.
async fn give_up_snapshots<S: Storage>(storage: &Arc<S>) -> Result<()> {
    let files = Files::list(&**storage).await?;
    let cache = Arc::new(BlockCache::new(1 << 20));
    let mut excluded: Vec<String> = Vec::new();
    let mut damage = None;
    let (kept, chosen) = loop {
        let (mut kept, mut chosen) = (None, Vec::new());
        let mut bad = None;
        let mut covered = 0;
        for file in files.snapshots.iter().filter(|file| !excluded.contains(&file.name)) {
            if file.base != covered || file.sequence <= covered {
                continue;
            }
            match sound(storage, &file.name, &cache).await? {
                Ok(Some(table)) => {
                    covered = table.sequence();
                    chosen.push(file.name.clone());
                    kept = Some(table);
                }
                Ok(None) => {}
                Err(error) => {
                    bad = Some((file.name.clone(), error));
                    break;
                }
            }
        }
        match bad {
            Some((name, error)) => {
                excluded.push(name);
                damage.get_or_insert(error);
            }
            None => break (kept, chosen),
        }
    };
    let Some(damage) = damage else { return Ok(()) };
    let covered = kept.as_ref().map_or(0, Table::sequence);
    let mut epoch = kept.as_ref().map_or(1, Table::epoch).max(files.marked_epoch());
    let mut follows = false;
    for file in &files.segments {
        if let Some(header) = read_header(&**storage, &file.name).await? {
            epoch = epoch.max(header.epoch);
            follows |= header.first <= covered + 1 && !header.begins_anew();
        }
    }
    if covered == 0 && !follows {
        let how = if files.archived.is_empty() {
            "restore a backup"
        } else {
            "`pumice restore` makes a new database of its history or of a backup"
        };
        let message =
            format!("{}; nothing stands before it: {how}, or use `--mode salvage`", damage.message());
        let (file, offset) = (damage.file().unwrap_or_default(), damage.offset().unwrap_or(0));
        return Err(Error::corrupt(file, offset, message));
    }
    let mut given_up: Vec<_> = files.snapshots.iter().map(|file| &file.name).collect();
    given_up.retain(|name| !chosen.contains(*name));
    if !follows {
        given_up.extend(files.segments.iter().map(|file| &file.name));
    }
    for name in &given_up {
        let bytes = storage.read_at(name, 0, usize::MAX).await?;
        copy_to_quarantine(&**storage, name, 0, &bytes).await?;
    }
    if let (false, Some(table)) = (follows, &kept) {
        // Before anything goes: without a log behind it the last snapshot would be taken for one that lost it.
        let generation = files.next_generation(covered + 1);
        begin_log(storage, table.store_id(), epoch.saturating_add(1), covered, generation).await?;
    }
    for name in given_up {
        remove_if_there(&**storage, name).await?;
    }
    Ok(())
}

/// Gives up the files of the archive that are damaged.
async fn give_up_history<S: Storage>(storage: &Arc<S>, damage: &[Error]) -> Result<()> {
    let mut names: Vec<_> = damage.iter().filter_map(|error| error.file()).collect();
    names.dedup();
    for name in names {
        if let Some(file) = name.strip_prefix("archive/") {
            let bytes = storage.read_at(name, 0, usize::MAX).await?;
            copy_to_quarantine(&**storage, file, 0, &bytes).await?;
            remove_if_there(&**storage, name).await?;
        }
    }
    Ok(())
}

/// The snapshot, if all of it is sound; nothing if its writing was not finished; or else its damage.
async fn sound<S: Storage>(
    storage: &Arc<S>,
    name: &str,
    cache: &Arc<BlockCache>,
) -> Result<std::result::Result<Option<Table<S>>, Error>> {
    let table = match Table::open(Arc::clone(storage), name, Arc::clone(cache)).await {
        Ok(OpenOutcome::Table(table)) => *table,
        Ok(OpenOutcome::NoFooter(_)) => return Ok(Ok(None)),
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Err(error)),
        Err(error) => return Err(error),
    };
    match table.verify().await {
        Ok(_) => Ok(Ok(Some(table))),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(error)),
        Err(error) => Err(error),
    }
}
