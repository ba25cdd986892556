//! The directory of a database in OPFS.
//!
//! Chromium keeps the list of an origin's files in a `LevelDB`, and never syncs it. Where a power cut or a kill tore its log off, it goes
//! on behind the tear, and at the next start skips what stands there up to the end of a block of 32 KiB. A file that was made
//! meanwhile is gone then, however old it is and whatever was flushed. So before the first one of a session is made, that
//! block is filled ([`Directory::pass_a_tear`]).

use crate::error::{Error, ErrorKind, Result};
use crate::storage::browser::failure::{failure, lacks, name as exception_name};
use js_sys::{AsyncIterator, IteratorNext, Promise, Reflect};
use std::cell::{Cell, OnceCell};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    StorageManager,
};
use xxhash_rust::xxh3::xxh3_128;

const SUFFIX: &str = ".pumice";
/// How long a name is that fills more than a block of Chromium's list, which writes it twice when it is made and once when it is
/// removed.
const FILLER: usize = 12_000;

pub(super) struct Directory {
    top: FileSystemDirectoryHandle,
    name: String,
    /// Not there until a slot is made.
    own: OnceCell<FileSystemDirectoryHandle>,
    /// Whether the browser finds again what is made now.
    is_past: Cell<bool>,
}

/// The top of OPFS.
async fn top() -> Result<FileSystemDirectoryHandle> {
    let lacks = || lacks("OPFS");
    let member = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok().filter(JsValue::is_object);
    let storage = member(&js_sys::global(), "navigator").and_then(|navigator| member(&navigator, "storage"));
    let storage: StorageManager = storage.ok_or_else(lacks)?.unchecked_into();
    let can = |name: &str| Reflect::has(&storage, &name.into()).unwrap_or(false);
    if !can("getDirectory") {
        return Err(lacks());
    }
    Ok(done("open OPFS", storage.get_directory()).await?.unchecked_into())
}

async fn done(action: &str, promise: Promise) -> Result<JsValue> {
    JsFuture::from(promise).await.map_err(|exception| failure(action, &exception))
}

/// Whether this place in this browser has synchronous handles, which only dedicated workers have.
pub(in crate::storage) fn has_handles() -> bool {
    Reflect::has(&js_sys::global(), &"FileSystemSyncAccessHandle".into()).unwrap_or(false)
}

