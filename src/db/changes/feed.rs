//! A feed for consumers that are further away: many changes at once, as JSON text, and a log that stays until the
//! consumer has said what it has.

use super::pin::Pin;
use super::reader::{Reader, Step};
use super::{ChangeKind, Db, parts};
use crate::document::check_collection;
use crate::error::Result;
use crate::format::json::push_string;
use crate::log::group_commit::Caller;
use crate::log::queue::Want;
use crate::record::Record;
use crate::storage::{PlatformStorage, Storage};
use crate::sync::atomic::{AtomicU64, Ordering};
use bytes::Bytes;
use std::sync::Arc;

/// Some changes in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// A JSON array of `{"sequence":1,"collection":"c","key":"k","type":"put","document":{}}`. `key` is null for a drop;
    /// only a put has a `document`, as it was stored.
    pub text: Vec<u8>,
    /// How many changes these are. None where only others came for as long as a segment of the log is.
    pub count: usize,
    /// Everything up to this sequence number is told: go on from here, with whichever handle, once it is dealt with.
    pub through: u64,
}

/// A feed of chunks of changes, from [`Db::feed`]. The log stays from what was [confirmed](Confirmations) on, while
/// reading goes ahead.
pub struct Feed<S: Storage = PlatformStorage> {
    reader: Reader<S>,
    collection: Option<Box<str>>,
    /// Up to where chunks have told.
    told: u64,
    confirmations: Confirmations<S>,
}

/// Where the consumer of a feed says up to where it has everything. Clones are the same.
pub struct Confirmations<S: Storage = PlatformStorage>(Arc<Confirmed<S>>);

struct Confirmed<S: Storage> {
    pin: Pin<S>,
    /// The `through` of the last chunk given out.
    told: AtomicU64,
}

impl<S: Storage> Clone for Confirmations<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Storage> Confirmations<S> {
    /// The consumer has everything up to `through`, so the log before it may go. Never more than was told.
    pub fn confirm(&self, through: u64) {
        self.0.pin.move_to(through.min(self.0.told.load(Ordering::Acquire)));
    }

    /// The feed is not read any more: all of the log may go, also while a call of [`next_chunk`](Feed::next_chunk) waits.
    pub fn end(&self) {
        self.0.pin.release();
    }
}

impl<S: Storage> Db<S> {
    /// Every durable change after the sequence number `after`, then live, of one collection or of all.
    ///
    /// # Errors
    /// As for [`changes`](Self::changes), and when `collection` cannot be one.
    pub fn feed(&self, after: u64, collection: Option<&str>) -> Result<Feed<S>> {
        collection.map_or(Ok(()), check_collection)?;
        let (reader, pin) = self.begin(after)?;
        let confirmations = Confirmations(Arc::new(Confirmed { pin, told: AtomicU64::new(after) }));
        Ok(Feed { reader, collection: collection.map(Into::into), told: after, confirmations })
    }

    /// The sequence number of the last durable write: a feed from here on tells what comes next.
    pub fn durable(&self) -> u64 {
        self.core().commit.queue().durable
    }
}

impl<S: Storage> Feed<S> {
    /// Where to confirm.
    pub fn confirmations(&self) -> Confirmations<S> {
        self.confirmations.clone()
    }

    /// The next changes, of about `bytes` of text; waits for some when all are told. `None` once the database is closed,
    /// and at the end of one opened read-only.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when an import has replaced everything: begin anew from a read view.
    /// Otherwise when the log cannot be read, is damaged, or has stopped after a failure.
    pub async fn next_chunk(&mut self, bytes: usize) -> Result<Option<Chunk>> {
        let (mut text, mut count) = (b"[".to_vec(), 0);
        loop {
            let (read, told) = (self.reader.after, self.told);
            let (durable, rotated) = {
                let queue = self.reader.core.commit.queue();
                (queue.durable, queue.is_rotated(read, told))
            };
            if durable <= read {
                // Where nothing concerns this feed it says so when a segment ends, which would stay for its sake.
                if count > 0 || rotated {
                    break;
                }
                if self.reader.core.options.read_only {
                    return Ok(None);
                }
                let want = Want::NewsOrRotation { read, told };
                self.reader.core.commit.until(want, Caller::Async).await?;
            }
            let wanted = self.collection.as_deref();
            let mut push = |_: &Bytes, record: &Record<'_>, sequence| {
                count += usize::from(push(&mut text, wanted, record, sequence));
            };
            match self.reader.read_on(&mut push).await? {
                Step::Closed if count == 0 => return Ok(None),
                Step::SegmentEnded if self.reader.after > self.told => break,
                Step::Closed => break,
                Step::Read | Step::SegmentEnded if text.len() >= bytes => break,
                Step::Read | Step::SegmentEnded => {}
            }
        }
        text.push(b']');
        self.told = self.reader.after;
        self.confirmations.0.told.store(self.told, Ordering::Release);
        Ok(Some(Chunk { text, count, through: self.told }))
    }
}

/// Appends a change, unless it is of another collection than the one `wanted`.
fn push(out: &mut Vec<u8>, wanted: Option<&str>, record: &Record<'_>, sequence: u64) -> bool {
    let Some((collection, key, kind, value)) = parts(&record.op) else { return false };
    if wanted.is_some_and(|wanted| wanted != collection) {
        return false;
    }
    if out.len() > 1 {
        out.push(b',');
    }
    out.extend_from_slice(b"{\"sequence\":");
    out.extend_from_slice(itoa::Buffer::new().format(sequence).as_bytes());
    out.extend_from_slice(b",\"collection\":");
    push_string(out, collection);
    out.extend_from_slice(b",\"key\":");
    match key {
        Some(key) => push_string(out, key),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(match kind {
        ChangeKind::Put => b",\"type\":\"put\"".as_slice(),
        ChangeKind::Delete => b",\"type\":\"delete\"",
        ChangeKind::Drop => b",\"type\":\"drop\"",
    });
    if let Some(value) = value {
        out.extend_from_slice(b",\"document\":");
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    true
}
