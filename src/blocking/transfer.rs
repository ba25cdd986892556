//! Snapshot files on the file system: writing one, bringing one in, and making a database of one.

use super::Db;
use super::places::{Places, Plain};
use super::restore::{OpenedPast, restore};
use super::staging::{beside, check_free, failed, publish, staged, taken};
use crate::error::{Error, ErrorKind, Result};
use crate::import::{self, Outside, SnapshotSource, open_verified};
use crate::log::group_commit::Caller;
use crate::options::{Limits, Options};
use crate::snapshot::Table;
use crate::storage::platform::block_on;
use crate::storage::{Moment, Storage, SyncDiskStorage};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How a database was restored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Damage that did not matter: what a snapshot held was made of older ones and the log behind them, or it came after the moment.
    pub passed_over: Vec<Error>,
}

/// A snapshot file on the file system.
struct FileSource {
    path: PathBuf,
    file: Mutex<File>,
}

impl FileSource {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| failed("open", path, e))?;
        if !file.metadata().map_err(|e| failed("open", path, e))?.is_file() {
            let message = format!("{} is not a file; name a snapshot file", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    fn with<T>(&self, read: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut file).map_err(|e| failed("read", &self.path, e))
    }
}

impl SnapshotSource for FileSource {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn len(&self) -> Result<u64> {
        self.with(|file| file.seek(SeekFrom::End(0)))
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.with(|file| {
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(len as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }
}

impl<S: Storage> Db<S> {
    /// Writes the whole database to the new file `path`, as one snapshot, and reads it back. Writers and readers go on
    /// meanwhile. The file is there only when it is complete and durable.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is something at `path` already,
    /// [`Unsupported`](ErrorKind::Unsupported) when the database is encrypted, which the file would not be; otherwise when the
    /// database cannot be read or the file not be written.
    pub fn export_snapshot(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if is_encrypted(&*self.0.core().storage) {
            let message = "a snapshot file would not be encrypted, as this database is; make a backup";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
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
        let mut file = File::create(part).map_err(|e| failed("create", part, e))?;
        while let Some(chunk) = block_on(export.next_chunk())? {
            file.write_all(&chunk).map_err(|e| failed("write", part, e))?;
        }
        file.sync_all().map_err(|e| failed("sync", part, e))?;
        let limits = Limits { max_value_bytes: usize::MAX, max_depth: usize::MAX };
        let table = open_outside(FileSource::open(part)?, &limits)?;
        if Some(table.summary()) == export.summary() {
            return Ok(());
        }
        let message = "the exported snapshot does not hold what was written to it; check the disk";
        Err(Error::corrupt(part.display().to_string(), 0, message))
    }

    /// Replaces everything that the database holds by the contents of the snapshot file `path`, all or nothing.
    ///
    /// # Errors
    /// As for [`Db::import_snapshot`](crate::Db::import_snapshot).
    pub fn import_snapshot(&self, path: impl AsRef<Path>) -> Result<()> {
        let source = FileSource::open(path.as_ref())?;
        let name = source.name();
        block_on(import::import(self.0.core(), Outside(source), &name))
    }
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
    let source = Arc::new(FileSource::open(source)?);
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

#[cfg(feature = "encryption")]
fn is_encrypted<S: Storage>(storage: &S) -> bool {
    storage.sealer().is_some()
}

#[cfg(not(feature = "encryption"))]
fn is_encrypted<S: Storage>(_storage: &S) -> bool {
    false
}
