//! New files and directories that are there when they are complete and durable, and never before: built under a hidden name
//! beside their place, then renamed into it.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::platform::block_on;
use crate::storage::{Storage, SyncDiskStorage, sync_dir};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Makes the directory `dir`, which is missing or empty, out of what `build` leaves in the one that it is given.
pub(crate) fn staged<T>(dir: &Path, what: &str, build: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let dir = std::path::absolute(dir).map_err(|e| failed("open", dir, e))?;
    check_free(&dir)?;
    let staging = beside(&dir, what)?;
    if fs::symlink_metadata(&staging).is_ok() {
        // Of an attempt that was killed. One that is at work has it locked.
        block_on(SyncDiskStorage::open(&staging)?.close())?;
        fs::remove_dir_all(&staging).map_err(|e| failed("remove", &staging, e))?;
    }
    let done = build(&staging).and_then(|made| {
        if dir.is_dir() {
            fs::remove_dir(&dir).map_err(|_| taken(&dir))?;
        }
        fs::rename(&staging, &dir).map_err(|e| failed("rename to", &dir, e))?;
        dir.parent().map_or(Ok(()), sync_dir)?;
        Ok(made)
    });
    if done.is_err() {
        // It may not even be there.
        let _ = fs::remove_dir_all(&staging);
    }
    done
}

/// Gives the complete file `part` its name, which nothing has.
pub(crate) fn publish(part: &Path, path: &Path) -> Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part).map_err(|e| failed("remove", part, e))?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(taken(path)),
        // Not every file system has links. A file made now that was not there is this one's to replace.
        Err(_) => {
            let reserved = OpenOptions::new().write(true).create_new(true).open(path);
            reserved.map_err(|e| failed("create", path, e))?;
            fs::rename(part, path).map_err(|e| failed("rename to", path, e))?;
        }
    }
    parent(path).map_or(Ok(()), sync_dir)
}

/// A hidden name in the same directory.
pub(crate) fn beside(path: &Path, what: &str) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, format!("{} has no name; choose another path", path.display()))
    })?;
    Ok(path.with_file_name(format!(".{}.{what}", name.to_string_lossy())))
}

fn parent(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Refuses whatever is there, but for an empty directory.
pub(crate) fn check_free(dir: &Path) -> Result<()> {
    match fs::symlink_metadata(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed("open", dir, e)),
        Ok(metadata) if metadata.is_dir() => {
            let first = fs::read_dir(dir).map_err(|e| failed("open", dir, e))?.next();
            first.map_or(Ok(()), |_| Err(taken(dir)))
        }
        Ok(_) => Err(taken(dir)),
    }
}

pub(crate) fn taken(path: &Path) -> Error {
    let message = format!("there is something at {} already; choose another path", path.display());
    Error::new(ErrorKind::InvalidArgument, message)
}

pub(crate) fn failed(action: &str, path: &Path, source: io::Error) -> Error {
    Error::io(action, path.display().to_string(), source)
}
