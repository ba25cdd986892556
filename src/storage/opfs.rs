//! Files in OPFS, the browser's own file system, over its synchronous handles, which only a dedicated worker gets.
//!
//! All files of a database lie in one directory at the top that bears the database's name. They are the slots of a
//! [`PooledStorage`]: `{slot:010}.pumice`. What else may be in that directory is left alone.
//!
//! A handle excludes every other one, so whoever has the slots open is the only one to write them.

#![allow(clippy::cast_sign_loss, clippy::cast_precision_loss)] // Lengths in JavaScript are numbers.

mod buckets;
mod directory;
mod journal;

pub use buckets::{Buckets, OpfsJournal};
pub use journal::IndexedDbJournal;

use super::browser::connection::Asked;
use super::browser::failure::failure;
use super::browser::patience::Patience;
use super::pool::{PooledStorage, SlotFiles};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use directory::Directory;
use js_sys::Promise;
use std::cell::RefCell;
use std::time::Duration;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FileSystemFileHandle, FileSystemReadWriteOptions, FileSystemSyncAccessHandle};

pub(super) use buckets::{erase, has_buckets};
pub(super) use directory::{has_handles, list};
pub(super) use journal::USED;

/// A storage in OPFS, with a journal in `IndexedDB` beside it.
pub type OpfsStorage = PooledStorage<OpfsFiles, OpfsJournal>;

/// The slots of one database.
pub struct OpfsFiles {
    directory: Directory,
    handles: RefCell<SortedMap<u32, FileSystemSyncAccessHandle>>,
    patience: RefCell<Patience>,
}

impl OpfsFiles {
    /// The slots of the database `name`. Its directory is made with the first one.
    ///
    /// Slots that somebody else has open are tried again until `patience` is over.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where there is no OPFS.
    pub async fn new(name: &str, patience: Duration) -> Result<Self> {
        let directory = Directory::find(name).await?;
        Ok(Self { directory, handles: RefCell::default(), patience: RefCell::new(Patience::new(patience)) })
    }

    /// Does beforehand what making the first slots would take longer for, if there is no directory yet.
    pub(super) async fn prepare(&self) {
        if !self.directory.is_there() {
            self.directory.pass_a_tear().await;
        }
    }

    /// Removes all slots, which must be open here, and the directory unless something else is in it.
    pub(super) async fn delete(&self) -> Result<()> {
        if !self.directory.is_there() {
            return Ok(());
        }
        let slots: Vec<u32> = self.handles.borrow().keys().copied().collect();
        for slot in &slots {
            // The name may come back after a power cut, the content must not.
            self.truncate(*slot, 0)?;
            self.flush(*slot)?;
        }
        self.close();
        self.directory.remove(&slots).await
    }

    fn with<T>(
        &self,
        slot: u32,
        action: &str,
        call: impl FnOnce(&FileSystemSyncAccessHandle) -> Asked<T>,
    ) -> Result<T> {
        let handles = self.handles.borrow();
        let handle = handles.get(&slot);
        let handle =
            handle.ok_or_else(|| Error::new(ErrorKind::Closed, format!("slot {slot} is not open")))?;
        call(handle).map_err(|exception| failure(&format!("{action} slot {slot}"), &exception))
    }

    async fn try_open(&self, slot: u32) -> Result<FileSystemSyncAccessHandle> {
        self.directory.make().await?;
        let file = self.directory.answer(slot, self.directory.ask_for(slot)?).await?;
        Self::arrive(slot, Coming::begin(&file)).await
    }

    async fn arrive(slot: u32, coming: Coming) -> Result<FileSystemSyncAccessHandle> {
        let handle = coming.arrive().await;
        let handle = handle.map_err(|exception| failure(&format!("open slot {slot}"), &exception))?;
        // In browsers of before 2023 these calls return promises, so nothing would be durable when they return.
        if handle.get_size().is_ok_and(f64::is_finite) {
            return Ok(handle);
        }
        handle.close();
        Err(Error::new(ErrorKind::Unsupported, "this browser's OPFS is too old; update the browser"))
    }
}

impl SlotFiles for OpfsFiles {
    async fn list(&self) -> Result<Vec<u32>> {
        self.directory.slots().await
    }

