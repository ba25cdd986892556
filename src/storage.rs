//! Named files of bytes: the only seam between the engine and a platform.
//!
//! A storage knows no record and no snapshot. Everything that depends on the target is chosen in the one table at
//! the end of this file.

use crate::error::{Error, ErrorKind, Result};

#[cfg(feature = "encryption")]
pub(crate) mod encrypted;
mod memory;
pub mod pool;
#[cfg(feature = "encryption")]
pub use encrypted::{EncryptedStorage, Key, Sealer};
pub use memory::MemoryStorage;

/// A flat set of named files of bytes.
///
/// Names are plain ASCII file names, optionally inside one folder (`quarantine/…`, `archive/…`). One handle per
/// database writes; reads may come from anywhere at any time. A storage never retries and never hides a failure.
///
/// A storage may keep a `.log` file physically longer than what was appended, filled up with zeros. A handle that
/// opens such a file later sees those zeros as part of it, until [`truncate`](Self::truncate) sets the end.
///
/// Blocking implementations return futures that are ready at once.
///
/// # Errors
/// Every method that takes a name fails with [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is
/// none, every method with [`Closed`](ErrorKind::Closed) once the handle was closed, and every method that writes
/// with [`ReadOnly`](ErrorKind::ReadOnly) on a handle opened for reading.
#[allow(async_fn_in_trait)] // Generic callers are `Send` by inference whenever the implementation's futures are.
pub trait Storage: platform::MaybeShared + 'static {
    /// The names of all files, in no particular order, those in folders with their folder.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn list(&self) -> Result<Vec<String>>;

    /// Makes an empty file. Once it returns, the *name* survives a power cut.
    ///
    /// # Errors
    /// When the file exists already, or cannot be made durable.
    async fn create(&self, name: &str) -> Result<()>;

    /// The file's length in bytes.
    ///
    /// For a file this handle created, appended to or truncated that is the end of what it holds. For a `.log` of
    /// an earlier handle, or one that another handle is writing, it is the physical length, zeros included.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such file.
    async fn len(&self, name: &str) -> Result<u64>;

    /// The bytes from `offset` on, `len` of them or as many as the file has.
    ///
    /// A read beside an append sees a prefix of it; in a `.log` zeros may follow, see [`len`](Self::len).
    /// Memory is taken for the bytes the file has, not for `len`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such file.
    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// The same, in place of what `buffer` holds. Whoever reads again and again saves taking and clearing memory for each
    /// read, where the storage does not leave this to [`read_at`](Self::read_at). After a failure the contents of
    /// `buffer` mean nothing.
    ///
    /// # Errors
    /// As for [`read_at`](Self::read_at).
    async fn read_into(&self, name: &str, offset: u64, len: usize, buffer: &mut Vec<u8>) -> Result<()> {
        *buffer = self.read_at(name, offset, len).await?;
        Ok(())
    }

    /// Writes all of `bytes` at the end of the file. Not durable before [`sync`](Self::sync).
    ///
    /// The end is where [`len`](Self::len) says. Cut a `.log` of an earlier handle to the end of its content with
    /// [`truncate`](Self::truncate) before appending to it, or the bytes land behind its zeros.
    ///
    /// # Errors
    /// When not everything could be written; part of it may have been.
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Makes the file's bytes and length survive a power cut.
    ///
    /// # Errors
    /// When the medium refused. What was appended since the last sync is then of unknown fate.
    async fn sync(&self, name: &str) -> Result<()>;

    /// Cuts the file to `len` bytes, durably.
    ///
    /// # Errors
    /// When the file is shorter, or the cut cannot be made durable.
    async fn truncate(&self, name: &str, len: u64) -> Result<()>;

    /// Removes the file, durably where the platform can promise that.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such file.
    async fn remove(&self, name: &str) -> Result<()>;

    /// Waits for what is running, then releases locks and open files. Every later call fails with
    /// [`Closed`](ErrorKind::Closed), except that closing again does nothing.
    ///
    /// Makes nothing durable, but cuts the zeros off files whose content is. Once it returned, the same place can
    /// be opened again. A storage with nothing to release may stay usable.
    ///
    /// # Errors
    /// When the storage's own thread is gone, so that nothing can be said about the release.
    async fn close(&self) -> Result<()> {
        Ok(())
    }

    /// Whether a file that is made now costs much more than one that is made in a minute, so that what can wait had better do.
    fn is_young(&self) -> bool {
        false
    }

    /// What copies of these files in another place are made with, if they are to be encrypted as these are. `None` unless the
    /// storage encrypts: one that passes calls on to an encrypted one passes on this too, or backups refuse nothing and are plain.
    #[cfg(feature = "encryption")]
    fn sealer(&self) -> Option<Sealer> {
        None
    }
}

