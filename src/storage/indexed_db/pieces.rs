//! What a handle knows of a file in pieces, and which pieces the next transaction puts. Pure.

use crate::error::{Error, Result};
use crate::storage::pool::certain;
use std::ops::Range;

/// How long a piece may be. Chromium puts values above 64 KiB into files of their own.
pub(super) const PIECE: usize = 60 << 10;

pub(super) fn piece_key(name: &str, offset: u64) -> String {
    format!("{name}:{offset:020}")
}

/// A file whose last bytes are in memory too: those of the small pieces that may still be put together, and those that
/// were appended since.
pub(super) struct File {
    /// Where the pieces before `recent` begin, ascending. They are not touched any more, but for a cut.
    starts: Vec<u64>,
    /// Where `recent` begins.
    start: u64,
    recent: Vec<u8>,
    /// How many of the recent bytes are durable, in one or more pieces.
    durable: usize,
    /// Why nobody knows what of it is durable. It is read on, and not written any more.
    failed: Option<Error>,
}

/// What one transaction makes durable: what stands from `start` on is `bytes`, up to `end`.
pub(super) struct Batch {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whether there are pieces from `start` on, which go.
    pub(super) replaces: bool,
    bytes: Vec<u8>,
}

/// Where a part of a file is: in pieces that begin at the one and end at or behind the other offset; behind them in memory.
pub(super) struct Part {
    pub(super) stored: Option<(u64, u64)>,
    pub(super) recent: Vec<u8>,
}

impl Batch {
    /// The pieces, with their offsets.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.start..).step_by(PIECE).zip(self.bytes.chunks(PIECE))
    }
}

impl File {
    /// A file of `len` durable bytes, of whose pieces nothing is known yet.
    pub(super) fn new(len: u64) -> Self {
        Self { starts: Vec::new(), start: len, recent: Vec::new(), durable: 0, failed: None }
    }

    /// There is a piece at `offset`, behind those that are known.
    pub(super) fn has_piece_at(&mut self, offset: u64) {
        self.starts.push(offset);
    }

    pub(super) fn len(&self) -> u64 {
        self.start + self.recent.len() as u64
    }

    /// Refuses to go on with what an earlier failure left in doubt.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        certain(name, self.failed.as_ref())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.recent.extend_from_slice(bytes);
    }

    /// What is to be made durable; `None` when everything is.
    pub(super) fn batch(&self) -> Option<Batch> {
        if self.durable == self.recent.len() {
            return None;
        }
        let replaces = self.durable > 0 && self.recent.len() >= PIECE;
        let from = if replaces { 0 } else { self.durable };
        let start = self.start + from as u64;
        Some(Batch { start, end: self.len(), replaces, bytes: self.recent[from..].to_vec() })
    }

    /// The batch is durable. Meanwhile more may have been appended.
    pub(super) fn written(&mut self, batch: &Batch) {
        self.durable = (batch.end - self.start) as usize;
        if self.durable < PIECE {
            return;
        }
        // All but the last piece are whole, and the last one need not grow: what comes behind it is put together anew.
        self.starts.extend(batch.pieces().map(|(at, _)| at));
        self.recent.drain(..self.durable);
        self.start = batch.end;
        self.durable = 0;
    }

    /// What is not durable is given up, also what was appended meanwhile: nobody shall be told that it is durable.
    pub(super) fn fail(&mut self, cause: Error) {
        self.recent.truncate(self.durable);
        self.failed = Some(cause);
    }

    /// Where to find `len` bytes from `offset` on, or as many as there are.
    pub(super) fn part(&self, offset: u64, len: usize) -> Part {
        let end = offset.saturating_add(len as u64).min(self.len());
        let stored =
            (offset < end.min(self.start)).then(|| (self.start_of_piece(offset), end.min(self.start)));
        let place = |at: u64| at.saturating_sub(self.start).min(self.recent.len() as u64) as usize;
        let recent: Range<usize> = place(offset)..place(end).max(place(offset));
        Part { stored, recent: self.recent[recent].to_vec() }
    }

    /// Where the piece begins that holds the byte at `offset`; of those at the end, the first.
    pub(super) fn start_of_piece(&self, offset: u64) -> u64 {
        if offset >= self.start {
            return self.start;
        }
        let before = self.starts.partition_point(|start| *start <= offset);
        before.checked_sub(1).and_then(|last| self.starts.get(last)).copied().unwrap_or(0)
    }

    /// The file when it is cut to `len` bytes, the last of which are in the piece at `start`.
    pub(super) fn cut(&self, start: u64, len: u64) -> Self {
        let mut starts: Vec<u64> = self.starts.iter().copied().filter(|at| *at < start).collect();
        if len > start {
            starts.push(start);
        }
        Self { starts, ..Self::new(len) }
    }
}
