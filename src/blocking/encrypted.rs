//! Encrypted databases, for callers that can wait.

use super::Db;
use crate::error::Result;
use crate::options::Options;
use crate::storage::platform::block_on;
use crate::storage::{EncryptedStorage, Key, Storage, SyncDiskStorage};
use std::path::Path;

/// Opens the encrypted storage in `inner`, or makes one there if `inner` is empty.
///
/// # Errors
/// As for [`EncryptedStorage::open`].
pub fn encrypted<S: Storage>(inner: S, key: &Key) -> Result<EncryptedStorage<S>> {
    block_on(EncryptedStorage::open(inner, key))
}

impl Db<EncryptedStorage<SyncDiskStorage>> {
    /// Opens the encrypted database in the directory `dir`, or makes one there.
    ///
    /// ```
    /// # fn main() -> pumice::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("app");
    /// use pumice::Key;
    /// use pumice::blocking::Db;
    ///
    /// let db = Db::open_encrypted(&path, &Key::passphrase("correct horse battery staple")?)?;
    /// db.collection("notes").put("n1", "buy milk")?;
    /// db.change_key(&Key::bytes([7; 32]))?; // From wherever keys are kept.
    /// db.close()?;
    ///
    /// assert!(Db::open(&path).is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Db::open`](Db::open) and [`EncryptedStorage::open`].
    pub fn open_encrypted(dir: impl AsRef<Path>, key: &Key) -> Result<Self> {
        Self::open_with(encrypted(SyncDiskStorage::open(dir)?, key)?, Options::new())
    }
}

impl<S: Storage> Db<EncryptedStorage<S>> {
    /// Has `key` open the database from now on, and no other; see [`EncryptedStorage::change_key`].
    ///
    /// # Errors
    /// When the storage fails; then the old key goes on to open it.
    pub fn change_key(&self, key: &Key) -> Result<()> {
        block_on(self.0.change_key(key))
    }
}

impl<S: Storage> crate::Db<EncryptedStorage<S>> {
    /// Has `key` open the database from now on, and no other; see [`EncryptedStorage::change_key`].
    ///
    /// # Errors
    /// When the storage fails; then the old key goes on to open it.
    pub async fn change_key(&self, key: &Key) -> Result<()> {
        self.core().storage.change_key(key).await
    }
}
