//! An encrypted storage over one that keeps, in order, everything that was done to it.

#[path = "../crash/recording.rs"]
mod plain;

use crate::disk::{Disk, State};
use crate::support::block_on;
pub use plain::Effect;
use pumice::blocking::encrypted;
use pumice::{EncryptedStorage, ErrorKind, Key, Result, Storage};
use std::sync::Arc;

fn key() -> Key {
    Key::bytes([1; 32])
}

/// What a database is opened on.
pub type Opened = EncryptedStorage<plain::RecordingStorage>;

/// What a database reads in the file.
pub fn contents(disk: &Disk, name: &str) -> Option<Vec<u8>> {
    disk.contents(name)?;
    Some(RecordingStorage::new(disk).contents(name))
}

/// Clones share the files and the record.
#[derive(Clone)]
pub struct RecordingStorage(plain::RecordingStorage);

impl RecordingStorage {
    /// Starts with what a process sees of `disk`, with nothing recorded.
    pub fn new(disk: &Disk) -> Self {
        Self(plain::RecordingStorage::new(disk))
    }

    /// A handle on it, as a database opened now gets one.
    pub fn open(&self) -> Result<Opened> {
        encrypted(self.0.clone(), &key())
    }

    pub fn acknowledge(&self, write: usize) {
        self.0.acknowledge(write);
    }

    pub fn effects(&self) -> Vec<Effect> {
        self.0.effects()
    }

    pub fn names(&self) -> Vec<String> {
        let mut names = self.0.names();
        names.retain(|name| !name.ends_with(".key"));
        names
    }

    pub fn contents(&self, name: &str) -> Vec<u8> {
        let opened = self.open().unwrap();
        block_on(opened.read_at(name, 0, usize::MAX)).unwrap()
    }

    /// Puts a file there that the database knows nothing of.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        self.0.plant(name, bytes);
    }
}

/// The files that a crash left, for reading only.
#[derive(Clone)]
pub struct Remains(Option<Arc<EncryptedStorage<plain::Remains>>>);

impl Remains {
    pub fn open(state: &State) -> Result<Self> {
        match encrypted(plain::Remains::open(state)?, &key()) {
            Ok(opened) => Ok(Self(Some(Arc::new(opened)))),
            // Not even its key was made.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    pub fn names(&self) -> Vec<String> {
        block_on(self.list()).unwrap()
    }

    fn opened(&self) -> &EncryptedStorage<plain::Remains> {
        self.0.as_deref().expect("there is no file")
    }
}

impl Storage for Remains {
    async fn list(&self) -> Result<Vec<String>> {
        match &self.0 {
            Some(opened) => opened.list().await,
            None => Ok(Vec::new()),
        }
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.opened().create(name).await
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.opened().len(name).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.opened().read_at(name, offset, len).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.opened().append(name, bytes).await
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.opened().sync(name).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.opened().truncate(name, len).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.opened().remove(name).await
    }
}
