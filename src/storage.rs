//! Named files of bytes: the only seam between the engine and a platform.
//!
//! A storage knows no record and no snapshot. Everything that depends on the target is chosen in the one table at
//! the end of this file.

use crate::error::Result;

mod memory;
pub use memory::MemoryStorage;

/// A flat set of named files of bytes.
///
/// Names are plain ASCII file names, optionally inside one folder (`quarantine/…`, `archive/…`). One handle per
/// database writes; reads may come from anywhere at any time. A storage never retries and never hides a failure.
///
/// Blocking implementations return futures that are ready at once.
#[allow(async_fn_in_trait)] // Generic callers are `Send` by inference whenever the implementation's futures are.
pub trait Storage: 'static {
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
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such file.
    async fn len(&self, name: &str) -> Result<u64>;

    /// The bytes from `offset` on, `len` of them or as many as the file has.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such file.
    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// Writes all of `bytes` at the end of the file. Not durable before [`sync`](Self::sync).
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
}

// The one table of platforms. No other file asks for the target.
#[cfg(all(not(target_family = "wasm"), feature = "tokio"))]
mod disk_async;
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
#[cfg(not(target_family = "wasm"))]
pub use disk_sync::SyncDiskStorage;

/// The storage that this platform's databases use unless told otherwise.
#[cfg(not(target_family = "wasm"))]
pub type PlatformStorage = SyncDiskStorage;
/// The storage that this platform's databases use unless told otherwise.
#[cfg(target_family = "wasm")]
pub type PlatformStorage = MemoryStorage;
