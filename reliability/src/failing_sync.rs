//! A disk whose sync fails, then fails otherwise, then claims that all is well ("fsyncgate"): ext4 without a journal on
//! a loop device, in a memory file system that is too small for it.

use crate::figures;
use crate::mount::{self, Mount};
use crate::scratch::Scratch;
use crate::witness::{Witness, Witnessed};
use anyhow::{Context, Result, bail, ensure};
use pumice::blocking::Db;
use pumice::{ErrorKind, Options, SyncDiskStorage};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const IMAGE_MEGABYTES: u64 = 128;
const ROOM_MEGABYTES: u64 = 24;
const WRITTEN_MEGABYTES: usize = 60;
const COLLECTION: &str = "documents";

/// # Errors
/// When this machine's sync does not fail, and when Pumice acknowledges anything after the failure, or has lost what it
/// acknowledged before though the disk kept what it said it had synced, or does not tell of what the disk lost.
pub fn run() -> Result<()> {
    let outcomes = on_small_disk(plain_file, |_, _| Ok(()))?;
    println!("a plain file: sync says {outcomes:?}");
    ensure!(
        outcomes.first().is_some_and(Option::is_some),
        "the first sync of a file that did not fit succeeded: this machine cannot do the test"
    );
    let again = outcomes.iter().position(Option::is_none);
    let lies = Cell::new(0);
    on_small_disk(plain_appends, |disk, synced| {
        lies.set(plain_losses(disk, *synced)?);
        Ok(())
    })?;
    println!("a plain file: {} of the appends whose sync succeeded are not on the disk", lies.get());
    let (mut acknowledged, mut after, mut reported) = (0, 0, 0);
    for compact_at in [None, Some(1 << 20), Some(16 << 20)] {
        let options = Options::new().compact_at(compact_at);
        let lost = Cell::new(0);
        let look = |disk: &Path, written: &Written| {
            lost.set(look_again(disk, written)?);
            Ok(())
        };
        let written = on_small_disk(|disk| write_until_failure(disk, options), look)
            .with_context(|| format!("compacting at {compact_at:?}"))?;
        acknowledged += written.acknowledged;
        after += written.refused;
        reported += lost.get();
    }
    figures::keep(
        "failing-sync",
        &[
            ("plain_syncs_that_fail_before_one_succeeds", again.unwrap_or(outcomes.len()) as u64),
            ("plain_appends_lost_after_a_good_sync", lies.get()),
            ("acknowledged_before", acknowledged),
            ("refused_after", after),
            ("acknowledged_after", 0),
            ("lost_by_the_disk_and_reported", reported),
            ("lost", 0),
        ],
    );
    Ok(())
}

