//! emdb: a log with an index of all keys in memory, as it comes: a `flush` after each write when durable, which
//! concurrent callers share. Without its second index it has no order, so nobody asks it for an ordered scan.

use super::{Documents, Durability, Engine, Reader};
use anyhow::{Result, bail};
use std::path::Path;

pub struct Emdb {
    db: emdb::Emdb,
    durability: Durability,
}

impl Emdb {
    pub fn open(dir: &Path, durability: Durability) -> Result<Self> {
        Ok(Self { db: emdb::Emdb::builder().path(dir.join("db.emdb")).build()?, durability })
    }

    fn flush_if_durable(&self) -> Result<()> {
        if self.durability == Durability::Durable {
            self.db.flush()?;
        }
        Ok(())
    }
}

impl Engine for Emdb {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.db.insert(key, document)?;
        self.flush_if_durable()
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        self.db.insert_many(documents.iter().map(|(key, document)| (key.as_str(), *document)))?;
        self.flush_if_durable()
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }

    fn compact(&self) -> Result<bool> {
        self.db.compact()?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(EmdbReader(&self.db)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.checkpoint()?)
    }
}

struct EmdbReader<'a>(&'a emdb::Emdb);

impl Reader for EmdbReader<'_> {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.0.get_zerocopy(key)?;
        if let Some(document) = &document {
            found(document.as_ref());
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        bail!("emdb has no order")
    }
}
