//! A directory of files, read and written on the caller's thread: the default storage on native platforms.
//!
//! At most one handle writes to a directory, guarded by a lock on its `LOCK` file. Any number of handles read beside
//! it: they take no lock and write nothing. Files are synced before their directory, and a directory before anything
//! in it is acknowledged. Symbolic links inside the directory are refused; the directory itself may be one.

mod directory;
mod file;

use super::{Storage, validate_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
pub(crate) use directory::sync_dir;
use directory::{Lock, check_file, make_dir, make_folder, require_dir, scan};
use file::OpenFile;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many open files are kept before those that can be opened again without loss are closed.
const MAX_IDLE_FILES: usize = 128;

/// A database's directory on a local file system. Every call blocks until the operating system has answered.
///
/// ```no_run
/// let storage = pumice::SyncDiskStorage::open("data/app")?;
/// assert!(storage.dir().is_absolute());
/// # Ok::<(), pumice::Error>(())
/// ```
pub struct SyncDiskStorage {
    dir: PathBuf,
    writable: bool,
    /// Held for reading while a call runs, for writing to close.
    gate: RwLock<Gate>,
    files: RwLock<SortedMap<String, Arc<OpenFile>>>,
}

enum Gate {
    /// With the lock, if the handle writes.
    Open(Option<Lock>),
    Closed,
}

impl SyncDiskStorage {
    /// Opens the directory for writing and holds its lock until the storage is closed or dropped.
    ///
    /// Makes the directory, and those above it, when missing.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) when another handle writes to it. [`InvalidArgument`](ErrorKind::InvalidArgument)
    /// when it is a file, holds files but no database, or holds symbolic links. In all these cases nothing has been
    /// written. [`Io`](ErrorKind::Io) when the directory cannot be read or written.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = absolute(dir.as_ref())?;
        if exists(&dir)? {
            require_dir(&dir)?;
            let contents = scan(&dir)?;
            if !contents.is_database() && !contents.empty {
                let message = format!(
                    "{} is not empty and is not a Pumice database; choose another directory",
                    dir.display()
                );
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            // Whoever made LOCK had made the directory's own name durable before.
            if !contents.locked {
                make_dir(&dir)?;
            }
        } else {
            make_dir(&dir)?;
        }
        let lock = Lock::take(&dir)?;
        Ok(Self::new(dir, Some(lock)))
    }

    /// Opens the directory for reading. Takes no lock and writes nothing, and works beside a handle that writes.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when there is no database. [`InvalidArgument`](ErrorKind::InvalidArgument)
    /// when `dir` is a file or holds symbolic links.
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = absolute(dir.as_ref())?;
        let missing =
            || Error::new(ErrorKind::NotFound, format!("there is no database at {}", dir.display()));
        if !exists(&dir)? {
            return Err(missing());
        }
        require_dir(&dir)?;
        if !scan(&dir)?.is_database() {
            return Err(missing());
        }
        Ok(Self::new(dir, None))
    }

    /// The directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn new(dir: PathBuf, lock: Option<Lock>) -> Self {
        let writable = lock.is_some();
        Self { dir, writable, gate: RwLock::new(Gate::Open(lock)), files: RwLock::default() }
    }

    /// Lets a call in. It must hold the guard to its end, so that closing waits for it.
    fn enter(&self) -> Result<RwLockReadGuard<'_, Gate>> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        match *gate {
            Gate::Open(_) => Ok(gate),
            Gate::Closed => {
                let message = format!("the database at {} was closed", self.dir.display());
                Err(Error::new(ErrorKind::Closed, message))
            }
        }
    }

    /// Lets a call in that writes to the file `name`.
    fn enter_to_write(&self, name: &str) -> Result<RwLockReadGuard<'_, Gate>> {
        let gate = self.enter()?;
        if !self.writable {
            let message = format!("the database at {} was opened for reading only", self.dir.display());
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        validate_name(name)?;
        Ok(gate)
    }

    fn files(&self) -> RwLockWriteGuard<'_, SortedMap<String, Arc<OpenFile>>> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file of that name, opened now if need be.
    fn file(&self, name: &str) -> Result<Arc<OpenFile>> {
        // One that is open was found valid when it was opened.
        if let Some(file) = self.files.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(file));
        }
        validate_name(name)?;
        let mut files = self.files();
        // A second open file of the same name would have an end of its own.
        if let Some(file) = files.get(name) {
            return Ok(Arc::clone(file));
        }
        let path = check_file(&self.dir, name)?;
        let file = OpenOptions::new()
            .read(true)
            .write(self.writable)
            .open(&path)
            .map_err(|e| Error::io("open", path.display().to_string(), e))?;
        Ok(keep(&mut files, name, OpenFile::existing(path, file, self.writable)?))
    }

    /// The directory that `name` is directly in.
    fn parent(&self, name: &str) -> PathBuf {
        match name.split_once('/') {
            Some((folder, _)) => self.dir.join(folder),
            None => self.dir.clone(),
        }
    }
}

