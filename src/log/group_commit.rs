//! Group commit: callers that arrive while a write to the log is under way share the next one.
//!
//! Whoever may lead takes everything that was accepted, appends it and syncs it, and wakes those it served; the rest
//! wait. Blocking callers lead on their own thread; asynchronous ones leave it to the background task, so that a
//! dropped future never leaves a write half done. The first failure stops all writing for good.

mod begin_anew;

use super::queue::{Queue, Want, WriteOp};
use super::writer::{LogWriter, Place, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::segment::Chain;
use crate::options::{Durability, Options};
use crate::record::Origin;
use crate::state::State;
use crate::storage::Storage;
use crate::storage::platform::Signal;
use crate::sync::{self, Mutex, MutexGuard, PoisonError};
use bytes::Bytes;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How a caller's own future may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Runs to its end on a thread of its own: it may write to the log itself.
    Blocking,
    /// May be dropped at any time: the background task writes for it.
    Async,
}

/// What a leader does besides writing what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Nothing; syncs only if someone waits for that.
    Write,
    Sync,
    Seal,
    Rotate,
}

enum Turn {
    Done,
    Lead,
}

pub(crate) struct GroupCommit<S: Storage> {
    queue: Mutex<Queue>,
    /// Taken by the leader. `None` for good in a read-only database.
    writer: Mutex<Option<LogWriter<S>>>,
    state: Arc<State<S>>,
    pub(crate) background: Signal,
    options: Options,
    read_only: bool,
}

