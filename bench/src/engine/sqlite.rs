//! `SQLite`: one table `WITHOUT ROWID`, WAL, a cache of 64 MiB and a memory map of 4 GiB; `synchronous=FULL` when
//! durable and `NORMAL` otherwise. Writers share one connection, so that none waits for a busy database.

use super::{Documents, Durability, Engine, Reader};
use anyhow::{Result, anyhow};
use rusqlite::{Connection, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PUT: &str = "INSERT INTO documents(key, document) VALUES(?1, ?2)
     ON CONFLICT(key) DO UPDATE SET document = excluded.document";

pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA cache_size=-65536; PRAGMA mmap_size=4294967296;")?;
    Ok(connection)
}

impl Sqlite {
    pub fn open(dir: &Path, durability: Durability) -> Result<Self> {
        let path = dir.join("db.sqlite");
        let synchronous = match durability {
            Durability::Durable => "FULL",
            Durability::Buffered => "NORMAL",
        };
        let writer = connect(&path)?;
        writer.execute_batch(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};
             CREATE TABLE IF NOT EXISTS documents(key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;"
        ))?;
        Ok(Self { path, writer: Mutex::new(writer) })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Sqlite {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.writer().prepare_cached(PUT)?.execute(params![key, document])?;
        Ok(())
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        {
            let mut put = transaction.prepare_cached(PUT)?;
            for (key, document) in documents {
                put.execute(params![key, document])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// It has no call for it but a checkpoint, which does more, so the files are synced from outside.
    fn sync(&self) -> Result<()> {
        let _writer = self.writer();
        for name in ["db.sqlite-wal", "db.sqlite"] {
            File::open(self.path.with_file_name(name))?.sync_data()?;
        }
        Ok(())
    }

    fn compact(&self) -> Result<bool> {
        self.writer().execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        let reader = connect(&self.path)?;
        reader.execute_batch("BEGIN")?;
        Ok(Box::new(SqliteReader(reader)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.close().map_err(|(_, error)| anyhow!(error))
    }
}

struct SqliteReader(Connection);

impl Reader for SqliteReader {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut statement = self.0.prepare_cached("SELECT document FROM documents WHERE key = ?1")?;
        let mut rows = statement.query(params![key])?;
        let row = rows.next()?;
        if let Some(row) = &row {
            found(row.get_ref(0)?.as_str()?.as_bytes());
        }
        Ok(row.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut statement = self.0.prepare_cached("SELECT key, document FROM documents ORDER BY key")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(0)?.as_str()?.as_bytes(), row.get_ref(1)?.as_str()?.as_bytes());
        }
        Ok(())
    }
}
