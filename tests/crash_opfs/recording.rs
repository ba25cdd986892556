//! A pooled storage over parts in memory that keep, in order, everything that was done to them.

use crate::disk::{Disk, State, parts};
use crate::support::block_on;
use crate::support::medium::{Change, EitherJournal, Medium};
use pumice::pool::PooledStorage;
use pumice::{Error, ErrorKind, Result, Storage};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that happened, in the order in which it happened.
#[derive(Clone)]
pub enum Effect {
    Changed(Change),
    /// So many milliseconds went by.
    Passed(u64),
    /// The caller was told that everything up to this write, counted from 1, is durable.
    Acknowledged(usize),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(Change::Write(slot, offset, bytes)) => {
                write!(f, "write of {} at {offset} of slot {slot}", bytes.len())
            }
            Self::Changed(Change::Commit(copy, edits)) => {
                write!(f, "begin of a transaction of {} on {copy:?}", edits.len())
            }
            Self::Changed(other) => write!(f, "{other:?}"),
            Self::Passed(millis) => write!(f, "{millis} ms"),
            Self::Acknowledged(write) => write!(f, "acknowledgement of write {write}"),
        }
    }
}

type Pool = PooledStorage<Medium, EitherJournal>;

/// A pooled storage, as a database opened on it gets it.
#[derive(Clone)]
pub struct Opened {
    pool: Arc<Pool>,
    read_only: bool,
}

impl Opened {
    fn new(medium: Medium, read_only: bool, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Result<Self> {
        let pool = block_on(PooledStorage::open_bare(medium.clone(), EitherJournal::new(medium), clock))?;
        Ok(Self { pool: Arc::new(pool), read_only })
    }

    pub fn names(&self) -> Vec<String> {
        block_on(self.pool.list()).unwrap_or_default()
    }

    pub fn contents(&self, name: &str) -> Result<Vec<u8>> {
        block_on(self.pool.read_at(name, 0, usize::MAX))
    }

    fn to_write(&self) -> Result<&Pool> {
        if self.read_only {
            let message = "something was written although the database was opened read-only";
            return Err(Error::new(ErrorKind::ReadOnly, message));
        }
        Ok(&self.pool)
    }
}

impl Storage for Opened {
    async fn list(&self) -> Result<Vec<String>> {
        self.pool.list().await
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.to_write()?.create(name).await
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.pool.len(name).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.pool.read_at(name, offset, len).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.to_write()?.append(name, bytes).await
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.to_write()?.sync(name).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.to_write()?.truncate(name, len).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.to_write()?.remove(name).await
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await
    }
}

/// The storage that a crash left, for reading only.
pub struct Remains;

impl Remains {
    pub fn open(state: &State) -> Result<Opened> {
        Opened::new(Medium::new(parts(state)), true, || 0)
    }
}

/// What a database reads in the file.
pub fn contents(disk: &Disk, name: &str) -> Option<Vec<u8>> {
    disk.contents(name)
}

/// Clones share the parts and the record.
#[derive(Clone)]
pub struct RecordingStorage {
    medium: Medium,
    effects: Arc<Mutex<Vec<Effect>>>,
    now: Arc<AtomicU64>,
    pace: u64,
    opened: Arc<Mutex<Option<Opened>>>,
}

impl RecordingStorage {
    /// Starts with what a process sees of `disk`, with nothing recorded.
    pub fn new(disk: &Disk) -> Self {
        let medium = Medium::new(parts(&disk.all()));
        let effects = Arc::<Mutex<Vec<Effect>>>::default();
        let record = Arc::clone(&effects);
        let faults = disk.faults;
        medium.watch(move |change| {
            if !faults.hides(&change) {
                let mut effects = record.lock().unwrap_or_else(PoisonError::into_inner);
                effects.push(Effect::Changed(change));
            }
            Ok(())
        });
        let now = Arc::new(AtomicU64::new(0));
        Self { medium, effects, now, pace: disk.pace, opened: Arc::default() }
    }

    /// A handle on it, as a database opened now gets one. Its clock begins anew, as each session's does in a browser.
    pub fn open(&self) -> Result<Opened> {
        let (now, begin) = (Arc::clone(&self.now), self.now.load(Ordering::Relaxed));
        let clock = move || now.load(Ordering::Relaxed) - begin;
        let opened = Opened::new(self.medium.clone(), false, clock)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.clone());
        Ok(opened)
    }

    fn opened(&self) -> Opened {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap()
    }

    fn record(&self) -> MutexGuard<'_, Vec<Effect>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn acknowledge(&self, write: usize) {
        self.record().push(Effect::Acknowledged(write));
        // A page's database gets its spare slots once it has shown something.
        self.make_spares();
        if self.pace > 0 {
            self.wait(self.pace);
        }
    }

    pub fn make_spares(&self) {
        block_on(self.opened().pool.make_spares());
    }

    /// Lets time go by.
    pub fn wait(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
        self.record().push(Effect::Passed(millis));
    }

    /// Takes out what was recorded so far.
    pub fn effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.record())
    }

    pub fn names(&self) -> Vec<String> {
        self.opened().names()
    }

    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.opened().contents(name).unwrap_or_default()
    }

    /// How many entries the journal has.
    pub fn journalled(&self) -> usize {
        let parts = self.medium.parts();
        // Each copy has a mark besides.
        let copied = parts.copies.values().map(|entries| entries.len().saturating_sub(1));
        parts.journal.len() + copied.max().unwrap_or_default()
    }

    /// Puts a file there that the database knows nothing of.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let opened = self.opened();
        block_on(async {
            opened.create(name).await?;
            opened.append(name, bytes).await?;
            opened.sync(name).await
        })
        .unwrap();
    }
}
