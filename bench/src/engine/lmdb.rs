//! LMDB through heed: a map of 32 GiB, `NO_SYNC` when buffered. Its compaction writes a copy beside the database, which
//! takes its place when the database is closed, unless something was written since.

use super::{Documents, Durability, Engine, Reader};
use anyhow::Result;
use heed::types::Bytes;
use heed::{CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithTls};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub struct Lmdb {
    dir: PathBuf,
    env: Env,
    documents: Database<Bytes, Bytes>,
    copy_is_current: AtomicBool,
}

impl Lmdb {
    pub fn open(dir: &Path, durability: Durability) -> Result<Self> {
        let env = open_environment(dir, durability)?;
        let mut transaction = env.write_txn()?;
        let documents = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { dir: dir.to_owned(), env, documents, copy_is_current: AtomicBool::new(false) })
    }

    fn copy(&self) -> PathBuf {
        self.dir.join("compacted")
    }

    fn write<'a>(&self, documents: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, document) in documents {
            self.documents.put(&mut transaction, key.as_bytes(), document.as_bytes())?;
        }
        transaction.commit()?;
        self.copy_is_current.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Sound, for the directory is this process's own: nothing else changes the mapped file.
#[allow(unsafe_code)]
fn open_environment(dir: &Path, durability: Durability) -> Result<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(32 << 30).max_readers(128);
    unsafe {
        if durability == Durability::Buffered {
            options.flags(EnvFlags::NO_SYNC);
        }
        Ok(options.open(dir)?)
    }
}

impl Engine for Lmdb {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.write(std::iter::once((key, document)))
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        self.write(documents.iter().map(|(key, document)| (key.as_str(), *document)))
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn compact(&self) -> Result<bool> {
        self.copy_is_current.store(true, Ordering::Relaxed);
        self.env.copy_to_path(self.copy(), CompactionOption::Enabled)?.sync_all()?;
        Ok(true)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(LmdbReader { documents: self.documents, transaction: self.env.read_txn()? }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.env.force_sync()?;
        let (copy, database) = (self.copy(), self.dir.join("data.mdb"));
        let copy_is_current = self.copy_is_current.load(Ordering::Relaxed);
        self.env.prepare_for_closing().wait();
        if copy_is_current {
            fs::rename(copy, database)?;
        } else if copy.exists() {
            fs::remove_file(copy)?;
        }
        Ok(())
    }
}

struct LmdbReader<'a> {
    documents: Database<Bytes, Bytes>,
    transaction: RoTxn<'a, WithTls>,
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.documents.get(&self.transaction, key.as_bytes())?;
        if let Some(document) = document {
            found(document);
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.documents.iter(&self.transaction)? {
            let (key, document) = entry?;
            visit(key, document);
        }
        Ok(())
    }
}
