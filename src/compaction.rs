//! Compaction: the log's complete segments become a snapshot file, and neighbouring files of similar size become one.
//!
//! The log moves on to a new segment first, so writers go on. The new file is synced and read back through the real
//! reader before it counts; only then does what it replaces go. A failure at any step leaves the old files in charge.

use crate::aside;
use crate::core::Core;
use crate::error::Result;
use crate::log::group_commit::{Caller, Duty};
use crate::log::queue::{Want, closed};
use crate::options::Published;
use crate::snapshot::{Direction, KeyRange, SnapshotHeader, SnapshotWriter, Table};
use crate::sorted_map::SortedMap;
use crate::state::Parts;
use crate::state::merge::{Merge, Show};
use crate::storage::{Storage, platform};
use std::ops::Bound;
use std::sync::Arc;

/// More files than this are merged whatever their sizes.
const MAX_FILES: usize = 10;

/// How much to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The tail, and the files whose merging costs little.
    Tail,
    /// Everything, into one file.
    Full,
}

/// The right to compact. Gives it back whatever happens.
pub(crate) struct Running<'a, S: Storage>(&'a Core<S>);

impl<S: Storage> Drop for Running<'_, S> {
    fn drop(&mut self) {
        self.0.commit.queue().compacting = false;
        self.0.commit.wake();
        self.0.commit.background.notify();
    }
}

/// Compacts on a task of its own, for the background task, which has claimed the right already.
pub(crate) fn start<S: Storage>(core: &Arc<Core<S>>) {
    let own = Arc::clone(core);
    let spawned = platform::spawn("pumice-compact", move || async move {
        // Kept for `stats` and logged; the next one is tried after more writes.
        drop(run(Running(&own), Extent::Tail).await);
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no compaction now");
        let running = Running(core);
        try_later(core);
        drop(running);
    }
}

/// Merges everything into one file, after waiting for a compaction that runs already.
pub(crate) async fn compact_now<S: Storage>(core: &Core<S>) -> Result<()> {
    let running = claim(core).await?;
    run(running, Extent::Full).await
}

/// The same for callers whose futures may be dropped: the work is done on a task of its own.
pub(crate) async fn compact_aside<S: Storage>(core: &Arc<Core<S>>) -> Result<()> {
    let own = Arc::clone(core);
    aside::run("pumice-compact", move || async move { compact_now(&own).await }).await
}

/// Waits for the right to compact, and takes it.
pub(crate) async fn claim<S: Storage>(core: &Core<S>) -> Result<Running<'_, S>> {
    loop {
        core.commit.until(Want::NotCompacting, Caller::Async).await?;
        let mut queue = core.commit.queue();
        core.commit.refusal(&queue)?;
        if !std::mem::replace(&mut queue.compacting, true) {
            return Ok(Running(core));
        }
    }
}

async fn run<S: Storage>(running: Running<'_, S>, extent: Extent) -> Result<()> {
    let core = running.0;
    let result = attempt(core, extent).await;
    match (&result, core.options.compact_at) {
        (Ok(Some(_)), Some(at)) => {
            let mut queue = core.commit.queue();
            queue.crowded = false;
            queue.compact_due_at = at;
        }
        _ => try_later(core),
    }
    // Given back first, so that the application's call may compact, or close the database.
    drop(running);
    match result {
        Ok(Some(published)) => {
            if let Some(call) = &core.options.on_published {
                call(&published);
            }
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "compaction failed; the old files stay in charge");
            Err(error)
        }
    }
}

/// Not again at once: after as much writing as calls for a compaction.
fn try_later<S: Storage>(core: &Core<S>) {
    let mut queue = core.commit.queue();
    queue.crowded = false;
    queue.compact_due_at = core.options.compact_at.map_or(u64::MAX, |at| queue.log_bytes.saturating_add(at));
}

async fn attempt<S: Storage>(core: &Core<S>, extent: Extent) -> Result<Option<Published>> {
    core.commit.take_turn(Duty::Rotate).await?;
    let Some(job) = Job::plan(core, extent) else { return Ok(None) };
    // Whatever has its name already is not this compaction's to remove.
    let file =
        SnapshotWriter::create(Arc::clone(&core.storage), job.header, core.options.pack_values).await?;
    let name = file.name().to_owned();
    let table = match write(core, &job, file).await {
        Ok(table) => table,
        Err(error) => {
            // It never counted; a later opening would ignore and remove it as well.
            let _ = core.storage.remove(&name).await;
            return Err(error);
        }
    };
    let published = Published { file: name, sequence: table.sequence(), bytes: table.file_len() };
    publish(core, job, table).await;
    Ok(Some(published))
}

/// What one compaction merges into what.
struct Job<S: Storage> {
    inputs: Parts<S>,
    header: SnapshotHeader,
    /// The snapshots' last sequence number before.
    covered_before: u64,
}

