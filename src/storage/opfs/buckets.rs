//! The two copies of a journal, each in a bucket of its own (Storage Buckets, which Chromium has): every bucket has an
//! `IndexedDB` apart from all others, so that what happens to one does not happen to another.
//!
//! A bucket is named `pumice-{digest of the database's name}-{number}`. Browsers without buckets keep `IndexedDB` in databases that
//! do not throw everything away for a torn end, and have one journal.

use super::journal::{IndexedDbJournal, USED};
use crate::error::Result;
use crate::storage::browser::connection::{Asked, Change, Connection, JOURNAL, META};
use crate::storage::browser::failure::{failure, lacks};
use crate::storage::browser::patience::Patience;
use crate::storage::pool::{Copies, Journal, JournalEdit, Known, TwinJournal};
use bytes::Bytes;
use js_sys::{Array, Function, Promise, Reflect};
use std::cell::Cell;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::IdbFactory;
use xxhash_rust::xxh3::xxh3_128;

/// Set for good when the first copy was made: without buckets the journal cannot be read any more.
const COPIED: &str = "journal in buckets";

/// The journal of a pool in OPFS.
pub enum OpfsJournal {
    /// In the database's place.
    One(IndexedDbJournal),
    /// In two buckets.
    Twin(TwinJournal<Buckets>),
}

impl OpfsJournal {
    /// Opens the journal of the database `name`, or makes it.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) when another worker still has it open after `patience`.
    pub async fn open(name: &str, patience: Duration) -> Result<Self> {
        Self::new(Connection::open(name, &Patience::new(patience)).await?, patience).await
    }

    /// The journal of the database whose place that is: in buckets, where there are any.
    pub(in crate::storage) async fn new(place: Connection, patience: Duration) -> Result<Self> {
        let refused = match Manager::find() {
            None => lacks("Storage Buckets"),
            // They may be there and not be allowed.
            Some(manager) => match manager.numbers("").await {
                Ok(_) => {
                    let name = place.name().to_owned();
                    return Ok(Self::twin(manager, &name, Some(place), patience));
                }
                Err(error) => error,
            },
        };
        // What was written into buckets is nowhere else.
        if let [Some(_)] = place.meta([COPIED]).await? {
            Err(refused)
        } else {
            Ok(Self::One(IndexedDbJournal::new(place)))
        }
    }

    /// The journal of the database `name` whose place the browser does not get at any more; `None` where it may be there.
    pub(in crate::storage) async fn without_place(name: &str, patience: Duration) -> Option<Self> {
        let manager = Manager::find()?;
        manager.numbers("").await.ok()?;
        Some(Self::twin(manager, name, None, patience))
    }

    fn twin(manager: Manager, name: &str, place: Option<Connection>, patience: Duration) -> Self {
        Self::Twin(TwinJournal::new(Buckets::new(manager, name, place, patience)))
    }
}

impl Journal for OpfsJournal {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Self::One(journal) => journal.read().await,
            Self::Twin(journal) => journal.read().await,
        }
    }

    async fn read_with(&self, known: &impl Known) -> Result<Vec<(String, Bytes)>> {
        match self {
            Self::One(journal) => journal.read_with(known).await,
            Self::Twin(journal) => journal.read_with(known).await,
        }
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        match self {
            Self::One(journal) => journal.commit(edits).await,
            Self::Twin(journal) => journal.commit(edits).await,
        }
    }

    async fn settle(&self) -> Result<()> {
        match self {
            Self::One(journal) => journal.settle().await,
            Self::Twin(journal) => journal.settle().await,
        }
    }

    fn give_up(&self) {
        match self {
            Self::One(journal) => journal.give_up(),
            Self::Twin(journal) => journal.give_up(),
        }
    }

    async fn close(&self) {
        match self {
            Self::One(journal) => journal.close().await,
            Self::Twin(journal) => journal.close().await,
        }
    }
}

/// `navigator.storageBuckets`, which web-sys does not have.
struct Manager(JsValue);

impl Manager {
    fn find() -> Option<Self> {
        let member =
            |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok().filter(JsValue::is_object);
        let manager = member(&member(&js_sys::global(), "navigator")?, "storageBuckets")?;
        Some(Self(manager))
    }

