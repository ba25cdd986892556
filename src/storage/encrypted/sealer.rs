//! Copies of an encrypted database in another place, under the same key: backups.

use super::EncryptedStorage;
use super::key::{self, DataKey};
use super::opening::{remove_all, write_next};
use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::key_file_name;
use crate::storage::Storage;
use std::fmt;

/// What makes copies of an encrypted storage's files in another place, which the same key opens. See
/// [`Storage::sealer`].
#[allow(dead_code)] // A browser makes no backups.
pub struct Sealer {
    data: DataKey,
    key_file: Vec<u8>,
}

#[allow(dead_code)] // A browser makes no backups.
impl Sealer {
    /// Copies are sealed with `data`, which `key_file` opens.
    pub(super) fn new(data: DataKey, key_file: Vec<u8>) -> Self {
        Self { data, key_file }
    }

    /// The key file that the user's key opens.
    pub(crate) fn key_file(&self) -> &[u8] {
        &self.key_file
    }

    /// `inner`, with its files under the same key of the database. It gets no key file.
    pub(crate) fn seal<S: Storage>(&self, inner: S) -> EncryptedStorage<S> {
        EncryptedStorage::new(inner, self.data.clone(), Vec::new())
    }

    /// Has the same key open `to` on its own. What is there must be under the same key of the database.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when nothing but a key file is there, of which that might be the
    /// only copy.
    pub(crate) async fn put_key<S: Storage>(&self, to: &EncryptedStorage<S>) -> Result<()> {
        let there = key::generations(&to.inner).await?;
        let in_use = to.has_files().await?;
        for generation in &there {
            let content = key::read(&to.inner, &key_file_name(*generation)).await?;
            if content == self.key_file {
                // Files are copied when it is on the medium.
                if in_use && there.len() == 1 {
                    return Ok(());
                }
            } else if !in_use && key::is_whole(&content) {
                let message =
                    "there is the key file of another database, and nothing else; choose another directory";
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        }
        write_next(&to.inner, &self.key_file, &there).await?;
        remove_all(&to.inner, &there).await
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}
