//! A storage with a page cache: what was not synced is lost in a power cut, and what a failed sync could not write is
//! taken for written from then on, as Linux does.

use super::block_on;
use pumice::{MemoryStorage, Result, Storage};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Default)]
struct File {
    /// What the medium has.
    medium: Vec<u8>,
    /// The bytes of the cache that the next sync writes.
    dirty: Vec<Range<usize>>,
}

/// Clones share the files.
#[derive(Clone, Default)]
pub struct PageCache {
    /// What reads see.
    cached: MemoryStorage,
    files: Arc<Mutex<BTreeMap<String, File>>>,
}

impl PageCache {
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sync failed: what was dirty counts as clean, and never reaches the medium. Reads go on to see it.
    pub fn fail_sync(&self, name: &str) {
        if let Some(file) = self.files().get_mut(name) {
            file.dirty.clear();
        }
    }

    /// The same contents, apart.
    pub fn copy(&self) -> Self {
        let cached = MemoryStorage::new();
        for name in block_on(self.cached.list()).unwrap() {
            let bytes = block_on(self.cached.read_at(&name, 0, usize::MAX)).unwrap();
            block_on(cached.create(&name)).unwrap();
            block_on(cached.append(&name, &bytes)).unwrap();
        }
        Self { cached, files: Arc::new(Mutex::new(self.files().clone())) }
    }

    /// What a power cut leaves: the medium, with zeros where it was never written.
    pub fn after_a_power_cut(&self) -> Self {
        let files: BTreeMap<String, File> = self
            .files()
            .iter()
            .map(|(name, file)| (name.clone(), File { medium: file.medium.clone(), dirty: Vec::new() }))
            .collect();
        let cached = MemoryStorage::new();
        for (name, file) in &files {
            block_on(cached.create(name)).unwrap();
            block_on(cached.append(name, &file.medium)).unwrap();
        }
        Self { cached, files: Arc::new(Mutex::new(files)) }
    }
}

impl Storage for PageCache {
    async fn list(&self) -> Result<Vec<String>> {
        self.cached.list().await
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.cached.create(name).await?;
        self.files().insert(name.to_owned(), File::default());
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.cached.len(name).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.cached.read_at(name, offset, len).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let start = self.cached.len(name).await? as usize;
        self.cached.append(name, bytes).await?;
        if let Some(file) = self.files().get_mut(name) {
            file.dirty.push(start..start + bytes.len());
        }
        Ok(())
    }

    async fn sync(&self, name: &str) -> Result<()> {
        let bytes = self.cached.read_at(name, 0, usize::MAX).await?;
        if let Some(file) = self.files().get_mut(name) {
            file.medium.resize(bytes.len(), 0);
            for range in std::mem::take(&mut file.dirty) {
                file.medium[range.clone()].copy_from_slice(&bytes[range]);
            }
        }
        Ok(())
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.cached.truncate(name, len).await?;
        if let Some(file) = self.files().get_mut(name) {
            let len = len as usize;
            file.medium.truncate(len);
            file.dirty.retain(|range| range.start < len);
            file.dirty.iter_mut().for_each(|range| range.end = range.end.min(len));
        }
        self.sync(name).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.cached.remove(name).await?;
        self.files().remove(name);
        Ok(())
    }
}
