//! Closed databases in memory, and views of them in which one bit is flipped or one file is cut short.
//!
//! They hold what a real one may: several segments, of which crashes made the later ones, with a torn tail in
//! quarantine; a full snapshot and a run on top of it, with tombstones and a drop; batches; values of all sizes.

use super::block_on;
use pumice::blocking::Db;
use pumice::{Batch, Durability, Error, ErrorKind, MemoryStorage, Options, Published, Result, Storage};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::Duration;

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
    /// Only a log, of three segments.
    pub fn log_only() -> Self {
        let mut session = Session::open(MemoryStorage::new(), Options::new());
        session.put(0..40);
        session.drop_collection("b");
        session.put(30..50);
        let mut session = session.crash(true);
        session.put(45..70);
        let mut session = session.crash(false);
        session.put(65..90);
        session.close()
    }

    /// A full snapshot, a run on top of it with packed values, and a log of two segments.
    pub fn snapshots_and_log() -> Self {
        let mut session = Session::open(MemoryStorage::new(), Options::new());
        session.put(0..40);
        session.drop_collection("b");
        session.put(30..130);
        session.db.compact().unwrap();
        session.put(117..130);
        session.drop_collection("b");
        session.put(127..140);
        let mut session = session.compact_tail();
        session.put(140..165);
        let mut session = session.crash(true);
        session.put(165..185);
        session.close()
    }

    pub fn bytes(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// The names of those files that count, of one kind.
    pub fn names(&self, ending: &str) -> Vec<&str> {
        let names = self.files.keys().map(String::as_str);
        names.filter(|name| name.ends_with(ending) && !name.contains('/')).collect()
    }
}

/// A database being filled.
struct Session {
    db: Db<MemoryStorage>,
    storage: MemoryStorage,
    history: BTreeMap<Name, Vec<String>>,
}

impl Session {
    fn open(storage: MemoryStorage, options: Options) -> Self {
        let db = Db::open_with(storage.clone(), options.compact_at(None)).unwrap();
        Self { db, storage, history: BTreeMap::new() }
    }

    /// The database as it was on the disk when its process ended without closing it, opened again. `torn` leaves
    /// half a line.
    fn crash(self, torn: bool) -> Self {
        let storage = MemoryStorage::new();
        block_on(async {
            for (name, bytes) in files(&self.storage).await {
                storage.create(&name).await.unwrap();
                storage.append(&name, &bytes).await.unwrap();
            }
            if torn {
                let names = storage.list().await.unwrap();
                let last = names.iter().filter(|name| name.ends_with(".log")).max().unwrap();
                storage.append(last, b"{\"_s\":99,\"_p\":\"0123").await.unwrap();
            }
        });
        let db = Db::open_with(storage.clone(), Options::new().compact_at(None)).unwrap();
        assert_eq!(db.recovery().torn.is_some(), torn);
        Self { db, storage, history: self.history }
    }

    /// Has the tail of the log compacted into a run on top of the snapshots.
    fn compact_tail(self) -> Self {
        self.db.close().unwrap();
        let (published, next) = mpsc::channel();
        let tell = move |file: &Published| drop(published.send(file.clone()));
        // The log is so long that opening compacts it at once.
        let options = Options::new().compact_at(Some(1 << 10)).pack_values(true).on_published(tell);
        let db = Db::open_with(self.storage.clone(), options).unwrap();

        let run = next.recv_timeout(Duration::from_secs(60)).expect("a compaction");
        assert!(run.file.contains('-'), "{} is no run", run.file);
        db.close().unwrap();
        Self { history: self.history, ..Self::open(self.storage, Options::new()) }
    }

    fn close(self) -> Sealed {
        let mut documents = BTreeMap::new();
        let all = self.db.read_view();
        all.for_each_of_all_raw(|collection, key, text| {
            documents.insert((collection.to_owned(), key.to_owned()), text.to_owned());
            Ok(())
        })
        .unwrap();
        drop(all);
        self.db.close().unwrap();
        Sealed { files: block_on(files(&self.storage)), documents, history: self.history }
    }

    fn remember(&mut self, collection: &str, key: &str, text: &str) {
        self.history.entry((collection.to_owned(), key.to_owned())).or_default().push(text.to_owned());
    }

    fn drop_collection(&mut self, name: &str) {
        self.db.collection(name).drop_all().unwrap();
    }

    fn put(&mut self, numbers: Range<u32>) {
        let db = self.db.with_durability(Durability::Buffered);
        for n in numbers {
            // One in sixteen is large, the others have up to 300 bytes.
            let words = if n % 16 == 5 { 400 } else { n as usize % 25 };
            let text = format!("value {n} ").repeat(words);
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
                    let batch = |b: &mut Batch| {
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
        db.sync().unwrap();
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
#[derive(Clone)]
pub struct Damaged {
    pub sealed: Arc<Sealed>,
    pub file: Arc<str>,
    pub damage: Damage,
}

impl Damaged {
    fn bytes(&self, name: &str) -> Result<&[u8]> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no file {name}"));
        let bytes = self.sealed.files.get(name).ok_or_else(missing)?;
        match self.damage {
            Damage::Cut { len } if name == &*self.file => Ok(&bytes[..len]),
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
            && name == &*self.file
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