impl<S: Storage> GroupCommit<S> {
    pub(crate) fn new(
        queue: Queue,
        writer: Option<LogWriter<S>>,
        state: Arc<State<S>>,
        options: Options,
    ) -> Self {
        let read_only = writer.is_none();
        Self {
            queue: Mutex::new(queue),
            writer: Mutex::new(writer),
            state,
            background: Signal::default(),
            options,
            read_only,
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Option<LogWriter<S>>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no write is taken, if so.
    pub(crate) fn refusal(&self, queue: &Queue) -> Result<()> {
        if self.read_only {
            return Err(read_only());
        }
        queue.refusal()
    }

    /// Writes all of `ops` or none, and waits as `durability` says. Returns the number the write resolves to.
    pub(crate) async fn write(
        &self,
        ops: &[WriteOp<'_>],
        durability: Durability,
        origin: Option<&Origin<'_>>,
        caller: Caller,
    ) -> Result<u64> {
        let written = self.write_unless(|_| false, ops, durability, origin, caller).await?;
        Ok(written.unwrap_or_else(|| self.queue().accepted()))
    }

    /// The same, unless `outdated` when its turn comes: then `None`, and nothing was written.
    pub(crate) async fn write_unless(
        &self,
        outdated: impl Fn(&Queue) -> bool,
        ops: &[WriteOp<'_>],
        durability: Durability,
        origin: Option<&Origin<'_>>,
        caller: Caller,
    ) -> Result<Option<u64>> {
        match self.accept_unless(outdated, ops, durability, origin, caller).await? {
            Some((sequence, Some(want))) => self.until(want, caller).await.map(|()| Some(sequence)),
            Some((sequence, None)) => Ok(Some(sequence)),
            None => Ok(None),
        }
    }

    /// Waits for room and accepts all of `ops`, unless `outdated` when its turn comes: then `None`. Returns the number
    /// the write resolves to and what its caller has to wait for.
    pub(crate) async fn accept_unless(
        &self,
        mut outdated: impl FnMut(&Queue) -> bool,
        ops: &[WriteOp<'_>],
        durability: Durability,
        origin: Option<&Origin<'_>>,
        caller: Caller,
    ) -> Result<Option<(u64, Option<Want>)>> {
        let now = self.options.environment.unix_millis();
        loop {
            {
                let mut queue = self.queue();
                self.refusal(&queue)?;
                if ops.is_empty() || outdated(&queue) {
                    return Ok(None);
                }
                if self.has_room(&queue) {
                    return Ok(Some(self.accept(&mut queue, ops, durability, origin, now)));
                }
            }
            self.until(Want::Room, caller).await?;
        }
    }

    fn has_room(&self, queue: &Queue) -> bool {
        // A compaction that cannot keep up must not let memory grow without bound.
        let behind = self.options.compact_at.is_some_and(|at| queue.log_bytes > at.saturating_mul(4));
        queue.pending_bytes() < self.options.buffer_limit && !(behind && queue.compacting) && !queue.importing
    }

    fn accept(
        &self,
        queue: &mut Queue,
        ops: &[WriteOp<'_>],
        durability: Durability,
        origin: Option<&Origin<'_>>,
        now: u64,
    ) -> (u64, Option<Want>) {
        let sequence = queue.accept(ops, durability, origin, now, &self.state);
        let mut call = std::mem::replace(&mut queue.sealed, false);
        let want = match durability {
            Durability::Disk => {
                // Now, not when its caller begins to wait: a buffered write behind it may lead before that.
                queue.sync_wanted = sequence;
                Some(Want::Durable(sequence))
            }
            Durability::Buffered => {
                if queue.unsynced_since.is_none() {
                    queue.unsynced_since = Some(sync::now());
                    call = true;
                }
                // Once, when it passes the mark.
                let mark = self.write_out_at();
                call |=
                    queue.pending_bytes() >= mark && !std::mem::replace(&mut queue.background_wanted, true);
                (self.state.visible() < sequence).then_some(Want::Visible(sequence))
            }
        };
        if call {
            self.background.notify();
        }
        (sequence, want)
    }

    /// Bytes of buffered records at which they go to the file without waiting for the flush interval.
    fn write_out_at(&self) -> usize {
        (self.options.buffer_limit / 4).min(1 << 20)
    }

    /// How long buffered records may still wait for their sync; `None` when none does.
    pub(crate) fn sync_due_in(&self, queue: &Queue) -> Option<Duration> {
        // Begun early enough that the sync itself fits into the promised interval.
        let patience = self.options.flush_interval / 4 * 3;
        queue
            .unsynced_since
            .map(|since| patience.saturating_sub(sync::now().saturating_duration_since(since)))
    }

    /// Waits until everything accepted so far is durable.
    pub(crate) async fn sync(&self, caller: Caller) -> Result<()> {
        let accepted = {
            let queue = self.queue();
            if self.read_only {
                return Ok(());
            }
            queue.refusal()?;
            queue.accepted()
        };
        self.until(Want::Durable(accepted), caller).await
    }

    /// Waits until `want` has come true.
    pub(crate) async fn until(&self, want: Want, caller: Caller) -> Result<()> {
        loop {
            match self.wait(want, caller == Caller::Blocking).await? {
                Turn::Done => return Ok(()),
                // A failure reaches this caller through the queue, like everyone else.
                Turn::Lead => drop(self.lead(Duty::Write).await),
            }
        }
    }

    fn is_met(&self, queue: &Queue, want: Want) -> bool {
        match want {
            Want::Durable(sequence) => queue.durable >= sequence,
            Want::Visible(sequence) => self.state.visible() >= sequence,
            Want::Room => self.has_room(queue),
            Want::Turn => false,
            Want::News(sequence) => queue.durable > sequence || queue.closing,
            Want::NewsOrRotation { read, told } => {
                queue.is_rotated(read, told) || self.is_met(queue, Want::News(read))
            }
            Want::Closed => queue.closed,
            Want::NotCompacting => !queue.compacting,
        }
    }

    async fn wait(&self, want: Want, can_lead: bool) -> Result<Turn> {
        let mut waiting = Waiting { commit: self, id: None };
        poll_fn(|cx| self.poll(cx, &mut waiting.id, want, can_lead)).await
    }

    fn poll(&self, cx: &Context<'_>, id: &mut Option<u64>, want: Want, can_lead: bool) -> Poll<Result<Turn>> {
        let mut queue = self.queue();
        if self.is_met(&queue, want) {
            return Poll::Ready(Ok(Turn::Done));
        }
        if want.fails_with_the_log()
            && let Some(cause) = &queue.failure
        {
            return Poll::Ready(Err(cause.clone()));
        }
        if let Want::Durable(sequence) = want {
            queue.sync_wanted = queue.sync_wanted.max(sequence);
        }
        if !queue.leading && may_lead(&queue, want, can_lead) {
            queue.leading = true;
            return Poll::Ready(Ok(Turn::Lead));
        }
        queue.wait(id, want, can_lead, cx.waker());
        if want.needs_leader() && !can_lead && !std::mem::replace(&mut queue.background_wanted, true) {
            self.background.notify();
        }
        Poll::Pending
    }

    /// Waits for the turn to write, then writes out what was accepted and does `duty`.
    pub(crate) async fn take_turn(&self, duty: Duty) -> Result<()> {
        match self.wait(Want::Turn, true).await? {
            Turn::Lead => self.lead(duty).await,
            Turn::Done => Ok(()),
        }
    }

    /// One turn of the leader.
    async fn lead(&self, duty: Duty) -> Result<()> {
        let lead = Lead { commit: self, done: false };
        let (lines, chain, sync, clients) = {
            let mut queue = self.queue();
            let (lines, chain) = queue.take();
            // Whoever leads syncs what is due: under steady load the background task may not get its turn in time.
            let due = self.sync_due_in(&queue).is_some_and(|rest| rest.is_zero());
            let sync = duty != Duty::Write || queue.sync_wanted > queue.durable || due;
            if sync {
                queue.unsynced_since = None;
            }
            queue.holding = duty == Duty::Rotate;
            // As of the lines taken: what is accepted from here on may never get to the disk.
            let clients = if queue.holding { queue.clients_now() } else { Clients::default() };
            (lines, chain, sync, clients)
        };
        let writer = self.writer().take();
        let Some(mut writer) = writer else {
            return lead.end(Err(read_only()));
        };
        let before = writer.active().bytes;
        let result = self.write_out(&mut writer, &lines, chain, sync, duty, clients).await;
        let result = result.map(|complete| {
            let active = writer.active().clone();
            let written = complete.as_ref().map_or(active.bytes, |c| c.bytes + active.bytes) - before;
            Outcome { chain, sync, duty, complete, active, written }
        });
        *self.writer() = Some(writer);
        lead.end(result)
    }

    async fn write_out(
        &self,
        writer: &mut LogWriter<S>,
        lines: &[Bytes],
        chain: Chain,
        sync: bool,
        duty: Duty,
        clients: Clients,
    ) -> Result<Option<Segment>> {
        match lines {
            [] => {}
            [one] => writer.append(one, chain).await?,
            many => writer.append(&many.concat(), chain).await?,
        }
        if sync {
            writer.sync().await?;
        }
        match duty {
            Duty::Seal => writer.seal(self.time()).await.map(|()| None),
            Duty::Rotate if writer.active().last >= writer.active().first => {
                writer.rotate(clients).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The time for a seal, never before the last record's.
    fn time(&self) -> u64 {
        self.options.environment.unix_millis().max(self.queue().time())
    }
}

/// Whether someone who waits for `want` may write to the log meanwhile, if its caller can at all.
fn may_lead(queue: &Queue, want: Want, can_lead: bool) -> bool {
    can_lead
        && match want {
            // Room also comes from a compaction: writing out nothing would spin.
            Want::Room => queue.pending_bytes() > 0,
            _ => want.needs_leader(),
        }
}

/// A place among those who wait, given up with the wait.
struct Waiting<'a, S: Storage> {
    commit: &'a GroupCommit<S>,
    id: Option<u64>,
}

impl<S: Storage> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.commit.queue().forget(self.id);
        }
    }
}

fn read_only() -> Error {
    Error::new(ErrorKind::ReadOnly, "the database was opened read-only; open it for writing")
}

/// What a turn achieved.
struct Outcome {
    chain: Chain,
    sync: bool,
    duty: Duty,
    /// The segment that a rotation completed.
    complete: Option<Segment>,
    active: Segment,
    written: u64,
}

/// The turn to write. Ends it whatever happens, so that nobody waits for ever.
struct Lead<'a, S: Storage> {
    commit: &'a GroupCommit<S>,
    done: bool,
}

impl<S: Storage> Lead<'_, S> {
    fn end(mut self, result: Result<Outcome>) -> Result<()> {
        self.done = true;
        let mut queue = self.commit.queue();
        let result = match result {
            Ok(outcome) => {
                queue.log_bytes += outcome.written;
                if outcome.sync {
                    let Segment { name, bytes, .. } = outcome.active.clone();
                    queue.durable_end = Some(Place { name, offset: bytes, chain: outcome.chain });
                }
                if let Some(last) = queue.segments.last_mut() {
                    *last = outcome.complete.clone().unwrap_or_else(|| outcome.active.clone());
                }
                if outcome.complete.is_some() {
                    queue.segments.push(outcome.active);
                    queue.sealed = false;
                }
                if outcome.sync {
                    queue.durable = outcome.chain.last();
                }
                queue.apply_ready(&self.commit.state);
                if outcome.duty == Duty::Rotate {
                    // Also when the active segment was empty, so that nothing was rotated: after an opening, what
                    // the complete segments hold stands in the table that takes writes.
                    self.commit.state.freeze();
                    queue.holding = false;
                    queue.apply_ready(&self.commit.state);
                }
                // Nothing was accepted since, so the seal is the log's last line.
                queue.sealed |= outcome.duty == Duty::Seal && queue.accepted() == outcome.chain.last();
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "writing to the log failed; no further write is taken");
                queue.fail(error.clone());
                Err(error)
            }
        };
        self.commit.pass_on(queue);
        result
    }
}

impl<S: Storage> Drop for Lead<'_, S> {
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.commit.queue();
            queue.fail(Error::new(ErrorKind::Io, "a write to the log was interrupted"));
            self.commit.pass_on(queue);
        }
    }
}

