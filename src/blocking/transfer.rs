//! Snapshot files on the file system: writing one, bringing one in, and making a database of one.

use super::Db;
use super::places::{Places, Plain};
use super::restore::{OpenedPast, restore};
use super::snapshot_file::FileSource;
use super::staging::{beside, check_free, publish, staged, taken};
use crate::error::{Error, ErrorKind, Result};
use crate::import::{self, Outside, SnapshotSource, open_verified};
use crate::log::group_commit::Caller;
use crate::options::{Limits, Options};
#[cfg(feature = "encryption")]
use crate::sealed_snapshot::{SealedSnapshot, key_file_of};
use crate::snapshot::{Summary, Table};
use crate::storage::platform::block_on;
use crate::storage::{Moment, Storage, SyncDiskStorage};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// How a database was restored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Damage that did not matter: what a snapshot held was made of older ones and the log behind them, or it came after the moment.
    pub passed_over: Vec<Error>,
}

impl<S: Storage> Db<S> {
    /// Writes the whole database to the new file `path`, as one snapshot, and reads it back. Writers and readers go on
    /// meanwhile. The file is there only when it is complete and durable. That of an encrypted database is encrypted, and the key
    /// of that time opens it.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is something at `path` already, and when the database cannot
    /// be read or the file not be written.
    pub fn export_snapshot(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if fs::symlink_metadata(path).is_ok() {
            return Err(taken(path));
        }
        let part = beside(path, "part")?;
        let written = self.write_snapshot(&part).and_then(|()| publish(&part, path));
        if written.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&part);
        }
        written
    }

    fn write_snapshot(&self, part: &Path) -> Result<()> {
        let mut export = block_on(self.0.export_as(Caller::Blocking))?;
        // What another export left here that was killed is no longer wanted.
        let file = FileSource::create(part)?;
        let limits = Limits { max_value_bytes: usize::MAX, max_depth: usize::MAX };
        #[cfg(feature = "encryption")]
        if let Some(sealer) = self.0.core().storage.sealer() {
            let file = block_on(SealedSnapshot::create(file, &sealer))?;
            while let Some(chunk) = block_on(export.next_chunk())? {
                block_on(file.append(&chunk))?;
            }
            block_on(file.sync())?;
            let copy = SealedSnapshot::open_own(FileSource::open(part)?, sealer.key_file(), &sealer);
            let copy = block_on(copy)?;
            return as_written(part, open_outside(copy, &limits)?.summary(), export.summary());
        }
        while let Some(chunk) = block_on(export.next_chunk())? {
            file.append(&chunk)?;
        }
        file.sync()?;
        as_written(part, open_outside(FileSource::open(part)?, &limits)?.summary(), export.summary())
    }

    /// Replaces everything that the database holds by the contents of the snapshot file `path`, all or nothing. An encrypted file is
    /// taken by the database that it is of.
    ///
    /// # Errors
    /// As for [`Db::import_snapshot`](crate::Db::import_snapshot), and [`InvalidArgument`](ErrorKind::InvalidArgument) when the file is
    /// encrypted and the database is not.
    pub fn import_snapshot(&self, path: impl AsRef<Path>) -> Result<()> {
        let source = FileSource::open(path.as_ref())?;
        let name = source.name();
        #[cfg(feature = "encryption")]
        if let Some(key_file) = block_on(key_file_of(&source))? {
            let Some(sealer) = self.0.core().storage.sealer() else { return Err(needs_key(&name)) };
            let source = block_on(SealedSnapshot::open_own(source, &key_file, &sealer))?;
            return block_on(import::import(self.0.core(), Outside(source), &name));
        }
        block_on(import::import(self.0.core(), Outside(source), &name))
    }
}

/// Refuses a file that does not read as it was written.
fn as_written(file: &Path, found: Summary, written: Option<Summary>) -> Result<()> {
    if Some(found) == written {
        return Ok(());
    }
    let message = "the exported snapshot does not hold what was written to it; check the disk";
    Err(Error::corrupt(file.display().to_string(), 0, message))
}

