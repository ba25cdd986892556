//! The change feed: every durable change, in order, read from the log.

use super::Db;
use crate::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::{self, Chain, Write};
use crate::log::group_commit::Caller;
use crate::log::queue::Want;
use crate::log::writer::Segment;
use crate::record::{Op, Record};
use crate::storage::{PlatformStorage, Storage};
use crate::text::JsonText;
use bytes::Bytes;
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
    core: Arc<Core<S>>,
    /// Everything up to here was read.
    after: u64,
    /// From where the log stays.
    pinned: u64,
    position: Option<Position>,
    ready: VecDeque<Change>,
}

/// A place in a segment behind which records are still to be read.
struct Position {
    name: String,
    offset: u64,
    chain: Chain,
}

impl<S: Storage> Drop for Changes<S> {
    fn drop(&mut self) {
        unpin(&self.core, self.pinned);
    }
}

fn unpin<S: Storage>(core: &Core<S>, sequence: u64) {
    let mut files = core.files();
    if let Some(count) = files.pins.get_mut(&sequence) {
        *count -= 1;
        if *count == 0 {
            files.pins.remove(&sequence);
        }
    }
}

impl<S: Storage> Changes<S> {
    pub(super) fn new(db: &Db<S>, after: u64) -> Result<Self> {
        let core = Arc::clone(db.core());
        core.check_open()?;
        {
            let mut files = core.files();
            let queue = core.commit.queue();
            let oldest = queue.segments.first().map_or(queue.accepted() + 1, |s| s.first);
            if after > queue.accepted() {
                let message = format!("there is no change {after} yet; the last one is {}", queue.accepted());
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            if after + 1 < oldest {
                let message = format!(
                    "the log no longer holds what follows change {after}, only what follows {}; begin anew from a read view",
                    oldest - 1
                );
                return Err(Error::new(ErrorKind::NotFound, message));
            }
            *files.pins.entry(after + 1).or_insert(0) += 1;
        }
        Ok(Self { core, after, pinned: after + 1, position: None, ready: VecDeque::new() })
    }

    /// The next change; waits for one when all are read. `None` once the database is closed, and at the end of one
    /// opened read-only.
    ///
    /// # Errors
    /// When the log cannot be read, is damaged, or has stopped after a failure.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            if self.core.options.read_only && self.core.commit.queue().durable <= self.after {
                return Ok(None);
            }
            self.core.commit.until(Want::News(self.after), Caller::Async).await?;
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
        while self.ready.is_empty() && self.core.commit.queue().durable > self.after {
            if !self.read_on().await? {
                break;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Reads what became durable, of one segment. False once the database is closed.
    async fn read_on(&mut self) -> Result<bool> {
        let (durable, segment, active) = {
            let queue = self.core.commit.queue();
            if queue.closing {
                return Ok(false);
            }
            let holds_next = |s: &&Segment| s.first <= self.after + 1;
            let segment = queue.segments.iter().rev().find(holds_next).cloned();
            (queue.durable, segment, queue.segments.last().cloned())
        };
        let segment = segment.ok_or_else(|| self.lost())?;
        let (bytes, position) = self.read(&segment).await?;
        let mut next = None;
        let (after, ready) = (self.after, &mut self.ready);
        let mut last = after;
        let end = segment::walk(&bytes, 0, position.chain, |write| {
            if write.sequence > durable {
                next.get_or_insert((write.range.start, write.before));
            } else if write.sequence > after {
                last = write.sequence;
                push(&bytes, &write, after, ready);
            }
        });
        let (read, chain) = next.unwrap_or((end.valid_len, end.chain));
        if let Some(damage) = end.damage
            && chain.last() < durable.min(segment.last)
        {
            let offset = position.offset + damage.offset as u64;
            return Err(Error::corrupt(
                segment.name,
                offset,
                format!("the log is damaged: {}", damage.message),
            ));
        }
        let complete =
            active.is_some_and(|active| active.name != segment.name) && chain.last() >= segment.last;
        if complete {
            last = last.max(segment.last);
        }
        let offset = position.offset + read as u64;
        self.position = (!complete).then_some(Position { name: segment.name, offset, chain });
        self.move_to(last);
        Ok(true)
    }

    async fn read(&self, segment: &Segment) -> Result<(Bytes, Position)> {
        let storage = &self.core.storage;
        let from = self.position.as_ref().filter(|p| p.name == segment.name);
        let offset = from.map_or(0, |p| p.offset);
        let len = usize::try_from(segment.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = Bytes::from(storage.read_at(&segment.name, offset, len).await?);
        if let Some(from) = from {
            return Ok((bytes, Position { name: segment.name.clone(), offset, chain: from.chain }));
        }
        let (header, len) = segment::read_header(&bytes).map_err(|e| {
            Error::corrupt(segment.name.clone(), 0, format!("the log is damaged: {}", e.message()))
        })?;
        let chain = Chain { next: header.first, previous: header.previous };
        Ok((bytes.slice(len..), Position { name: segment.name.clone(), offset: len as u64, chain }))
    }

    fn lost(&self) -> Error {
        let message = format!("the log no longer holds what follows change {}", self.after);
        Error::new(ErrorKind::NotFound, message)
    }

    fn move_to(&mut self, sequence: u64) {
        if sequence > self.after {
            self.after = sequence;
            *self.core.files().pins.entry(sequence + 1).or_insert(0) += 1;
            unpin(&self.core, self.pinned);
            self.pinned = sequence + 1;
        }
    }
}

/// Queues the changes of a write that come after `after`.
fn push(bytes: &Bytes, write: &Write<'_, '_>, after: u64, ready: &mut VecDeque<Change>) {
    let count = write.records.len();
    for (index, record) in write.records.iter().enumerate() {
        let sequence = if index + 1 == count { write.sequence } else { record.sequence };
        if sequence > after {
            ready.extend(change(bytes, record, sequence));
        }
    }
}

fn change(bytes: &Bytes, record: &Record<'_>, sequence: u64) -> Option<Change> {
    let (collection, key, kind, document) = match &record.op {
        Op::Put { collection, key, value } => {
            // The walk has checked that the line is UTF-8.
            let document = JsonText::from_stored(bytes.slice_ref(value.as_bytes())).ok()?;
            (collection, Some(key), ChangeKind::Put, Some(document))
        }
        Op::Delete { collection, key } => (collection, Some(key), ChangeKind::Delete, None),
        Op::Drop { collection } => (collection, None, ChangeKind::Drop, None),
        Op::Begin { .. } | Op::Commit { .. } => return None,
    };
    let key = key.map(ToString::to_string);
    Some(Change { sequence, collection: collection.to_string(), key, kind, document })
}
