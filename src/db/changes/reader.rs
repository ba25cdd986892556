//! Reads the durable writes of the log in order, a bounded piece at a time, and never twice.

use crate::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::{self, Chain, Write};
use crate::log::queue::Queue;
use crate::log::writer::{Place, Segment};
use crate::record::Record;
use crate::storage::Storage;
use bytes::Bytes;
use std::sync::Arc;

/// So much is read at once, or one write where that is more.
const PIECE: usize = 1 << 20;

/// A walk over the log behind a sequence number.
pub(super) struct Reader<S: Storage> {
    pub(super) core: Arc<Core<S>>,
    /// Everything up to here was read.
    pub(super) after: u64,
    /// Where the records behind that stand, once known.
    place: Option<Place>,
    piece: usize,
}

/// How a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more in this segment.
    Read,
    /// The segment ended with it.
    SegmentEnded,
    /// The database is closed.
    Closed,
}

impl<S: Storage> Reader<S> {
    /// Begins behind the change `after`.
    ///
    /// # Errors
    /// When the log no longer holds what comes next, or has not come that far.
    pub(super) fn new(core: Arc<Core<S>>, queue: &Queue, after: u64) -> Result<Self> {
        let oldest = queue.segments.first().map_or(queue.accepted() + 1, |s| s.first);
        if after > queue.accepted() {
            let message = format!("there is no change {after} yet; the last one is {}", queue.accepted());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if after + 1 < oldest {
            return Err(lost(after));
        }
        // Who begins with what comes next need not read what is there.
        let place = queue.durable_end.clone().filter(|place| place.chain.last() == after);
        Ok(Self { core, after, place, piece: PIECE })
    }

    /// Reads what became durable, of one segment. `visit` gets each record with the number under which it is told: the last
    /// one of a batch has that of the commit.
    pub(super) async fn read_on(&mut self, visit: &mut impl FnMut(&Bytes, &Record<'_>, u64)) -> Result<Step> {
        let (durable, segment, is_active) = {
            let queue = self.core.commit.queue();
            if queue.closing {
                return Ok(Step::Closed);
            }
            let holds_next = |s: &&Segment| s.first <= self.after + 1;
            let segment = queue.segments.iter().rev().find(holds_next).cloned();
            let active = queue.segments.last().map(|s| s.first);
            let is_active = active == segment.as_ref().map(|s| s.first);
            (queue.durable, segment, is_active)
        };
        let segment = segment.ok_or_else(|| lost(self.after))?;
        let (bytes, place) = self.read(&segment).await?;
        let whole = place.offset + bytes.len() as u64 >= segment.bytes;
        let (after, mut last) = (self.after, self.after);
        let mut stop = None;
        let end = segment::walk(&bytes, 0, place.chain, |write| {
            if write.sequence > durable {
                stop.get_or_insert((write.range.start, write.before));
            } else if write.sequence > after {
                last = write.sequence;
                tell(&bytes, &write, after, visit);
            }
        });
        let (read, chain) = stop.unwrap_or((end.valid_len, end.chain));
        if let Some(damage) = end.damage
            && whole
            && chain.last() < durable.min(segment.last)
        {
            let (name, offset) = (segment.name, place.offset + damage.offset as u64);
            return Err(Error::corrupt(name, offset, format!("the log is damaged: {}", damage.message)));
        }
        // A piece that ends within a write is no use. Next time there is more of it.
        self.piece = if read == 0 && !whole { self.piece.saturating_mul(2) } else { PIECE };
        let complete = !is_active && chain.last() >= segment.last;
        if complete {
            last = last.max(segment.last);
        }
        let offset = place.offset + read as u64;
        self.place = (!complete).then_some(Place { name: segment.name, offset, chain });
        self.after = last;
        Ok(if complete { Step::SegmentEnded } else { Step::Read })
    }

    /// The next piece of the segment, and where it begins.
    async fn read(&self, segment: &Segment) -> Result<(Bytes, Place)> {
        let known = self.place.as_ref().filter(|place| place.name == segment.name);
        let offset = known.map_or(0, |place| place.offset);
        let there = usize::try_from(segment.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = self.core.storage.read_at(&segment.name, offset, there.min(self.piece)).await;
        // Removed since it was looked up: an import has replaced everything.
        let bytes = bytes.map_err(|e| if e.kind() == ErrorKind::NotFound { lost(self.after) } else { e })?;
        let bytes = Bytes::from(bytes);
        if let Some(place) = known {
            return Ok((bytes, place.clone()));
        }
        let (header, len) = segment::read_header(&bytes).map_err(|e| {
            Error::corrupt(segment.name.clone(), 0, format!("the log is damaged: {}", e.message()))
        })?;
        let chain = Chain { next: header.first, previous: header.previous };
        Ok((bytes.slice(len..), Place { name: segment.name.clone(), offset: len as u64, chain }))
    }
}

/// Shows the records of a write that come after `after`.
fn tell(bytes: &Bytes, write: &Write<'_, '_>, after: u64, visit: &mut impl FnMut(&Bytes, &Record<'_>, u64)) {
    let count = write.records.len();
    for (index, record) in write.records.iter().enumerate() {
        let sequence = if index + 1 == count { write.sequence } else { record.sequence };
        if sequence > after {
            visit(bytes, record, sequence);
        }
    }
}

fn lost(after: u64) -> Error {
    let message = format!("the log no longer holds what follows change {after}; begin anew from a read view");
    Error::new(ErrorKind::NotFound, message)
}
