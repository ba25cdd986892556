//! The face of `encryption.rs` where there is none: whoever asks for it is refused, for nothing may be written plainly that was to be
//! encrypted.

#![allow(clippy::unused_async)] // As the others are.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::browser::BrowserStorage;
use crate::storage::browser::blob::BlobSource;

/// There is none.
#[derive(Clone)]
pub(super) enum Key {}

pub(super) fn key_of(key: Option<Vec<u8>>, passphrase: Option<String>) -> Result<Option<Key>> {
    if key.is_none() && passphrase.is_none() {
        return Ok(None);
    }
    let message = "this worker has no encryption; `workerUrl` and `wasmUrl` must lead to `worker-encrypted.js` and \
                   `pumice_encrypted_bg.wasm`";
    Err(Error::new(ErrorKind::Unsupported, message))
}

pub(super) async fn applied(storage: BrowserStorage, _key: Option<&Key>) -> Result<BrowserStorage> {
    Ok(storage)
}

pub(super) async fn change_key(_storage: &BrowserStorage, _key: Option<&Key>) -> Result<()> {
    Err(Error::new(ErrorKind::InvalidArgument, "the database is not encrypted, so it has no key"))
}

pub(super) async fn outside(
    file: BlobSource,
    _storage: &BrowserStorage,
    _key: Option<Key>,
) -> Result<BrowserStorage> {
    Ok(BrowserStorage::outside(file))
}

/// There is none.
pub(super) enum Seal {}

impl Seal {
    pub(super) async fn of(_storage: &BrowserStorage) -> Result<Option<Self>> {
        Ok(None)
    }

    pub(super) async fn sealed(&self, _piece: &[u8]) -> Result<Vec<u8>> {
        match *self {}
    }
}
