//! Opening a database by its directory, where there are directories and threads.

use crate::db::Db;
use crate::error::Result;
use crate::options::Options;
use crate::storage::AsyncDiskStorage;
use std::path::Path;

impl Db<AsyncDiskStorage> {
    /// Opens the database in the directory `dir`, or makes one there. Reads and writes run on threads of their own, so
    /// no executor is ever blocked.
    ///
    /// ```no_run
    /// # async fn run() -> pumice::Result<()> {
    /// let db = pumice::Db::open("data/app").await?;
    /// db.collection("users").put_raw("u1", r#"{"name":"Ada"}"#).await?;
    /// db.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another process has it open; otherwise as for
    /// [`open_with`](Self::open_with).
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(AsyncDiskStorage::open(dir).await?, Options::new()).await
    }

    /// Opens the database in `dir` beside a writer, or on a full disk: takes no lock and writes nothing.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no database in `dir`; otherwise as for
    /// [`open_with`](Self::open_with).
    pub async fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(AsyncDiskStorage::open_read_only(dir).await?, Options::new().read_only(true)).await
    }
}
