//! The log's lines as they stand, for people and tools.

use super::files::{Files, SegmentFile};
use crate::error::{Error, ErrorKind, Result};
use crate::format::line::{self, Line};
use crate::format::segment::{self, Chain};
use crate::storage::Storage;

/// Reads the log of a database that need not be open here, and may be written meanwhile.
pub struct LogLines<S: Storage> {
    storage: S,
    /// Also headers and seals.
    all: bool,
    after: u64,
    /// The segment read last, how far, and what its next line continues.
    position: Option<(SegmentFile, usize, Chain)>,
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
        if after + 1 < oldest {
            let message =
                format!("the log no longer holds what follows record {after}, only from record {oldest} on");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Ok(Self { storage, all, after, position: None })
    }

    /// Visits, without their line ends, the lines that are there now and were not visited before. Stops before a
    /// torn tail and before a batch without its commit; says so when it did.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when a segment before the last is damaged, and whatever `visit` returns.
    pub async fn read(&mut self, visit: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<Option<String>> {
        loop {
            let files = Files::list(&self.storage).await?;
            let Some((file, successor)) = self.next_file(&files) else {
                return if files.segments.is_empty() { Ok(None) } else { Err(overtaken()) };
            };
            let note = match self.read_segment(&file, successor.as_ref(), visit).await {
                // Removed by a compaction since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(overtaken()),
                other => other?,
            };
            if successor.is_none() {
                return Ok(note);
            }
        }
    }

    /// The segment to read from, and the one behind it.
    fn next_file(&self, files: &Files) -> Option<(SegmentFile, Option<SegmentFile>)> {
        let newest: Vec<&SegmentFile> =
            files.segments.chunk_by(|a, b| a.first == b.first).filter_map(|g| g.first()).collect();
        let wanted = self.position.as_ref().map_or(self.after + 1, |(_, _, chain)| chain.next);
        let at = newest.iter().rposition(|f| f.first <= wanted)?;
        Some(((*newest.get(at)?).clone(), newest.get(at + 1).map(|f| (*f).clone())))
    }

    async fn read_segment(
        &mut self,
        file: &SegmentFile,
        successor: Option<&SegmentFile>,
        visit: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<String>> {
        let mut bytes = self.storage.read_at(&file.name, 0, usize::MAX).await?;
        if let Some(next) = successor {
            let head = self.storage.read_at(&next.name, 0, 4096).await?;
            match segment::read_header(&head) {
                Ok((header, _)) => bytes.truncate(usize::try_from(header.previous_len).unwrap_or(usize::MAX)),
                // Being made just now.
                Err(_) => return Ok(None),
            }
        }
        let (start, chain) = match self.position.take() {
            Some((at, offset, chain)) if at == *file => (offset, chain),
            _ => {
                let (header, len) = segment::read_header(&bytes).map_err(|e| {
                    Error::corrupt(file.name.clone(), 0, format!("the log is damaged: {}", e.message()))
                })?;
                if self.all {
                    visit(bytes.get(..len - 1).unwrap_or_default())?;
                }
                (len, Chain { next: header.first, previous: header.previous })
            }
        };
        let end = segment::walk(&bytes, start, chain, |_| {});
        for text in bytes.get(start..end.valid_len).unwrap_or_default().split(|b| *b == b'\n') {
            if !text.is_empty() && self.shows(text) {
                visit(text)?;
            }
        }
        self.position = Some((file.clone(), end.valid_len, end.chain));
        match (end.damage, successor) {
            (Some(damage), Some(_)) => {
                let message = format!(
                    "the log is damaged: {}; restore a backup, or see `pumice repair`",
                    damage.message
                );
                Err(Error::corrupt(file.name.clone(), damage.offset as u64, message))
            }
            (Some(damage), None)
                if segment::proves_durable(
                    bytes.get(end.valid_len..).unwrap_or_default(),
                    end.chain.next,
                ) =>
            {
                let message = format!(
                    "the log is damaged: {}; restore a backup, or see `pumice repair`",
                    damage.message
                );
                Err(Error::corrupt(file.name.clone(), damage.offset as u64, message))
            }
            (Some(damage), None) => {
                let place = format!("{} at offset {}", file.name, damage.offset);
                Ok(Some(format!(
                    "the log ends in a torn tail ({}, {place}), as a crash leaves it",
                    damage.message
                )))
            }
            (None, _) => Ok(None),
        }
    }

    fn shows(&self, text: &[u8]) -> bool {
        match line::decode(text) {
            Ok(Line::Record { record, .. }) => record.sequence > self.after,
            _ => self.all,
        }
    }
}

fn overtaken() -> Error {
    let message = "the log was compacted away while it was read; start again from a later record";
    Error::new(ErrorKind::NotFound, message)
}
