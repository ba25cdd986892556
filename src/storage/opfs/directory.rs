//! The directory of a database in OPFS.
//!
//! Chromium keeps the list of an origin's files in a `LevelDB`, and never syncs it. Where a power cut or a kill tore its log off, it goes
//! on behind the tear, and at the next start skips what stands there up to the end of a block of 32 KiB. A file that was made
//! meanwhile is gone then, however old it is and whatever was flushed. So before the first one of a session is made, that
//! block is filled ([`pass_a_tear`]).

use crate::error::{Error, ErrorKind, Result};
use crate::storage::browser::failure::{failure, lacks, name as exception_name};
use js_sys::{AsyncIterator, IteratorNext, Promise, Reflect};
use std::cell::Cell;
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
    own: FileSystemDirectoryHandle,
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

/// Whether this place in this browser has OPFS with synchronous handles, which only dedicated workers have.
pub(in crate::storage) async fn available() -> bool {
    let handles = Reflect::has(&js_sys::global(), &"FileSystemSyncAccessHandle".into());
    handles.unwrap_or(false) && top().await.is_ok()
}

/// The names of the directories that hold slots; none where there is no OPFS.
pub(in crate::storage) async fn list() -> Result<Vec<String>> {
    let Ok(top) = top().await else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for name in entries(&top).await? {
        if let Some(directory) = Directory::within(top.clone(), &name).await?
            && !directory.slots().await?.is_empty()
        {
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

fn make_directory(top: &FileSystemDirectoryHandle, name: &str) -> Promise {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    top.get_directory_handle_with_options(name, &options)
}

/// Has what is made from now on outlive a tear in the browser's list of files: writes more than a block into it. `name` is the
/// database's, so that two that do so at once do not make the same.
async fn pass_a_tear(top: &FileSystemDirectoryHandle, name: &str) {
    let filler = format!("{:0>FILLER$x}{SUFFIX}", xxh3_128(name.as_bytes()));
    // One that a crash left would not be made anew.
    let _ = JsFuture::from(top.remove_entry(&filler)).await;
    let made = JsFuture::from(make_directory(top, &filler)).await;
    match made {
        Ok(_) => drop(JsFuture::from(top.remove_entry(&filler)).await),
        // A browser that has no such names has no such list, as far as is known.
        Err(exception) => tracing::warn!(error = %failure("fill the list of files", &exception)),
    }
}

impl Directory {
    pub(super) async fn make(name: &str) -> Result<Self> {
        if let Some(found) = Self::find(name).await? {
            return Ok(found);
        }
        let top = top().await?;
        pass_a_tear(&top, name).await;
        let own = JsFuture::from(make_directory(&top, name)).await;
        let own = own.map_err(|exception| match exception_name(&exception).as_str() {
            "TypeError" | "TypeMismatchError" => {
                let message = format!(
                    "`{name}` cannot be the name of a directory in this browser; choose another name"
                );
                Error::new(ErrorKind::InvalidArgument, message)
            }
            _ => failure(&format!("make the directory {name}"), &exception),
        })?;
        Ok(Self { top, name: name.to_owned(), own: own.unchecked_into(), is_past: Cell::new(true) })
    }

    pub(super) async fn find(name: &str) -> Result<Option<Self>> {
        Self::within(top().await?, name).await
    }

    async fn within(top: FileSystemDirectoryHandle, name: &str) -> Result<Option<Self>> {
        match JsFuture::from(top.get_directory_handle(name)).await {
            Ok(own) => {
                let own = own.unchecked_into();
                Ok(Some(Self { top, name: name.to_owned(), own, is_past: Cell::new(false) }))
            }
            Err(exception) => match exception_name(&exception).as_str() {
                // Missing, a file, or no name for a directory.
                "NotFoundError" | "TypeMismatchError" | "TypeError" => Ok(None),
                _ => Err(failure(&format!("open the directory {name}"), &exception)),
            },
        }
    }

    /// The numbers of the slots that are there.
    pub(super) async fn slots(&self) -> Result<Vec<u32>> {
        let names = entries(&self.own).await?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    /// A slot's file, which is made if it is missing.
    pub(super) async fn file(&self, slot: u32) -> Result<FileSystemFileHandle> {
        self.answer(slot, self.ask_for(slot)).await
    }

    /// Asks for a slot's file, of which [`answer`](Self::answer) then tells.
    pub(super) fn ask_for(&self, slot: u32) -> Promise {
        let options = FileSystemGetFileOptions::new();
        options.set_create(self.is_past.get());
        self.own.get_file_handle_with_options(&file_name(slot), &options)
    }

    pub(super) async fn answer(&self, slot: u32, file: Promise) -> Result<FileSystemFileHandle> {
        let file = match JsFuture::from(file).await {
            Err(exception) if exception_name(&exception) == "NotFoundError" => {
                if !self.is_past.get() {
                    pass_a_tear(&self.top, &self.name).await;
                    self.is_past.set(true);
                }
                JsFuture::from(self.ask_for(slot)).await
            }
            file => file,
        };
        let file = file.map_err(|exception| failure(&format!("make slot {slot}"), &exception))?;
        Ok(file.unchecked_into())
    }

    /// Removes the slots, and the directory unless something else is in it.
    pub(super) async fn remove(&self, slots: &[u32]) -> Result<()> {
        for slot in slots {
            done(&format!("remove slot {slot}"), self.own.remove_entry(&file_name(*slot))).await?;
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
