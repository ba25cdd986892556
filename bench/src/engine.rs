//! The engines, behind one small interface: puts, batches, gets, scans and whatever each has of a compaction.
//!
//! One adapter a file, which says at its top how the engine is set up. Any number of threads use one engine.

mod emdb;
mod fjall;
mod lmdb;
mod pumice;
mod raw;
mod redb;
mod sqlite;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Documents of one batch, by key.
pub type Documents<'a> = [(String, &'a str)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A put returns when it would survive a power cut.
    Durable,
    /// A put may return before that; `sync` makes all of them durable.
    Buffered,
}

pub trait Engine: Send + Sync {
    fn put(&self, key: &str, document: &str) -> Result<()>;

    /// One transaction, where the engine has such a thing.
    fn put_all(&self, documents: &Documents<'_>) -> Result<()>;

    /// Makes everything durable.
    fn sync(&self) -> Result<()>;

    /// The engine's own compaction, from start to end; writers go on as far as it lets them. False where it has none.
    fn compact(&self) -> Result<bool>;

    /// What one thread reads with: a read transaction that stays open, where the engine has such a thing.
    fn reader(&self) -> Result<Box<dyn Reader + '_>>;

    fn close(self: Box<Self>) -> Result<()>;
}

pub trait Reader {
    /// Shows the document of `key` to `found`; false when there is none.
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows all keys and documents, in the order of the keys.
    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Pumice,
    PumicePacked,
    Redb,
    Fjall,
    Sqlite,
    Lmdb,
    Emdb,
    Raw,
    RawAhead,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Pumice,
        Self::PumicePacked,
        Self::Redb,
        Self::Fjall,
        Self::Sqlite,
        Self::Lmdb,
        Self::Emdb,
        Self::Raw,
        Self::RawAhead,
    ];

    /// As the page calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pumice => "Pumice",
            Self::PumicePacked => "Pumice, packed",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sqlite => "SQLite",
            Self::Lmdb => "LMDB",
            Self::Emdb => "emdb",
            Self::Raw => "raw append",
            Self::RawAhead => "raw append, grown ahead",
        }
    }

    /// A database that a user could take instead of Pumice.
    pub fn is_peer(self) -> bool {
        !matches!(self, Self::Pumice | Self::PumicePacked) && !self.is_limit()
    }

    /// No database, but the most that the disk gives to an append-only log.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::Raw | Self::RawAhead)
    }

    /// Opens the database in the directory `dir`, which is there, or makes one in it.
    ///
    /// # Errors
    /// The engine's own.
    pub fn open(self, dir: &Path, durability: Durability) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Pumice => Box::new(pumice::Pumice::open(dir, durability, false)?),
            Self::PumicePacked => Box::new(pumice::Pumice::open(dir, durability, true)?),
            Self::Redb => Box::new(redb::Redb::open(dir, durability)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir, durability)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(dir, durability)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(dir, durability)?),
            Self::Emdb => Box::new(emdb::Emdb::open(dir, durability)?),
            Self::Raw => Box::new(raw::Raw::open(dir, durability, raw::Growth::AtItsTail)?),
            Self::RawAhead => Box::new(raw::Raw::open(dir, durability, raw::Growth::Ahead)?),
        })
    }
}
