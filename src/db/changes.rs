//! The change feed: every durable change, in order, read from the log.

mod feed;
mod pin;
mod reader;

pub use feed::{Chunk, Confirmations, Feed};

use super::Db;
use crate::error::Result;
use crate::log::group_commit::Caller;
use crate::log::queue::Want;
use crate::record::{Op, Record};
use crate::storage::{PlatformStorage, Storage};
use crate::text::JsonText;
use bytes::Bytes;
use pin::Pin;
use reader::{Reader, Step};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A document was stored.
    Put,
    /// A document was removed.
    Delete,
    /// A whole collection was removed.
    Drop,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Go on from here with [`Db::changes`]. The last change of a write bears the number that the write resolved to;
    /// those before it in a batch have lower ones.
    pub sequence: u64,
    /// The collection concerned.
    pub collection: String,
    /// The key; `None` for a drop.
    pub key: Option<String>,
    /// What happened.
    pub kind: ChangeKind,
    /// The document, for a put.
    pub document: Option<JsonText>,
}

/// A feed of changes. While it lives, the part of the log that it still has to read stays.
pub struct Changes<S: Storage = PlatformStorage> {
    reader: Reader<S>,
    pin: Pin<S>,
    ready: VecDeque<Change>,
}

impl<S: Storage> Db<S> {
    fn begin(&self, after: u64) -> Result<(Reader<S>, Pin<S>)> {
        let core = self.core();
        core.check_open()?;
        // Held until the pin is there, so that no segment goes in between.
        let mut files = core.files();
        let reader = Reader::new(Arc::clone(core), &core.commit.queue(), after)?;
        Ok((reader, Pin::new(Arc::clone(core), &mut files.pins, after)))
    }
}

impl<S: Storage> Changes<S> {
    pub(super) fn new(db: &Db<S>, after: u64) -> Result<Self> {
        let (reader, pin) = db.begin(after)?;
        Ok(Self { reader, pin, ready: VecDeque::new() })
    }

    /// The next change; waits for one when all are read. `None` once the database is closed, and at the end of one
    /// opened read-only.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when an import has replaced everything: begin anew from a read view.
    /// Otherwise when the log cannot be read, is damaged, or has stopped after a failure.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            let core = &self.reader.core;
            if core.options.read_only && core.commit.queue().durable <= self.reader.after {
                return Ok(None);
            }
            core.commit.until(Want::News(self.reader.after), Caller::Async).await?;
            if !self.read_on().await? {
                return Ok(None);
            }
        }
    }

    /// The next change if it is there already.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub async fn try_next(&mut self) -> Result<Option<Change>> {
        while self.ready.is_empty() && self.reader.core.commit.queue().durable > self.reader.after {
            if !self.read_on().await? {
                break;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// False once the database is closed.
    async fn read_on(&mut self) -> Result<bool> {
        let ready = &mut self.ready;
        let mut push =
            |bytes: &Bytes, record: &Record<'_>, sequence| ready.extend(change(bytes, record, sequence));
        let closed = self.reader.read_on(&mut push).await? == Step::Closed;
        self.pin.move_to(self.reader.after);
        Ok(!closed)
    }
}

/// What a record changed: the collection, the key, how, and the document. `None` for the marks of a batch.
fn parts<'a>(op: &'a Op<'_>) -> Option<(&'a str, Option<&'a str>, ChangeKind, Option<&'a str>)> {
    Some(match op {
        Op::Put { collection, key, value } => (collection, Some(key), ChangeKind::Put, Some(*value)),
        Op::Delete { collection, key } => (collection, Some(key), ChangeKind::Delete, None),
        Op::Drop { collection } => (collection, None, ChangeKind::Drop, None),
        Op::Begin { .. } | Op::Commit { .. } => return None,
    })
}

fn change(bytes: &Bytes, record: &Record<'_>, sequence: u64) -> Option<Change> {
    let (collection, key, kind, value) = parts(&record.op)?;
    // The walk has checked that the line is UTF-8.
    let document = match value {
        Some(value) => Some(JsonText::from_stored(bytes.slice_ref(value.as_bytes())).ok()?),
        None => None,
    };
    let key = key.map(ToOwned::to_owned);
    Some(Change { sequence, collection: collection.to_owned(), key, kind, document })
}
