//! redb 4: a cache of 1 GiB, its default, and one commit a write: `Immediate` when durable, and otherwise `None` with
//! an `Immediate` one at each `sync`. Its compaction keeps everybody else out.

use super::{Documents, Durability, Engine, Reader};
use anyhow::{Context, Result};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

const TABLE: TableDefinition<'_, &str, &str> = TableDefinition::new("documents");

pub struct Redb {
    /// Locked for writing only by the compaction, which takes the database exclusively.
    db: RwLock<Database>,
    durability: redb::Durability,
}

impl Redb {
    pub fn open(dir: &Path, durability: Durability) -> Result<Self> {
        let db = Database::builder().set_cache_size(1 << 30).create(dir.join("db.redb"))?;
        if db.begin_read()?.open_table(TABLE).is_err() {
            let transaction = db.begin_write()?;
            transaction.open_table(TABLE)?;
            transaction.commit()?;
        }
        let durability = match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Buffered => redb::Durability::None,
        };
        Ok(Self { db: RwLock::new(db), durability })
    }

    fn db(&self) -> RwLockReadGuard<'_, Database> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<'a>(&self, documents: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let db = self.db();
        let mut transaction = db.begin_write()?;
        transaction.set_durability(self.durability)?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, document) in documents {
                table.insert(key, document)?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.write(std::iter::once((key, document)))
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        self.write(documents.iter().map(|(key, document)| (key.as_str(), *document)))
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db().begin_write()?.commit()?)
    }

    fn compact(&self) -> Result<bool> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // It refuses while there are commits that are not durable.
        db.begin_write()?.commit()?;
        db.compact()?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(RedbReader(self.db().begin_read()?.open_table(TABLE).context("documents")?)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self);
        Ok(())
    }
}

struct RedbReader(ReadOnlyTable<&'static str, &'static str>);

impl Reader for RedbReader {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.0.get(key)?;
        if let Some(document) = &document {
            found(document.value().as_bytes());
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.0.iter()? {
            let (key, document) = entry?;
            visit(key.value().as_bytes(), document.value().as_bytes());
        }
        Ok(())
    }
}
