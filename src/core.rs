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
use crate::sorted_map::SortedMap;
use crate::state::State;
use crate::storage::history::Archive;
use crate::storage::{Storage, platform};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{self, Mutex, MutexGuard, PoisonError};
use std::sync::Arc;
use std::time::Duration;
use web_time::Instant;

/// What keeps files in place while a database is open.
pub(crate) struct LiveFiles<S: Storage> {
    /// Snapshots that others have replaced, until no read view needs them.
    pub(crate) replaced: Vec<Arc<Table<S>>>,
    pub(crate) pins: Pins,
    /// Segments that snapshots have replaced stand here for the pins' sake.
    left_behind: bool,
    /// Some of them may go by now.
    clean_up_wanted: bool,
    /// A pin of this record, until then: feeds of an earlier handle may be resumed.
    grace: Option<(u64, Instant)>,
    /// What an import must go beyond, for snapshots that imports have left unfinished: epoch and sequence number.
    pub(crate) beyond: (u64, u64),
    pub(crate) compactions: u64,
}

/// The sequence numbers that change feeds go on from, with how many do: segments from there on stay.
#[derive(Default)]
pub(crate) struct Pins(SortedMap<u64, usize>);

impl Pins {
    pub(crate) fn add(&mut self, from: u64) {
        *self.0.or_default(from) += 1;
    }

    fn remove(&mut self, from: u64) {
        if let Some(count) = self.0.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&from);
            }
        }
    }

    fn lowest(&self) -> u64 {
        self.0.keys().next().copied().unwrap_or(u64::MAX)
    }
}

pub(crate) struct Core<S: Storage> {
    pub(crate) storage: Arc<S>,
    pub(crate) options: Options,
    pub(crate) commit: GroupCommit<S>,
    pub(crate) state: Arc<State<S>>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) report: Recovery,
    pub(crate) store: [u8; 16],
    epoch: AtomicU64,
    /// As the queue says, for readers, who need not wait for its lock.
    closing: AtomicBool,
    /// Those who submit their writes, in the order of their coming.
    pub(crate) order: Arc<Order>,
    files: Mutex<LiveFiles<S>>,
    opened: Instant,
}

/// How long nobody has written when a compaction may begin that nothing else calls for.
const IDLE: Duration = Duration::from_secs(1);
/// When a compaction that waits for the storage is thought of again.
const LATER: Duration = Duration::from_secs(5);
/// No grace is longer, so that no clock runs over.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Listings that a reader beside a busy writer may find overtaken before it gives up.
const READ_ONLY_ATTEMPTS: usize = 20;
/// How often, and with what pause, a reader looks again at damage in a log that may be growing.
const DOUBTED: usize = 3;
const DOUBTED_FOR: Duration = Duration::from_millis(20);

impl<S: Storage> Core<S> {
    pub(crate) async fn open(storage: S, mut options: Options) -> Result<Self> {
        options.read_only |= options.recovery == RecoveryMode::Salvage;
        let storage = Arc::new(storage);
        let cache = Arc::new(BlockCache::new(options.cache_bytes));
        let mut attempts = 0;
        let (opened, archive) = loop {
            let files = Files::list(&*storage).await?;
            let archive = Archive::new(&files);
            archive.require_log(&files)?;
            let opened =
                recovery::open(Arc::clone(&storage), &options, Arc::clone(&cache), &files, &archive).await;
            attempts += 1;
            if !options.read_only || attempts == READ_ONLY_ATTEMPTS {
                break (opened, archive);
            }
            // A writer that compacts meanwhile removes files that were just listed, and what looks torn may be a
            // line that it is just writing.
            let overtaken = match &opened {
                Err(error) if attempts <= DOUBTED && recovery::is_half_written(&*storage, error).await => {
                    platform::Signal::default().wait(Some(DOUBTED_FOR)).await;
                    true
                }
                Err(_) => recovery::was_overtaken(&*storage, &files).await,
                Ok(opened) => {
                    recovery::log_moved_on(&*storage, &files).await
                        || recovery::is_being_written(&*storage, &opened.report).await
                }
            };
            if !overtaken {
                break (opened, archive);
            }
        };
        Ok(Self::new(storage, options, cache, archive, opened?))
    }

