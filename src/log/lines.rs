//! The log's lines as they stand, for people and tools.

use super::files::{Files, SegmentFile};
use super::recovery::log_moved_on;
use super::replay::is_whole;
use crate::error::{Error, ErrorKind, Result};
use crate::format::line::{self, Header, Line};
use crate::format::segment::{self, Chain};
use crate::storage::Storage;

/// Reads the log of a database that need not be open here, and may be written meanwhile.
pub struct LogLines<S: Storage> {
    storage: S,
    /// Also headers and seals.
    all: bool,
    /// The last record visited, or the one that the caller began after.
    seen: u64,
    /// The segment read last, how far, and what its next line continues.
    position: Option<(String, usize, Chain)>,
}

/// A segment that counts.
struct Loaded {
    name: String,
    bytes: Vec<u8>,
    header: Header,
    header_len: usize,
}

impl<S: Storage> LogLines<S> {
    /// The records after the sequence number `after`; with `all`, also the segments' headers and the seals.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the log no longer holds the record after `after`.
    pub async fn open(storage: S, after: Option<u64>, all: bool) -> Result<Self> {
        let files = Files::list(&storage).await?;
        let oldest = files.segments.first().map_or(1, |f| f.first);
        let after = after.unwrap_or(oldest.saturating_sub(1));
        if after.saturating_add(1) < oldest {
            let message =
                format!("the log no longer holds what follows record {after}, only from record {oldest} on");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Ok(Self { storage, all, seen: after, position: None })
    }

    #[allow(dead_code)] // Not every platform has an archive to look into.
    pub(crate) fn storage(&self) -> &S {
        &self.storage
    }

    /// Visits, without their line ends, the lines that are there now and were not visited before. Stops before a
    /// torn tail and before a batch without its commit; says so when it did.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when a segment before the last is damaged, [`NotFound`](ErrorKind::NotFound)
    /// when a compaction has removed what comes next, and whatever `visit` returns.
    pub async fn read(&mut self, visit: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<Option<String>> {
        const ATTEMPTS: usize = 20;
        let mut attempts = 0;
        loop {
            let files = Files::list(&self.storage).await?;
            let note = self.read_files(&files, visit).await?;
            attempts += 1;
            if attempts == ATTEMPTS || !log_moved_on(&self.storage, &files).await {
                return Ok(note);
            }
        }
    }

    async fn read_files(
        &mut self,
        files: &Files,
        visit: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<String>> {
        let mut groups = files.segments_beyond(self.seen).into_iter();
        let mut current = self.next_whole(&mut groups).await?;
        if current.as_ref().is_some_and(|segment| segment.header.first > self.seen.saturating_add(1)) {
            return Err(overtaken());
        }
        let mut note = None;
        while let Some(segment) = current {
            let next = self.next_whole(&mut groups).await?;
            // An import has replaced everything before the next one.
            if next.as_ref().is_none_or(|next| !next.header.begins_anew()) {
                note = self.read_segment(&segment, next.as_ref(), visit)?;
            }
            current = next;
        }
        Ok(note)
    }

    /// The next segment whose making was finished. Others are being made, or a crash left them.
    async fn next_whole(&self, groups: &mut impl Iterator<Item = &[SegmentFile]>) -> Result<Option<Loaded>> {
        for generations in groups {
            for file in generations {
                let bytes = match self.storage.read_at(&file.name, 0, usize::MAX).await {
                    // Removed by a compaction since it was listed.
                    Err(error) if error.kind() == ErrorKind::NotFound => return Err(overtaken()),
                    other => other?,
                };
                match segment::read_header(&bytes) {
                    Ok((header, header_len)) if is_whole(&header, header_len, &bytes) => {
                        return Ok(Some(Loaded { name: file.name.clone(), bytes, header, header_len }));
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    fn read_segment(
        &mut self,
        segment: &Loaded,
        next: Option<&Loaded>,
        visit: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<String>> {
        let mut bytes = segment.bytes.as_slice();
        if let Some(next) = next {
            let len = usize::try_from(next.header.previous_len).unwrap_or(usize::MAX);
            bytes = bytes.get(..len).unwrap_or(bytes);
        }
        let (start, chain) = match self.position.take() {
            Some((name, offset, chain)) if name == segment.name => (offset, chain),
            _ => {
                if self.all {
                    visit(bytes.get(..segment.header_len - 1).unwrap_or_default())?;
                }
                let chain = Chain { next: segment.header.first, previous: segment.header.previous };
                (segment.header_len, chain)
            }
        };
        let end = segment::walk(bytes, start, chain, |_| {});
        for text in bytes.get(start..end.valid_len).unwrap_or_default().split(|b| *b == b'\n') {
            if !text.is_empty() && self.shows(text) {
                visit(text)?;
            }
        }
        self.position = Some((segment.name.clone(), end.valid_len, end.chain));
        let gap = next.is_some_and(|next| next.header.first != end.chain.next);
        let Some((offset, reason)) = end
            .damage
            .map(|damage| (damage.offset, damage.message))
            .or_else(|| gap.then(|| (end.valid_len, "records are missing before the next segment".into())))
        else {
            return Ok(None);
        };
        let behind = bytes.get(end.valid_len..).unwrap_or_default();
        if next.is_some() || segment::proves_durable(behind, end.chain.next) {
            let message = format!(
                "the log is damaged: {reason}; restore a backup, or open it with another `RecoveryMode`"
            );
            return Err(Error::corrupt(segment.name.clone(), offset as u64, message));
        }
        let place = format!("{} at offset {offset}", segment.name);
        Ok(Some(format!("the log ends in a torn tail ({reason}, {place}), as a crash leaves it")))
    }

    fn shows(&mut self, text: &[u8]) -> bool {
        match line::decode(text) {
            // Recovery may have carried records into a new segment after they were visited.
            Ok(Line::Record { record, .. }) if record.sequence <= self.seen => false,
            Ok(Line::Record { record, .. }) => {
                self.seen = record.sequence;
                true
            }
            _ => self.all,
        }
    }
}

fn overtaken() -> Error {
    let message = "the log was compacted away while it was read; start again from a later record";
    Error::new(ErrorKind::NotFound, message)
}
