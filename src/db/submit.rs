//! Writes that are accepted in the order in which they were submitted, and done once however often they are sent.

use super::{Batch, Db};
use crate::core::Core;
use crate::document::{check_collection, check_key, sort_key};
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::{Known, MAX_CLIENT_BYTES};
use crate::log::group_commit::Caller;
use crate::log::order::Place;
use crate::log::queue::{Queue, Want, WriteOp};
use crate::options::Durability;
use crate::record;
use crate::storage::{PlatformStorage, Storage};
use std::sync::Arc;

/// Which client sends a write, for clients that send it again when they do not know what became of it.
///
/// A client numbers its writes upwards, submits them in that order, and after a change of the handle (a new process, a
/// new tab in charge) submits again, in order, every one that it has no answer to. Each is then done once, and answered
/// as the first time. The table behind this survives crashes and compactions; a client that was silent for five minutes
/// is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's name, which no other ever has: 1 to 64 bytes without control characters.
    pub client: String,
    /// The client's number for this write.
    pub number: u64,
    /// The client has the answers to all of its writes with lower numbers than this, so they need not be kept.
    pub done: u64,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The sequence number that a batch resolved to.
    Written(u64),
    /// Whether the document was there to be deleted.
    Deleted(bool),
}

/// A write that has its place in the line. Poll it soon: those behind wait for it. Dropped, it is not written.
pub struct Submission<S: Storage = PlatformStorage> {
    core: Arc<Core<S>>,
    place: Place,
    batch: Batch,
    /// Only if its document is there.
    delete: bool,
    durability: Durability,
    origin: Option<Origin>,
}

/// A write that was accepted, and will happen unless the storage fails.
pub struct Accepted<S: Storage = PlatformStorage> {
    core: Arc<Core<S>>,
    answer: Answer,
    want: Option<Want>,
}

impl<S: Storage> Db<S> {
    /// An empty batch within this database's limits, to be filled and [submitted](Self::submit).
    pub fn new_batch(&self) -> Batch {
        Batch::new(self.core().options.limits)
    }

    /// Takes the next place in the line for `batch`. Writes are accepted in the order of these calls, without waiting
    /// for each other's durability. A batch of one operation is the same as that operation.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the origin's client cannot be one.
    pub fn submit(&self, batch: Batch, origin: Option<Origin>) -> Result<Submission<S>> {
        self.join(batch, false, origin)
    }

    /// The same for deleting one document. [`Answer::Deleted`] says whether it was there when its turn came.
    ///
    /// # Errors
    /// As for [`Collection::delete`](super::Collection::delete) when the names cannot be ones.
    pub fn submit_delete(
        &self,
        collection: &str,
        key: &str,
        origin: Option<Origin>,
    ) -> Result<Submission<S>> {
        check_collection(collection)?;
        check_key(key)?;
        let mut batch = self.new_batch();
        batch.delete(collection, key)?;
        self.join(batch, true, origin)
    }

    fn join(&self, batch: Batch, delete: bool, origin: Option<Origin>) -> Result<Submission<S>> {
        if let Some(Origin { client, number, .. }) = &origin {
            let sound =
                (1..=MAX_CLIENT_BYTES).contains(&client.len()) && !client.chars().any(char::is_control);
            if !sound || *number == u64::MAX {
                let message = format!("`{client}` with write {number} is no name and number of a client");
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
        }
        let core = Arc::clone(self.core());
        let place = core.order.join();
        Ok(Submission { core, place, batch, delete, durability: self.durability(), origin })
    }
}

impl<S: Storage> Submission<S> {
    /// Waits until those in front were accepted and there is room, and is accepted.
    ///
    /// # Errors
    /// When the storage fails or failed before, when the database is closed, and [`Timeout`](ErrorKind::Timeout) for a
    /// write that was done so long ago that its answer is no longer kept.
    pub async fn accepted(self) -> Result<Accepted<S>> {
        self.place.turn().await;
        let (answer, want) = self.accept().await?;
        // Gives the turn on: what follows is in the log behind this.
        drop(self.place);
        Ok(Accepted { core: self.core, answer, want })
    }

    /// Waits until the write is accepted, and as its durability says.
    ///
    /// # Errors
    /// As for [`accepted`](Self::accepted) and [`Accepted::settled`].
    pub async fn settled(self) -> Result<Answer> {
        self.accepted().await?.settled().await
    }

    async fn accept(&self) -> Result<(Answer, Option<Want>)> {
        let commit = &self.core.commit;
        if let Some(origin) = &self.origin {
            commit.queue().clients.done(&origin.client, origin.done);
        }
        let origin = self.origin.as_ref();
        let record = origin.map(|o| record::Origin { client: o.client.as_str().into(), number: o.number });
        let ops = self.batch.ops();
        loop {
            let mut seen = u64::MAX;
            if let (true, [WriteOp::Delete { collection, key }]) = (self.delete, &*ops) {
                let (known, pending) = {
                    let queue = commit.queue();
                    commit.refusal(&queue)?;
                    seen = queue.accepted();
                    (self.known(&queue), queue.will_exist(collection, key))
                };
                let exists = match (known, pending) {
                    // Not written, though later writes were: it had found nothing, and must not find what they wrote.
                    (Known::Skipped, _) => false,
                    (Known::New, None) => self.core.state.contains(&sort_key(collection, key)).await?,
                    (Known::New, Some(exists)) => exists,
                    (Known::Written(_) | Known::Forgotten, _) => true,
                };
                if !exists {
                    // Whoever removed it may still fail, or have been buffered, and then it is there again.
                    let want = pending.is_some() || self.durability == Durability::Disk;
                    return Ok((Answer::Deleted(false), want.then_some(Want::Durable(seen))));
                }
            }
            let mut known = Known::New;
            let overtaken = |queue: &Queue| {
                known = self.known(queue);
                matches!(known, Known::Written(_) | Known::Forgotten) || queue.last_removal > seen
            };
            let durability = self.durability;
            let accepted =
                commit.accept_unless(overtaken, &ops, durability, record.as_ref(), Caller::Async).await?;
            match (accepted, known) {
                (Some((sequence, want)), _) => return Ok((self.answer(sequence), want)),
                (None, Known::Written(sequence)) => {
                    let want = match durability {
                        Durability::Disk => Want::Durable(sequence),
                        Durability::Buffered => Want::Visible(sequence),
                    };
                    return Ok((self.answer(sequence), Some(want)));
                }
                (None, Known::Forgotten) => return Err(forgotten()),
                (None, _) if ops.is_empty() => return Ok((self.answer(commit.queue().accepted()), None)),
                // Another removal came first: look again.
                (None, Known::New | Known::Skipped) => {}
            }
        }
    }

    fn known(&self, queue: &Queue) -> Known {
        self.origin.as_ref().map_or(Known::New, |o| queue.clients.known(&o.client, o.number))
    }

    fn answer(&self, sequence: u64) -> Answer {
        if self.delete { Answer::Deleted(true) } else { Answer::Written(sequence) }
    }
}

impl<S: Storage> Accepted<S> {
    /// Waits as the write's durability says: [`Disk`](Durability::Disk) until it is durable,
    /// [`Buffered`](Durability::Buffered) until reads see it.
    ///
    /// # Errors
    /// When the storage fails first.
    pub async fn settled(self) -> Result<Answer> {
        if let Some(want) = self.want {
            self.core.commit.until(want, Caller::Async).await?;
        }
        Ok(self.answer)
    }
}

fn forgotten() -> Error {
    let message =
        "the write was done, but so long ago that its answer is no longer kept; read to see what it did";
    Error::new(ErrorKind::Timeout, message)
}