impl<S: Storage> GroupCommit<S> {
    /// Ends a turn: wakes those whose wait is over, and the next leader. It must be one who can lead as things stand
    /// now: one who went on waiting instead would leave those behind it without any.
    fn pass_on(&self, mut queue: MutexGuard<'_, Queue>) {
        queue.leading = false;
        let mut woken = Vec::new();
        let failed = queue.failure.is_some();
        let waiters = std::mem::take(&mut queue.waiters);
        let mut next_leader = None;
        for waiter in waiters {
            let done = self.is_met(&queue, waiter.want) || (failed && waiter.want.fails_with_the_log());
            if done {
                woken.push(waiter.waker);
            } else if next_leader.is_none() && may_lead(&queue, waiter.want, waiter.can_lead) {
                next_leader = Some(waiter.waker);
            } else {
                queue.waiters.push(waiter);
            }
        }
        let due = queue.compact_due();
        let call = failed || queue.background_wanted || due;
        drop(queue);
        woken.extend(next_leader);
        woken.into_iter().for_each(std::task::Waker::wake);
        if call {
            self.background.notify();
        }
    }

    /// Wakes everyone whose wait is over, after something other than a write changed.
    pub(crate) fn wake(&self) {
        let queue = self.queue();
        if queue.leading {
            // The leader wakes everyone at the end of its turn.
            return;
        }
        self.pass_on(queue);
    }
}

impl Queue {
    /// Whether the log has grown so long that it should be compacted now.
    pub(crate) fn compact_due(&self) -> bool {
        let due = self.log_bytes >= self.compact_due_at || self.crowded;
        due && !self.compacting && !self.closing && self.failure.is_none()
    }
}
