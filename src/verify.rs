//! Reads and checks every byte that counts.

use crate::error::{Error, ErrorKind, Result};
use crate::log::files::Files;
use crate::log::recovery::{self, Torn};
use crate::options::{Options, RecoveryMode};
use crate::snapshot::BlockCache;
use crate::storage::Storage;
use crate::storage::history::{self, Archive};
use std::sync::Arc;

/// Damage that is told place by place: a ruined disk would fill the memory otherwise.
const MAX_DAMAGE: usize = 1000;

/// What [`Db::verify`](crate::Db::verify) found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verification {
    /// The places where stored bytes are not what was written, the first 1,000 of them. Empty when the database is
    /// sound.
    pub damage: Vec<Error>,
    /// How many more such places there are.
    pub more_damage: u64,
    /// The trace of a crash behind the last record that counts; no damage.
    pub torn: Option<Torn>,
    /// Log files checked.
    pub segments: u64,
    /// Records checked in them.
    pub records: u64,
    /// Snapshot files checked.
    pub snapshots: u64,
    /// Bytes of the files checked.
    pub bytes: u64,
}

impl Verification {
    /// Whether no damage was found.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    fn add_damage(&mut self, damage: Error) {
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(damage);
        } else {
            self.more_damage += 1;
        }
    }
}

/// Verifies a database that need not be open, or even be possible to open.
///
/// # Errors
/// When files cannot be listed or read. Damage is no error but part of the answer.
pub async fn verify<S: Storage>(storage: &Arc<S>) -> Result<Verification> {
    const ATTEMPTS: usize = 20;
    let mut attempts = 0;
    loop {
        let files = Files::list(&**storage).await?;
        let found = verify_files(storage, &files).await;
        attempts += 1;
        let sound = found.as_ref().is_ok_and(Verification::is_sound);
        // A writer that compacts meanwhile removes files that were just listed.
        let overtaken = if sound {
            recovery::log_moved_on(&**storage, &files).await
        } else {
            recovery::was_overtaken(&**storage, &files).await
        };
        if !overtaken || attempts == ATTEMPTS {
            return found;
        }
    }
}

async fn verify_files<S: Storage>(storage: &Arc<S>, files: &Files) -> Result<Verification> {
    let mut found = Verification::default();
    let cache = Arc::new(BlockCache::new(1 << 20));
    match files.open_snapshots(storage, &cache, &[]).await {
        Ok(snapshots) => {
            for table in snapshots.tables {
                found.snapshots += 1;
                found.bytes += table.file_len();
                table.check(&mut |problem| found.add_damage(problem)).await;
            }
        }
        Err(error) => damage_or_error(error, &mut found)?,
    }
    let options = Options::new().read_only(true).recovery(RecoveryMode::TornTail);
    #[allow(clippy::default_constructed_unit_structs)] // In a browser it is one.
    let archive = Archive::default();
    match recovery::open(Arc::clone(storage), &options, cache, files, &archive).await {
        Ok(opened) => {
            found.torn = opened.report.torn;
            found.records = opened.report.replayed;
            found.segments = opened.segments.len() as u64;
            found.bytes += opened.segments.iter().map(|s| s.bytes).sum::<u64>();
        }
        Err(error) => damage_or_error(error, &mut found)?,
    }
    found.bytes += history::check(storage, files, &mut |problem| found.damage.push(problem)).await?;
    Ok(found)
}

fn damage_or_error(error: Error, found: &mut Verification) -> Result<()> {
    if error.kind() != ErrorKind::Corrupt {
        return Err(error);
    }
    let known = found.damage.iter().any(|d| d.file() == error.file() && d.offset() == error.offset());
    if !known {
        found.add_damage(error);
    }
    Ok(())
}
