//! What is done to a database before, between and after crashes, and what it must hold then.

use crate::disk::Disk;
use crate::recording::{Effect, Opened, RecordingStorage};
use pumice::blocking::{Db, ReadView};
use pumice::{Durability, Environment, Options, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub type Model = BTreeMap<(String, String), String>;

/// What the database holds after each write, and the sequence number of that write. The first entry is before any.
#[derive(Clone)]
pub struct History(pub Vec<(u64, Arc<Model>)>);

impl History {
    pub fn new() -> Self {
        Self(vec![(0, Arc::default())])
    }

    /// The number of the write that resolved to `sequence`.
    pub fn at(&self, sequence: u64) -> Option<usize> {
        self.0.binary_search_by_key(&sequence, |(s, _)| *s).ok()
    }

    pub fn last(&self) -> usize {
        self.0.len() - 1
    }

    pub fn until(&self, write: usize) -> Self {
        Self(self.0[..=write].to_vec())
    }

    fn push(&mut self, sequence: u64, edit: impl FnOnce(&mut Model)) {
        let mut model = self.0.last().map(|(_, model)| Model::clone(model)).unwrap_or_default();
        edit(&mut model);
        self.0.push((sequence, Arc::new(model)));
    }
}

/// The same bytes and times in every run.
#[derive(Default)]
struct Replayable(AtomicU64);

impl Environment for Replayable {
    fn unix_millis(&self) -> u64 {
        1_790_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

/// How every database here is opened unless a workload says otherwise.
pub fn options() -> Options {
    Options::new()
        .environment(Replayable::default())
        .compact_at(None)
        .flush_interval(Duration::from_secs(3600))
        .cache_bytes(1 << 16)
}

#[derive(Clone, Debug)]
pub enum Edit {
    Put(&'static str, String, String),
    Delete(&'static str, String),
    Drop(&'static str),
}

pub fn put(collection: &'static str, key: impl ToString, value: impl ToString) -> Edit {
    Edit::Put(collection, key.to_string(), value.to_string())
}

pub fn text(len: usize) -> String {
    format!("\"{}\"", "x".repeat(len))
}

impl Edit {
    fn change(&self, model: &mut Model) {
        match self {
            Self::Put(c, k, v) => {
                model.insert(((*c).to_owned(), k.clone()), v.clone());
            }
            Self::Delete(c, k) => {
                model.remove(&((*c).to_owned(), k.clone()));
            }
            Self::Drop(c) => model.retain(|(collection, _), _| collection != c),
        }
    }
}

/// Runs a workload and keeps account of it.
pub struct Driver {
    pub storage: RecordingStorage,
    options: Options,
    db: Option<Db<Opened>>,
    history: History,
    views: Vec<ReadView<Opened>>,
}

impl Driver {
    pub fn open(disk: &Disk, history: History, options: Options) -> Result<Self> {
        let storage = RecordingStorage::new(disk);
        let db = Db::open_with(storage.open()?, options.clone())?;
        let driver = Self { storage, options, db: Some(db), history, views: Vec::new() };
        Ok(driver)
    }

    pub fn db(&self) -> &Db<Opened> {
        self.db.as_ref().unwrap()
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes on what the database was found to hold.
    pub fn adopt(&mut self, history: History) {
        self.history = history;
    }

    /// Says that everything so far is durable.
    pub fn acknowledge(&self) {
        self.storage.acknowledge(self.history.last());
    }

    pub fn edit(&mut self, edit: &Edit) {
        self.accept(edit, Durability::Disk);
        self.acknowledge();
    }

    pub fn buffer(&mut self, edit: &Edit) {
        self.accept(edit, Durability::Buffered);
    }

    fn accept(&mut self, edit: &Edit, durability: Durability) {
        let db = self.db().with_durability(durability);
        let sequence = match edit {
            Edit::Put(c, k, v) => db.collection(c).put_raw(k, v).unwrap(),
            Edit::Delete(c, k) => {
                if !db.collection(c).delete(k).unwrap() {
                    return;
                }
                // One record, and nobody else writes.
                self.history.0.last().map_or(0, |(s, _)| *s) + 1
            }
            Edit::Drop(c) => db.collection(c).drop_all().unwrap(),
        };
        self.history.push(sequence, |model| edit.change(model));
    }

    pub fn put(&mut self, collection: &'static str, key: impl ToString, value: impl ToString) {
        self.edit(&put(collection, key, value));
    }

    pub fn delete(&mut self, collection: &'static str, key: impl ToString) {
        self.edit(&Edit::Delete(collection, key.to_string()));
    }

    pub fn drop_collection(&mut self, collection: &'static str) {
        self.edit(&Edit::Drop(collection));
    }

    pub fn batch(&mut self, edits: &[Edit]) {
        self.write_batch(edits, Durability::Disk);
        self.acknowledge();
    }

    pub fn buffer_batch(&mut self, edits: &[Edit]) {
        self.write_batch(edits, Durability::Buffered);
    }

    fn write_batch(&mut self, edits: &[Edit], durability: Durability) {
        let written = self.db().with_durability(durability).batch(|batch| {
            for edit in edits {
                match edit {
                    Edit::Put(c, k, v) => batch.put_raw(c, k, v)?,
                    Edit::Delete(c, k) => batch.delete(c, k)?,
                    Edit::Drop(c) => batch.drop_collection(c)?,
                };
            }
            Ok(())
        });
        self.history.push(written.unwrap(), |model| edits.iter().for_each(|edit| edit.change(model)));
    }

    pub fn sync(&mut self) {
        self.db().sync().unwrap();
        self.acknowledge();
    }

    pub fn compact(&mut self) {
        self.db().compact().unwrap();
    }

    /// Waits until the compactions that start by themselves have caught up.
    pub fn settle(&mut self, log_bytes: u64) {
        for _ in 0..2000 {
            if self.db().stats().unwrap().log_bytes < log_bytes {
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub fn hold_view(&mut self) {
        self.views.push(self.db().read_view());
    }

    pub fn release_views(&mut self) {
        self.views.clear();
    }

    pub fn close(&mut self) {
        self.views.clear();
        self.db().close().unwrap();
        self.acknowledge();
        self.db = None;
    }

    pub fn reopen(&mut self) {
        self.close();
        self.start();
    }

    /// Opens again with other options.
    pub fn reopen_with(&mut self, options: Options) {
        self.close();
        self.options = options;
        self.start();
    }

    pub fn start(&mut self) {
        self.db = Some(Db::open_with(self.storage.open().unwrap(), self.options.clone()).unwrap());
    }

    /// Ends the workload: what was done to the disk, and what it must hold.
    pub fn finish(mut self) -> (Vec<Effect>, History) {
        self.views.clear();
        if let Some(db) = self.db.take() {
            db.close().unwrap();
            self.storage.acknowledge(self.history.last());
        }
        (self.storage.effects(), self.history)
    }
}
