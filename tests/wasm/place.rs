//! Storages to test with.

use gloo_timers::future::TimeoutFuture;
use js_sys::Reflect;
use pumice::browser::{self, BrowserStorage, Wanted};
use pumice::opfs::{OpfsFiles, OpfsJournal};
use pumice::pool::SlotFiles;
use pumice::{OpfsStorage, Result, Storage};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemDirectoryHandle, FileSystemRemoveOptions, StorageManager};

/// More than any of these tests has to wait.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Less than any of these tests holds anything.
pub const IMPATIENCE: Duration = Duration::from_millis(100);

/// A pool whose clock goes on by `millis` whenever it is asked.
pub async fn pool(name: &str, millis: u64) -> OpfsStorage {
    try_pool(name, millis).await.unwrap()
}

pub async fn try_pool(name: &str, millis: u64) -> Result<OpfsStorage> {
    let now = Cell::new(0);
    let clock = move || now.replace(now.get() + millis);
    let journal = OpfsJournal::open(name, PATIENCE).await?;
    OpfsStorage::open(OpfsFiles::new(name, PATIENCE).await?, journal, clock).await
}

/// The storage of a database, as an application gets it.
pub async fn open(name: &str, wanted: Wanted) -> BrowserStorage {
    browser::open(name, wanted, PATIENCE).await.unwrap().storage
}

/// The slots of a database that nobody has open, for looking at their bytes and for holding them.
pub async fn slots(name: &str) -> (OpfsFiles, Vec<u32>) {
    let files = OpfsFiles::new(name, PATIENCE).await.unwrap();
    let slots = files.list().await.unwrap();
    (files, slots)
}

pub async fn write<S: Storage>(storage: &S, name: &str, bytes: &[u8]) {
    storage.create(name).await.unwrap();
    storage.append(name, bytes).await.unwrap();
    storage.sync(name).await.unwrap();
}

/// Removes the directory of a database from OPFS, as a browser does that makes room.
pub async fn evict(name: &str) {
    let member = |of: &_, name: &str| Reflect::get(of, &name.into()).unwrap();
    let storage: StorageManager = member(&member(&js_sys::global(), "navigator"), "storage").unchecked_into();
    let top: FileSystemDirectoryHandle =
        JsFuture::from(storage.get_directory()).await.unwrap().unchecked_into();
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    JsFuture::from(top.remove_entry_with_options(name, &options)).await.unwrap();
}

/// Drives a future for so long, then drops it. True when it ended before.
pub async fn drive(future: impl Future, millis: u32) -> bool {
    let (mut future, mut end) = (pin!(future), pin!(TimeoutFuture::new(millis)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending => end.as_mut().poll(cx).map(|()| false),
    })
    .await
}
