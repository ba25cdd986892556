//! Snapshot files of encrypted databases: the database's key file, which is a line, and behind it the snapshot, sealed as all files of
//! the database are. So the key that opens the database opens the file, anywhere.

use super::snapshot_file::FileSource;
use crate::error::{Error, ErrorKind, Result};
use crate::import::SnapshotSource;
use crate::storage::platform::block_on;
use crate::storage::{EncryptedStorage, Key, Sealer, Storage};

/// The name that the snapshot is sealed under.
const NAME: &str = "all.snapshot";
/// What a key file begins with, and at most how long it is.
const BEGINNING: &[u8] = b"{\"pumice_key\":";
const MAX_KEY_FILE: usize = 4096;

/// What stands behind the key file, as a storage of one file.
pub(super) struct Behind {
    file: FileSource,
    start: u64,
}

impl Behind {
    fn refuse<T>() -> Result<T> {
        Err(Error::new(ErrorKind::ReadOnly, "a snapshot file is written once"))
    }
}

impl Storage for Behind {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(vec![NAME.to_owned()])
    }

    async fn create(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    async fn len(&self, _name: &str) -> Result<u64> {
        Ok(self.file.len().await?.saturating_sub(self.start))
    }

    async fn read_at(&self, _name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.file.read_at(self.start.saturating_add(offset), len).await
    }

    async fn append(&self, _name: &str, bytes: &[u8]) -> Result<()> {
        self.file.append(bytes)
    }

    async fn sync(&self, _name: &str) -> Result<()> {
        self.file.sync()
    }

    async fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        Self::refuse()
    }

    async fn remove(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }
}

/// The snapshot in such a file, opened.
pub(super) struct SealedSnapshot {
    name: String,
    content: EncryptedStorage<Behind>,
}

impl SealedSnapshot {
    /// Begins a new one in the empty `file`.
    pub(super) fn create(file: FileSource, sealer: &Sealer) -> Result<Self> {
        file.append(sealer.key_file())?;
        let (name, start) = (file.name(), sealer.key_file().len() as u64);
        let content = sealer.seal(Behind { file, start });
        block_on(content.create(NAME))?;
        Ok(Self { name, content })
    }

    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        block_on(self.content.append(NAME, bytes))
    }

    pub(super) fn sync(&self) -> Result<()> {
        block_on(self.content.sync(NAME))
    }

    /// Opens one that the user's key opens.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for another key, [`Corrupt`](ErrorKind::Corrupt) for a damaged file.
    pub(super) fn open(file: FileSource, key_file: Vec<u8>, key: &Key) -> Result<Self> {
        let (name, start) = (file.name(), key_file.len() as u64);
        let content = EncryptedStorage::with_key_file(Behind { file, start }, key_file, &name, key)?;
        Self::check(name, content)
    }

    /// Opens one of the database that has this sealer.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) for a damaged file, and for one of another database.
    pub(super) fn open_own(file: FileSource, key_file: &[u8], sealer: &Sealer) -> Result<Self> {
        let (name, start) = (file.name(), key_file.len() as u64);
        Self::check(name, sealer.seal(Behind { file, start }))
    }

    fn check(name: String, content: EncryptedStorage<Behind>) -> Result<Self> {
        if block_on(content.len(NAME))? == 0 {
            return Err(Error::corrupt(name, 0, "the snapshot file has no content; restore another one"));
        }
        Ok(Self { name, content })
    }
}

impl SnapshotSource for SealedSnapshot {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn len(&self) -> Result<u64> {
        self.content.len(NAME).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.content.read_at(NAME, offset, len).await
    }
}

/// The key file that `file` begins with; `None` for a snapshot that is not sealed.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) where it is not whole.
pub(super) fn key_file_of(file: &FileSource) -> Result<Option<Vec<u8>>> {
    let mut beginning = block_on(file.read_at(0, MAX_KEY_FILE))?;
    if !beginning.starts_with(BEGINNING) {
        return Ok(None);
    }
    let Some(end) = beginning.iter().position(|byte| *byte == b'\n') else {
        return Err(Error::corrupt(
            file.name(),
            0,
            "the key at the beginning of the snapshot file is damaged",
        ));
    };
    beginning.truncate(end + 1);
    Ok(Some(beginning))
}
