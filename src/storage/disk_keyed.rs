//! A directory of files, encrypted or not: for programs that take a key where there is one.

use super::encrypted::Sealer;
use super::platform::block_on;
use super::{EncryptedStorage, Key, Storage, SyncDiskStorage};
use crate::error::Result;
use std::path::Path;

/// A database's directory, which is encrypted if a key was given. Every call blocks, as those of [`SyncDiskStorage`].
pub enum KeyedDiskStorage {
    /// As it reads.
    Plain(SyncDiskStorage),
    /// Sealed.
    Encrypted(Box<EncryptedStorage<SyncDiskStorage>>),
}

impl KeyedDiskStorage {
    /// Opens the directory for writing, with its key if there is one.
    ///
    /// # Errors
    /// As for [`SyncDiskStorage::open`] and [`EncryptedStorage::open`].
    pub fn open(dir: impl AsRef<Path>, key: Option<&Key>) -> Result<Self> {
        Self::new(SyncDiskStorage::open(dir)?, key)
    }

    /// Opens the directory for reading, with its key if there is one.
    ///
    /// # Errors
    /// As for [`SyncDiskStorage::open_read_only`] and [`EncryptedStorage::open`].
    pub fn open_read_only(dir: impl AsRef<Path>, key: Option<&Key>) -> Result<Self> {
        Self::new(SyncDiskStorage::open_read_only(dir)?, key)
    }

    fn new(storage: SyncDiskStorage, key: Option<&Key>) -> Result<Self> {
        Ok(match key {
            None => Self::Plain(storage),
            Some(key) => Self::Encrypted(Box::new(block_on(EncryptedStorage::open(storage, key))?)),
        })
    }
}

impl Storage for KeyedDiskStorage {
    async fn list(&self) -> Result<Vec<String>> {
        match self {
            Self::Plain(storage) => storage.list().await,
            Self::Encrypted(storage) => storage.list().await,
        }
    }

    async fn create(&self, name: &str) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.create(name).await,
            Self::Encrypted(storage) => storage.create(name).await,
        }
    }

    async fn len(&self, name: &str) -> Result<u64> {
        match self {
            Self::Plain(storage) => storage.len(name).await,
            Self::Encrypted(storage) => storage.len(name).await,
        }
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        match self {
            Self::Plain(storage) => storage.read_at(name, offset, len).await,
            Self::Encrypted(storage) => storage.read_at(name, offset, len).await,
        }
    }

    async fn read_into(&self, name: &str, offset: u64, len: usize, buffer: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.read_into(name, offset, len, buffer).await,
            Self::Encrypted(storage) => storage.read_into(name, offset, len, buffer).await,
        }
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.append(name, bytes).await,
            Self::Encrypted(storage) => storage.append(name, bytes).await,
        }
    }

    async fn sync(&self, name: &str) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.sync(name).await,
            Self::Encrypted(storage) => storage.sync(name).await,
        }
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.truncate(name, len).await,
            Self::Encrypted(storage) => storage.truncate(name, len).await,
        }
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.remove(name).await,
            Self::Encrypted(storage) => storage.remove(name).await,
        }
    }

    async fn close(&self) -> Result<()> {
        match self {
            Self::Plain(storage) => storage.close().await,
            Self::Encrypted(storage) => storage.close().await,
        }
    }

    fn sealer(&self) -> Option<Sealer> {
        match self {
            Self::Plain(storage) => storage.sealer(),
            Self::Encrypted(storage) => storage.sealer(),
        }
    }
}
