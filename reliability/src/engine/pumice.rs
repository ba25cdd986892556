//! Pumice through its crate, with every setting as it comes but for one: it compacts at 128 KiB of log and not at
//! 16 MiB, so that compactions happen within a short test.

use super::{Documents, Engine};
use anyhow::{Result, bail};
use pumice::blocking::{Collection, Db};
use pumice::{Options, SyncDiskStorage};
use std::path::Path;

const COMPACT_AT: u64 = 128 << 10;
const COLLECTION: &str = "documents";

pub struct Pumice {
    db: Db,
    documents: Collection,
}

impl Pumice {
    pub fn open(dir: &Path) -> Result<Self> {
        let db = Db::open_with(SyncDiskStorage::open(dir)?, Options::new().compact_at(Some(COMPACT_AT)))?;
        let documents = db.collection(COLLECTION);
        Ok(Self { db, documents })
    }
}

impl Engine for Pumice {
    fn put(&mut self, key: &str, document: &str) -> Result<()> {
        self.documents.put_raw(key, document)?;
        Ok(())
    }

    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()> {
        self.db.batch(|batch| {
            for (key, document) in documents {
                batch.put_raw(COLLECTION, key, document)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.documents.delete(key)?;
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        Ok(self.db.compact()?)
    }

    fn read_all(&mut self) -> Result<Documents> {
        let mut all = Documents::new();
        self.documents.for_each_raw(.., |key, document| {
            all.insert(key.to_owned(), document.to_owned());
            Ok(())
        })?;
        Ok(all)
    }

    fn check(&mut self) -> Result<()> {
        if let Some(damage) = self.db.verify()?.damage.first() {
            bail!("{damage}");
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.db.close()?)
    }
}
