//! The log's lines, for blocking callers: those in the archive first.

use crate::error::Result;
use crate::log::files::Files;
use crate::storage::history;
use crate::storage::platform::block_on;
use crate::storage::{PlatformStorage, Storage};

/// The log's lines as they stand, those that the archive keeps included. See [`LogLines`](crate::LogLines).
pub struct LogLines<S: Storage = PlatformStorage> {
    lines: crate::LogLines<S>,
    /// Before which record those of the archive stand that are still to be shown.
    archived: Option<(Option<u64>, u64)>,
    all: bool,
}

impl<S: Storage> LogLines<S> {
    /// The records after the sequence number `after`; with `all`, also the segments' headers and the seals.
    ///
    /// # Errors
    /// As for [`LogLines::open`](crate::LogLines::open), or from [`read`](Self::read).
    pub fn open(storage: S, after: Option<u64>, all: bool) -> Result<Self> {
        let oldest = block_on(Files::list(&storage))?.segments.first().map_or(1, |file| file.first);
        let archived = after.is_none_or(|after| after.saturating_add(1) < oldest).then_some((after, oldest));
        let after = after.map(|after| after.max(oldest.saturating_sub(1)));
        let lines = block_on(crate::LogLines::open(storage, after, all))?;
        Ok(Self { lines, archived, all })
    }

    /// Visits, without their line ends, the lines that are there now and were not visited before.
    ///
    /// # Errors
    /// As for [`LogLines::read`](crate::LogLines::read), and [`NotFound`](crate::ErrorKind::NotFound) when the archive does
    /// not have all that was asked for.
    pub fn read(&mut self, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<Option<String>> {
        if let Some((after, before)) = self.archived.take() {
            block_on(history::lines(self.lines.storage(), after, before, self.all, &mut visit))?;
        }
        block_on(self.lines.read(&mut visit))
    }
}