/// Writes on a disk that is too small, has the disk replaced by a large enough one, and looks again.
fn on_small_disk<T>(
    write: impl FnOnce(&Path) -> Result<T>,
    look: impl FnOnce(&Path, &T) -> Result<()>,
) -> Result<T> {
    let scratch = Scratch::new()?;
    let memory = Mount::memory(ROOM_MEGABYTES << 20, &scratch.join("memory"))?;
    let image = memory.path().join("image");
    mount::make_image(
        &image,
        IMAGE_MEGABYTES,
        "mkfs.ext4",
        &["-qF", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0"],
    )?;
    let disk = Mount::image(&image, &scratch.join("disk"))?;
    let written = write(disk.path())?;
    // The page cache holds what the medium does not; after this it is gone.
    disk.unmount()?;
    memory.resize((2 * IMAGE_MEGABYTES) << 20)?;
    let disk = Mount::image(&image, &scratch.join("disk"))?;
    look(disk.path(), &written)?;
    disk.unmount()?;
    memory.unmount()?;
    Ok(written)
}

/// The error numbers of the syncs of one plain file.
fn plain_file(disk: &Path) -> Result<Vec<Option<i32>>> {
    let mut file = File::create(disk.join("plain"))?;
    let block = vec![b'x'; 1 << 20];
    for _ in 0..WRITTEN_MEGABYTES {
        file.write_all(&block).context("a plain write, which only the page cache takes")?;
    }
    Ok((0..4).map(|_| file.sync_all().err().map(|e| e.raw_os_error().unwrap_or_default())).collect())
}

/// Appends to a plain file, with a sync after each, until one fails; how many succeeded.
///
/// The loop driver takes a write that the small disk cut short for a whole one. So the last sync before the first
/// failure may have lied, whoever asked for it.
fn plain_appends(disk: &Path) -> Result<u64> {
    let mut file = File::create(disk.join("appended"))?;
    File::open(disk)?.sync_all()?;
    let mut synced = 0;
    while file.write_all(document(synced).as_bytes()).and_then(|()| file.sync_all()).is_ok() {
        synced += 1;
    }
    Ok(synced)
}

fn plain_losses(disk: &Path, synced: u64) -> Result<u64> {
    let bytes = fs::read(disk.join("appended"))?;
    let mut rest = bytes.as_slice();
    let mut lost = 0;
    for n in 0..synced {
        let expected = document(n);
        let (found, behind) = rest.split_at(expected.len().min(rest.len()));
        lost += u64::from(found != expected.as_bytes());
        rest = behind;
    }
    Ok(lost)
}

struct Written {
    acknowledged: u64,
    refused: u64,
    witness: Witness,
}

fn document(n: u64) -> String {
    format!("{{\"n\":{n},\"text\":\"{}\"}}", "y".repeat(100_000))
}

fn write_until_failure(disk: &Path, options: Options) -> Result<Written> {
    let witness = Witness::default();
    let storage = Witnessed { disk: SyncDiskStorage::open(disk.join("db"))?, witness: witness.clone() };
    let db = Db::open_with(storage, options)?;
    let documents = db.collection(COLLECTION);
    let put = |n: u64| documents.put_raw(&format!("{n:06}"), &document(n));
    let mut acknowledged = 0;
    while put(acknowledged).is_ok() {
        acknowledged += 1;
        ensure!((acknowledged as usize) < WRITTEN_MEGABYTES * 10, "the disk never failed");
    }
    ensure!(acknowledged > 20, "the disk failed before any work");
    let Err(cause) = db.health() else { bail!("a write failed, and health() says that all is well") };
    println!("after {acknowledged} acknowledged writes: {cause}");
    let refusals = 100;
    for n in 1..=refusals {
        let refused = put(acknowledged + n)
            .err()
            .with_context(|| format!("write {n} after the failure was acknowledged"))?;
        ensure!(refused.kind() == ErrorKind::Poisoned, "write {n} after the failure: {refused}");
    }
    ensure!(db.sync().is_err(), "a sync after the failure succeeded");
    ensure!(db.compact().is_err(), "a compaction after the failure succeeded");
    ensure!(db.close().is_err(), "the close after the failure succeeded");
    Ok(Written { acknowledged, refused: refusals, witness })
}

/// How many databases the disk damaged after a sync that had succeeded, which Pumice must have told.
fn look_again(disk: &Path, written: &Written) -> Result<u64> {
    let lies = written.witness.lies(&disk.join("db"))?;
    let found = reopen(disk, written);
    if lies.is_empty() {
        let missing = found?;
        ensure!(missing == 0, "LOST: {missing} of {} acknowledged writes", written.acknowledged);
        return Ok(0);
    }
    println!("the disk lost what it had synced: {}", lies.join("; "));
    match found {
        Ok(missing) => println!("{missing} writes are missing, and opening told it"),
        Err(error)
            if error.downcast_ref::<pumice::Error>().is_some_and(|e| e.kind() == ErrorKind::Corrupt) =>
        {
            println!("refused: {error:#}");
        }
        Err(error) => return Err(error),
    }
    Ok(1)
}

/// Returns how many acknowledged writes are missing at the end, which opening must have reported.
fn reopen(disk: &Path, written: &Written) -> Result<u64> {
    let db = Db::open(disk.join("db"))?;
    let documents = db.collection(COLLECTION);
    let mut there = 0;
    while documents.get_raw(&format!("{there:06}"))?.as_deref() == Some(document(there).as_str()) {
        there += 1;
    }
    let missing = written.acknowledged.saturating_sub(there);
    ensure!(missing == 0 || db.recovery().torn.is_some(), "LOST, silently: {missing} acknowledged writes");
    // The one that failed may be there or not; nothing behind it may.
    let all = documents.count(..)?;
    ensure!(
        all == there && all <= written.acknowledged + 1,
        "{all} documents, and {there} of them as written"
    );
    documents.put_raw("after", "1")?;
    ensure!(db.verify()?.is_sound(), "damaged: {:?}", db.verify()?.damage);
    db.close()?;
    Ok(missing)
}