    fn new(
        storage: Arc<S>,
        options: Options,
        cache: Arc<BlockCache>,
        archive: Archive,
        opened: Opened<S>,
    ) -> Self {
        let covered = opened.tables.first().map_or(0, |t| t.sequence());
        let state = Arc::new(State::new(opened.tables, opened.memtable, opened.chain.last()));
        let compact_at = options.compact_at.unwrap_or(u64::MAX);
        let Opened { chain, time, sealed, clients, segments, .. } = opened;
        let kept = segments.first().filter(|s| s.last <= covered && s.first <= covered).map(|s| s.first);
        let queue = Queue::new(chain, time, sealed, clients, segments, covered, compact_at);
        let commit = GroupCommit::new(queue, opened.writer, Arc::clone(&state), options.clone());
        let mut pins = Pins::default();
        let grace = kept
            .filter(|_| !options.read_only)
            .map(|first| (first, sync::now() + options.feed_grace.min(YEAR)));
        grace.iter().for_each(|(first, _)| pins.add(*first));
        let files = LiveFiles {
            replaced: Vec::new(),
            pins,
            left_behind: grace.is_some(),
            clean_up_wanted: false,
            grace,
            beyond: opened.beyond,
            compactions: 0,
        };
        Self {
            storage,
            options,
            commit,
            state,
            cache,
            archive: Arc::new(archive),
            report: opened.report,
            store: opened.store,
            epoch: AtomicU64::new(opened.epoch),
            closing: AtomicBool::new(false),
            order: Arc::default(),
            files: Mutex::new(files),
            opened: sync::now(),
        }
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, LiveFiles<S>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch of the log: it grows when history is given up.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// An import has begun the log anew, in this epoch.
    pub(crate) fn set_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Refuses once closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// Removes the files that nobody needs any more, after taking them into the archive if the past is kept. What cannot
    /// be removed goes at the next opening.
    pub(crate) async fn clean_up(&self, covered: u64) {
        let mut names = Vec::new();
        {
            let mut files = self.files();
            let keep_from = files.pins.lowest();
            let mut queue = self.commit.queue();
            let active = queue.segments.last().map_or(u64::MAX, |s| s.first);
            let unneeded = |s: &Segment| s.first < active && s.last <= covered && s.last < keep_from;
            names.extend(queue.segments.iter().filter(|s| unneeded(s)).map(|s| s.name.clone()));
            queue.segments.retain(|s| !unneeded(s));
            let left = queue.segments.iter().any(|s| s.first < active && s.last <= covered);
            drop(queue);
            files.left_behind = left;
            let free = |t: &Arc<Table<S>>| Arc::strong_count(t) == 1;
            names.extend(files.replaced.iter().filter(|t| free(t)).map(|t| t.name().to_owned()));
            files.replaced.retain(|t| !free(t));
        }
        for name in names {
            if let Err(error) = self.remove(&name).await {
                tracing::warn!(%error, name, "a file that is no longer needed could not be removed");
            }
        }
    }

    /// Removes a file that others have replaced.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        self.archive.take_in(&self.storage, name).await?;
        remove_if_there(&*self.storage, name).await
    }

    /// Moves a feed's pin from one record to another one, or takes it away. What no pin needs any more goes soon.
    pub(crate) fn repin(&self, from: u64, to: Option<u64>) {
        let wanted = {
            let mut files = self.files();
            let lowest = files.pins.lowest();
            to.into_iter().for_each(|to| files.pins.add(to));
            files.pins.remove(from);
            let wanted = files.left_behind && files.pins.lowest() > lowest;
            files.clean_up_wanted |= wanted;
            wanted
        };
        if wanted {
            self.commit.background.notify();
        }
    }

    /// Whether pinned files may go by now; otherwise how long some stay for certain, if for a limited time.
    fn clean_up_due(&self) -> (bool, Option<Duration>) {
        let mut files = self.files();
        let rest = files.grace.map(|(_, until)| until.saturating_duration_since(sync::now()));
        if let (Some((first, _)), Some(Duration::ZERO)) = (files.grace, rest) {
            files.grace = None;
            files.pins.remove(first);
            files.clean_up_wanted = true;
        }
        let due = std::mem::replace(&mut files.clean_up_wanted, false);
        (due, rest.filter(|rest| !rest.is_zero()))
    }

