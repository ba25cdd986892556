//! A snapshot file on the file system.

use super::staging::failed;
use crate::error::{Error, ErrorKind, Result};
use crate::import::SnapshotSource;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A snapshot file on the file system.
pub(super) struct FileSource {
    path: PathBuf,
    file: Mutex<File>,
}

impl FileSource {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| failed("open", path, e))?;
        if !file.metadata().map_err(|e| failed("open", path, e))?.is_file() {
            let message = format!("{} is not a file; name a snapshot file", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Makes the file anew.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|e| failed("create", path, e))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Writes behind what is there.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(bytes));
        written.map_err(|e| failed("write", &self.path, e))
    }

    pub(super) fn sync(&self) -> Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_all().map_err(|e| failed("sync", &self.path, e))
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut file).map_err(|e| failed("read", &self.path, e))
    }
}

#[cfg(feature = "encryption")]
impl crate::sealed_snapshot::Medium for FileSource {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.append(bytes)
    }

    fn sync(&self) -> Result<()> {
        self.sync()
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
