//! Files in `IndexedDB` alone, for browsers and places without OPFS.
//!
//! A file is a record with its length, and its bytes in *pieces*, `{name}:{offset:020}`, which follow each other without
//! gaps. What is appended stays in memory until `sync`, which is one strict transaction: it puts the new bytes as one more
//! piece. Once the small pieces at the end come to 60 KiB, the transaction puts them again as one piece in their
//! place. So a small write stays a small transaction, and a read never takes much more than it was asked for.
//!
//! Every change is one transaction that is made as a whole or not at all. A file whose transaction failed is as it was after
//! the last one, without what was appended since then, and refuses to be written until it is opened again.

#![allow(clippy::cast_sign_loss, clippy::cast_precision_loss)] // Lengths in JavaScript are numbers.

mod pieces;

use super::browser::connection::{Change, Connection, FILES, PIECES, range};
use super::browser::patience::Patience;
use super::pool::Turn;
use super::{Storage, validate_name};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use js_sys::{Array, Uint8Array};
use pieces::{File, piece_key};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};

/// A [`Storage`] in `IndexedDB`, which belongs to the one who has it open.
pub struct IndexedDbStorage {
    connection: Connection,
    files: RefCell<SortedMap<String, File>>,
    closed: Cell<bool>,
    /// Held by whoever changes something.
    turn: Turn,
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no file {name}"))
}

/// All keys of the pieces of a file that begin at `offset` or behind it.
fn pieces_from(name: &str, offset: u64) -> Change<'static> {
    Change::Remove(PIECES, piece_key(name, offset), format!("{name};"))
}

fn length(name: &str, len: u64) -> Change<'_> {
    Change::Value(FILES, name, JsValue::from(len as f64))
}

impl IndexedDbStorage {
    /// Opens the files of the database `name`.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) when another worker still has them open after `patience`.
    pub async fn open(name: &str, patience: Duration) -> Result<Self> {
        Self::new(Connection::open(name, &Patience::new(patience)).await?).await
    }

    pub(super) async fn new(connection: Connection) -> Result<Self> {
        let all = connection.read(&[FILES, PIECES], |transaction| {
            let files = transaction.object_store(FILES)?;
            Ok([files.get_all_keys()?, files.get_all()?, transaction.object_store(PIECES)?.get_all_keys()?])
        });
        let [names, lengths, pieces] = all.await?.map(JsCast::unchecked_into::<Array>);
        let mut files = SortedMap::default();
        for (name, len) in names.iter().zip(lengths.iter()) {
            let len = len.as_f64().unwrap_or_default() as u64;
            files.insert(name.as_string().unwrap_or_default(), File::new(len));
        }
        for key in pieces.iter().filter_map(|key| key.as_string()) {
            let file =
                key.rsplit_once(':').and_then(|(name, at)| Some((files.get_mut(name)?, at.parse().ok()?)));
            if let Some((file, at)) = file {
                file.has_piece_at(at);
            }
        }
        Ok(Self { connection, files: RefCell::new(files), closed: Cell::new(false), turn: Turn::default() })
    }

    fn check(&self, name: &str) -> Result<()> {
        self.check_open()?;
        validate_name(name)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.get() {
            return Err(Error::new(ErrorKind::Closed, "the storage was closed"));
        }
        Ok(())
    }

    fn with<T>(&self, name: &str, call: impl FnOnce(&mut File) -> T) -> Result<T> {
        self.files.borrow_mut().get_mut(name).map(call).ok_or_else(|| missing(name))
    }

    /// Makes durable what was appended to the file.
    async fn write_out(&self, name: &str) -> Result<()> {
        let batch = self.with(name, |file| file.check(name).map(|()| file.batch()))??;
        let Some(batch) = batch else { return Ok(()) };
        let mut changes = vec![length(name, batch.end)];
        if batch.replaces {
            changes.push(pieces_from(name, batch.start));
        }
        for (at, bytes) in batch.pieces() {
            changes.push(Change::Bytes(PIECES, piece_key(name, at), bytes));
        }
        let written = self.connection.write(&changes).await;
        self.with(name, |file| match &written {
            Ok(()) => file.written(&batch),
            Err(error) => file.fail(error.clone()),
        })?;
        written
    }

