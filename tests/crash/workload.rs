//! What is done to a database before, between and after crashes, and what it must hold then.

use crate::disk::Disk;
use crate::recording::{Effect, Opened, RecordingStorage};
use crate::support::block_on;
use crate::support::snapshots::{SnapshotBytes, export};
use pumice::blocking::{Db, ReadView};
use pumice::{Answer, Batch, Durability, Environment, MemoryStorage, Options, Origin, Result, Retention};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub type Model = BTreeMap<(String, String), String>;

/// What happened to a database.
#[derive(Clone)]
pub struct History {
    /// What it holds after each write, and the sequence number of that write. The first entry is before any.
    pub writes: Vec<(u64, Arc<Model>)>,
    /// What a client has sent.
    pub sent: Vec<Sent>,
}

/// A client's call and its answer.
#[derive(Clone)]
pub struct Sent {
    call: Call,
    number: u64,
    /// The history's last write once it was done. It is that write unless it had nothing to do.
    write: usize,
    answer: Answer,
}

#[derive(Clone)]
enum Call {
    Batch(Vec<Edit>),
    Delete(&'static str, String),
}

impl History {
    pub fn new() -> Self {
        Self { writes: vec![(0, Arc::default())], sent: Vec::new() }
    }

    /// The number of the write that resolved to `sequence`.
    pub fn at(&self, sequence: u64) -> Option<usize> {
        self.writes.binary_search_by_key(&sequence, |(s, _)| *s).ok()
    }

    pub fn last(&self) -> usize {
        self.writes.len() - 1
    }

    /// What a database that goes up to that write holds.
    pub fn until(&self, write: usize) -> Self {
        Self { writes: self.writes[..=write].to_vec(), sent: Vec::new() }
    }

    fn last_sequence(&self) -> u64 {
        self.writes.last().map_or(0, |(sequence, _)| *sequence)
    }