/// The folders a name may be in.
pub(crate) const FOLDERS: [&str; 2] = ["quarantine", "archive"];

/// Whether `name` may name a file, its folder left out: ASCII letters, digits, `.`, `_` and `-`, no leading dot.
fn is_file_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains("..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Refuses whatever does not name a file of a [`Storage`], so that no name can lead out of its place.
pub(crate) fn validate_name(name: &str) -> Result<()> {
    let valid = match name.split_once('/') {
        Some((folder, file)) => FOLDERS.contains(&folder) && is_file_name(file),
        None => is_file_name(name),
    };
    if valid {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, format!("`{name}` is no name for a file of a database")))
}

// The one table of platforms. No other file asks for the target.
#[cfg(all(not(target_family = "wasm"), feature = "tokio"))]
mod disk_async;
#[cfg(all(not(target_family = "wasm"), feature = "encryption"))]
mod disk_keyed;
#[cfg(not(target_family = "wasm"))]
mod disk_sync;
#[cfg(not(target_family = "wasm"))]
#[path = "storage/platform_native.rs"]
pub(crate) mod platform;
#[cfg(target_family = "wasm")]
#[path = "storage/platform_web.rs"]
pub(crate) mod platform;

#[cfg(all(not(target_family = "wasm"), feature = "tokio"))]
pub use disk_async::AsyncDiskStorage;
#[cfg(all(not(target_family = "wasm"), feature = "encryption"))]
pub use disk_keyed::KeyedDiskStorage;
#[cfg(not(target_family = "wasm"))]
pub use disk_sync::SyncDiskStorage;
#[cfg(not(target_family = "wasm"))]
pub(crate) use disk_sync::sync_dir;

/// The face for callers that can wait on their thread.
#[cfg(not(target_family = "wasm"))]
#[path = "blocking.rs"]
pub mod blocking;
/// Interchange with `MoltenDB`.
#[cfg(not(target_family = "wasm"))]
#[path = "moltendb.rs"]
pub mod moltendb;
#[cfg(all(not(target_family = "wasm"), feature = "tokio"))]
#[path = "native.rs"]
mod native;

/// What is kept of the past.
#[cfg(not(target_family = "wasm"))]
#[path = "history/native.rs"]
pub(crate) mod history;
#[cfg(target_family = "wasm")]
#[path = "history/web.rs"]
pub(crate) mod history;
#[cfg(not(target_family = "wasm"))]
pub use history::{Moment, Retention};

/// What can still be read of a damaged database.
#[cfg(not(target_family = "wasm"))]
#[path = "log/salvage.rs"]
pub(crate) mod salvage;
#[cfg(target_family = "wasm")]
#[path = "log/salvage_web.rs"]
pub(crate) mod salvage;

/// The blocks of snapshots in memory.
#[cfg(not(target_family = "wasm"))]
#[path = "snapshot/cache.rs"]
pub(crate) mod cache;
#[cfg(target_family = "wasm")]
#[path = "snapshot/cache_web.rs"]
pub(crate) mod cache;

/// The checksum of the log's lines.
#[cfg(not(target_family = "wasm"))]
pub(crate) use crc32c::crc32c;
#[cfg(target_family = "wasm")]
#[path = "format/crc32c_web.rs"]
mod crc32c_web;
#[cfg(target_family = "wasm")]
pub(crate) use crc32c_web::crc32c;

/// The face for JavaScript.
#[cfg(all(target_family = "wasm", feature = "js"))]
#[path = "js.rs"]
mod js;

/// The storage that this platform's databases use unless told otherwise.
#[cfg(not(target_family = "wasm"))]
pub type PlatformStorage = SyncDiskStorage;

/// Where a browser keeps databases.
#[cfg(target_family = "wasm")]
pub mod browser;
#[cfg(target_family = "wasm")]
pub mod indexed_db;
#[cfg(target_family = "wasm")]
pub mod opfs;
#[cfg(target_family = "wasm")]
pub use {indexed_db::IndexedDbStorage, opfs::OpfsStorage};
/// The storage that this platform's databases use unless told otherwise.
#[cfg(target_family = "wasm")]
pub type PlatformStorage = browser::BrowserStorage;