fn keep(files: &mut SortedMap<String, Arc<OpenFile>>, name: &str, file: OpenFile) -> Arc<OpenFile> {
    if files.len() >= MAX_IDLE_FILES {
        files.retain(|_, file| Arc::strong_count(file) > 1 || !file.is_idle());
    }
    let file = Arc::new(file);
    files.insert(name.to_owned(), Arc::clone(&file));
    file
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).map_err(|e| Error::io("open", dir.display().to_string(), e))
}

fn exists(dir: &Path) -> Result<bool> {
    dir.try_exists().map_err(|e| Error::io("open", dir.display().to_string(), e))
}

impl Storage for SyncDiskStorage {
    async fn list(&self) -> Result<Vec<String>> {
        let _open = self.enter()?;
        Ok(scan(&self.dir)?.names)
    }

    async fn create(&self, name: &str) -> Result<()> {
        let _open = self.enter_to_write(name)?;
        if let Some((folder, _)) = name.split_once('/') {
            make_folder(&self.dir, folder)?;
        }
        let path = self.dir.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(|e| {
            if e.kind() == std::io::ErrorKind::AlreadyExists {
                return Error::new(
                    ErrorKind::Io,
                    format!("cannot create {}: it exists already", path.display()),
                );
            }
            Error::io("create", path.display().to_string(), e)
        })?;
        let durable = file.sync_all().map_err(|e| Error::io("sync", path.display().to_string(), e));
        if let Err(error) = durable.and_then(|()| sync_dir(&self.parent(name))) {
            // Left there, it would stand in the way of a second try.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        keep(&mut self.files(), name, OpenFile::created(path, file));
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        let _open = self.enter()?;
        self.file(name)?.len()
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let _open = self.enter()?;
        let mut buffer = Vec::new();
        self.file(name)?.read_into(offset, len, &mut buffer)?;
        Ok(buffer)
    }

    async fn read_into(&self, name: &str, offset: u64, len: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let _open = self.enter()?;
        self.file(name)?.read_into(offset, len, buffer)
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let _open = self.enter_to_write(name)?;
        self.file(name)?.append(bytes)
    }

    async fn sync(&self, name: &str) -> Result<()> {
        let _open = self.enter_to_write(name)?;
        self.file(name)?.sync()
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let _open = self.enter_to_write(name)?;
        self.file(name)?.truncate(len)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let _open = self.enter_to_write(name)?;
        let path = check_file(&self.dir, name)?;
        fs::remove_file(&path).map_err(|e| Error::io("remove", path.display().to_string(), e))?;
        self.files().remove(name);
        sync_dir(&self.parent(name))
    }

    async fn close(&self) -> Result<()> {
        let mut gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        for (_, file) in std::mem::take(&mut *self.files()) {
            file.trim();
        }
        if let Gate::Open(lock) = std::mem::replace(&mut *gate, Gate::Closed) {
            drop(lock);
        }
        Ok(())
    }
}
