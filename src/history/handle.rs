//! The past, as the database's handle gives it.

use super::past::{Look, Moment, past};
use super::retention::Retention;
use crate::compaction;
use crate::db::{Db, ReadView};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// Looks at the files before a moment is said to be out of reach.
const ATTEMPTS: usize = 3;

impl<S: Storage> Db<S> {
    /// The database as of an earlier moment: every number since the oldest snapshot or segment that is kept, and any time
    /// since then. What is kept besides the latest state is for [`Retention`] to say.
    ///
    /// A batch is there as a whole or not at all, as at every other moment.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the moment is out of reach, or has not come yet, and when files cannot be read
    /// or are damaged.
    pub async fn read_view_at(&self, moment: Moment) -> Result<ReadView<S>> {
        let core = self.core();
        core.check_open()?;
        let now = self.read_view();
        let over = match moment {
            Moment::Sequence(sequence) => sequence == now.sequence(),
            Moment::Time(time) => time >= core.options.environment.unix_millis(),
        };
        if over {
            return Ok(now);
        }
        if let Moment::Sequence(sequence) = moment
            && sequence > now.sequence()
        {
            let message = format!("record {sequence} is not there yet; the last one is {}", now.sequence());
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let held = core.archive.begin_reading();
        let parts = core.state.parts();
        let mut attempts = 0;
        let past = loop {
            attempts += 1;
            match past(&core.storage, &core.cache, &parts.tables, Some(moment), Look::Open).await {
                // A listing beside a compaction may show neither the old files nor the new one.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
                found => break found?,
            }
        };
        Ok(ReadView::of_the_past(core, past.view, held))
    }

    /// How much of its past the database keeps; `None` for what safety needs and nothing more.
    pub fn retention(&self) -> Option<Retention> {
        self.core().archive.retention()
    }

    /// Changes how much of its past the database keeps, durably. What is beyond it goes at once. It starts from now: what
    /// snapshots have replaced before is gone.
    ///
    /// # Errors
    /// When the storage fails, and [`ReadOnly`](ErrorKind::ReadOnly) on a handle that only reads.
    pub async fn set_retention(&self, retention: Option<Retention>) -> Result<()> {
        let core = self.core();
        if core.options.read_only {
            return Err(Error::new(ErrorKind::ReadOnly, "the database was opened for reading only"));
        }
        let _running = compaction::claim(core).await?;
        core.archive.set(&*core.storage, retention).await?;
        core.archive.let_go(&*core.storage, &*core.options.environment).await
    }
}
