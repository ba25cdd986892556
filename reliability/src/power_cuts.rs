//! Real power cuts: the file system under a working process is shut down mid-write, mounted again, and looked at.
//!
//! The file system is on a loop device. Its shutdown drops everything that it has not handed to the device. What it
//! has handed over counts as safe here: a device that lies about its own cache is not what this can show.

use crate::engine::Kind;
use crate::files;
use crate::losses::Losses;
use crate::mount::{FileSystem, Mount};
use crate::scratch::Scratch;
use crate::worker::{self, Verdict, Worker};
use anyhow::{Context, Result, ensure};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// After so many cuts of one database another begins.
const CUTS_EACH: u64 = 4;
/// More than any worker gets to.
const OPERATIONS: u64 = 1_000_000;

/// Cuts the power `cuts` times under the worker of an engine, and counts.
///
/// # Errors
/// When the harness itself fails or this machine cannot do it; a loss is a figure.
pub fn run(kind: Kind, system: FileSystem, cuts: u64) -> Result<Losses> {
    let mut bench = Bench::new(kind, system)?;
    let mut losses = Losses::default();
    let mut written = 0;
    for number in 0..cuts {
        if number.is_multiple_of(CUTS_EACH) {
            bench.begin_anew()?;
        }
        let (verdict, acknowledged) = bench.cut(number)?;
        written += acknowledged;
        if !matches!(verdict, Verdict::Intact(_)) {
            bench.begin_anew()?;
        }
        losses.add(&format!("cut {}", number + 1), &verdict);
    }
    ensure!(
        written >= cuts * 5,
        "only {written} operations in {cuts} cuts: the power was cut before any work"
    );
    losses.keep(&format!("power-cuts-{}-{}", system.name(), kind.name()));
    Ok(losses)
}

/// One image with one database on it.
struct Bench {
    kind: Kind,
    image: PathBuf,
    /// Dropped before the folder that holds it.
    mount: Option<Mount>,
    /// Operations that the database holds.
    durable: u64,
    scratch: Scratch,
}

impl Bench {
    fn new(kind: Kind, system: FileSystem) -> Result<Self> {
        let scratch = Scratch::new()?;
        let image = scratch.join("image");
        system.image(&image)?;
        Ok(Self { kind, image, mount: None, durable: 0, scratch })
    }

    fn mounted(&mut self) -> Result<&Mount> {
        if self.mount.is_none() {
            self.mount = Some(Mount::image(&self.image, &self.scratch.join("mounted"))?);
        }
        self.mount.as_ref().context("just mounted")
    }

    fn db(&mut self) -> Result<PathBuf> {
        Ok(self.mounted()?.path().join("db"))
    }

    /// No database. Pumice makes its directory, durably, by itself; the others are given one.
    fn begin_anew(&mut self) -> Result<()> {
        let db = self.db()?;
        files::remove(&db)?;
        if self.kind != Kind::Pumice {
            std::fs::create_dir(&db)?;
            sync(&db)?;
        }
        sync(self.mounted()?.path())?;
        self.durable = 0;
        Ok(())
    }

    /// One cut, and what is left; with the operations that were acknowledged before it.
    fn cut(&mut self, number: u64) -> Result<(Verdict, u64)> {
        let db = self.db()?;
        let from = self.durable;
        let mut worker = Worker::start(&mut worker::command(self.kind, &db, from, OPERATIONS)?, from)?;
        wait(&mut worker, from, number)?;
        // What is acknowledged from here on may come from a sync that races the cut, and does not count.
        let acknowledged = worker.acknowledged();
        let flush_journal = number % 4 == 3;
        self.mounted()?.cut_power(flush_journal)?;
        let ended = worker.kill()?;
        self.mount.take().context("it was mounted")?.unmount()?;
        let db = self.db()?;
        let verdict = worker::judge_apart(self.kind, &db, acknowledged, ended.acknowledged + 1)?;
        if let Verdict::Intact(operations) = verdict {
            self.durable = operations;
        }
        Ok((verdict, acknowledged - from))
    }
}

/// Until some moment of the first second, or of the first few operations of a database.
fn wait(worker: &mut Worker, from: u64, number: u64) -> Result<()> {
    let chance = RandomState::new().hash_one(number);
    let start = Instant::now();
    let enough = |worker: &Worker| match number % 3 {
        // Some operations, to meet the first ones and compactions, the 97th of which each is.
        0 => worker.acknowledged() >= from + 1 + chance % 12,
        1 => (worker.acknowledged() + 1).is_multiple_of(97),
        _ => start.elapsed() >= Duration::from_millis(50 + chance % 900),
    };
    while !enough(worker) || worker.acknowledged() == from {
        ensure!(!worker.has_ended()?, "the worker ended before the cut");
        ensure!(start.elapsed() < Duration::from_secs(30), "the worker acknowledges nothing");
        // Short against an operation, which takes a sync.
        thread::sleep(Duration::from_micros(50));
    }
    // Any moment within an operation.
    thread::sleep(Duration::from_micros(chance >> 32 & 0x3ff));
    Ok(())
}

fn sync(dir: &Path) -> Result<()> {
    Ok(std::fs::File::open(dir)?.sync_all()?)
}
