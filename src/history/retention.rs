//! How much of its past a database keeps: a setting of the database, kept in the name of an empty file.

use super::names::{Kept, RetentionMark};
use crate::error::Result;
use crate::log::files::{Files, remove_if_there};
use crate::storage::Storage;
use std::time::Duration;

/// How much of its past a database keeps. What exceeds either limit goes, the oldest first.
///
/// ```
/// use pumice::Retention;
/// use std::time::Duration;
///
/// let week = Retention::new().keep(Duration::from_secs(7 * 24 * 60 * 60)).max_bytes(1 << 30);
/// assert_eq!(week.limit_bytes(), Some(1 << 30));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    keep: Option<Duration>,
    max_bytes: Option<u64>,
}

impl Retention {
    /// Keeps everything, until a limit is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps what is needed to go back so far in time.
    #[must_use]
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = Some(time);
        self
    }

    /// Keeps at most so many bytes of files that are no longer in charge.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How far back in time it reaches; `None` without a limit.
    pub fn limit_time(self) -> Option<Duration> {
        self.keep
    }

    /// How many bytes it takes at most; `None` without a limit.
    pub fn limit_bytes(self) -> Option<u64> {
        self.max_bytes
    }

    fn kept(self) -> Kept {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Kept::Within(self.keep.map(millis), self.max_bytes)
    }
}

fn marks(names: &[String]) -> Vec<RetentionMark> {
    let mut marks: Vec<_> = names.iter().filter_map(|name| RetentionMark::parse_name(name)).collect();
    marks.sort_by_key(|mark| mark.generation);
    marks
}

/// The setting of a database with these files; `None` when it keeps nothing.
pub(crate) fn of(names: &[String]) -> Option<Retention> {
    match marks(names).pop()?.kept {
        Kept::Nothing => None,
        Kept::Within(keep, max_bytes) => Some(Retention { keep: keep.map(Duration::from_millis), max_bytes }),
    }
}

/// Changes the setting, durably.
pub(crate) async fn write<S: Storage>(storage: &S, retention: Option<Retention>) -> Result<()> {
    let old = marks(&Files::list(storage).await?.archived);
    let kept = retention.map_or(Kept::Nothing, Retention::kept);
    if old.is_empty() && kept == Kept::Nothing {
        return Ok(());
    }
    let generation = old.last().map_or(1, |mark| mark.generation.saturating_add(1));
    // Its being off is a file as well: one that was removed may come back after a power cut.
    storage.create(&RetentionMark { generation, kept }.file_name()).await?;
    for mark in old {
        remove_if_there(storage, &mark.file_name()).await?;
    }
    Ok(())
}
