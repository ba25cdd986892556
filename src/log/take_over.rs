//! Preparing the log for writing after it was replayed.
//!
//! Whatever is behind the last record that counts is set aside first. A segment that does not end with a seal is left
//! for a new one, so that nothing is ever appended behind a tear.

use super::files::{Files, SegmentFile, copy_to_quarantine, remove_if_there};
use super::recovery::Recovery;
use super::replay::{Loaded, Replayed};
use super::writer::{LogWriter, Segment};
use crate::error::Result;
use crate::format::line::Header;
use crate::format::segment::{self, Chain, End};
use crate::storage::Storage;
use memchr::memrchr;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) struct Writable<S: Storage> {
    pub(super) writer: LogWriter<S>,
    /// The segment goes on as it stood: its last line is a seal.
    pub(super) resumed: bool,
    /// To what length the segment before was cut.
    pub(super) previous_cut: Option<u64>,
}

/// Prepares the log for writing. A log that ends with a seal goes on; otherwise a new segment takes over the records
/// of which nothing says that they are durable, so that they are written anew, and whatever is behind them is set
/// aside first.
pub(super) async fn make_writable<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    replayed: &Replayed,
    store: [u8; 16],
    report: &mut Recovery,
) -> Result<Writable<S>> {
    // The beginning of a segment that was never finished, most likely, but nothing tells.
    for file in &replayed.unreadable {
        keep_copy(&**storage, file).await?;
    }
    let tail = replayed.loaded.last().zip(replayed.ends.last());
    if let (Some((segment, end)), false) = (tail, replayed.history_changed)
        && replayed.given_up.is_empty()
        && end.sealed
        && end.damage.is_none()
    {
        trim(&**storage, replayed).await?;
        remove_all(&**storage, &replayed.leftovers).await?;
        return resume(storage, segment, end).await;
    }
    if let Some((segment, _)) = tail {
        // A killed process leaves records that no sync has reached. Were a power cut to take them back after some of
        // their copies are on the disk, those would look like records that this segment lost.
        storage.sync(&segment.file.name).await?;
    }
    if let (Some(torn), Some((segment, end))) = (&mut report.torn, tail) {
        let behind = segment.bytes.get(end.valid_len..).unwrap_or_default();
        let behind = segment::without_zero_tail(behind);
        torn.quarantined =
            Some(copy_to_quarantine(&**storage, &segment.file.name, torn.offset, behind).await?);
    }
    for file in replayed.given_up.iter().rev() {
        keep_copy(&**storage, file).await?;
    }
    for file in replayed.given_up.iter().rev() {
        remove_if_there(&**storage, &file.name).await?;
    }
    let created = take_over(storage, files, replayed, store).await?;
    remove_all(&**storage, &replayed.leftovers).await?;
    Ok(created)
}

/// Cuts off what stands behind the end of complete segments: an earlier taking-over has put it aside or copied it, and
/// was interrupted before it got here.
async fn trim<S: Storage>(storage: &S, replayed: &Replayed) -> Result<()> {
    for (segment, next) in replayed.loaded.iter().zip(replayed.loaded.iter().skip(1)) {
        if segment.bytes.len() as u64 > next.header.previous_len {
            // A process killed before its sync leaves copies that read well and may still be lost.
            storage.sync(&next.file.name).await?;
            storage.truncate(&segment.file.name, next.header.previous_len).await?;
        }
    }
    Ok(())
}

async fn keep_copy<S: Storage>(storage: &S, file: &SegmentFile) -> Result<()> {
    let bytes = storage.read_at(&file.name, 0, usize::MAX).await?;
    copy_to_quarantine(storage, &file.name, 0, &bytes).await.map(drop)
}

async fn remove_all<S: Storage>(storage: &S, files: &[SegmentFile]) -> Result<()> {
    for file in files {
        remove_if_there(storage, &file.name).await?;
    }
    Ok(())
}

async fn resume<S: Storage>(storage: &Arc<S>, segment: &Loaded, end: &End) -> Result<Writable<S>> {
    let bytes = end.valid_len as u64;
    // The storage may have grown the file ahead; appending goes on at the end that counts. Where there is nothing to cut no
    // sync is needed either: the records were durable before the seal was written, and the seal is written anew, behind a
    // sync, before anything else is.
    if segment.bytes.len() as u64 != bytes {
        storage.truncate(&segment.file.name, bytes).await?;
    }
    let sound = segment.bytes.get(..end.valid_len).unwrap_or_default();
    let seal = sound.strip_suffix(b"\n").and_then(|lines| memrchr(b'\n', lines)).map_or(0, |at| at + 1);
    let seal = sound.get(seal..).unwrap_or_default().to_vec();
    let active = Segment {
        name: segment.file.name.clone(),
        first: segment.header.first,
        last: end.chain.last(),
        bytes,
    };
    let header = &segment.header;
    let writer = LogWriter::resume(Arc::clone(storage), header.store, header.epoch, active, end.chain, seal);
    Ok(Writable { writer, resumed: true, previous_cut: None })
}

/// The epoch of the log from here on: above everything that spoke of history that was given up.
fn epoch_after(files: &Files, replayed: &Replayed) -> u64 {
    let epoch = replayed.loaded.last().map_or(1, |segment| segment.header.epoch);
    if !replayed.history_changed {
        return epoch;
    }
    epoch.max(replayed.newest_epoch).max(files.marked_epoch()).saturating_add(1)
}

async fn take_over<S: Storage>(
    storage: &Arc<S>,
    files: &Files,
    replayed: &Replayed,
    store: [u8; 16],
) -> Result<Writable<S>> {
    let epoch = epoch_after(files, replayed);
    let Some((segment, end)) = replayed.loaded.last().zip(replayed.ends.last()) else {
        let clients = replayed.clients.clone();
        let header = Header { store, epoch, first: 1, previous: 0, previous_len: 0, carried: 0, clients };
        let generation = files.next_generation(header.first);
        let writer = LogWriter::create(Arc::clone(storage), &header, generation, &[], Chain::START).await?;
        return Ok(Writable { writer, resumed: false, previous_cut: None });
    };
    let (start, from) = end.unproven.unwrap_or((end.chain, end.valid_len));
    let carried: Cow<'_, [u8]> = Cow::Borrowed(segment.bytes.get(from..end.valid_len).unwrap_or_default());
    let replaces = start.next == segment.header.first;
    let header = Header {
        store,
        epoch,
        first: start.next,
        previous: start.previous,
        previous_len: if replaces { segment.header.previous_len } else { from as u64 },
        carried: carried.len() as u64,
        // Those of the carried records too: they count only together with this header.
        clients: replayed.clients.clone(),
    };
    let generation = files.next_generation(header.first);
    let writer = LogWriter::create(Arc::clone(storage), &header, generation, &carried, end.chain).await?;
    // Only now: a segment whose sync failed reads well from the page cache and is not on the disk. The new one holds
    // anew what it carried over, unless its watermark says that a later sync reached that.
    trim(&**storage, replayed).await?;
    if replaces {
        storage.remove(&segment.file.name).await?;
        Ok(Writable { writer, resumed: false, previous_cut: None })
    } else {
        storage.truncate(&segment.file.name, from as u64).await?;
        Ok(Writable { writer, resumed: false, previous_cut: Some(from as u64) })
    }
}
