//! Snapshot files of encrypted databases: the database's key file, which is a line, and behind it the snapshot, sealed as all files of
//! the database are. So the key that opens the database opens the file, anywhere.

use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::KEY_MAGIC;
use crate::import::SnapshotSource;
use crate::storage::{EncryptedStorage, Key, Sealer, Storage};

/// The name that the snapshot is sealed under.
const NAME: &str = "all.snapshot";
/// A key file is not longer.
const MAX_KEY_FILE: usize = 4096;

/// A file that one is read from or written to.
pub(crate) trait Medium: SnapshotSource {
    /// Writes behind what is there.
    fn append(&self, _bytes: &[u8]) -> Result<()> {
        refuse()
    }

    /// Has it survive a power cut, where that can be.
    fn sync(&self) -> Result<()> {
        refuse()
    }
}

fn refuse<T>() -> Result<T> {
    Err(Error::new(ErrorKind::ReadOnly, "a snapshot file is written once"))
}

/// What stands behind the key file, as a storage of one file.
struct Behind<M> {
    file: M,
    start: u64,
}

impl<M: Medium> Storage for Behind<M> {
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
        refuse()
    }

    async fn remove(&self, _name: &str) -> Result<()> {
        refuse()
    }
}

/// The snapshot in such a file.
pub(crate) struct SealedSnapshot<M> {
    name: String,
    content: EncryptedStorage<Behind<M>>,
}

impl<M: Medium> SealedSnapshot<M> {
    /// Begins a new one in the empty `file`.
    pub(crate) async fn create(file: M, sealer: &Sealer) -> Result<Self> {
        file.append(sealer.key_file())?;
        let (name, start) = (file.name(), sealer.key_file().len() as u64);
        let content = sealer.seal(Behind { file, start });
        content.create(NAME).await?;
        Ok(Self { name, content })
    }

    pub(crate) async fn append(&self, bytes: &[u8]) -> Result<()> {
        self.content.append(NAME, bytes).await
    }

    #[allow(dead_code)] // A page keeps the file.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.content.sync(NAME).await
    }

    /// Opens one that the user's key opens.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for another key, [`Corrupt`](ErrorKind::Corrupt) for a damaged file.
    pub(crate) async fn open(file: M, key_file: Vec<u8>, key: &Key) -> Result<Self> {
        let (name, start) = (file.name(), key_file.len() as u64);
        let content = EncryptedStorage::with_key_file(Behind { file, start }, key_file, &name, key)?;
        Self::check(name, content).await
    }

    /// Opens one of the database that has this sealer.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) for a damaged file, and for one of another database.
    pub(crate) async fn open_own(file: M, key_file: &[u8], sealer: &Sealer) -> Result<Self> {
        let (name, start) = (file.name(), key_file.len() as u64);
        Self::check(name, sealer.seal(Behind { file, start })).await
    }

    async fn check(name: String, content: EncryptedStorage<Behind<M>>) -> Result<Self> {
        if content.len(NAME).await? == 0 {
            return Err(Error::corrupt(name, 0, "the snapshot file has no content; restore another one"));
        }
        Ok(Self { name, content })
    }
}

impl<M: Medium> SnapshotSource for SealedSnapshot<M> {
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
pub(crate) async fn key_file_of(file: &impl SnapshotSource) -> Result<Option<Vec<u8>>> {
    let mut beginning = file.read_at(0, MAX_KEY_FILE).await?;
    if !beginning.starts_with(KEY_MAGIC) {
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
