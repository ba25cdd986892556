//! The raw parts of a [`PooledStorage`](pumice::pool::PooledStorage) in memory: slot files and a journal that a test can
//! watch and fail.

use pumice::Result;
use pumice::pool::{Journal, JournalEdit, SlotFiles};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is done to the parts.
#[derive(Clone, Debug)]
pub enum Change {
    /// A slot file was opened, and made if it was missing.
    Open(u32),
    Write(u32, u64, Arc<[u8]>),
    Truncate(u32, u64),
    Flush(u32),
    /// A transaction of the journal begins.
    Commit(Arc<[JournalEdit]>),
    /// It is durable.
    Committed,
}

/// Sees each change before it happens, and refuses it with an error.
pub type Watch = Box<dyn FnMut(Change) -> Result<()> + Send>;

/// The bytes of a slot or of an entry, copied only when they are changed.
#[derive(Clone)]
pub enum Content {
    Shared(Arc<[u8]>),
    Own(Vec<u8>),
}

impl Content {
    fn edit(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(bytes) = self {
            *self = Self::Own(bytes.to_vec());
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(_) => unreachable!("it was just copied"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

#[derive(Default)]
pub struct Parts {
    pub slots: BTreeMap<u32, Content>,
    pub journal: BTreeMap<String, Content>,
    pub watch: Option<Watch>,
    /// Whether half of the bytes of a refused write are there all the same.
    pub half_writes: bool,
    /// How often the slots were closed.
    pub closed: usize,
}

impl Parts {
    fn tell(&mut self, change: impl FnOnce() -> Change) -> Result<()> {
        self.watch.as_mut().map_or(Ok(()), |watch| watch(change()))
    }
}

/// Clones share everything, so a storage can be closed and opened again.
#[derive(Clone, Default)]
pub struct Medium(Arc<Mutex<Parts>>);

impl Medium {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Mutex::new(parts)))
    }

    pub fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn watch(&self, watch: impl FnMut(Change) -> Result<()> + Send + 'static) {
        self.parts().watch = Some(Box::new(watch));
    }
}

/// What the edits make of the journal.
pub fn apply(journal: &mut BTreeMap<String, Content>, edits: &[JournalEdit]) {
    for edit in edits {
        match edit {
            JournalEdit::Put { key, value } => {
                journal.insert(key.clone(), Content::Own(value.clone()));
            }
            JournalEdit::Remove { from, to } => journal.retain(|key, _| key < from || key >= to),
        }
    }
}

impl SlotFiles for Medium {
    async fn list(&self) -> Result<Vec<u32>> {
        Ok(self.parts().slots.keys().copied().collect())
    }

    async fn open(&self, slot: u32) -> Result<()> {
        let mut parts = self.parts();
        parts.tell(|| Change::Open(slot))?;
        parts.slots.entry(slot).or_insert(Content::Own(Vec::new()));
        Ok(())
    }

    fn len(&self, slot: u32) -> Result<u64> {
        Ok(self.parts().slots[&slot].bytes().len() as u64)
    }

    fn read_at(&self, slot: u32, offset: u64, len: usize) -> Result<Vec<u8>> {
        let parts = self.parts();
        let bytes = parts.slots[&slot].bytes();
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        Ok(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
    }

    fn write_at(&self, slot: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut parts = self.parts();
        let told = parts.tell(|| Change::Write(slot, offset, bytes.into()));
        let written = match told {
            Ok(()) => bytes,
            Err(_) if parts.half_writes => &bytes[..bytes.len() / 2],
            Err(_) => return told,
        };
        let file = parts.slots.get_mut(&slot).unwrap().edit();
        let start = usize::try_from(offset).unwrap();
        file.resize(file.len().max(start + written.len()), 0);
        file[start..start + written.len()].copy_from_slice(written);
        told
    }

    fn truncate(&self, slot: u32, len: u64) -> Result<()> {
        let mut parts = self.parts();
        parts.tell(|| Change::Truncate(slot, len))?;
        parts.slots.get_mut(&slot).unwrap().edit().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn flush(&self, slot: u32) -> Result<()> {
        let mut parts = self.parts();
        assert!(parts.slots.contains_key(&slot));
        parts.tell(|| Change::Flush(slot))
    }

    fn close(&self) {
        self.parts().closed += 1;
    }
}

impl Journal for Medium {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let parts = self.parts();
        Ok(parts.journal.iter().map(|(key, value)| (key.clone(), value.bytes().to_vec())).collect())
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        let mut parts = self.parts();
        parts.tell(|| Change::Commit(edits.as_slice().into()))?;
        apply(&mut parts.journal, &edits);
        parts.tell(|| Change::Committed)
    }

    async fn close(&self) {}
}