    /// Makes changes after which the file is `new`, or gone.
    async fn replace(&self, name: &str, changes: &[Change<'_>], new: Option<File>) -> Result<()> {
        // For the case that this future is dropped before it is known what became of it.
        self.with(name, |file| file.fail(Error::new(ErrorKind::Io, "changing it was interrupted")))?;
        let written = self.connection.write(changes).await;
        let mut files = self.files.borrow_mut();
        match (&written, new) {
            (Ok(()), Some(new)) => drop(files.insert(name.to_owned(), new)),
            (Ok(()), None) => drop(files.remove(name)),
            (Err(error), _) => {
                if let Some(file) = files.get_mut(name) {
                    file.fail(error.clone());
                }
            }
        }
        written
    }

    /// The durable bytes of a file from `start`, where a piece begins, up to `end`, or as many as there are.
    async fn durable(&self, name: &str, start: u64, end: u64) -> Result<Vec<u8>> {
        let Some(range) = range(&piece_key(name, start), &piece_key(name, end)) else {
            return Ok(Vec::new());
        };
        let found = self.connection.read(&[PIECES], |transaction| {
            Ok([transaction.object_store(PIECES)?.get_all_with_key(&range)?])
        });
        let [found] = found.await?;
        let mut bytes = Vec::new();
        for piece in found.unchecked_into::<Array>().iter() {
            let piece = Uint8Array::new(&piece);
            let old = bytes.len();
            bytes.resize(old + piece.length() as usize, 0);
            piece.copy_to(&mut bytes[old..]);
        }
        Ok(bytes)
    }
}

impl Storage for IndexedDbStorage {
    async fn list(&self) -> Result<Vec<String>> {
        self.check_open()?;
        Ok(self.files.borrow().keys().cloned().collect())
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.check(name)?;
        let _turn = self.turn.take().await;
        self.check_open()?;
        if self.files.borrow().contains_key(name) {
            return Err(Error::new(ErrorKind::Io, format!("cannot create {name}: it exists already")));
        }
        self.connection.write(&[length(name, 0)]).await?;
        self.files.borrow_mut().insert(name.to_owned(), File::new(0));
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.check(name)?;
        self.with(name, |file| file.len())
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.check(name)?;
        let part = self.with(name, |file| file.part(offset, len))?;
        let Some((start, end)) = part.stored else { return Ok(part.recent) };
        let stored = self.durable(name, start, end).await?;
        let from = ((offset - start) as usize).min(stored.len());
        let to = ((end - start) as usize).min(stored.len());
        let mut bytes = stored[from..to].to_vec();
        bytes.extend(part.recent);
        Ok(bytes)
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.check(name)?;
        self.with(name, |file| file.check(name).map(|()| file.append(bytes)))?
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.check(name)?;
        let _turn = self.turn.take().await;
        self.check_open()?;
        self.write_out(name).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.check(name)?;
        let _turn = self.turn.take().await;
        self.check_open()?;
        if len > self.with(name, |file| file.len())? {
            let message = format!("cannot cut {name} to {len} bytes, it is shorter");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.write_out(name).await?;
        let start = self.with(name, |file| file.start_of_piece(len))?;
        let mut kept = self.durable(name, start, len).await?;
        kept.truncate((len - start) as usize);
        let mut changes = vec![pieces_from(name, start), length(name, len)];
        if !kept.is_empty() {
            changes.push(Change::Bytes(PIECES, piece_key(name, start), &kept));
        }
        let cut = self.with(name, |file| file.cut(start, len))?;
        self.replace(name, &changes, Some(cut)).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.check(name)?;
        let _turn = self.turn.take().await;
        self.check_open()?;
        self.with(name, |_| ())?;
        let record = Change::Remove(FILES, name.to_owned(), format!("{name}\0"));
        self.replace(name, &[pieces_from(name, 0), record], None).await
    }

    async fn close(&self) -> Result<()> {
        let _turn = self.turn.take().await;
        if self.closed.replace(true) {
            return Ok(());
        }
        let names: Vec<String> = self.files.borrow().keys().cloned().collect();
        for name in names {
            // What was never synced may go, but where nothing fails it stays.
            let _ = self.write_out(&name).await;
        }
        self.connection.close();
        Ok(())
    }
}
