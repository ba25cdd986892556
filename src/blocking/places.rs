//! How directories are opened: as they read, or with a key.

use crate::error::Result;
use crate::storage::{Storage, SyncDiskStorage};
use std::path::Path;

/// Opens directories as one sort of storage.
pub(crate) trait Places {
    type Storage: Storage;

    fn open(&self, dir: &Path) -> Result<Self::Storage>;

    fn open_read_only(&self, dir: &Path) -> Result<Self::Storage>;

    /// What opens what is encrypted there.
    #[cfg(feature = "encryption")]
    fn key(&self) -> Option<&crate::storage::Key> {
        None
    }
}

/// As they read.
pub(crate) struct Plain;

impl Places for Plain {
    type Storage = SyncDiskStorage;

    fn open(&self, dir: &Path) -> Result<SyncDiskStorage> {
        SyncDiskStorage::open(dir)
    }

    fn open_read_only(&self, dir: &Path) -> Result<SyncDiskStorage> {
        SyncDiskStorage::open_read_only(dir)
    }
}

/// With a key, if there is one.
#[cfg(feature = "encryption")]
impl Places for Option<&crate::storage::Key> {
    type Storage = crate::storage::KeyedDiskStorage;

    fn open(&self, dir: &Path) -> Result<Self::Storage> {
        Self::Storage::open(dir, *self)
    }

    fn open_read_only(&self, dir: &Path) -> Result<Self::Storage> {
        Self::Storage::open_read_only(dir, *self)
    }

    fn key(&self) -> Option<&crate::storage::Key> {
        *self
    }
}