#[cfg(feature = "encryption")]
fn needs_key(name: &str) -> Error {
    let message = format!(
        "{name} is encrypted; make a database of it with its key (`Db::restore_with_key`, `--key-file`)"
    );
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Opens a snapshot file and reads all of it.
fn open_outside<R: SnapshotSource>(source: R, limits: &Limits) -> Result<Arc<Table<Outside<R>>>> {
    let name = source.name();
    block_on(open_verified(Outside(source), &name, limits))
}

impl Db<SyncDiskStorage> {
    /// Makes a database in the directory `dir` of a snapshot file, or of the latest state in a directory of
    /// [backups](Self::backup): the documents under their sequence numbers, and the same store, one epoch further. Everything
    /// is checked first; a damaged snapshot is passed over where the rest gives the same. It is built beside `dir` and is there when
    /// it is complete and durable.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when `dir` is anything but missing or an empty directory,
    /// [`NotFound`](ErrorKind::NotFound) when there is nothing to restore, and as for
    /// [`Db::import_snapshot`](crate::Db::import_snapshot).
    pub fn restore(source: impl AsRef<Path>, dir: impl AsRef<Path>) -> Result<Restored> {
        restore_as(&Plain, source.as_ref(), dir.as_ref(), None)
    }

    /// The same as of an earlier moment. The directory may also be a database, whose past is kept; damage behind a sequence number
    /// does no harm then.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore), and [`NotFound`](ErrorKind::NotFound) when the moment is out of reach.
    pub fn restore_at(source: impl AsRef<Path>, dir: impl AsRef<Path>, moment: Moment) -> Result<Restored> {
        restore_as(&Plain, source.as_ref(), dir.as_ref(), Some(moment))
    }
}

/// Restores what is in `places` to a directory there.
pub(super) fn restore_as(
    places: &impl Places,
    source: &Path,
    dir: &Path,
    moment: Option<Moment>,
) -> Result<Restored> {
    check_free(dir)?;
    if source.is_dir() {
        let past = OpenedPast::open(places, source, moment)?;
        stage(places, dir, |staging| past.write(staging))?;
        return Ok(Restored { passed_over: past.passed_over });
    }
    let source = FileSource::open(source)?;
    #[cfg(feature = "encryption")]
    if let Some(key_file) = block_on(key_file_of(&source))? {
        let Some(key) = places.key() else { return Err(needs_key(&source.name())) };
        let source = block_on(SealedSnapshot::open(source, key_file, key))?;
        return restore_file(places, source, dir, moment);
    }
    restore_file(places, source, dir, moment)
}

fn restore_file(
    places: &impl Places,
    source: impl SnapshotSource,
    dir: &Path,
    moment: Option<Moment>,
) -> Result<Restored> {
    let source = Arc::new(source);
    let table = open_outside(Arc::clone(&source), &Limits::default())?;
    let sequence = table.sequence();
    if moment.is_some_and(|moment| moment != Moment::Sequence(sequence)) {
        let message = format!(
            "a snapshot file holds one state, that after record {sequence}; restore another one from a directory of backups"
        );
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    stage(places, dir, |storage| block_on(restore(storage, &source, &table)))?;
    Ok(Restored::default())
}

/// Has a database built beside `dir`, and gives it that name when it is complete.
fn stage<P: Places>(
    places: &P,
    dir: &Path,
    build: impl FnOnce(&Arc<P::Storage>) -> Result<()>,
) -> Result<()> {
    staged(dir, "restoring", |staging| build_in(places, staging, build))
}

fn build_in<P: Places>(
    places: &P,
    staging: &Path,
    build: impl FnOnce(&Arc<P::Storage>) -> Result<()>,
) -> Result<()> {
    let storage = Arc::new(places.open(staging)?);
    let done = build(&storage);
    let closed = block_on(storage.close());
    done?;
    closed?;
    // Opened as anyone would, and closed in order.
    Db::open_with(places.open(staging)?, Options::new())?.close()
}
