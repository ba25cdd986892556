//! Where a browser keeps databases: opening one in the storage that suits, listing them, and deleting one.

use super::{MemoryStorage, Storage};
use crate::error::{Error, ErrorKind, Result};
use std::time::Duration;

/// What an application asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Where the database is already; else OPFS where the browser has it, else `IndexedDB`.
    Auto,
    /// OPFS.
    Opfs,
    /// `IndexedDB`.
    IndexedDb,
    /// Memory: the database is gone with the worker.
    Memory,
}

/// What a database is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OPFS, the browser's own file system.
    Opfs,
    /// `IndexedDB`.
    IndexedDb,
    /// Memory.
    Memory,
}

/// An open storage, and what was found.
pub struct Opened {
    /// The storage.
    pub storage: BrowserStorage,
    /// The browser removed the database's files: there was one, and this is a new one.
    pub evicted: bool,
}

/// A database's storage in a browser. One type for all kinds, so that the engine is compiled for one.
pub struct BrowserStorage(Inner);

enum Inner {
    Memory(MemoryStorage),
}

impl BrowserStorage {
    /// What it is kept in.
    pub fn kind(&self) -> Kind {
        match self.0 {
            Inner::Memory(_) => Kind::Memory,
        }
    }
}

/// Opens the storage of the database `name`, or makes it.
///
/// While another worker has it open, tries again until `patience` has passed. Dropping the future closes what was opened.
///
/// # Errors
/// [`Busy`](ErrorKind::Busy) when another worker still has it open; [`Unsupported`](ErrorKind::Unsupported) when the browser
/// lacks what was asked for; [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is none, or when the
/// database is kept in another storage than the one asked for.
pub async fn open(name: &str, wanted: Wanted, patience: Duration) -> Result<Opened> {
    let _ = (name, patience);
    match wanted {
        Wanted::Memory => {
            Ok(Opened { storage: BrowserStorage(Inner::Memory(MemoryStorage::new())), evicted: false })
        }
        _ => Err(Error::new(ErrorKind::Unsupported, "this build keeps databases in memory only")),
    }
}

/// The names of this origin's databases, sorted.
///
/// # Errors
/// When the browser fails.
pub async fn list() -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// Deletes all of the database `name`. An unknown name is no error.
///
/// # Errors
/// [`Busy`](ErrorKind::Busy) when somebody still has it open after `patience`.
pub async fn delete(name: &str, patience: Duration) -> Result<()> {
    let _ = (name, patience);
    Ok(())
}

impl Storage for BrowserStorage {
    async fn list(&self) -> Result<Vec<String>> {
        match &self.0 {
            Inner::Memory(s) => s.list().await,
        }
    }

    async fn create(&self, name: &str) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.create(name).await,
        }
    }

    async fn len(&self, name: &str) -> Result<u64> {
        match &self.0 {
            Inner::Memory(s) => s.len(name).await,
        }
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        match &self.0 {
            Inner::Memory(s) => s.read_at(name, offset, len).await,
        }
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.append(name, bytes).await,
        }
    }

    async fn sync(&self, name: &str) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.sync(name).await,
        }
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.truncate(name, len).await,
        }
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.remove(name).await,
        }
    }

    async fn close(&self) -> Result<()> {
        match &self.0 {
            Inner::Memory(s) => s.close().await,
        }
    }
}
