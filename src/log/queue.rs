//! Accepted records on their way to the log, and those who wait for them.
//!
//! Everything here happens under one short lock. Records get their sequence number, their place in the checksum chain
//! and their bytes as they are accepted, so the order of the queue is the order of the log.

use super::writer::{Place, Segment};
use crate::document::sort_key;
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::line::encode_record;
use crate::format::segment::Chain;
use crate::options::Durability;
use crate::record::{Op, Origin, Record};
use crate::state::State;
use crate::state::memtable::Change;
use crate::storage::Storage;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;
use web_time::Instant;

/// One operation of a write, checked and minified.
#[derive(Clone, Debug)]
pub(crate) enum WriteOp<'a> {
    Put { collection: &'a str, key: &'a str, value: &'a str },
    Delete { collection: &'a str, key: &'a str },
    Drop { collection: &'a str },
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Everything up to this sequence number is durable.
    Durable(u64),
    /// Everything up to this sequence number is visible to reads.
    Visible(u64),
    /// The buffer has room for another write.
    Room,
    /// Nobody writes to the log, so the caller may.
    Turn,
    /// Something became durable after this sequence number, or the database closed.
    News(u64),
    /// The same after `read`, or what follows `told` is in a segment that is not written any more.
    NewsOrRotation {
        /// As for `News`.
        read: u64,
        /// Below `read`, or nothing of it matters.
        told: u64,
    },
    /// No compaction runs.
    NotCompacting,
    /// The database is closed and its files are let go.
    Closed,
}

impl Want {
    /// Whether a failed log ends the wait.
    pub(crate) fn fails_with_the_log(self) -> bool {
        !matches!(self, Self::NotCompacting | Self::Closed)
    }

    /// Whether it comes true only by someone's writing to the log.
    pub(crate) fn needs_leader(self) -> bool {
        !matches!(self, Self::News(_) | Self::NewsOrRotation { .. } | Self::Closed | Self::NotCompacting)
    }
}

pub(crate) struct Waiter {
    pub(crate) id: u64,
    pub(crate) want: Want,
    /// Whether its caller can write to the log at all.
    pub(crate) can_lead: bool,
    pub(crate) waker: Waker,
}

/// Segments that opening has to read without minding.
const MANY_SEGMENTS: usize = 32;

/// A write that reads do not see yet.
struct Unapplied {
    sequence: u64,
    durability: Durability,
    changes: Vec<Change>,
}

#[allow(clippy::struct_excessive_bools)] // Independent facts, each read on its own.
pub(crate) struct Queue {
    /// Behind the last accepted record.
    chain: Chain,
    time: u64,
    /// The `_w` written last.
    watermark: u64,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    unapplied: VecDeque<Unapplied>,
    /// The last accepted write that removes something.
    pub(crate) last_removal: u64,
    pub(crate) durable: u64,
    /// Where the durable records end, if that is at the end of a turn.
    pub(crate) durable_end: Option<Place>,
    /// The highest sequence number that someone waits to see durable.
    pub(crate) sync_wanted: u64,
    /// When the first record accepted since the last sync was accepted, unless someone waits for its sync anyway.
    pub(crate) unsynced_since: Option<Instant>,
    /// The log's last line is a seal, or there is no record since one.
    pub(crate) sealed: bool,
    /// What clients' writes were answered with, accepted ones included.
    pub(crate) clients: Clients,
    /// Buffered writes must not show before the log has moved on to the next segment.
    pub(crate) holding: bool,
    pub(crate) leading: bool,
    /// Someone who cannot write to the log waits for the background task to do it.
    pub(crate) background_wanted: bool,
    /// All segments, oldest first, those that wait for their removal included; the last one is active.
    pub(crate) segments: Vec<Segment>,
    /// Bytes of the segments that no snapshot covers yet.
    pub(crate) log_bytes: u64,
    /// The bytes of the log that call for the next compaction.
    pub(crate) compact_due_at: u64,
    /// Opening found many segments, as many crashes leave them: compact whatever their size.
    pub(crate) crowded: bool,
    pub(crate) compacting: bool,
    /// An import is at work: writes wait for it.
    pub(crate) importing: bool,
    pub(crate) closing: bool,
    pub(crate) closed: bool,
    pub(crate) failure: Option<Error>,
    pub(crate) waiters: Vec<Waiter>,
    next_waiter: u64,
}

impl Queue {
    pub(crate) fn new(
        chain: Chain,
        time: u64,
        sealed: bool,
        clients: Clients,
        segments: Vec<Segment>,
        covered: u64,
        compact_due_at: u64,
    ) -> Self {
        let uncovered = segments.iter().filter(|s| s.last > covered || s.first > covered);
        let log_bytes = uncovered.clone().map(|s| s.bytes).sum();
        let crowded = compact_due_at < u64::MAX && uncovered.count() > MANY_SEGMENTS;
        let durable_end = segments.last().map(|s| Place { name: s.name.clone(), offset: s.bytes, chain });
        Self {
            chain,
            time,
            watermark: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            unapplied: VecDeque::new(),
            last_removal: 0,
            durable: chain.last(),
            durable_end,
            sync_wanted: 0,
            unsynced_since: None,
            sealed,
            clients,
            holding: false,
            leading: false,
            background_wanted: false,
            segments,
            log_bytes,
            compact_due_at,
            crowded,
            compacting: false,
            importing: false,
            closing: false,
            closed: false,
            failure: None,
            waiters: Vec::new(),
            next_waiter: 0,
        }
    }

    /// Whether a feed has read on, and what comes after all that it `told` is in a segment that is not written any more.
    pub(crate) fn is_rotated(&self, read: u64, told: u64) -> bool {
        read > told && self.segments.last().is_some_and(|active| active.first > told + 1)
    }

    /// Registers who waits, once however often it asks: a waiter that was gone already would swallow a wake-up.
    pub(crate) fn wait(&mut self, id: &mut Option<u64>, want: Want, can_lead: bool, waker: &Waker) {
        let id = *id.get_or_insert_with(|| {
            self.next_waiter += 1;
            self.next_waiter
        });
        match self.waiters.iter_mut().find(|w| w.id == id) {
            Some(waiter) => {
                waiter.can_lead = can_lead;
                waiter.waker.clone_from(waker);
            }
            None => self.waiters.push(Waiter { id, want, can_lead, waker: waker.clone() }),
        }
    }

    /// Forgets a waiter whose wait is over.
    pub(crate) fn forget(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.waiters.retain(|w| w.id != id);
        }
    }

    /// The last accepted sequence number.
    pub(crate) fn accepted(&self) -> u64 {
        self.chain.last()
    }

    pub(crate) fn time(&self) -> u64 {
        self.time
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Why no further write is taken, if so.
    pub(crate) fn refusal(&self) -> Result<()> {
        if let Some(cause) = &self.failure {
            let message =
                format!("writing stopped after an earlier failure; reopen the database. It was: {cause}");
            return Err(Error::new(ErrorKind::Poisoned, message));
        }
        if self.closing {
            return Err(closed());
        }
        Ok(())
    }

    /// Accepts one write, all or nothing. Returns the number it resolves to.
    pub(crate) fn accept<S: Storage>(
        &mut self,
        ops: &[WriteOp<'_>],
        durability: Durability,
        origin: Option<&Origin<'_>>,
        now: u64,
        state: &State<S>,
    ) -> u64 {
        self.time = self.time.max(now);
        let (lines, changes) = self.encode(ops, origin);
        self.pending_bytes += lines.len();
        self.pending.push(lines);
        let sequence = self.accepted();
        if let Some(origin) = origin {
            self.clients.written(&origin.client, origin.number, sequence, self.time);
        }
        if ops.iter().any(|op| !matches!(op, WriteOp::Put { .. })) {
            self.last_removal = sequence;
        }
        if durability == Durability::Buffered && self.unapplied.is_empty() && !self.holding {
            state.apply(changes, sequence);
        } else {
            self.unapplied.push_back(Unapplied { sequence, durability, changes });
        }
        sequence
    }

    fn encode(&mut self, ops: &[WriteOp<'_>], origin: Option<&Origin<'_>>) -> (Bytes, Vec<Change>) {
        let first = self.chain.next;
        if let [op] = ops {
            let mut out = Vec::with_capacity(encoded_len(op));
            let value = self.push(&mut out, record_op(op), origin);
            let lines = Bytes::from(out);
            let changes = vec![change(op, first, &lines, value)];
            return (lines, changes);
        }
        let mut out = Vec::with_capacity(ops.iter().map(encoded_len).sum::<usize>() + 256);
        let batch = first.to_string();
        self.push(&mut out, Op::Begin { batch: batch.as_str().into() }, origin);
        let values: Vec<_> = ops.iter().map(|op| self.push(&mut out, record_op(op), None)).collect();
        self.push(&mut out, Op::Commit { batch: batch.as_str().into() }, None);
        let lines = Bytes::from(out);
        let changes = ops.iter().zip(values).zip(first + 1..);
        let changes = changes.map(|((op, value), sequence)| change(op, sequence, &lines, value)).collect();
        (lines, changes)
    }

    fn push(&mut self, out: &mut Vec<u8>, op: Op<'_>, origin: Option<&Origin<'_>>) -> Range<usize> {
        let Chain { next: sequence, previous } = self.chain;
        let watermark = (self.durable > self.watermark).then_some(self.durable);
        self.watermark = self.watermark.max(self.durable);
        let record = Record { sequence, previous, watermark, time: self.time, origin: origin.cloned(), op };
        let (checksum, value) = encode_record(out, &record);
        self.chain = Chain { next: sequence + 1, previous: checksum };
        value
    }

    /// What clients were answered with, for the header of a segment that begins here.
    pub(crate) fn clients_now(&mut self) -> Clients {
        self.clients.forget_silent(self.time);
        self.clients.clone()
    }

    /// Takes everything accepted so far, for writing; the chain behind it.
    pub(crate) fn take(&mut self) -> (Vec<Bytes>, Chain) {
        self.pending_bytes = 0;
        (std::mem::take(&mut self.pending), self.chain)
    }

    /// Shows the writes whose time has come, in order.
    pub(crate) fn apply_ready<S: Storage>(&mut self, state: &State<S>) {
        while let Some(next) = self.unapplied.front() {
            let early = next.durability == Durability::Buffered && !self.holding;
            if !early && next.sequence > self.durable {
                break;
            }
            if let Some(write) = self.unapplied.pop_front() {
                state.apply(write.changes, write.sequence);
            }
        }
    }

    /// What the writes that reads do not see yet do to a document: whether it will exist. `None` when nothing.
    pub(crate) fn will_exist(&self, collection: &str, key: &str) -> Option<bool> {
        let sought = sort_key(collection, key);
        let newest_first = self.unapplied.iter().rev().flat_map(|write| write.changes.iter().rev());
        newest_first.into_iter().find_map(|change| match change {
            Change::Put { key, .. } if *key == sought => Some(true),
            Change::Delete { key, .. } if *key == sought => Some(false),
            Change::Drop { collection: dropped, .. } if **dropped == *collection.as_bytes() => Some(false),
            _ => None,
        })
    }

    /// The log goes on at `chain`, in the segment `active`, after what was written until now was replaced. Returns the
    /// segments of that.
    pub(crate) fn begin_anew(&mut self, chain: Chain, active: Segment) -> Vec<Segment> {
        self.chain = chain;
        self.durable = chain.last();
        self.durable_end = Some(Place { name: active.name.clone(), offset: active.bytes, chain });
        // Whoever looked for a document looks again.
        self.last_removal = chain.last();
        self.log_bytes = active.bytes;
        self.sealed = false;
        std::mem::replace(&mut self.segments, vec![active])
    }

    /// Stops all writing. What was accepted and is not durable fails.
    pub(crate) fn fail(&mut self, cause: Error) {
        self.failure.get_or_insert(cause);
        self.pending.clear();
        self.pending_bytes = 0;
        self.unapplied.clear();
        self.unsynced_since = None;
        self.holding = false;
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the database is closed; open it again")
}

fn record_op<'a>(op: &WriteOp<'a>) -> Op<'a> {
    match *op {
        WriteOp::Put { collection, key, value } => {
            Op::Put { collection: collection.into(), key: key.into(), value }
        }
        WriteOp::Delete { collection, key } => Op::Delete { collection: collection.into(), key: key.into() },
        WriteOp::Drop { collection } => Op::Drop { collection: collection.into() },
    }
}

fn encoded_len(op: &WriteOp<'_>) -> usize {
    const FRAME: usize = 160;
    FRAME
        + match op {
            WriteOp::Put { collection, key, value } => collection.len() + key.len() + value.len(),
            WriteOp::Delete { collection, key } => collection.len() + key.len(),
            WriteOp::Drop { collection } => collection.len(),
        }
}

fn change(op: &WriteOp<'_>, sequence: u64, lines: &Bytes, value: Range<usize>) -> Change {
    match op {
        WriteOp::Put { collection, key, .. } => {
            Change::Put { key: sort_key(collection, key), sequence, value: lines.slice(value) }
        }
        WriteOp::Delete { collection, key } => Change::Delete { key: sort_key(collection, key), sequence },
        WriteOp::Drop { collection } => Change::Drop { collection: collection.as_bytes().into(), sequence },
    }
}