    async fn open(&self, slot: u32) -> Result<()> {
        if self.handles.borrow().contains_key(&slot) {
            return Ok(());
        }
        loop {
            match self.try_open(slot).await {
                Ok(handle) => {
                    self.handles.borrow_mut().insert(slot, handle);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Busy => {
                    let mut patience = self.patience.borrow().clone();
                    if !patience.pause().await {
                        return Err(error);
                    }
                    self.patience.replace(patience);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open_all(&self, slots: &[u32]) -> Result<()> {
        let closed = |slot: &u32| !self.handles.borrow().contains_key(slot);
        let slots: Vec<u32> = slots.iter().copied().filter(closed).collect();
        // Asked for all at once: each answer takes a millisecond or two. And all are waited for: a worker ends at a
        // refusal that nobody takes.
        self.directory.make().await?;
        let asked = slots.iter().map(|slot| Ok((*slot, self.directory.ask_for(*slot)?)));
        let asked: Vec<_> = asked.collect::<Result<_>>()?;
        let (mut coming, mut failed) = (Vec::new(), None);
        for (slot, asked) in asked {
            match self.directory.answer(slot, asked).await {
                Ok(file) => coming.push((slot, Coming::begin(&file))),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for (slot, coming) in coming {
            let opened = match Self::arrive(slot, coming).await {
                Ok(handle) => {
                    self.handles.borrow_mut().insert(slot, handle);
                    Ok(())
                }
                Err(error) if error.kind() == ErrorKind::Busy && failed.is_none() => self.open(slot).await,
                Err(error) => Err(error),
            };
            failed = failed.or(opened.err());
        }
        failed.map_or(Ok(()), Err)
    }

    fn len(&self, slot: u32) -> Result<u64> {
        self.with(slot, "measure", |handle| handle.get_size().map(|size| size as u64))
    }

    fn read_at(&self, slot: u32, offset: u64, len: usize) -> Result<Vec<u8>> {
        let there = usize::try_from(self.len(slot)?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(there)];
        let mut read = 0;
        while read < bytes.len() {
            let at = position(offset + read as u64);
            let rest = &mut bytes[read..];
            let n =
                self.with(slot, "read", |handle| handle.read_with_u8_array_and_options(rest, &at))? as usize;
            if n == 0 {
                bytes.truncate(read);
            }
            read += n;
        }
        Ok(bytes)
    }

    fn write_at(&self, slot: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        let at = position(offset);
        let write = |handle: &FileSystemSyncAccessHandle| handle.write_with_u8_array_and_options(bytes, &at);
        let written = self.with(slot, "write", write)? as usize;
        if written < bytes.len() {
            // This is how a browser tells that there is no more room.
            let message = format!("only {written} of {} bytes went into slot {slot}; make room", bytes.len());
            return Err(Error::new(ErrorKind::Full, message));
        }
        Ok(())
    }

    fn truncate(&self, slot: u32, len: u64) -> Result<()> {
        self.with(slot, "cut", |handle| handle.truncate_with_f64(len as f64))
    }

    fn flush(&self, slot: u32) -> Result<()> {
        self.with(slot, "sync", FileSystemSyncAccessHandle::flush)
    }

    fn close(&self) {
        for handle in std::mem::take(&mut *self.handles.borrow_mut()).values() {
            handle.close();
        }
    }
}

impl Drop for OpfsFiles {
    fn drop(&mut self) {
        self.close();
    }
}

fn position(at: u64) -> FileSystemReadWriteOptions {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(at as f64);
    options
}

/// A handle that is being opened. If nobody waits for it any more, it is closed as soon as it is open.
struct Coming {
    promise: Promise,
    arrived: bool,
}

impl Coming {
    fn begin(file: &FileSystemFileHandle) -> Self {
        Self { promise: file.create_sync_access_handle(), arrived: false }
    }

    async fn arrive(mut self) -> Asked<FileSystemSyncAccessHandle> {
        let handle = JsFuture::from(self.promise.clone()).await;
        self.arrived = true;
        handle.map(JsCast::unchecked_into)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if !self.arrived {
            let close =
                Closure::new(|handle: JsValue| handle.unchecked_into::<FileSystemSyncAccessHandle>().close());
            let _ = self.promise.then(&close);
            // Called once, by the browser.
            close.forget();
        }
    }
}
