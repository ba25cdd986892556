//! The place of a database: its directory in OPFS, and its place in `IndexedDB`, which says in which of the two it is kept.
//!
//! A database stays where it was made. A deletion is first written down and then carried out, and the next opening
//! finishes one that was interrupted.

use super::connection::{self, Change, Connection, FILES, JOURNAL, META, PIECES};
use super::failure::lacks;
use super::patience::Patience;
use super::storage::{BrowserStorage, Inner};
use super::{Kind, Opened, Wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use crate::storage::indexed_db::IndexedDbStorage;
use crate::storage::opfs::{self, OpfsFiles, OpfsJournal, OpfsStorage, USED};
use crate::storage::pool::SlotFiles;
use crate::storage::{MemoryStorage, Storage};
use crate::sync::now;
use futures_util::future::join;
use std::time::Duration;

/// The longest name, in characters.
const MAX_NAME: usize = 100;
/// In which storage the database is kept, and the two answers.
const KIND: &str = "storage";
const OPFS: &str = "opfs";
const INDEXED_DB: &str = "indexeddb";
/// There while the database is being deleted.
const DELETING: &str = "deleting";

/// Refuses what is no name for a database.
fn validate(name: &str) -> Result<()> {
    let bad = |c: char| c.is_control() || matches!(c, '/' | '\\');
    if (1..=MAX_NAME).contains(&name.chars().count()) && !name.contains(bad) && !matches!(name, "." | "..") {
        return Ok(());
    }
    let message = format!("`{name}` is no name for a database: 1 to {MAX_NAME} characters, no separators");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// Opens the storage of the database `name`, or makes it.
///
/// While another worker has it open, tries again until `patience` has passed. Dropping the future closes what was opened.
///
/// # Errors
/// [`Busy`](ErrorKind::Busy) when another worker still has it open; [`Unsupported`](ErrorKind::Unsupported) when the browser
/// lacks what was asked for; [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is none, or when the
/// database is kept in another storage than the one asked for.
pub async fn open(name: &str, wanted: Wanted, patience: Duration) -> Result<Opened> {
    validate(name)?;
    if wanted == Wanted::Memory {
        return Ok(Opened { storage: BrowserStorage(Inner::Memory(MemoryStorage::new())), evicted: false });
    }
    // Each takes a while the first time.
    let in_opfs = wanted != Wanted::IndexedDb && opfs::has_handles();
    let (connection, mut files) =
        join(Connection::open(name, &Patience::new(patience)), find(name, in_opfs, patience)).await;
    let connection = match connection {
        Err(error) if error.kind() == ErrorKind::Io && in_opfs => {
            let Ok(Some(files)) = files else { return Err(error) };
            return open_without_place(files, name, patience, error).await;
        }
        connection => connection?,
    };
    let [deleting, mut noted, mut used] = connection.meta([DELETING, KIND, USED]).await?;
    if deleting.is_some() {
        erase(&connection, files?.as_ref(), patience).await?;
        files = find(name, in_opfs, patience).await;
        (noted, used) = (None, None);
    }
    let files = match noted.as_deref() {
        Some(INDEXED_DB) => None,
        _ => files?,
    };
    let kept = kept_in(noted.as_deref(), files.as_ref()).await?;
    let chosen = match choose(name, kept, wanted, files).await {
        Ok(chosen) => chosen,
        Err(error) => {
            if kept.is_none() {
                // There was no database, so nothing is left behind either. What failed matters more.
                let _ = connection.delete().await;
            }
            return Err(error);
        }
    };
    let kind = if chosen.is_some() { OPFS } else { INDEXED_DB };
    if noted.as_deref() != Some(kind) {
        connection.write(&[Change::Value(META, KIND, kind.into())]).await?;
    }
    let Some(files) = chosen else {
        let storage = IndexedDbStorage::new(connection).await?;
        return Ok(Opened { storage: BrowserStorage(Inner::IndexedDb(storage)), evicted: false });
    };
    let storage = open_opfs(files, OpfsJournal::new(connection, patience).await?).await?;
    let evicted = used.is_some() && storage.list().await?.is_empty();
    Ok(Opened { storage: BrowserStorage(Inner::Opfs(Box::new(storage))), evicted })
}

async fn open_opfs(files: OpfsFiles, journal: OpfsJournal) -> Result<OpfsStorage> {
    let start = now();
    let clock = move || now().saturating_duration_since(start).as_millis() as u64;
    OpfsStorage::open_bare(files, journal, clock).await
}

/// Opens a database that is in OPFS, where the browser does not open the origin's `IndexedDB`: that may be so for good, and
/// nothing of the database is there but notes. The files are held by their handles, and the journal is in buckets.
///
/// # Errors
/// `error` where there are no such files, or no buckets.
async fn open_without_place(
    files: OpfsFiles,
    name: &str,
    patience: Duration,
    error: Error,
) -> Result<Opened> {
    if files.list().await?.is_empty() {
        return Err(error);
    }
    files.open(0).await?;
    let Some(journal) = OpfsJournal::without_place(name, patience).await else { return Err(error) };
    tracing::warn!(%error, "the database is opened without its notes in IndexedDB");
    let storage = open_opfs(files, journal).await?;
    if storage.list().await?.is_empty() {
        // It may be in IndexedDB.
        return Err(error);
    }
    Ok(Opened { storage: BrowserStorage(Inner::Opfs(Box::new(storage))), evicted: false })
}

/// In which storage the database is, if there is one. Its place notes one or nothing.
async fn kept_in(noted: Option<&str>, files: Option<&OpfsFiles>) -> Result<Option<Kind>> {
    match (noted, files) {
        (Some(INDEXED_DB), _) => Ok(Some(Kind::IndexedDb)),
        (Some(_), _) => Ok(Some(Kind::Opfs)),
        // Its place in IndexedDB may have been removed, and its files not.
        (None, Some(files)) => Ok((!files.list().await?.is_empty()).then_some(Kind::Opfs)),
        (None, None) => Ok(None),
    }
}

/// The slots of the database where it is to be in OPFS, one of them open already; `None` where it is to be in `IndexedDB`.
async fn choose(
    name: &str,
    kept: Option<Kind>,
    wanted: Wanted,
    files: Option<OpfsFiles>,
) -> Result<Option<OpfsFiles>> {
    let files = files.filter(|_| opfs::has_handles());
    let in_opfs = match (kept, wanted) {
        (Some(Kind::Opfs), Wanted::Auto | Wanted::Opfs) | (None, Wanted::Opfs) => true,
        (Some(Kind::IndexedDb), Wanted::Auto | Wanted::IndexedDb) | (None, Wanted::IndexedDb) => false,
        (None, _) => files.is_some(),
        (Some(kept), _) => {
            let kept = if kept == Kind::Opfs { OPFS } else { INDEXED_DB };
            let message =
                format!("the database {name} is kept in {kept}: open it there, or with storage 'auto'");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
    };
    if !in_opfs {
        return Ok(None);
    }
    let files = files.ok_or_else(|| lacks("OPFS with synchronous handles"))?;
    match files.open(0).await {
        Err(error) if error.kind() == ErrorKind::Unsupported && kept.is_none() => {
            files.delete().await?;
            if wanted == Wanted::Auto { Ok(None) } else { Err(error) }
        }
        opened => opened.map(|()| Some(files)),
    }
}

/// The slots of the database, where there is OPFS. Makes ready for making them where it may be made in there.
async fn find(name: &str, may_be_made: bool, patience: Duration) -> Result<Option<OpfsFiles>> {
    match OpfsFiles::new(name, patience).await {
        Ok(files) => {
            if may_be_made {
                files.prepare().await;
            }
            Ok(Some(files))
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of this origin's databases, sorted.
///
/// # Errors
/// When the browser fails.
pub async fn list() -> Result<Vec<String>> {
    let mut names = match connection::list().await {
        Err(error) if error.kind() == ErrorKind::Unsupported => Vec::new(),
        names => names?,
    };
    names.extend(opfs::list().await?);
    let mut sorted = SortedMap::default();
    for name in names {
        sorted.insert(name, ());
    }
    Ok(sorted.into_iter().map(|(name, ())| name).collect())
}

/// Deletes all of the database `name`. An unknown name is no error.
///
/// # Errors
/// [`Busy`](ErrorKind::Busy) when somebody still has it open after `patience`; then it is as it was.
pub async fn delete(name: &str, patience: Duration) -> Result<()> {
    validate(name)?;
    let clock = Patience::new(patience);
    let files = find(name, false, patience).await?;
    let slots = match &files {
        Some(files) => files.list().await?,
        None => Vec::new(),
    };
    let nothing = slots.is_empty() && !opfs::has_buckets(name).await;
    if nothing && !connection::exists(name, &clock).await? {
        return Ok(());
    }
    let connection = Connection::open(name, &clock).await?;
    if let Some(files) = &files {
        // Whoever has one of them open is heard of before anything changes.
        for slot in files.list().await? {
            files.open(slot).await?;
        }
    }
    connection.write(&[Change::Value(META, DELETING, "yes".into())]).await?;
    erase(&connection, files.as_ref(), patience).await?;
    connection.delete().await
}

/// Removes everything but the place itself.
async fn erase(connection: &Connection, files: Option<&OpfsFiles>, patience: Duration) -> Result<()> {
    opfs::erase(connection.name(), patience).await?;
    if let Some(files) = files {
        for slot in files.list().await? {
            files.open(slot).await?;
        }
        files.delete().await?;
    }
    let all = |store| Change::Remove(store, String::new(), "\u{ffff}".into());
    let one = |key: &str| Change::Remove(META, key.into(), format!("{key}\0"));
    let changes = [all(JOURNAL), all(FILES), all(PIECES), one(KIND), one(USED), one(DELETING)];
    connection.write(&changes).await
}
