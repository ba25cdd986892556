//! Files in memory: the reference implementation of [`Storage`], and the database that forgets.

use super::{Storage, validate_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Files = SortedMap<String, Vec<u8>>;

/// Keeps every file in memory. Clones share the files, so a database can be closed and opened again.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    files: Arc<RwLock<Files>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Files> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no file {name}"))
}

impl Storage for MemoryStorage {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.read().keys().cloned().collect())
    }

    async fn create(&self, name: &str) -> Result<()> {
        validate_name(name)?;
        let mut files = self.write();
        if files.contains_key(name) {
            return Err(Error::new(ErrorKind::Io, format!("cannot create {name}: it exists already")));
        }
        files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        validate_name(name)?;
        self.read().get(name).map(|bytes| bytes.len() as u64).ok_or_else(|| missing(name))
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        self.read_into(name, offset, len, &mut buffer).await?;
        Ok(buffer)
    }

    async fn read_into(&self, name: &str, offset: u64, len: usize, buffer: &mut Vec<u8>) -> Result<()> {
        validate_name(name)?;
        let files = self.read();
        let bytes = files.get(name).ok_or_else(|| missing(name))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(len).min(bytes.len());
        buffer.clear();
        buffer.extend_from_slice(&bytes[start..end]);
        Ok(())
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        validate_name(name)?;
        self.write().get_mut(name).ok_or_else(|| missing(name))?.extend_from_slice(bytes);
        Ok(())
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.len(name).await.map(drop)
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        validate_name(name)?;
        let mut files = self.write();
        let bytes = files.get_mut(name).ok_or_else(|| missing(name))?;
        match usize::try_from(len) {
            Ok(len) if len <= bytes.len() => bytes.truncate(len),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("cannot cut {name} to {len} bytes"),
                ));
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        validate_name(name)?;
        self.write().remove(name).map(drop).ok_or_else(|| missing(name))
    }
}
