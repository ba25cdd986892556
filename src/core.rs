//! The engine behind every handle: the parts of one open database, and the background task that serves them.

use crate::compaction;
use crate::error::{Error, Result};
use crate::format::end_mark::EndMark;
use crate::log::files::{Files, remove_if_there};
use crate::log::group_commit::{Caller, Duty, GroupCommit};
use crate::log::order::Order;
use crate::log::queue::{Queue, Want, closed};
use crate::log::recovery::{self, Opened, Recovery};
use crate::log::writer::Segment;
use crate::options::{Options, RecoveryMode};
use crate::snapshot::{BlockCache, Table};
use crate::state::State;
use crate::storage::{Storage, platform};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What keeps files in place while a database is open.
pub(crate) struct LiveFiles<S: Storage> {
    /// Snapshots that others have replaced, until no read view needs them.
    pub(crate) replaced: Vec<Arc<Table<S>>>,
    /// The sequence numbers that change feeds go on from: segments from there on stay.
    pub(crate) pins: BTreeMap<u64, usize>,
    pub(crate) compactions: u64,
}

pub(crate) struct Core<S: Storage> {
    pub(crate) storage: Arc<S>,
    pub(crate) options: Options,
    pub(crate) commit: GroupCommit<S>,
    pub(crate) state: Arc<State<S>>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) report: Recovery,
    pub(crate) store: [u8; 16],
    pub(crate) epoch: u64,
    /// Those who submit their writes, in the order of their coming.
    pub(crate) order: Arc<Order>,
    files: Mutex<LiveFiles<S>>,
}

/// Listings that a reader beside a busy writer may find overtaken before it gives up.
const READ_ONLY_ATTEMPTS: usize = 20;

impl<S: Storage> Core<S> {
    pub(crate) async fn open(storage: S, mut options: Options) -> Result<Self> {
        options.read_only |= options.recovery == RecoveryMode::Salvage;
        let storage = Arc::new(storage);
        let cache = Arc::new(BlockCache::new(options.cache_bytes));
        let mut attempts = 0;
        let opened = loop {
            let files = Files::list(&*storage).await?;
            let opened = recovery::open(Arc::clone(&storage), &options, Arc::clone(&cache), &files).await;
            attempts += 1;
            if !options.read_only || attempts == READ_ONLY_ATTEMPTS {
                break opened;
            }
            // A writer that compacts meanwhile removes files that were just listed, and what looks torn may be a
            // line that it is just writing.
            let overtaken = match &opened {
                Err(_) => recovery::was_overtaken(&*storage, &files).await,
                Ok(opened) => {
                    recovery::log_moved_on(&*storage, &files).await
                        || recovery::is_being_written(&*storage, &opened.report).await
                }
            };
            if !overtaken {
                break opened;
            }
        };
        Ok(Self::new(storage, options, cache, opened?))
    }

    fn new(storage: Arc<S>, options: Options, cache: Arc<BlockCache>, opened: Opened<S>) -> Self {
        let state = Arc::new(State::new(opened.tables, opened.memtable, opened.chain.last()));
        let compact_at = options.compact_at.unwrap_or(u64::MAX);
        let Opened { chain, time, sealed, clients, segments, .. } = opened;
        let queue = Queue::new(chain, time, sealed, clients, segments, compact_at);
        let commit = GroupCommit::new(queue, opened.writer, Arc::clone(&state), options.clone());
        let files = LiveFiles { replaced: Vec::new(), pins: BTreeMap::new(), compactions: 0 };
        Self {
            storage,
            options,
            commit,
            state,
            cache,
            report: opened.report,
            store: opened.store,
            epoch: opened.epoch,
            order: Arc::default(),
            files: Mutex::new(files),
        }
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, LiveFiles<S>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses once closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.commit.queue().closing { Err(closed()) } else { Ok(()) }
    }

    /// Removes the files that nobody needs any more. What cannot be removed goes at the next opening.
    pub(crate) async fn clean_up(&self, covered: u64) {
        let mut names = Vec::new();
        {
            let mut files = self.files();
            let keep_from = files.pins.keys().next().copied().unwrap_or(u64::MAX);
            let mut queue = self.commit.queue();
            let active = queue.segments.last().map_or(u64::MAX, |s| s.first);
            let unneeded = |s: &Segment| s.first < active && s.last <= covered && s.last < keep_from;
            names.extend(queue.segments.iter().filter(|s| unneeded(s)).map(|s| s.name.clone()));
            queue.segments.retain(|s| !unneeded(s));
            drop(queue);
            let free = |t: &Arc<Table<S>>| Arc::strong_count(t) == 1;
            names.extend(files.replaced.iter().filter(|t| free(t)).map(|t| t.name().to_owned()));
            files.replaced.retain(|t| !free(t));
        }
        for name in names {
            if let Err(error) = self.storage.remove(&name).await {
                tracing::warn!(%error, name, "a file that is no longer needed could not be removed");
            }
        }
    }

