//! The directory around a database's files: making it, locking it, listing it, keeping links out.
//!
//! The checks for links see what lies there; they are no defence against someone who swaps files at that very
//! moment, who can write to the directory anyway.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{FOLDERS, validate_name};
use std::fs::{self, DirEntry, File, FileType, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Locked by the one handle that writes. The file stays when the lock goes.
const LOCK: &str = "LOCK";

/// What a directory holds. Everything a storage did not put there counts only for `empty`.
pub(super) struct Contents {
    /// The database's files, those in folders with their folder.
    pub(super) names: Vec<String>,
    /// Whether there is a `LOCK` file, held or not.
    pub(super) locked: bool,
    /// Whether there is nothing at all.
    pub(super) empty: bool,
}

impl Contents {
    pub(super) fn is_database(&self) -> bool {
        self.locked || self.names.iter().any(|name| !name.contains('/'))
    }
}

fn failed(action: &str, path: &Path, source: io::Error) -> Error {
    Error::io(action, path.display().to_string(), source)
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{} {why}", path.display()))
}

/// Refuses anything but a directory or a link to one.
pub(super) fn require_dir(dir: &Path) -> Result<()> {
    if fs::metadata(dir).map_err(|e| failed("open", dir, e))?.is_dir() {
        return Ok(());
    }
    Err(refused(dir, "is a file, and a database is a directory; choose another path"))
}

/// Reads the directory and its folders. Refuses links in the place of a database's files.
pub(super) fn scan(dir: &Path) -> Result<Contents> {
    let mut contents = Contents { names: Vec::new(), locked: false, empty: true };
    each_entry(dir, |entry, name| {
        contents.empty = false;
        if FOLDERS.contains(&name) {
            if not_a_link(entry)?.is_some_and(|kind| kind.is_dir()) {
                scan_folder(&entry.path(), name, &mut contents.names)?;
            }
        } else if name == LOCK {
            contents.locked |= not_a_link(entry)?.is_some();
        } else if is_data_file(name) && not_a_link(entry)?.is_some_and(|kind| kind.is_file()) {
            contents.names.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(contents)
}

fn scan_folder(path: &Path, folder: &str, names: &mut Vec<String>) -> Result<()> {
    each_entry(path, |entry, name| {
        let name = format!("{folder}/{name}");
        if validate_name(&name).is_ok() && not_a_link(entry)?.is_some_and(|kind| kind.is_file()) {
            names.push(name);
        }
        Ok(())
    })
}

/// Calls `visit` with each entry; a name that is not Unicode is passed on as one no storage uses.
fn each_entry(dir: &Path, mut visit: impl FnMut(&DirEntry, &str) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|e| failed("list", dir, e))? {
        let entry = entry.map_err(|e| failed("list", dir, e))?;
        visit(&entry, entry.file_name().to_str().unwrap_or(""))?;
    }
    Ok(())
}

fn is_data_file(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "log" | "snapshot" | "end" | "key")))
        && validate_name(name).is_ok()
}

/// What the entry is, or nothing if it has gone since: a reader lists beside a handle that removes.
fn not_a_link(entry: &DirEntry) -> Result<Option<FileType>> {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => Err(link(&entry.path())),
        Ok(kind) => Ok(Some(kind)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("list", &entry.path(), e)),
    }
}

fn link(path: &Path) -> Error {
    refused(path, "is a symbolic link; put the file or folder itself there")
}

/// The path of the file `name`, a valid name, after making sure that it is a file and no link leads there.
pub(super) fn check_file(dir: &Path, name: &str) -> Result<PathBuf> {
    if let Some((folder, _)) = name.split_once('/') {
        let path = dir.join(folder);
        if fs::symlink_metadata(&path).map_err(|e| failed("open", &path, e))?.is_symlink() {
            return Err(link(&path));
        }
    }
    let path = dir.join(name);
    let metadata = fs::symlink_metadata(&path).map_err(|e| failed("open", &path, e))?;
    if metadata.is_symlink() {
        return Err(link(&path));
    }
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(refused(&path, "is not a regular file"));
    }
    Ok(path)
}

/// Makes the directory and those above it, each with a durable name.
///
/// The nearest one that is there already may come from an attempt that was killed before it was synced, so its name
/// is made durable as well.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        let real = fs::canonicalize(dir).map_err(|e| failed("open", dir, e))?;
        return match real.parent().map(open_and_sync) {
            // Someone who may not list that directory has not made this one in it either.
            Some(Err(e)) if e.kind() != io::ErrorKind::PermissionDenied => Err(failed("sync", &real, e)),
            _ => Ok(()),
        };
    }
    let Some(parent) = dir.parent() else {
        return Err(refused(dir, "is no directory"));
    };
    make_dir(parent)?;
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => {
            Err(failed("create the directory", dir, e))
        }
        _ => sync_dir(parent),
    }
}

/// Makes the folder in `dir` if it is missing, durably.
pub(super) fn make_folder(dir: &Path, folder: &str) -> Result<()> {
    let path = dir.join(folder);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => return Err(link(&path)),
        Ok(metadata) if !metadata.is_dir() => return Err(refused(&path, "is in the place of a folder")),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(&path).map_err(|e| failed("create the directory", &path, e))?;
        }
        Err(e) => return Err(failed("open", &path, e)),
    }
    // Also when it was there: whoever made it may not have lived to sync it.
    sync_dir(dir)
}

/// The lock of the one handle that writes, held until dropped.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the directory's lock without waiting.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => return Err(link(&path)),
            Ok(metadata) if !metadata.is_file() => return Err(refused(&path, "is not a regular file")),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("open", &path, e)),
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed("open for writing", &path, e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "the database at {} is open in another process or handle; close it there, or open it read-only",
                    dir.display()
                ),
            )),
            Err(TryLockError::Error(e)) => Err(failed("lock", &path, e)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process just being started by another thread may have inherited it.
        let _ = self.0.unlock();
    }
}

/// Makes the names in the directory survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    open_and_sync(dir).map_err(|e| failed("sync the directory", dir, e))
}

#[cfg(unix)]
fn open_and_sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

// Windows keeps no handle on a directory that could be flushed; its file systems journal names themselves.
#[cfg(windows)]
#[allow(clippy::unnecessary_wraps)]
fn open_and_sync(_dir: &Path) -> io::Result<()> {
    Ok(())
}
