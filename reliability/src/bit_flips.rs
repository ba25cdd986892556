//! Single flipped bits in the files of a closed database: noticed, harmless, or a wrong answer.
//!
//! Only bytes up to the last one of a file that is not zero are flipped: what engines reserve ahead would else be most
//! of the sample.

use crate::engine::{Documents, Kind};
use crate::figures;
use crate::files::{self, Tree};
use crate::scratch::Scratch;
use crate::worker;
use crate::workload::Model;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Enough for about a thousand writes with their overwrites and deletes, and some compactions.
const OPERATIONS: u64 = 1000;
/// An opening that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Counts {
    /// Opening or reading failed.
    detected: u64,
    /// All documents are as they were.
    harmless: u64,
    /// A wrong or missing document without an error, though the engine's own check would have told.
    wrong_unless_checked: u64,
    /// A wrong or missing document, and nothing tells.
    wrong: u64,
    /// The process ended, panicked, or hung.
    crashed: u64,
}

/// Flips `sample` bits, one at a time, each in a fresh copy.
///
/// # Errors
/// When the harness fails; with `Kind::Pumice` also when an answer was wrong or a process crashed.
pub fn run(kind: Kind, sample: u64) -> Result<()> {
    let scratch = Scratch::new()?;
    let closed = scratch.join("closed");
    std::fs::create_dir(&closed)?;
    worker::build(kind, &closed, OPERATIONS)?;
    let bits: u64 = Tree::read(&closed)?.files.iter().map(|stored| stored.bytes.len() as u64 * 8).sum();
    let mut counts = Counts::default();
    let mut next = 0;
    while next < sample {
        let mut child = worker::this_program()?
            .args(["flip", kind.name()])
            .args([&closed, &scratch.join("flipped")])
            .args([next.to_string(), sample.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let before = next;
        count(&mut child, &mut next, &mut counts)?;
        // Whoever ended early did so at the next flip.
        if next < sample {
            counts.crashed += 1;
            next += 1;
        }
        ensure!(next > before, "the process that flips bits does nothing");
    }
    figures::keep(
        &format!("bit-flips-{}", kind.name()),
        &[
            ("bits", bits),
            ("flips", sample),
            ("detected", counts.detected),
            ("harmless", counts.harmless),
            ("wrong_unless_checked", counts.wrong_unless_checked),
            ("wrong", counts.wrong),
            ("crashed", counts.crashed),
        ],
    );
    let bad = counts.wrong + counts.wrong_unless_checked + counts.crashed;
    ensure!(kind != Kind::Pumice || bad == 0, "{bad} flips gave a wrong answer or a crash");
    Ok(())
}

fn count(child: &mut Child, next: &mut u64, counts: &mut Counts) -> Result<()> {
    let stdout = child.stdout.take().context("no stdout")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
    });
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                match line.as_str() {
                    "detected" => counts.detected += 1,
                    "harmless" => counts.harmless += 1,
                    "wrong unless checked" => counts.wrong_unless_checked += 1,
                    "wrong" => counts.wrong += 1,
                    _ => counts.crashed += 1,
                }
                *next += 1;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                break;
            }
        }
    }
    child.wait()?;
    Ok(())
}

/// In a process of its own: flips number `from` up to `to` of `to`, spread evenly over all bits, and prints of each what
/// came of it.
///
/// # Errors
/// The system's.
pub fn flip(kind: Kind, closed: &Path, flipped: &Path, from: u64, to: u64) -> Result<()> {
    let mut tree = Tree::read(closed)?;
    let bits: u64 = tree.files.iter().map(|stored| stored.bytes.len() as u64 * 8).sum();
    let expected = Model::after(OPERATIONS).documents;
    let mut out = std::io::stdout().lock();
    // Panics are counted, not shown.
    std::panic::set_hook(Box::new(|_| {}));
    for n in from..to {
        // The prime keeps the steps off the beat of bytes and pages.
        let bit = (n * (bits / to.max(1)).max(1) + n * 7) % bits.max(1);
        toggle(&mut tree, bit)?;
        tree.write(flipped)?;
        toggle(&mut tree, bit)?;
        let answer = catch_unwind(AssertUnwindSafe(|| answer(kind, flipped, &expected)));
        writeln!(out, "{}", answer.unwrap_or("crashed"))?;
        out.flush()?;
    }
    files::remove(flipped)
}

fn toggle(tree: &mut Tree, bit: u64) -> Result<()> {
    let mut offset = usize::try_from(bit / 8)?;
    for stored in &mut tree.files {
        if let Some(byte) = stored.bytes.get_mut(offset) {
            *byte ^= 1 << (bit % 8);
            return Ok(());
        }
        offset -= stored.bytes.len();
    }
    Ok(())
}

fn answer(kind: Kind, dir: &Path, expected: &Documents) -> &'static str {
    let Ok(mut engine) = kind.open(dir) else { return "detected" };
    match engine.read_all() {
        Err(_) => "detected",
        Ok(found) if found == *expected => "harmless",
        Ok(_) if engine.check().is_err() => "wrong unless checked",
        Ok(_) => "wrong",
    }
}
