//! Encryption as a page asks for it. `no_encryption.rs` has the same face, for the module of the package that has none: who asks for
//! no encryption does not load any.

use crate::error::{Error, ErrorKind, Result};
use crate::import::SnapshotSource;
use crate::sealed_snapshot::{Medium, SealedSnapshot, key_file_of};
pub(super) use crate::storage::Key;
use crate::storage::Storage;
use crate::storage::browser::BrowserStorage;
use crate::storage::browser::blob::BlobSource;
use std::cell::RefCell;
use std::rc::Rc;
use zeroize::Zeroizing;

/// What a page has handed over: 32 bytes, or a passphrase, or nothing.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is of no use.
pub(super) fn key_of(key: Option<Vec<u8>>, passphrase: Option<String>) -> Result<Option<Key>> {
    if let Some(passphrase) = passphrase {
        return Key::passphrase(passphrase).map(Some);
    }
    let Some(key) = key.map(Zeroizing::new) else { return Ok(None) };
    match <[u8; 32]>::try_from(&key[..]) {
        Ok(bytes) => Ok(Some(Key::bytes(bytes))),
        Err(_) => Err(Error::new(ErrorKind::InvalidArgument, "a key must have 32 bytes")),
    }
}

/// The storage, under the key if there is one.
pub(super) async fn applied(storage: BrowserStorage, key: Option<&Key>) -> Result<BrowserStorage> {
    match key {
        Some(key) => storage.encrypted(key).await,
        None => Ok(storage),
    }
}

/// Has another key open the database in `storage`.
pub(super) async fn change_key(storage: &BrowserStorage, key: Option<&Key>) -> Result<()> {
    match (storage.encryption(), key) {
        (Some(encryption), Some(key)) => encryption.change_key(key).await,
        (None, _) => {
            Err(Error::new(ErrorKind::InvalidArgument, "the database is not encrypted, so it has no key"))
        }
        (_, None) => Err(Error::new(ErrorKind::InvalidArgument, "there is no new key")),
    }
}

/// A snapshot file that a page hands over. One that is encrypted must be of the database in `storage`, or open with its key.
pub(super) async fn outside(
    file: BlobSource,
    storage: &BrowserStorage,
    key: Option<Key>,
) -> Result<BrowserStorage> {
    let (Some(sealer), Some(key_file)) = (storage.sealer(), key_file_of(&file).await?) else {
        return Ok(BrowserStorage::outside(file));
    };
    // The key may have changed since.
    let own = SealedSnapshot::open_own(file.clone(), &key_file, &sealer).await;
    let snapshot = match (own, key) {
        (Ok(own), _) => own,
        (Err(_), Some(key)) => SealedSnapshot::open(file, key_file, &key).await?,
        (Err(error), None) => return Err(error),
    };
    Ok(BrowserStorage::outside_sealed(snapshot))
}

/// What seals an exported snapshot, piece by piece.
pub(super) struct Seal {
    snapshot: SealedSnapshot<Collected>,
    file: Collected,
}

impl Seal {
    /// Where the database is encrypted.
    pub(super) async fn of(storage: &BrowserStorage) -> Result<Option<Self>> {
        let Some(sealer) = storage.sealer() else { return Ok(None) };
        let file = Collected::default();
        let snapshot = SealedSnapshot::create(file.clone(), &sealer).await?;
        Ok(Some(Self { snapshot, file }))
    }

    /// What the file goes on with when the snapshot goes on with `piece`.
    pub(super) async fn sealed(&self, piece: &[u8]) -> Result<Vec<u8>> {
        self.snapshot.append(piece).await?;
        Ok(self.file.0.take())
    }
}

/// What was written to a file and has not gone out yet.
#[derive(Clone, Default)]
struct Collected(Rc<RefCell<Vec<u8>>>);

impl SnapshotSource for Collected {
    async fn len(&self) -> Result<u64> {
        Ok(0)
    }

    async fn read_at(&self, _offset: u64, _len: usize) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

impl Medium for Collected {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