    fn push(&mut self, sequence: u64, edit: impl FnOnce(&mut Model)) {
        let mut model = self.writes.last().map(|(_, model)| Model::clone(model)).unwrap_or_default();
        edit(&mut model);
        self.writes.push((sequence, Arc::new(model)));
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

async fn snapshot_of(edits: &[Edit]) -> Result<SnapshotBytes> {
    let db = pumice::Db::open_with(MemoryStorage::new(), options()).await?;
    db.batch(|batch| edits.iter().try_for_each(|edit| edit.put_into(batch))).await?;
    export(&db).await
}

impl Sent {
    fn had_nothing_to_do(&self) -> bool {
        self.answer == Answer::Deleted(false)
    }
}

impl Call {
    fn change(&self, model: &mut Model) {
        match self {
            Self::Batch(edits) => edits.iter().for_each(|edit| edit.change(model)),
            Self::Delete(c, k) => Edit::Delete(c, k.clone()).change(model),
        }
    }

    /// How many records it takes.
    fn records(&self) -> u64 {
        match self {
            Self::Batch(edits) if edits.len() > 1 => edits.len() as u64 + 2,
            _ => 1,
        }
    }
}

impl Edit {
    fn put_into(&self, batch: &mut Batch) -> Result<()> {
        match self {
            Self::Put(c, k, v) => batch.put_raw(c, k, v)?,
            Self::Delete(c, k) => batch.delete(c, k)?,
            Self::Drop(c) => batch.drop_collection(c)?,
        };
        Ok(())
    }

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
    /// The last call that a client was told to be durable.
    acknowledged: Cell<u64>,
    views: Vec<ReadView<Opened>>,
}

impl Driver {
    pub fn open(disk: &Disk, history: History, options: Options) -> Result<Self> {
        let storage = RecordingStorage::new(disk);
        let db = Db::open_with(storage.open()?, options.clone())?;
        let acknowledged = Cell::new(0);
        let driver = Self { storage, options, db: Some(db), history, acknowledged, views: Vec::new() };
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
        self.acknowledged.set(self.history.sent.len() as u64);
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
                self.history.last_sequence() + 1
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
        let written = self
            .db()
            .with_durability(durability)
            .batch(|batch| edits.iter().try_for_each(|edit| edit.put_into(batch)));
        self.history.push(written.unwrap(), |model| edits.iter().for_each(|edit| edit.change(model)));
    }

    /// Imports a snapshot of these documents.
    pub fn import(&mut self, edits: &[Edit]) {
        self.try_import(edits).unwrap();
        let sequence = self.db().sequence();
        self.history.push(sequence, |model| {
            model.clear();
            edits.iter().for_each(|edit| edit.change(model));
        });
        self.acknowledge();
    }

    pub fn try_import(&self, edits: &[Edit]) -> Result<()> {
        let file = block_on(snapshot_of(edits))?;
        block_on(self.db().as_async().import_snapshot(file))
    }

    /// A client sends a batch, and gets its answer.
    pub fn send(&mut self, edits: &[Edit]) {
        self.send_call(Call::Batch(edits.to_vec()), Durability::Disk);
        self.acknowledge();
    }

    /// The same, with an answer before it is durable.
    pub fn send_buffered(&mut self, edits: &[Edit]) {
        self.send_call(Call::Batch(edits.to_vec()), Durability::Buffered);
    }

    pub fn send_delete(&mut self, collection: &'static str, key: impl ToString) {
        self.send_call(Call::Delete(collection, key.to_string()), Durability::Disk);
        self.acknowledge();
    }

    fn send_call(&mut self, call: Call, durability: Durability) {
        let number = self.history.sent.len() as u64 + 1;
        // It does not say of all answers that it has them.
        let answer = self.call(&call, number, self.acknowledged.get().saturating_sub(3), durability);
        let before = self.history.last_sequence();
        let sequence = match answer {
            Answer::Written(sequence) => sequence,
            Answer::Deleted(there) => before + u64::from(there),
        };
        if sequence > before {
            self.history.push(sequence, |model| call.change(model));
        }
        self.history.sent.push(Sent { call, number, write: self.history.last(), answer });
    }

    fn call(&self, call: &Call, number: u64, done: u64, durability: Durability) -> Answer {
        let db = self.db().as_async().with_durability(durability);
        let origin = Some(Origin { client: "the client".into(), number, done });
        let submission = match call {
            Call::Delete(collection, key) => db.submit_delete(collection, key, origin),
            Call::Batch(edits) => {
                let mut batch = db.new_batch();
                edits.iter().for_each(|edit| edit.put_into(&mut batch).unwrap());
                db.submit(batch, origin)
            }
        };
        block_on(submission.unwrap().settled()).unwrap()
    }

    /// After a crash, the client sends again, in order, what it may have no answer to: all behind the write `answered`.
    /// What is there must be answered as before, and not be done again.
    pub fn send_again(&mut self, sent: &[Sent], answered: usize) -> std::result::Result<(), String> {
        let there = self.history.last();
        let again =
            sent.iter().filter(|s| s.write > answered || (s.had_nothing_to_do() && s.write == answered));
        let done = again.clone().next().map_or(0, |first| first.number);
        for sent in again {
            let answer = self.call(&sent.call, sent.number, done, Durability::Disk);
            if answer != sent.answer {
                let Sent { number, answer: before, .. } = sent;
                return Err(format!(
                    "call {number}, of {}, was answered {before:?}, then {answer:?}",
                    sent.write
                ));
            }
            if sent.write > there && !sent.had_nothing_to_do() {
                let sequence = self.history.last_sequence() + sent.call.records();
                self.history.push(sequence, |model| sent.call.change(model));
            }
            self.history.sent.push(sent.clone());
            let (sequence, wanted) = (self.db().sequence(), self.history.last_sequence());
            if sequence != wanted {
                return Err(format!("call {} led to record {sequence} instead of {wanted}", sent.number));
            }
            self.acknowledge();
        }
        Ok(())
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

    /// Sets how much of the past is kept. Where all of it is to be, that comes before the first write.
    pub fn keep(&mut self, retention: Option<Retention>) {
        self.db().set_retention(retention).unwrap();
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