    async fn call(&self, method: &str, argument: Option<&str>) -> Asked<JsValue> {
        let function: Function = Reflect::get(&self.0, &method.into())?.dyn_into()?;
        let promise: Promise = match argument {
            None => function.call0(&self.0),
            Some(argument) => function.call1(&self.0, &argument.into()),
        }?
        .dyn_into()?;
        JsFuture::from(promise).await
    }

    /// The numbers of the buckets whose names begin with `prefix`.
    async fn numbers(&self, prefix: &str) -> Result<Vec<u64>> {
        let names: Array = self
            .call("keys", None)
            .await
            .and_then(JsCast::dyn_into)
            .map_err(|exception| failure("list the storage buckets", &exception))?;
        let names = names.iter().filter_map(|name| name.as_string());
        Ok(names.filter_map(|name| name.strip_prefix(prefix)?.parse().ok()).collect())
    }

    /// The `IndexedDB` of a bucket, which is made if it is missing.
    async fn factory(&self, bucket: &str) -> Result<IdbFactory> {
        let opened = self.call("open", Some(bucket)).await;
        opened
            .and_then(|opened| Reflect::get(&opened, &"indexedDB".into())?.dyn_into())
            .map_err(|exception| failure("open a storage bucket", &exception))
    }

    async fn delete(&self, bucket: &str) -> Result<()> {
        let deleted = self.call("delete", Some(bucket)).await;
        deleted.map(drop).map_err(|exception| failure("delete a storage bucket", &exception))
    }
}

/// The buckets of one database.
pub struct Buckets {
    manager: Manager,
    name: String,
    /// The database's place, if the browser gets at it.
    place: Option<IndexedDbJournal>,
    prefix: String,
    patience: Duration,
    told: Cell<bool>,
}

fn prefix(name: &str) -> String {
    format!("pumice-{:032x}-", xxh3_128(name.as_bytes()))
}

impl Buckets {
    fn new(manager: Manager, name: &str, place: Option<Connection>, patience: Duration) -> Self {
        let (name, prefix, place) = (name.to_owned(), prefix(name), place.map(IndexedDbJournal::new));
        Self { manager, name, place, prefix, patience, told: Cell::new(false) }
    }

    /// Notes something in the place.
    async fn note(&self, key: &str) -> Result<()> {
        match &self.place {
            Some(place) => place.connection().write(&[Change::Value(META, key, "yes".into())]).await,
            None => Ok(()),
        }
    }

    fn bucket(&self, number: u64) -> String {
        format!("{}{number}", self.prefix)
    }
}

impl Copies for Buckets {
    type Copy = IndexedDbJournal;

    async fn list(&self) -> Result<Vec<u64>> {
        self.manager.numbers(&self.prefix).await
    }

    async fn open(&self, number: u64) -> Result<IndexedDbJournal> {
        if !self.told.replace(true) {
            self.note(COPIED).await.inspect_err(|_| self.told.set(false))?;
        }
        let factory = self.manager.factory(&self.bucket(number)).await?;
        let patience = Patience::new(self.patience);
        let connection = Connection::open_in(factory, &self.name, &patience).await?;
        Ok(IndexedDbJournal::new(connection))
    }

    async fn remove(&self, number: u64) -> Result<()> {
        self.manager.delete(&self.bucket(number)).await
    }

    async fn used(&self) -> Result<()> {
        self.note(USED).await
    }

    fn former(&self) -> Option<&IndexedDbJournal> {
        self.place.as_ref()
    }
}

/// Whether the database `name` has buckets.
pub(in crate::storage) async fn has_buckets(name: &str) -> bool {
    match Manager::find() {
        Some(manager) => manager.numbers(&prefix(name)).await.is_ok_and(|numbers| !numbers.is_empty()),
        None => false,
    }
}

/// Removes all buckets of the database `name`, if there may be any. They are emptied first, for a removal may be undone by a power cut.
pub(in crate::storage) async fn erase(name: &str, patience: Duration) -> Result<()> {
    let Some(manager) = Manager::find() else { return Ok(()) };
    let prefix = prefix(name);
    for number in manager.numbers(&prefix).await.unwrap_or_default() {
        let bucket = format!("{prefix}{number}");
        let factory = manager.factory(&bucket).await?;
        let connection = Connection::open_in(factory, name, &Patience::new(patience)).await?;
        connection.write(&[Change::Remove(JOURNAL, String::new(), "\u{ffff}".into())]).await?;
        connection.close();
        manager.delete(&bucket).await?;
    }
    Ok(())
}
