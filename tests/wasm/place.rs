//! Storages to test with.

use pumice::browser::{self, BrowserStorage, Wanted};
use pumice::opfs::{IndexedDbJournal, OpfsFiles};
use pumice::{OpfsStorage, Result};
use std::cell::Cell;
use std::time::Duration;

/// More than any of these tests has to wait.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A pool whose clock goes on by `millis` whenever it is asked.
pub async fn pool(name: &str, millis: u64) -> OpfsStorage {
    try_pool(name, millis).await.unwrap()
}

pub async fn try_pool(name: &str, millis: u64) -> Result<OpfsStorage> {
    let now = Cell::new(0);
    let clock = move || now.replace(now.get() + millis);
    let journal = IndexedDbJournal::open(name, PATIENCE).await?;
    OpfsStorage::open(OpfsFiles::new(name, PATIENCE).await?, journal, clock).await
}

/// The storage of a database, as an application gets it.
pub async fn open(name: &str, wanted: Wanted) -> BrowserStorage {
    browser::open(name, wanted, PATIENCE).await.unwrap().storage
}
