//! fjall 3 as it comes, with `PersistMode::SyncAll` after each write. It has no check of its own.

use super::{Documents, Engine};
use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

pub struct Fjall {
    db: Database,
    documents: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path) -> Result<Self> {
        let db = Database::builder(dir.join("db")).open()?;
        let documents = db.keyspace("documents", KeyspaceCreateOptions::default)?;
        Ok(Self { db, documents })
    }
}

impl Engine for Fjall {
    fn put(&mut self, key: &str, document: &str) -> Result<()> {
        self.documents.insert(key, document)?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for (key, document) in documents {
            batch.insert(&self.documents, key.as_str(), document.as_str());
        }
        Ok(batch.commit()?)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.documents.remove(key)?;
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn compact(&mut self) -> Result<()> {
        self.documents.rotate_memtable_and_wait()?;
        Ok(self.documents.major_compact()?)
    }

    fn read_all(&mut self) -> Result<Documents> {
        let mut all = Documents::new();
        for entry in self.documents.iter() {
            let (key, document) = entry.into_inner()?;
            all.insert(
                String::from_utf8_lossy(&key).into_owned(),
                String::from_utf8_lossy(&document).into_owned(),
            );
        }
        Ok(all)
    }

    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}
