//! The engines, behind one small interface: durable writes, all documents, and each engine's own check of itself.
//!
//! Keys and documents are text. Every write is durable when it returns, as far as the engine can promise that.

mod fjall;
mod moltendb;
mod pumice;
mod redb;
mod sqlite;

use anyhow::Result;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::path::Path;

/// Documents by key.
pub type Documents = BTreeMap<String, String>;

pub trait Engine {
    fn put(&mut self, key: &str, document: &str) -> Result<()>;

    /// Both or neither.
    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()>;

    /// The key may be missing.
    fn delete(&mut self, key: &str) -> Result<()>;

    fn compact(&mut self) -> Result<()>;

    fn read_all(&mut self) -> Result<Documents>;

    /// The engine's own check of everything it stores. Nothing where it has none.
    fn check(&mut self) -> Result<()>;

    fn close(self: Box<Self>) -> Result<()>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Pumice,
    Redb,
    Fjall,
    Sqlite,
    Moltendb,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Pumice, Self::Redb, Self::Fjall, Self::Sqlite, Self::Moltendb];

    /// As it is typed, and in the names of figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pumice => "pumice",
            Self::Redb => "redb",
            Self::Fjall => "fjall",
            Self::Sqlite => "sqlite",
            Self::Moltendb => "moltendb",
        }
    }

    /// Opens the database in the directory `dir`, which is there, or makes one in it.
    ///
    /// # Errors
    /// The engine's own.
    pub fn open(self, dir: &Path) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Pumice => Box::new(pumice::Pumice::open(dir)?),
            Self::Redb => Box::new(redb::Redb::open(dir)?),
            Self::Fjall => Box::new(fjall::Fjall::open(dir)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(dir)?),
            Self::Moltendb => Box::new(moltendb::Moltendb::open(dir)?),
        })
    }
}