    /// The last record that snapshots hold.
    fn covered(&self) -> u64 {
        self.state.parts().tables.first().map_or(0, |t| t.sequence())
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
        if self.commit.queue().failure.is_none() {
            self.clean_up(self.covered()).await;
            if let Err(error) = self.mark_end().await {
                tracing::error!(%error, "marking the log's end failed");
                self.commit.queue().fail(unmarked(&error));
            }
        }
        self.release().await;
    }

    /// Tells the next opening how far the sealed log goes. What a seal speaks of is durable, though a seal that was
    /// found at opening may not be so itself.
    async fn mark_end(&self) -> Result<()> {
        let mark = EndMark { epoch: self.epoch(), sequence: self.commit.queue().durable };
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
        self.closing.store(true, Ordering::Release);
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

/// Whoever closes is told that nothing is missing.
fn unmarked(cause: &Error) -> Error {
    let message = format!(
        "everything written is durable, but the end of the log could not be marked, so that the loss of its last records \
         would not be noticed; open and close it again: {cause}"
    );
    Error::new(cause.kind(), message)
}

/// What the background task does next.
enum Plan {
    Wait(Option<Duration>),
    Lead(Duty),
    Compact,
    Stop,
}

impl<S: Storage> Core<S> {
    /// `seen` is the last accepted sequence number, and since when: when it has not moved for long enough, the log is idle. Being
    /// woken says nothing about that: whoever writes may call more than once, before its write and behind it.
    fn plan(&self, seen: &mut Option<(u64, Instant)>) -> Plan {
        let mut queue = self.commit.queue();
        if queue.closing {
            return Plan::Stop;
        }
        if queue.failure.is_some() {
            return Plan::Wait(None);
        }
        let mut again = None;
        if queue.compact_due() {
            again = self.can_wait(&queue);
            if again.is_none() {
                queue.compacting = true;
                return Plan::Compact;
            }
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
        if queue.sealed && !self.compacts_when_idle(&queue) {
            return Plan::Wait(again);
        }
        let (accepted, now) = (queue.accepted(), sync::now());
        let since = seen.filter(|(last, _)| *last == accepted).map_or(now, |(_, since)| since);
        *seen = Some((accepted, since));
        let wanted = if queue.sealed { IDLE } else { self.options.idle_seal };
        let rest = wanted.saturating_sub(now.saturating_duration_since(since));
        if !rest.is_zero() {
            return Plan::Wait(Some(rest));
        }
        if !queue.sealed {
            return Plan::Lead(Duty::Seal);
        }
        if self.storage.is_young() {
            return Plan::Wait(Some(LATER));
        }
        queue.compacting = true;
        Plan::Compact
    }

    /// For how long a compaction that is due had better wait, if there is room: what it writes costs less later, or whoever has
    /// opened the database waits for something else.
    fn can_wait(&self, queue: &Queue) -> Option<Duration> {
        if queue.log_bytes >= queue.compact_due_at.saturating_mul(3) {
            return None;
        }
        if self.storage.is_young() {
            return Some(LATER);
        }
        let rest = self
            .options
            .rest_after_opening
            .saturating_sub(sync::now().saturating_duration_since(self.opened));
        (!rest.is_zero()).then_some(rest)
    }

    /// Whether the log is long enough to be compacted when nobody writes, and no earlier attempt has failed.
    fn compacts_when_idle(&self, queue: &Queue) -> bool {
        let as_usual = self.options.compact_at.is_some_and(|at| queue.compact_due_at <= at);
        let long = self.options.compact_idle_at.is_some_and(|at| queue.log_bytes >= at);
        as_usual && long && !queue.compacting
    }
}

impl<S: Storage> Core<S> {
    /// Starts the background task of a database that may be written.
    pub(crate) fn start(self: &Arc<Self>) -> Result<platform::Task> {
        let core = Arc::clone(self);
        platform::spawn("pumice", move || async move {
            let mut seen = None;
            loop {
                let (due, rest) = core.clean_up_due();
                if due {
                    core.clean_up(core.covered()).await;
                }
                match core.plan(&mut seen) {
                    Plan::Wait(timeout) => {
                        let timeout = timeout.into_iter().chain(rest).min();
                        core.commit.background.wait(timeout).await;
                    }
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