impl<S: Storage> Job<S> {
    /// `None` when there is nothing to do.
    fn plan(core: &Core<S>, extent: Extent) -> Option<Self> {
        let parts = core.state.parts();
        let frozen = parts.memtables.get(1..).unwrap_or_default();
        let covered_before = parts.tables.first().map_or(0, |t| t.sequence());
        let (sequence, log_bytes) = {
            let queue = core.commit.queue();
            let complete = queue.segments.split_last().map_or(&[][..], |(_active, complete)| complete);
            let complete = complete.iter().filter(|s| s.last > covered_before);
            (
                complete.clone().map(|s| s.last).max().unwrap_or(covered_before),
                complete.map(|s| s.bytes).sum(),
            )
        };
        let merged = match extent {
            Extent::Full => parts.tables.len(),
            Extent::Tail => similar_neighbours(parts.tables.iter().map(|t| t.file_len()), log_bytes),
        };
        let (tables, older) = parts.tables.split_at_checked(merged)?;
        if frozen.is_empty() && tables.len() < 2 {
            return None;
        }
        let base = older.first().map_or(0, |t| t.sequence());
        let inputs = Parts { memtables: frozen.to_vec(), tables: tables.to_vec() };
        let header = SnapshotHeader { store_id: core.store, epoch: core.epoch(), base, sequence };
        Some(Self { inputs, header, covered_before })
    }

    /// The drops that the new file must remember, for the files below it.
    fn drops(&self) -> Vec<(String, u64)> {
        if self.header.base == 0 {
            return Vec::new();
        }
        let mut drops = SortedMap::<String, u64>::default();
        for table in self.inputs.tables.iter().rev() {
            for (name, sequence) in table.drops() {
                drops.insert(name.clone(), *sequence);
            }
        }
        for memtable in self.inputs.memtables.iter().rev() {
            for (name, sequence) in memtable.drops(u64::MAX) {
                drops.insert(String::from_utf8_lossy(&name).into_owned(), sequence);
            }
        }
        drops.into_iter().collect()
    }
}

/// How many of the files, newest first, are worth merging with a tail of `tail` bytes. Each file is merged only
/// with what is at least half its size, so that sizes grow geometrically and every byte is rewritten seldom.
fn similar_neighbours(sizes: impl ExactSizeIterator<Item = u64>, tail: u64) -> usize {
    let count = sizes.len();
    let mut merged = tail;
    for (index, size) in sizes.enumerate() {
        if size > merged.saturating_mul(2) && count - index < MAX_FILES {
            return index;
        }
        merged = merged.saturating_add(size);
    }
    count
}

async fn write<S: Storage>(
    core: &Core<S>,
    job: &Job<S>,
    mut file: SnapshotWriter<S>,
) -> Result<Arc<Table<S>>> {
    let show = if job.header.base == 0 { Show::Documents } else { Show::Everything };
    let everything: KeyRange = (Bound::Unbounded, Bound::Unbounded);
    let mut merge = Merge::new(&job.inputs, u64::MAX, &everything, Direction::Forward, show);
    while merge.advance().await? {
        file.push(merge.key(), merge.sequence(), merge.value())?;
        if file.is_full() {
            if core.gives_up_compaction() {
                return Err(closed());
            }
            file.write().await?;
            platform::breathe().await;
        }
    }
    file.finish(&job.drops(), &core.cache).await
}

async fn publish<S: Storage>(core: &Core<S>, job: Job<S>, table: Arc<Table<S>>) {
    let covered = table.sequence();
    core.state.publish(&job.inputs, table);
    {
        let mut files = core.files();
        files.compactions += 1;
        files.replaced.extend(job.inputs.tables);
        let mut queue = core.commit.queue();
        let newly = queue.segments.iter().filter(|s| s.last > job.covered_before && s.last <= covered);
        let done: u64 = newly.map(|s| s.bytes).sum();
        queue.log_bytes = queue.log_bytes.saturating_sub(done);
    }
    core.clean_up(covered).await;
    if let Err(error) = core.archive.let_go(&*core.storage, &*core.options.environment).await {
        tracing::warn!(%error, "what is too old could not be removed from the archive");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_merged_with_a_tail_of_at_least_half_their_size() {
        let merged = |sizes: &[u64], tail| similar_neighbours(sizes.iter().copied(), tail);
        assert_eq!(merged(&[], 5), 0);
        assert_eq!((merged(&[200], 100), merged(&[201], 100)), (1, 0));
        // What was merged already counts with the tail.
        assert_eq!((merged(&[150, 500, 1_500], 100), merged(&[150, 501, 1_500], 100)), (3, 1));
        // A large one in between ends it, and so many are never more than ten.
        let growing: Vec<u64> = (0..12).map(|n| 1_000 << (2 * n)).collect();
        for (files, expected) in [(8, 0), (9, 0), (10, 1), (11, 2), (12, 3)] {
            assert_eq!(merged(&growing[..files], 1), expected, "{files} files");
        }
    }
}
