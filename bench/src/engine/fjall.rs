//! fjall 3: a cache of 512 MiB, and `PersistMode::SyncData` after each write when durable.

use super::{Documents, Durability, Engine, Reader};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

pub struct Fjall {
    db: Database,
    documents: Keyspace,
    durability: Durability,
}

impl Fjall {
    pub fn open(dir: &Path, durability: Durability) -> Result<Self> {
        let db = Database::builder(dir.join("db")).cache_size(512 << 20).open()?;
        let documents = db.keyspace("documents", KeyspaceCreateOptions::default)?;
        Ok(Self { db, documents, durability })
    }
}

impl Engine for Fjall {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.documents.insert(key, document)?;
        if self.durability == Durability::Durable {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        let persist = (self.durability == Durability::Durable).then_some(PersistMode::SyncData);
        let mut batch = self.db.batch().durability(persist);
        for (key, document) in documents {
            batch.insert(&self.documents, key.as_str(), *document);
        }
        Ok(batch.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncData)?)
    }

    fn compact(&self) -> Result<bool> {
        self.documents.rotate_memtable_and_wait()?;
        self.documents.major_compact()?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(FjallReader(&self.documents)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

struct FjallReader<'a>(&'a Keyspace);

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.0.get(key)?;
        if let Some(document) = &document {
            found(document);
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.0.iter() {
            let (key, document) = entry.into_inner()?;
            visit(&key, &document);
        }
        Ok(())
    }
}
