//! Every call that changes, syncs or opens a file fails once, and from then on, under the command line.

use crate::command_line::Pumice;
use crate::figures;
use crate::parallel;
use crate::process::PATIENCE;
use crate::scenario::{Run, Scenario};
use crate::scenarios::{self, Size};
use crate::scratch::Scratch;
use crate::strace::{Fault, Injection};
use anyhow::{Context, Result, bail, ensure};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// # Errors
/// When anything acknowledged is lost, a failure is not told in one line, or what is left is not clean.
pub fn run(pumice: &Pumice, size: Size, faults: &[Fault]) -> Result<()> {
    let start = Instant::now();
    let scratch = Scratch::new()?;
    let scenarios = scenarios::all(pumice, size)?;
    let mut cases: Vec<(&Scenario, Injection)> = Vec::new();
    for scenario in &scenarios {
        let recorded = scenario.record(pumice, &scratch)?;
        for fault in faults {
            cases.extend(recorded.injections(*fault).into_iter().map(|injection| (scenario, injection)));
        }
        println!("{}: {} calls", scenario.name, recorded.calls);
    }
    let (failed, went_on) = (AtomicU64::new(0), AtomicU64::new(0));
    parallel::for_each(&cases, |(scenario, injection), scratch| {
        let db = scratch.join("db");
        let Injection { call, index, fault } = injection;
        let what = || format!("{}, {fault:?} at {call} {index}", scenario.name);
        let run = scenario.run(pumice, &db, *injection, PATIENCE).with_context(what)?;
        require_told(&run, call).with_context(what)?;
        if run.status.success() { &went_on } else { &failed }.fetch_add(1, Ordering::Relaxed);
        scenario.check(pumice, &db, &run).with_context(what)
    })?;
    let (failed, went_on) = (failed.into_inner(), went_on.into_inner());
    figures::keep(
        "io-errors-command-line",
        &[
            ("cases", cases.len() as u64),
            ("told", failed),
            ("without_effect", went_on),
            ("scenarios", scenarios.len() as u64),
            ("false_acknowledgements", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    ensure!(failed > went_on, "most errors had no effect, so they were not injected where it matters");
    Ok(())
}

/// A failure is exit code 2 and one line; unless it is writing that fails, for the line is written too.
fn require_told(run: &Run, call: &str) -> Result<()> {
    let lines = run.stderr.lines().count();
    match run.status.code() {
        Some(0) => Ok(()),
        Some(2) => {
            let told = lines == 1 || (call == "write" && lines == 0);
            ensure!(told, "{lines} lines of stderr, and not one: {}", run.stderr);
            Ok(())
        }
        _ => bail!("{}: {}", run.status, run.stderr),
    }
}
