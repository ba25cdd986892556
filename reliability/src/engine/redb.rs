//! redb 4 as it comes: `Durability::Immediate`, one commit a write. `check` is its `check_integrity`.

use super::{Documents, Engine};
use anyhow::{Result, ensure};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::path::Path;

const TABLE: TableDefinition<'_, &str, &str> = TableDefinition::new("documents");

pub struct Redb(Database);

impl Redb {
    pub fn open(dir: &Path) -> Result<Self> {
        let db = Database::create(dir.join("db.redb"))?;
        let has_table = db.begin_read()?.open_table(TABLE).is_ok();
        let redb = Self(db);
        if !has_table {
            redb.write(|transaction| {
                transaction.open_table(TABLE)?;
                Ok(())
            })?;
        }
        Ok(redb)
    }

    fn write(&self, change: impl FnOnce(&WriteTransaction) -> Result<()>) -> Result<()> {
        let transaction = self.0.begin_write()?;
        change(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Engine for Redb {
    fn put(&mut self, key: &str, document: &str) -> Result<()> {
        self.write(|transaction| {
            transaction.open_table(TABLE)?.insert(key, document)?;
            Ok(())
        })
    }

    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()> {
        self.write(|transaction| {
            let mut table = transaction.open_table(TABLE)?;
            for (key, document) in documents {
                table.insert(key.as_str(), document.as_str())?;
            }
            Ok(())
        })
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.write(|transaction| {
            transaction.open_table(TABLE)?.remove(key)?;
            Ok(())
        })
    }

    fn compact(&mut self) -> Result<()> {
        self.0.compact()?;
        Ok(())
    }

    fn read_all(&mut self) -> Result<Documents> {
        let mut all = Documents::new();
        for entry in self.0.begin_read()?.open_table(TABLE)?.iter()? {
            let (key, document) = entry?;
            all.insert(key.value().to_owned(), document.value().to_owned());
        }
        Ok(all)
    }

    fn check(&mut self) -> Result<()> {
        ensure!(self.0.check_integrity()?, "check_integrity found damage");
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