    /// Ends everything: writes out and seals the log, lets the files go.
    async fn shut_down(&self) {
        // Its failure, if it had one, was reported to whoever asked for it.
        let _ = self.commit.until(Want::NotCompacting, Caller::Blocking).await;
        let unsealed = {
            let queue = self.commit.queue();
            queue.failure.is_none() && !queue.sealed
        };
        if unsealed && let Err(error) = self.commit.take_turn(Duty::Seal).await {
            tracing::error!(%error, "closing the log failed");
        }
        let covered = self.state.parts().tables.first().map_or(0, |t| t.sequence());
        if self.commit.queue().failure.is_none() {
            self.clean_up(covered).await;
            if let Err(error) = self.mark_end().await {
                tracing::error!(%error, "marking the log's end failed");
                self.commit.queue().fail(error);
            }
        }
        self.release().await;
    }

    /// Tells the next opening how far the sealed log goes. What a seal speaks of is durable, though a seal that was
    /// found at opening may not be so itself.
    async fn mark_end(&self) -> Result<()> {
        let mark = EndMark { epoch: self.epoch, sequence: self.commit.queue().durable };
        let there = Files::list(&*self.storage).await?.end_marks;
        if mark.sequence == 0 || there == [mark] {
            return Ok(());
        }
        if !there.contains(&mark) {
            self.storage.create(&mark.file_name()).await?;
        }
        for old in there.iter().filter(|old| **old != mark) {
            remove_if_there(&*self.storage, &old.file_name()).await?;
        }
        Ok(())
    }

    /// Lets the files go without writing anything.
    pub(crate) async fn release(&self) {
        let released = self.storage.close().await;
        let mut queue = self.commit.queue();
        if let Err(error) = released {
            queue.fail(error);
        }
        queue.closed = true;
        drop(queue);
        self.commit.wake();
    }

    /// Starts closing, once. The background task does the work.
    pub(crate) fn begin_close(&self) {
        let first = !std::mem::replace(&mut self.commit.queue().closing, true);
        if first {
            self.commit.wake();
            self.commit.background.notify();
        }
    }

    /// Whether closing ends a running compaction. One that the log needs badly goes on to its end: a database that is
    /// always opened just for a moment would never get to finish one.
    pub(crate) fn gives_up_compaction(&self) -> bool {
        let queue = self.commit.queue();
        let needed = self.options.compact_at.is_some_and(|at| queue.log_bytes >= at.saturating_mul(2));
        queue.closing && !needed
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.commit.queue().failure.clone()
    }
}

/// What the background task does next.
enum Plan {
    Wait(Option<Duration>),
    Lead(Duty),
    Compact,
    Stop,
}

impl<S: Storage> Core<S> {
    /// `seen` is the last accepted sequence number of the round before: when it has not moved, the log is idle.
    fn plan(&self, seen: &mut u64) -> Plan {
        let mut queue = self.commit.queue();
        if queue.closing {
            return Plan::Stop;
        }
        if queue.failure.is_some() {
            return Plan::Wait(None);
        }
        if queue.compact_due() {
            queue.compacting = true;
            return Plan::Compact;
        }
        if std::mem::replace(&mut queue.background_wanted, false)
            && (queue.pending_bytes() > 0 || queue.sync_wanted > queue.durable)
        {
            return Plan::Lead(Duty::Write);
        }
        match self.commit.sync_due_in(&queue) {
            Some(rest) if rest.is_zero() => return Plan::Lead(Duty::Sync),
            Some(rest) => return Plan::Wait(Some(rest)),
            None => {}
        }
        if queue.sealed {
            return Plan::Wait(None);
        }
        if std::mem::replace(seen, queue.accepted()) == queue.accepted() {
            return Plan::Lead(Duty::Seal);
        }
        Plan::Wait(Some(self.options.idle_seal))
    }
}

impl<S: Storage> Core<S> {
    /// Starts the background task of a database that may be written.
    pub(crate) fn start(self: &Arc<Self>) -> Result<platform::Task> {
        let core = Arc::clone(self);
        platform::spawn("pumice", move || async move {
            let mut seen = u64::MAX;
            loop {
                match core.plan(&mut seen) {
                    Plan::Wait(timeout) => core.commit.background.wait(timeout).await,
                    // A failure reaches everyone concerned through the queue.
                    Plan::Lead(duty) => drop(core.commit.take_turn(duty).await),
                    Plan::Compact => compaction::start(&core),
                    Plan::Stop => break,
                }
            }
            core.shut_down().await;
        })
    }
}
