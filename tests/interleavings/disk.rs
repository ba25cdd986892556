//! A disk for the model checker: it knows which records were synced, and can refuse calls.

use pumice::{Error, ErrorKind, Result, Storage};
use serde::Deserialize;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line of the log, as far as a test looks at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    #[serde(rename = "_s")]
    pub sequence: u64,
    pub cmd: String,
    #[serde(default)]
    pub key: String,
    pub value: Option<u64>,
}

/// The calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The append to the log with this number, with half of it done, and every later one.
    AppendFrom(usize),
    /// One sync of the log. What was not synced before is then gone, and later syncs succeed.
    SyncOnce(usize),
    /// The creation of every snapshot.
    Snapshots,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
    /// Where the records end that were appended.
    records: Vec<(usize, u64)>,
}

struct Inner {
    files: BTreeMap<String, File>,
    /// Every record that was ever appended to the log.
    history: BTreeMap<u64, Record>,
    durable: BTreeSet<u64>,
    fault: Fault,
    appends: usize,
    syncs: usize,
}

/// Clones are the same disk.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Mutex<Inner>>,
    /// Touched where the scheduler may let another thread go on.
    calls: Arc<AtomicUsize>,
}

impl Disk {
    pub fn new() -> Self {
        Self::with_files(BTreeMap::new())
    }

    fn with_files(files: BTreeMap<String, File>) -> Self {
        let (history, durable) = (BTreeMap::new(), BTreeSet::new());
        let inner = Inner { files, history, durable, fault: Fault::Nothing, appends: 0, syncs: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), calls: Arc::new(AtomicUsize::new(0)) }
    }

    /// No guard lives over a point where another thread may go on.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_others_go_on(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts calls from now on.
    pub fn fail(&self, fault: Fault) {
        let mut inner = self.inner();
        (inner.fault, inner.appends, inner.syncs) = (fault, 0, 0);
    }

    /// What a power cut at this moment would leave.
    pub fn after_a_power_cut(&self) -> Self {
        let mut files = self.inner().files.clone();
        files.values_mut().for_each(|file| file.bytes.truncate(file.synced));
        Self::with_files(files)
    }

    pub fn history(&self) -> BTreeMap<u64, Record> {
        self.inner().history.clone()
    }

    pub fn is_durable(&self, sequence: u64) -> bool {
        self.inner().durable.contains(&sequence)
    }

    /// Whether a durable record of `cmd` for `key` is the key's last one.
    pub fn is_durably(&self, cmd: &str, key: &str) -> bool {
        let inner = self.inner();
        let mut records = inner.history.values().rev().filter(|record| record.key == key);
        records.find(|r| inner.durable.contains(&r.sequence)).is_some_and(|record| record.cmd == cmd)
    }
}

impl Inner {
    fn file(&mut self, name: &str) -> Result<&mut File> {
        self.files
            .get_mut(name)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no file {name}")))
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut records = Vec::new();
        let file = self.file(name)?;
        if name.ends_with(".log") {
            let mut end = file.bytes.len();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                end += line.len();
                // Headers, seals and halves of lines are none.
                if let Ok(record) = serde_json::from_slice::<Record>(line) {
                    file.records.push((end, record.sequence));
                    records.push((record.sequence, record));
                }
            }
        }
        file.bytes.extend_from_slice(bytes);
        self.history.extend(records);
        Ok(())
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Io, "the disk was made to fail")
}

impl Storage for Disk {
    async fn list(&self) -> Result<Vec<String>> {
        self.let_others_go_on();
        Ok(self.inner().files.keys().cloned().collect())
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.let_others_go_on();
        if self.inner().fault == Fault::Snapshots && name.ends_with(".snapshot") {
            return Err(refused());
        }
        let previous = self.inner().files.insert(name.to_owned(), File::default());
        assert!(previous.is_none(), "{name} is made twice");
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.let_others_go_on();
        self.inner().file(name).map(|file| file.bytes.len() as u64)
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.let_others_go_on();
        let mut inner = self.inner();
        let bytes = &inner.file(name)?.bytes;
        let start = (offset as usize).min(bytes.len());
        Ok(bytes[start..start.saturating_add(len).min(bytes.len())].to_vec())
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.let_others_go_on();
        let mut inner = self.inner();
        if name.ends_with(".log") {
            inner.appends += 1;
            if matches!(inner.fault, Fault::AppendFrom(from) if inner.appends > from) {
                inner.write(name, &bytes[..bytes.len() / 2])?;
                return Err(refused());
            }
        }
        inner.write(name, bytes)
    }

    /// Makes durable what was there when it began, at its end.
    async fn sync(&self, name: &str) -> Result<()> {
        self.let_others_go_on();
        let (len, fails) = {
            let mut inner = self.inner();
            inner.syncs += usize::from(name.ends_with(".log"));
            let fails =
                name.ends_with(".log") && matches!(inner.fault, Fault::SyncOnce(at) if inner.syncs == at + 1);
            (inner.file(name)?.bytes.len(), fails)
        };
        self.let_others_go_on();
        let mut inner = self.inner();
        let file = inner.file(name)?;
        if fails {
            file.bytes.truncate(file.synced);
            return Err(refused());
        }
        file.synced = file.synced.max(len);
        let durable: Vec<u64> =
            file.records.iter().filter(|(end, _)| *end <= len).map(|(_, sequence)| *sequence).collect();
        inner.durable.extend(durable);
        Ok(())
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.let_others_go_on();
        let mut inner = self.inner();
        let file = inner.file(name)?;
        file.bytes.truncate(len as usize);
        file.records.retain(|(end, _)| *end <= len as usize);
        file.synced = file.bytes.len();
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.let_others_go_on();
        let mut inner = self.inner();
        inner.file(name)?;
        inner.files.remove(name);
        Ok(())
    }
}
