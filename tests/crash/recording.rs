//! A storage in memory that keeps, in order, everything that was done to it.

use crate::disk::{Disk, State};
use pumice::{Error, ErrorKind, Result, Storage};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that happened, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Effect {
    Create(Arc<str>),
    Append(Arc<str>, Arc<[u8]>),
    Sync(Arc<str>),
    Truncate(Arc<str>, usize),
    Remove(Arc<str>),
    /// The caller was told that everything up to this write, counted from 1, is durable.
    Acknowledged(usize),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(name, bytes) => write!(f, "append of {} to {name}", bytes.len()),
            other => write!(f, "{other:?}"),
        }
    }
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<Arc<str>, Vec<u8>>,
    effects: Vec<Effect>,
}

/// What a database is opened on.
pub type Opened = RecordingStorage;

/// What a database reads in the file.
pub fn contents(disk: &Disk, name: &str) -> Option<Vec<u8>> {
    disk.contents(name)
}

/// Clones share the files and the record.
#[derive(Clone, Default)]
pub struct RecordingStorage(Arc<Mutex<Inner>>);

impl RecordingStorage {
    /// Starts with what a process sees of `disk`, with nothing recorded.
    pub fn new(disk: &Disk) -> Self {
        let files = disk.visible().map(|(name, bytes)| (Arc::clone(name), bytes.to_vec())).collect();
        Self(Arc::new(Mutex::new(Inner { files, effects: Vec::new() })))
    }

    /// A handle on it, as a database opened now gets one.
    #[allow(clippy::unnecessary_wraps)] // Of other storages, opening can fail.
    pub fn open(&self) -> Result<Opened> {
        Ok(self.clone())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn acknowledge(&self, write: usize) {
        self.inner().effects.push(Effect::Acknowledged(write));
    }

    /// Takes out what was recorded so far.
    pub fn effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.inner().effects)
    }

    pub fn names(&self) -> Vec<String> {
        self.inner().files.keys().map(ToString::to_string).collect()
    }

    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.inner().files.get(name).cloned().unwrap_or_default()
    }

    /// Puts a file there that the database knows nothing of.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.inner();
        let name: Arc<str> = name.into();
        inner.files.insert(Arc::clone(&name), bytes.to_vec());
        inner.effects.push(Effect::Create(Arc::clone(&name)));
        inner.effects.push(Effect::Append(Arc::clone(&name), bytes.into()));
        inner.effects.push(Effect::Sync(name));
    }
}

impl Inner {
    fn file(&mut self, name: &str) -> Result<(Arc<str>, &mut Vec<u8>)> {
        let name =
            self.files.get_key_value(name).map(|(name, _)| Arc::clone(name)).ok_or_else(|| missing(name))?;
        let bytes = self.files.get_mut(&name).ok_or_else(|| missing(&name))?;
        Ok((name, bytes))
    }
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no file {name}"))
}

fn part(bytes: &[u8], offset: u64, len: usize) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes[start..start.saturating_add(len).min(bytes.len())].to_vec()
}

impl Storage for RecordingStorage {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.names())
    }

    async fn create(&self, name: &str) -> Result<()> {
        let mut inner = self.inner();
        if inner.files.contains_key(name) {
            return Err(Error::new(ErrorKind::Io, format!("{name} exists already")));
        }
        let name: Arc<str> = name.into();
        inner.files.insert(Arc::clone(&name), Vec::new());
        inner.effects.push(Effect::Create(name));
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.inner().file(name).map(|(_, bytes)| bytes.len() as u64)
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.inner().file(name).map(|(_, bytes)| part(bytes, offset, len))
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut inner = self.inner();
        let (name, file) = inner.file(name)?;
        file.extend_from_slice(bytes);
        inner.effects.push(Effect::Append(name, bytes.into()));
        Ok(())
    }

    async fn sync(&self, name: &str) -> Result<()> {
        let mut inner = self.inner();
        let (name, _) = inner.file(name)?;
        inner.effects.push(Effect::Sync(name));
        Ok(())
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let mut inner = self.inner();
        let (name, file) = inner.file(name)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > file.len() {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("{name} has fewer than {len} bytes")));
        }
        file.truncate(len);
        inner.effects.push(Effect::Truncate(name, len));
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let mut inner = self.inner();
        let (name, _) = inner.file(name)?;
        inner.files.remove(&name);
        inner.effects.push(Effect::Remove(name));
        Ok(())
    }
}

/// The files that a crash left, for reading only.
#[derive(Clone)]
pub struct Remains(pub Arc<State>);

impl Remains {
    #[allow(clippy::unnecessary_wraps)] // Of other storages, opening can fail.
    pub fn open(state: &State) -> Result<Self> {
        Ok(Self(Arc::new(state.clone())))
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.to_string()).collect()
    }

    fn file(&self, name: &str) -> Result<&[u8]> {
        let at = self.0.binary_search_by(|(n, _)| (**n).cmp(name)).map_err(|_| missing(name))?;
        Ok(&self.0[at].1)
    }

    fn refuse<T>() -> Result<T> {
        Err(Error::new(
            ErrorKind::ReadOnly,
            "something was written although the database was opened read-only",
        ))
    }
}

impl Storage for Remains {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.names())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.file(name).map(|bytes| bytes.len() as u64)
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.file(name).map(|bytes| part(bytes, offset, len))
    }

    async fn create(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }

    async fn append(&self, _name: &str, _bytes: &[u8]) -> Result<()> {
        Self::refuse()
    }

    async fn sync(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }

    async fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        Self::refuse()
    }

    async fn remove(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }
}
