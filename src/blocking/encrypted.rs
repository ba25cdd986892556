//! Encrypted databases, for callers that can wait.

use super::repair::repair;
use super::transfer::restore_as;
use super::{Db, Repair, Restored};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Options, RecoveryMode};
use crate::storage::platform::block_on;
use crate::storage::{EncryptedStorage, Key, KeyedDiskStorage, Moment, Storage, SyncDiskStorage};
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

impl Db<KeyedDiskStorage> {
    /// As [`Db::restore`] and [`Db::restore_at`], with the key that opens a directory of backups, and that is to open the new
    /// database. A snapshot file of an encrypted database needs the key of that time, another one none.
    ///
    /// # Errors
    /// As for [`Db::restore_at`] and [`EncryptedStorage::open`].
    pub fn restore_with_key(
        source: impl AsRef<Path>,
        dir: impl AsRef<Path>,
        moment: Option<Moment>,
        key: Option<&Key>,
    ) -> Result<Restored> {
        restore_as(&key, source.as_ref(), dir.as_ref(), moment)
    }

    /// As [`Db::repair_torn_tail`] and [`Db::repair_to_point_in_time`], as `mode` says, for a directory that is encrypted if there is a
    /// key. What is given up of an encrypted database is kept encrypted, and what does not open as so many bytes of no meaning.
    ///
    /// # Errors
    /// As for those, and for [`EncryptedStorage::open`]; [`InvalidArgument`](ErrorKind::InvalidArgument) for other modes.
    pub fn repair_with_key(dir: impl AsRef<Path>, mode: RecoveryMode, key: Option<&Key>) -> Result<Repair> {
        if !matches!(mode, RecoveryMode::TornTail | RecoveryMode::PointInTime) {
            return Err(Error::new(ErrorKind::InvalidArgument, "this mode of recovery repairs nothing"));
        }
        repair(&key, dir.as_ref(), mode)
    }

    /// Has `key` open the database from now on, and no other; see [`EncryptedStorage::change_key`].
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the database is not encrypted, and as for
    /// [`EncryptedStorage::change_key`].
    pub fn change_key(&self, key: &Key) -> Result<()> {
        match &*self.0.core().storage {
            KeyedDiskStorage::Encrypted(storage) => block_on(storage.change_key(key)),
            KeyedDiskStorage::Plain(_) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "the database is not encrypted; it has no key to change",
            )),
        }
    }
}

impl<S: Storage> Db<EncryptedStorage<S>> {
    /// Has `key` open the database from now on, and no other; see [`EncryptedStorage::change_key`].
    ///
    /// # Errors
    /// As for [`EncryptedStorage::change_key`].
    pub fn change_key(&self, key: &Key) -> Result<()> {
        block_on(self.0.change_key(key))
    }
}

impl<S: Storage> crate::Db<EncryptedStorage<S>> {
    /// Has `key` open the database from now on, and no other; see [`EncryptedStorage::change_key`].
    ///
    /// # Errors
    /// As for [`EncryptedStorage::change_key`].
    pub async fn change_key(&self, key: &Key) -> Result<()> {
        self.core().storage.change_key(key).await
    }
}
