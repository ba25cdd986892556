//! Sealed databases in memory, and views of them in which one bit is flipped or one file is cut short.

use super::block_on;
use super::log_file::lines;
use pumice::blocking::Db;
use pumice::{Durability, Error, ErrorKind, MemoryStorage, Options, Result, Storage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A closed database: its files, and its documents by collection and key.
pub struct Sealed {
    pub files: BTreeMap<String, Vec<u8>>,
    pub documents: BTreeMap<Name, String>,
    /// Every document that ever was under a name.
    pub history: BTreeMap<Name, Vec<String>>,
}

/// A collection and a key.
pub type Name = (String, String);

impl Sealed {
    /// Only a log, of at least 64 KiB.
    pub fn log_only() -> Self {
        Self::make(|fill| fill.put(0..220))
    }

    /// A snapshot and a log, together at least 64 KiB.
    pub fn snapshot_and_log() -> Self {
        Self::make(|fill| {
            fill.put(0..90);
            fill.db.collection("b").drop_all().unwrap();
            fill.put(60..250);
            fill.db.compact().unwrap();
            fill.put(200..370);
        })
    }

    fn make(run: impl Fn(&mut Fill)) -> Self {
        loop {
            let storage = MemoryStorage::new();
            let db = Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap();
            let mut fill = Fill { db, history: BTreeMap::new() };
            run(&mut fill);
            let Fill { db, history } = fill;
            let mut documents = BTreeMap::new();
            let all = db.read_view();
            all.for_each_of_all_raw(|c, k, text| {
                documents.insert((c.to_owned(), k.to_owned()), text.to_owned());
                Ok(())
            })
            .unwrap();
            drop(all);
            db.close().unwrap();
            let files = block_on(files(&storage));
            let logs = files.iter().filter(|(name, _)| name.contains(".log"));
            let seals = logs.flat_map(|(_, bytes)| lines(bytes)).filter(super::log_file::FileLine::is_seal);
            // A log that was idle for a while has a seal in its midst, and cut there it is whole and shorter: the one
            // loss that no file can tell by itself.
            if seals.count() == 1 {
                let bytes: usize = files.values().map(Vec::len).sum();
                assert!(bytes >= 64 << 10, "only {bytes} bytes");
                return Self { files, documents, history };
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }
}

struct Fill {
    db: Db<MemoryStorage>,
    history: BTreeMap<Name, Vec<String>>,
}

impl Fill {
    fn remember(&mut self, collection: &str, key: &str, text: &str) {
        self.history.entry((collection.to_owned(), key.to_owned())).or_default().push(text.to_owned());
    }

    fn put(&mut self, numbers: std::ops::Range<u32>) {
        let db = self.db.with_durability(Durability::Buffered);
        for n in numbers {
            let text = format!("value {n} ").repeat(n as usize % 40);
            let document = serde_json::json!({"n": n, "text": text, "list": [n, null, 1.5]}).to_string();
            match n % 4 {
                0 | 1 => {
                    let (collection, key) = if n % 4 == 0 {
                        ("a", format!("key {n:04}"))
                    } else {
                        ("a \u{fc}", format!("\"{n:04}\""))
                    };
                    db.collection(collection).put_raw(&key, &document).unwrap();
                    self.remember(collection, &key, &document);
                }
                2 => {
                    let (key, other, number) = (n.to_string(), format!("key {n:04}"), n.to_string());
                    let batch = |b: &mut pumice::Batch| {
                        b.put_raw("b", &key, &document)?.put_raw("a", &other, &number)?;
                        b.delete("a", &format!("key {:04}", n / 2)).map(drop)
                    };
                    db.batch(batch).unwrap();
                    self.remember("b", &key, &document);
                    self.remember("a", &other, &number);
                }
                _ => drop(db.collection("a").delete(&format!("key {:04}", n - 3)).unwrap()),
            }
            if n % 16 == 0 {
                db.sync().unwrap();
            }
        }
    }
}

async fn files(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in storage.list().await.unwrap() {
        let bytes = storage.read_at(&name, 0, usize::MAX).await.unwrap();
        files.insert(name, bytes);
    }
    files
}

/// What is wrong with the file.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    Nothing,
    Flip { at: usize, bit: u8 },
    Cut { len: usize },
}

/// Shows a sealed database with damage in one file. Nothing can be written.
pub struct Damaged {
    pub sealed: Arc<Sealed>,
    pub file: String,
    pub damage: Damage,
}

impl Damaged {
    fn bytes(&self, name: &str) -> Result<&[u8]> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no file {name}"));
        let bytes = self.sealed.files.get(name).ok_or_else(missing)?;
        match self.damage {
            Damage::Cut { len } if name == self.file => Ok(&bytes[..len]),
            _ => Ok(bytes),
        }
    }
}

fn read_only<T>() -> Result<T> {
    Err(Error::new(ErrorKind::ReadOnly, "nothing can be written here"))
}

impl Storage for Damaged {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.sealed.files.keys().cloned().collect())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        Ok(self.bytes(name)?.len() as u64)
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let all = self.bytes(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let mut bytes = all[start..start.saturating_add(len).min(all.len())].to_vec();
        if let Damage::Flip { at, bit } = self.damage
            && name == self.file
            && let Some(byte) = at.checked_sub(start).and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << bit;
        }
        Ok(bytes)
    }

    async fn create(&self, _: &str) -> Result<()> {
        read_only()
    }

    async fn append(&self, _: &str, _: &[u8]) -> Result<()> {
        read_only()
    }

    async fn sync(&self, _: &str) -> Result<()> {
        read_only()
    }

    async fn truncate(&self, _: &str, _: u64) -> Result<()> {
        read_only()
    }

    async fn remove(&self, _: &str) -> Result<()> {
        read_only()
    }
}