/// The names of the directories that hold slots; none where there is no OPFS.
pub(in crate::storage) async fn list() -> Result<Vec<String>> {
    let Ok(top) = top().await else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for name in entries(&top).await? {
        if !Directory::within(top.clone(), &name).await?.slots().await?.is_empty() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The names of what is in a directory.
async fn entries(directory: &FileSystemDirectoryHandle) -> Result<Vec<String>> {
    let keys: AsyncIterator = directory.keys();
    let mut names = Vec::new();
    loop {
        let next = keys.next().map_err(|exception| failure("list a directory", &exception))?;
        let next: IteratorNext = done("list a directory", next).await?.unchecked_into();
        if next.done() {
            return Ok(names);
        }
        names.extend(next.value().as_string());
    }
}

fn creating() -> FileSystemGetFileOptions {
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    options
}

impl Directory {
    /// The directory of the database `name`, which may not be there.
    pub(super) async fn find(name: &str) -> Result<Self> {
        Self::within(top().await?, name).await
    }

    async fn within(top: FileSystemDirectoryHandle, name: &str) -> Result<Self> {
        let own = match JsFuture::from(top.get_directory_handle(name)).await {
            Ok(own) => OnceCell::from(own.unchecked_into::<FileSystemDirectoryHandle>()),
            Err(exception) => match exception_name(&exception).as_str() {
                // Missing, a file, or no name for a directory.
                "NotFoundError" | "TypeMismatchError" | "TypeError" => OnceCell::new(),
                _ => return Err(failure(&format!("open the directory {name}"), &exception)),
            },
        };
        Ok(Self { top, name: name.to_owned(), own, is_past: Cell::new(false) })
    }

    pub(super) fn is_there(&self) -> bool {
        self.own.get().is_some()
    }

    /// Has what is made from now on outlive a tear in the browser's list of files: writes more than a block into it.
    pub(super) async fn pass_a_tear(&self) {
        if self.is_past.get() {
            return;
        }
        // The database's name is in it, so that two that do this at once do not make the same.
        let filler = format!("{:0>FILLER$x}{SUFFIX}", xxh3_128(self.name.as_bytes()));
        // One that a crash left would not be made anew.
        let _ = JsFuture::from(self.top.remove_entry(&filler)).await;
        let made = self.top.get_file_handle_with_options(&filler, &creating());
        match JsFuture::from(made).await {
            Ok(_) => drop(JsFuture::from(self.top.remove_entry(&filler)).await),
            // Nor is there room for a file; the next one tries again.
            Err(exception) if exception_name(&exception) == "QuotaExceededError" => return,
            // A browser that has no such names has no such list, as far as is known.
            Err(exception) => tracing::warn!(error = %failure("fill the list of files", &exception)),
        }
        self.is_past.set(true);
    }

    /// Makes the directory, unless it is there.
    pub(super) async fn make(&self) -> Result<()> {
        if self.is_there() {
            return Ok(());
        }
        self.pass_a_tear().await;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        let own = JsFuture::from(self.top.get_directory_handle_with_options(&self.name, &options)).await;
        let own = own.map_err(|exception| match exception_name(&exception).as_str() {
            "TypeError" | "TypeMismatchError" => {
                let message = format!(
                    "`{}` cannot be the name of a directory in this browser; choose another name",
                    self.name
                );
                Error::new(ErrorKind::InvalidArgument, message)
            }
            _ => failure(&format!("make the directory {}", self.name), &exception),
        })?;
        // Whoever else has made it meanwhile has made the same.
        let _ = self.own.set(own.unchecked_into());
        Ok(())
    }

    fn own(&self) -> Result<&FileSystemDirectoryHandle> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no directory {}", self.name));
        self.own.get().ok_or_else(missing)
    }

    /// The numbers of the slots that are there.
    pub(super) async fn slots(&self) -> Result<Vec<u32>> {
        let Some(own) = self.own.get() else { return Ok(Vec::new()) };
        Ok(entries(own).await?.iter().filter_map(|name| number(name)).collect())
    }

    /// Asks for a slot's file in the directory, which is there. [`answer`](Self::answer) gives it. A future and no promise, for
    /// a refusal that comes before anyone waits for it would end the worker.
    pub(super) fn ask_for(&self, slot: u32) -> Result<JsFuture> {
        let (own, name) = (self.own()?, file_name(slot));
        Ok(JsFuture::from(if self.is_past.get() {
            own.get_file_handle_with_options(&name, &creating())
        } else {
            own.get_file_handle(&name)
        }))
    }

    /// A slot's file that was asked for. It is made if it is missing.
    pub(super) async fn answer(&self, slot: u32, asked: JsFuture) -> Result<FileSystemFileHandle> {
        let file = match asked.await {
            Err(exception) if exception_name(&exception) == "NotFoundError" => {
                self.pass_a_tear().await;
                self.ask_for(slot)?.await
            }
            file => file,
        };
        let file = file.map_err(|exception| failure(&format!("make slot {slot}"), &exception))?;
        Ok(file.unchecked_into())
    }

    /// Removes the slots, and the directory unless something else is in it.
    pub(super) async fn remove(&self, slots: &[u32]) -> Result<()> {
        for slot in slots {
            done(&format!("remove slot {slot}"), self.own()?.remove_entry(&file_name(*slot))).await?;
        }
        let removed = JsFuture::from(self.top.remove_entry(&self.name)).await;
        match removed {
            Err(exception) if exception_name(&exception) != "InvalidModificationError" => {
                Err(failure(&format!("remove the directory {}", self.name), &exception))
            }
            _ => Ok(()),
        }
    }
}

fn file_name(slot: u32) -> String {
    format!("{slot:010}{SUFFIX}")
}

fn number(name: &str) -> Option<u32> {
    let slot = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (file_name(slot) == name).then_some(slot)
}
