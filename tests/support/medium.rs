//! The raw parts of a [`PooledStorage`](pumice::pool::PooledStorage) in memory: slot files, a journal, and stores for a
//! journal in two copies, all of which a test can watch and fail.

use bytes::Bytes;
use pumice::pool::{Copies, Journal, JournalEdit, Known, SlotFiles, TwinJournal};
use pumice::{Error, ErrorKind, Result};
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
    /// A transaction of the journal begins; of the copy of that number, or of the one journal that there is without copies.
    Commit(Option<u64>, Arc<[JournalEdit]>),
    /// It is durable.
    Committed(Option<u64>),
    /// A copy was opened, and made if it was missing.
    OpenCopy(u64),
    RemoveCopy(u64),
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
    pub copies: BTreeMap<u64, BTreeMap<String, Content>>,
    /// Whether the journal is to be in copies.
    pub twin: bool,
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

/// In a copy that does not open. No key of a journal's own.
pub const LOCKED: &str = "!";

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

impl Parts {
    fn entries(&mut self, copy: Option<u64>) -> &mut BTreeMap<String, Content> {
        match copy {
            None => &mut self.journal,
            Some(copy) => self.copies.get_mut(&copy).unwrap_or_else(|| panic!("copy {copy} was removed")),
        }
    }

    fn read(&mut self, copy: Option<u64>) -> Vec<(String, Vec<u8>)> {
        self.entries(copy).iter().map(|(key, value)| (key.clone(), value.bytes().to_vec())).collect()
    }

    fn commit(&mut self, copy: Option<u64>, edits: &[JournalEdit]) -> Result<()> {
        self.tell(|| Change::Commit(copy, edits.into()))?;
        apply(self.entries(copy), edits);
        self.tell(|| Change::Committed(copy))
    }
}

impl Journal for Medium {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(self.parts().read(None))
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        self.parts().commit(None, &edits)
    }

    async fn close(&self) {}
}

/// The journal that a test asks for: one, or two copies.
pub enum EitherJournal {
    One(Medium),
    Twin(TwinJournal<MediumCopies>),
}

impl EitherJournal {
    pub fn new(medium: Medium) -> Self {
        let twin = medium.parts().twin;
        if twin { Self::Twin(TwinJournal::new(MediumCopies::new(medium))) } else { Self::One(medium) }
    }
}

impl Journal for EitherJournal {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Self::One(journal) => journal.read().await,
            Self::Twin(journal) => journal.read().await,
        }
    }

    async fn read_with(&self, known: &impl Known) -> Result<Vec<(String, Bytes)>> {
        match self {
            Self::One(journal) => journal.read_with(known).await,
            Self::Twin(journal) => journal.read_with(known).await,
        }
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        match self {
            Self::One(journal) => journal.commit(edits).await,
            Self::Twin(journal) => journal.commit(edits).await,
        }
    }

    async fn close(&self) {}
}

/// The stores of a medium; the former journal is that of the medium.
#[derive(Clone, Default)]
pub struct MediumCopies(OneCopy);

impl MediumCopies {
    pub fn new(medium: Medium) -> Self {
        Self(OneCopy { medium, number: None })
    }
}

#[derive(Clone, Default)]
pub struct OneCopy {
    medium: Medium,
    number: Option<u64>,
}

impl Journal for OneCopy {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(self.medium.parts().read(self.number))
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        self.medium.parts().commit(self.number, &edits)
    }

    async fn close(&self) {}
}

impl Copies for MediumCopies {
    type Copy = OneCopy;

    async fn list(&self) -> Result<Vec<u64>> {
        Ok(self.0.medium.parts().copies.keys().copied().collect())
    }

    async fn open(&self, number: u64) -> Result<OneCopy> {
        let mut parts = self.0.medium.parts();
        parts.tell(|| Change::OpenCopy(number))?;
        if parts.copies.entry(number).or_default().contains_key(LOCKED) {
            return Err(Error::new(ErrorKind::Io, format!("copy {number} does not open")));
        }
        drop(parts);
        Ok(OneCopy { medium: self.0.medium.clone(), number: Some(number) })
    }

    async fn remove(&self, number: u64) -> Result<()> {
        let mut parts = self.0.medium.parts();
        parts.tell(|| Change::RemoveCopy(number))?;
        parts.copies.remove(&number);
        Ok(())
    }

    async fn used(&self) -> Result<()> {
        Ok(())
    }

    fn former(&self) -> Option<&OneCopy> {
        Some(&self.0)
    }
}
