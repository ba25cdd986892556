//! The programs in `fuzz/`: every target over its corpus, and then for a while with inputs of its own making.

use crate::setup;
use anyhow::{Context, Result, bail};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use xshell::{Shell, cmd};

/// The targets, and how many inputs each tries in some ten seconds.
const TARGETS: [(&str, u32); 8] = [
    ("line", 1_000_000),
    ("segment", 50_000),
    ("snapshot", 50_000),
    ("document", 1_000_000),
    ("moltendb", 200_000),
    ("names", 1_500_000),
    ("database", 5_000),
    ("operations", 2_500),
];

/// How long to look.
#[derive(Clone, Copy)]
pub enum Effort {
    /// The same inputs each time, so that a failure comes from a change and not from chance.
    Fixed,
    /// Inputs by chance, for so many seconds a target.
    Seconds(u32),
}

/// Runs every target, after its corpus; as many at a time as there are processors.
///
/// # Errors
/// When a target finds a failure, or cannot be built.
pub fn run(sh: &Shell, effort: Effort) -> Result<()> {
    setup::cargo_fuzz(sh)?;
    cmd!(sh, "cargo fmt --manifest-path fuzz/Cargo.toml --check").run()?;
    // Not into the folder of the other lints: see the tests of MoltenDB in `test/steps.rs`.
    let target = setup::target_dir(sh)?.join("fuzz-lints");
    cmd!(sh, "cargo clippy --manifest-path fuzz/Cargo.toml --lib --target-dir {target} -- -D warnings")
        .run()?;
    // The engine has no unsafe code, so without the address sanitizer, which needs a nightly compiler.
    cmd!(sh, "cargo fuzz build --fuzz-dir fuzz --sanitizer none --release").run()?;
    // Each runs on one processor.
    let next = AtomicUsize::new(0);
    let work = |sh: Shell| {
        while let Some((target, runs)) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let amount = match effort {
                Effort::Fixed => vec!["-seed=1".to_owned(), format!("-runs={runs}")],
                Effort::Seconds(seconds) => vec![format!("-max_total_time={seconds}")],
            };
            let executions = run_target(&sh, target, &amount)?;
            println!("{target}: {executions} executions, no failure");
            keep_figures(&sh, target, executions)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..processors).map(|_| {
            let sh = sh.clone();
            scope.spawn(|| work(sh))
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })
}

/// Returns how many inputs it tried.
fn run_target(sh: &Shell, target: &str, amount: &[String]) -> Result<u64> {
    // The first folder takes what is found, the second is only read.
    let found = setup::target_dir(sh)?.join("fuzz-corpus").join(target);
    sh.remove_path(&found)?;
    sh.create_dir(&found)?;
    let corpus = format!("fuzz/corpus/{target}");
    let build = ["--fuzz-dir", "fuzz", "--sanitizer", "none", "--release"];
    let limits = ["-rss_limit_mb=1024", "-timeout=20", "-print_final_stats=1"];
    let fuzz = cmd!(sh, "cargo fuzz run {build...} {target} {found} {corpus} -- {limits...} {amount...}");
    let output = fuzz.ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprint!("{said}");
        bail!(
            "the fuzz target `{target}` found a failure; `cargo fuzz run --sanitizer none {target} FILE` shows it \
             again, with the file named above"
        );
    }
    let executions = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    executions.and_then(|number| number.trim().parse().ok()).context("libFuzzer told no number of executions")
}

/// For docs/reliability.md, as the tests do.
fn keep_figures(sh: &Shell, target: &str, executions: u64) -> Result<()> {
    if let Ok(dir) = sh.var("PUMICE_FIGURES") {
        let json = format!("{{\"executions\":{executions},\"failures\":0}}\n");
        sh.write_file(format!("{dir}/fuzz-{target}.json"), json)?;
    }
    Ok(())
}
