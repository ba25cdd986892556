//! A storage that remembers what the disk under it said it had synced, so that a disk that lied can be told from an
//! engine that lost something.

use anyhow::Result;
use pumice::{Storage, SyncDiskStorage};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

/// What the disk says that it keeps.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<BTreeMap<String, File>>>);

impl Witness {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files in `dir` that are not what a successful sync had said, with the first byte that differs.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn lies(&self, dir: &Path) -> Result<Vec<String>> {
        let mut lies = Vec::new();
        for (name, file) in self.files().iter() {
            let found = match fs::read(dir.join(name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    lies.push(format!("{name} is not there"));
                    continue;
                }
                found => found?,
            };
            let synced = file.bytes.get(..file.synced).unwrap_or_default();
            let same = synced.iter().zip(&found).take_while(|(said, found)| said == found).count();
            if same < synced.len() {
                lies.push(format!("{name} differs from byte {same} of {} on", synced.len()));
            }
        }
        Ok(lies)
    }
}

/// A directory whose every change the [`Witness`] sees.
pub struct Witnessed {
    pub disk: SyncDiskStorage,
    pub witness: Witness,
}

impl Storage for Witnessed {
    async fn list(&self) -> pumice::Result<Vec<String>> {
        self.disk.list().await
    }

    async fn create(&self, name: &str) -> pumice::Result<()> {
        self.disk.create(name).await?;
        self.witness.files().insert(name.to_owned(), File::default());
        Ok(())
    }

    async fn len(&self, name: &str) -> pumice::Result<u64> {
        self.disk.len(name).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> pumice::Result<Vec<u8>> {
        self.disk.read_at(name, offset, len).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> pumice::Result<()> {
        self.disk.append(name, bytes).await?;
        self.witness.files().entry(name.to_owned()).or_default().bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn sync(&self, name: &str) -> pumice::Result<()> {
        self.disk.sync(name).await?;
        self.witness.files().entry(name.to_owned()).and_modify(|file| file.synced = file.bytes.len());
        Ok(())
    }

    async fn truncate(&self, name: &str, len: u64) -> pumice::Result<()> {
        self.disk.truncate(name, len).await?;
        self.witness.files().entry(name.to_owned()).and_modify(|file| {
            file.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            file.synced = file.bytes.len();
        });
        Ok(())
    }

    async fn remove(&self, name: &str) -> pumice::Result<()> {
        // Whether it is gone is not known once removing it has failed.
        self.witness.files().remove(name);
        self.disk.remove(name).await
    }

    async fn close(&self) -> pumice::Result<()> {
        self.disk.close().await
    }
}
