//! `SQLite`, the bundled one, with `journal_mode=WAL` and `synchronous=FULL`. `check` is `PRAGMA integrity_check`.

use super::{Documents, Engine};
use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use std::path::Path;

const PUT: &str =
    "INSERT INTO documents(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value=excluded.value";

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn open(dir: &Path) -> Result<Self> {
        let db = Connection::open(dir.join("db.sqlite"))?;
        db.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
             CREATE TABLE IF NOT EXISTS documents(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
        )?;
        Ok(Self(db))
    }
}

impl Engine for Sqlite {
    fn put(&mut self, key: &str, document: &str) -> Result<()> {
        self.0.prepare_cached(PUT)?.execute(params![key, document])?;
        Ok(())
    }

    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()> {
        let transaction = self.0.transaction()?;
        for (key, document) in documents {
            transaction.prepare_cached(PUT)?.execute(params![key, document])?;
        }
        Ok(transaction.commit()?)
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.0.prepare_cached("DELETE FROM documents WHERE key=?1")?.execute([key])?;
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        Ok(self.0.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?)
    }

    fn read_all(&mut self) -> Result<Documents> {
        let mut query = self.0.prepare_cached("SELECT key, value FROM documents")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn check(&mut self) -> Result<()> {
        let answer: String = self.0.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        ensure!(answer == "ok", "integrity_check: {answer}");
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close().map_err(|(_, error)| error.into())
    }
}
