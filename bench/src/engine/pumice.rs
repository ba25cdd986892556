//! Pumice through its crate, with every setting as it comes, or with packed values. It alone checks that a document is JSON.

use super::{Documents, Durability, Engine, Reader};
use anyhow::Result;
use pumice::blocking::{Collection, Db};
use pumice::{Options, SyncDiskStorage};
use std::path::Path;

const COLLECTION: &str = "documents";

pub struct Pumice {
    db: Db,
    documents: Collection,
}

impl Pumice {
    pub fn open(dir: &Path, durability: Durability, packed: bool) -> Result<Self> {
        let durability = match durability {
            Durability::Durable => pumice::Durability::Disk,
            Durability::Buffered => pumice::Durability::Buffered,
        };
        let options = Options::new().durability(durability).pack_values(packed);
        let db = Db::open_with(SyncDiskStorage::open(dir)?, options)?;
        let documents = db.collection(COLLECTION);
        Ok(Self { db, documents })
    }
}

impl Engine for Pumice {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.documents.put_raw(key, document)?;
        Ok(())
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        self.db.batch(|batch| {
            for (key, document) in documents {
                batch.put_raw(COLLECTION, key, document)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.sync()?)
    }

    fn compact(&self) -> Result<bool> {
        self.db.compact()?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(PumiceReader(&self.documents)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.close()?)
    }
}

struct PumiceReader<'a>(&'a Collection);

impl Reader for PumiceReader<'_> {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.0.get_raw(key)?;
        if let Some(text) = &document {
            found(text.as_bytes());
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        Ok(self.0.for_each_raw(.., |key, document| {
            visit(key.as_bytes(), document.as_bytes());
            Ok(())
        })?)
    }
}
