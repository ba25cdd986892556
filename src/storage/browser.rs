//! Where a browser keeps databases: opening one in the storage that suits, listing them, and deleting one.
//!
//! All of it works in a dedicated worker only.

#[cfg(feature = "js")]
pub(crate) mod blob;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod patience;
mod place;
mod storage;

pub use place::{delete, list, open};
pub use storage::BrowserStorage;

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
    /// There was a database of that name, and the browser has removed its files: this one is new.
    pub evicted: bool,
}
