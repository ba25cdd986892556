//! A kill at every call that changes, syncs or opens a file: of the command line at every one, of each engine's worker
//! at a sample.

use crate::command_line::Pumice;
use crate::engine::Kind;
use crate::figures;
use crate::losses::Losses;
use crate::parallel;
use crate::scenario::Scenario;
use crate::scenarios::{self, Size};
use crate::scratch::Scratch;
use crate::strace::{self, Fault, Injection, Recorded, Tracing};
use crate::worker::{self, Worker};
use anyhow::{Context, Result, ensure};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Fewer kills than this are no proof.
const LEAST: u64 = 2000;

/// Kills every scenario of the command line at every call.
///
/// # Errors
/// When anything acknowledged is lost, half of a batch is there, a value is wrong, or the database takes no write.
pub fn command_line(pumice: &Pumice, size: Size) -> Result<()> {
    let start = Instant::now();
    let scratch = Scratch::new()?;
    let scenarios = scenarios::all(pumice, size)?;
    let mut cases: Vec<(&Scenario, Injection)> = Vec::new();
    let mut calls = 0;
    for scenario in &scenarios {
        let recorded = scenario.record(pumice, &scratch)?;
        let injections = recorded.injections(Fault::Kill);
        println!("{}: {} calls, {} kills", scenario.name, recorded.calls, injections.len());
        calls += u64::from(recorded.calls);
        cases.extend(injections.into_iter().map(|injection| (scenario, injection)));
    }
    let (kills, survived) = (AtomicU64::new(0), AtomicU64::new(0));
    parallel::for_each(&cases, |(scenario, injection), scratch| {
        let db = scratch.join("db");
        let what = || format!("{}, killed at {} {}", scenario.name, injection.call, injection.index);
        let run = scenario.run(pumice, &db, *injection, crate::process::PATIENCE).with_context(what)?;
        // A call that comes only now and then, such as the seal of a quiet log, was not made this time.
        if run.status.success() { &survived } else { &kills }.fetch_add(1, Ordering::Relaxed);
        ensure!(run.status.code().is_none_or(|code| code == 0), "{}: {}", what(), run.stderr);
        scenario.check(pumice, &db, &run).with_context(what)
    })?;
    let (kills, survived) = (kills.into_inner(), survived.into_inner());
    figures::keep(
        "kills-command-line",
        &[
            ("calls", calls),
            ("kills", kills),
            ("not_reached", survived),
            ("scenarios", scenarios.len() as u64),
            ("lost", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    ensure!(kills >= LEAST, "only {kills} kills, {LEAST} are the least");
    ensure!(survived * 50 <= kills, "{survived} of the calls were not reached");
    Ok(())
}

/// Kills the worker of an engine at about `sample` calls of each kind that it makes for `operations` operations, and
/// counts.
///
/// # Errors
/// When the harness itself fails; a loss is a figure.
pub fn worker(kind: Kind, operations: u64, sample: usize) -> Result<Losses> {
    let scratch = Scratch::new()?;
    let (db, log) = (scratch.join("db"), scratch.join("calls"));
    std::fs::create_dir(&db)?;
    let program = worker::command(kind, &db, 0, operations)?;
    let ended = Worker::start(&mut Tracing::Record(&log).around(&program), 0)?.wait()?;
    ensure!(ended.acknowledged == operations, "{}: without a fault: {}", kind.name(), ended.stderr);
    let all = Recorded::read(&log, &db)?.injections(Fault::Kill);
    // Of each kind as many: a rename is as good a moment as one of a thousand writes.
    let of_kind = |call: &&'static str| all.iter().filter(|i| i.call == *call).copied().collect::<Vec<_>>();
    let thin = |calls: Vec<Injection>| calls.clone().into_iter().step_by((calls.len() / sample).max(1));
    let cases: Vec<_> = strace::CALLS.iter().map(of_kind).flat_map(thin).collect();
    let losses = Mutex::new(Losses::default());
    parallel::for_each(&cases, |injection, scratch| {
        let db = scratch.join("db");
        crate::files::remove(&db)?;
        std::fs::create_dir(&db)?;
        let program = worker::command(kind, &db, 0, operations)?;
        let ended = Worker::start(&mut Tracing::Inject(*injection).around(&program), 0)?.wait()?;
        if ended.killed {
            let issued = (ended.acknowledged + 1).min(operations);
            let verdict = worker::judge_apart(kind, &db, ended.acknowledged, issued)?;
            let place = format!("{} {}", injection.call, injection.index);
            losses.lock().expect("no thread panics here").add(&place, &verdict);
        }
        Ok(())
    })?;
    let losses = losses.into_inner().expect("no thread panics here");
    losses.keep(&format!("kills-{}", kind.name()));
    Ok(losses)
}
