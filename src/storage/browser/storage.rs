//! The storages of a browser as one type, so that the engine is compiled once for all of them.

use super::Kind;
#[cfg(feature = "js")]
use super::blob::BlobSource;
use crate::error::Result;
#[cfg(feature = "js")]
use crate::import::Outside;
#[cfg(all(feature = "js", feature = "encryption"))]
use crate::sealed_snapshot::SealedSnapshot;
use crate::storage::indexed_db::IndexedDbStorage;
use crate::storage::opfs::OpfsStorage;
#[cfg(feature = "encryption")]
use crate::storage::{EncryptedStorage, Key, Sealer};
use crate::storage::{MemoryStorage, Storage};
use gloo_timers::future::TimeoutFuture;
use std::time::Duration;

/// A database's storage in a browser.
pub struct BrowserStorage(pub(super) Inner);

pub(super) enum Inner {
    Opfs(Box<OpfsStorage>),
    IndexedDb(IndexedDbStorage),
    Memory(MemoryStorage),
    /// A snapshot file that is being imported.
    #[cfg(feature = "js")]
    Outside(Outside<BlobSource>),
    /// One of the first three, encrypted.
    #[cfg(feature = "encryption")]
    Encrypted(Box<EncryptedStorage<BrowserStorage>>),
    /// An encrypted snapshot file that is being imported.
    #[cfg(all(feature = "js", feature = "encryption"))]
    Sealed(Box<Outside<SealedSnapshot<BlobSource>>>),
}

macro_rules! storage {
    ($self:ident . $method:ident ( $($argument:expr),* )) => {
        match &$self.0 {
            Inner::Opfs(storage) => storage.$method($($argument),*).await,
            Inner::IndexedDb(storage) => storage.$method($($argument),*).await,
            Inner::Memory(storage) => storage.$method($($argument),*).await,
            #[cfg(feature = "js")]
            Inner::Outside(storage) => storage.$method($($argument),*).await,
            // Its futures have some of this very type inside.
            #[cfg(feature = "encryption")]
            Inner::Encrypted(storage) => Box::pin(storage.$method($($argument),*)).await,
            #[cfg(all(feature = "js", feature = "encryption"))]
            Inner::Sealed(storage) => storage.$method($($argument),*).await,
        }
    };
}

impl BrowserStorage {
    /// A file from outside, of the same type so that what reads tables is compiled once.
    #[cfg(feature = "js")]
    pub(crate) fn outside(file: BlobSource) -> Self {
        Self(Inner::Outside(Outside(file)))
    }

    /// The same for one that is encrypted.
    #[cfg(all(feature = "js", feature = "encryption"))]
    pub(crate) fn outside_sealed(file: SealedSnapshot<BlobSource>) -> Self {
        Self(Inner::Sealed(Box::new(Outside(file))))
    }

    /// The same storage, with everything in it sealed: see [`EncryptedStorage::open`].
    ///
    /// # Errors
    /// As for [`EncryptedStorage::open`].
    #[cfg(feature = "encryption")]
    pub async fn encrypted(self, key: &Key) -> Result<Self> {
        Ok(Self(Inner::Encrypted(Box::new(EncryptedStorage::open(self, key).await?))))
    }

    /// The encryption, where it is [`encrypted`](Self::encrypted).
    #[cfg(feature = "encryption")]
    pub fn encryption(&self) -> Option<&EncryptedStorage<Self>> {
        match &self.0 {
            Inner::Encrypted(storage) => Some(storage),
            _ => None,
        }
    }

    /// Where the files lie, encrypted or not.
    fn place(&self) -> &Self {
        match &self.0 {
            #[cfg(feature = "encryption")]
            Inner::Encrypted(storage) => storage.inner(),
            _ => self,
        }
    }

    /// Does what opening put off: what others wait for at once, and the rest after `rest`.
    pub async fn settle(&self, rest: Duration) {
        if let Inner::Opfs(storage) = &self.place().0 {
            // Whoever writes next is told of a failure.
            let _ = storage.settle().await;
            TimeoutFuture::new(rest.as_millis() as u32).await;
            storage.make_spares().await;
        }
    }

    /// What it is kept in.
    pub fn kind(&self) -> Kind {
        match self.place().0 {
            Inner::Opfs(_) => Kind::Opfs,
            Inner::IndexedDb(_) => Kind::IndexedDb,
            Inner::Memory(_) => Kind::Memory,
            #[cfg(any(feature = "js", feature = "encryption"))]
            _ => Kind::Memory,
        }
    }
}

impl Storage for BrowserStorage {
    async fn list(&self) -> Result<Vec<String>> {
        storage!(self.list())
    }

    async fn create(&self, name: &str) -> Result<()> {
        storage!(self.create(name))
    }

    async fn len(&self, name: &str) -> Result<u64> {
        storage!(self.len(name))
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        storage!(self.read_at(name, offset, len))
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        storage!(self.append(name, bytes))
    }

    async fn sync(&self, name: &str) -> Result<()> {
        storage!(self.sync(name))
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        storage!(self.truncate(name, len))
    }

    async fn remove(&self, name: &str) -> Result<()> {
        storage!(self.remove(name))
    }

    async fn close(&self) -> Result<()> {
        storage!(self.close())
    }

    fn is_young(&self) -> bool {
        matches!(&self.place().0, Inner::Opfs(storage) if storage.is_young())
    }

    #[cfg(feature = "encryption")]
    fn sealer(&self) -> Option<Sealer> {
        self.encryption()?.sealer()
    }
}
