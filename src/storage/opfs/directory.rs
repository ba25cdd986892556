//! The directory of a database in OPFS.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::browser::failure::{failure, lacks, name as exception_name};
use js_sys::{AsyncIterator, IteratorNext, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    StorageManager,
};

const SUFFIX: &str = ".pumice";

pub(super) struct Directory {
    top: FileSystemDirectoryHandle,
    name: String,
    own: FileSystemDirectoryHandle,
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

impl Directory {
    pub(super) async fn make(name: &str) -> Result<Self> {
        let top = top().await?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        let own = JsFuture::from(top.get_directory_handle_with_options(name, &options)).await;
        let own = own.map_err(|exception| match exception_name(&exception).as_str() {
            "TypeError" | "TypeMismatchError" => {
                let message = format!(
                    "`{name}` cannot be the name of a directory in this browser; choose another name"
                );
                Error::new(ErrorKind::InvalidArgument, message)
            }
            _ => failure(&format!("make the directory {name}"), &exception),
        })?;
        Ok(Self { top, name: name.to_owned(), own: own.unchecked_into() })
    }

    pub(super) async fn find(name: &str) -> Result<Option<Self>> {
        Self::within(top().await?, name).await
    }

    async fn within(top: FileSystemDirectoryHandle, name: &str) -> Result<Option<Self>> {
        match JsFuture::from(top.get_directory_handle(name)).await {
            Ok(own) => Ok(Some(Self { top, name: name.to_owned(), own: own.unchecked_into() })),
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
        Self::answer(slot, self.ask_for(slot)).await
    }

    /// Asks for a slot's file, of which [`answer`](Self::answer) then tells.
    pub(super) fn ask_for(&self, slot: u32) -> Promise {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        self.own.get_file_handle_with_options(&file_name(slot), &options)
    }

    pub(super) async fn answer(slot: u32, file: Promise) -> Result<FileSystemFileHandle> {
        Ok(done(&format!("make slot {slot}"), file).await?.unchecked_into())
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
