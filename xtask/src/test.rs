//! `cargo xtask test`: everything that must hold, in steps, cheapest first.

pub mod browser;
mod platform_table;
mod watchdog;

use crate::fuzz::{self, Effort};
use crate::{bench, instructions, package, setup};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use watchdog::Watchdog;
use xshell::{Shell, cmd};

struct Step {
    name: &'static str,
    /// The name by which a user may leave it out: only what needs root, strace or valgrind has one.
    optional: Option<&'static str>,
    run: fn(&Shell) -> Result<()>,
}

const fn step(name: &'static str, run: fn(&Shell) -> Result<()>) -> Step {
    Step { name, optional: None, run }
}

const fn optional(name: &'static str, short: &'static str, run: fn(&Shell) -> Result<()>) -> Step {
    Step { name, optional: Some(short), run }
}

const STEPS: &[Step] = &[
    step("formatting", |sh| Ok(cmd!(sh, "cargo fmt --all --check").run()?)),
    step("one table of platforms", |sh| platform_table::check(&sh.current_dir().join("src"))),
    step("lints", |sh| {
        Ok(cmd!(sh, "cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?)
    }),
    step("lints, default features", |sh| {
        let packages = ["--package", "pumice", "--package", "pumice-engine-tests"];
        Ok(cmd!(sh, "cargo clippy {packages...} --tests -- -D warnings").run()?)
    }),
    step("lints, no clock and no randomness in the library", |sh| {
        Ok(cmd!(
            sh,
            "cargo clippy --package pumice --lib --all-features -- -D warnings -D clippy::disallowed_methods"
        )
        .run()?)
    }),
    step("compiles for the browser", |sh| {
        setup::wasm_target(sh)?;
        Ok(cmd!(sh, "cargo check --lib --target wasm32-unknown-unknown").run()?)
    }),
    step("release binary", |sh| setup::release_binary(sh).map(drop)),
    step("tests, all features", tests),
    step("the real MoltenDB", real_moltendb),
    step("orders of events, with the model checker", interleavings),
    step("wasm in a real browser", wasm_in_a_browser),
    step("fuzzing, for a moment", |sh| fuzz::run(sh, Effort::Fixed)),
    optional("instructions of the hot paths", "instructions", |sh| instructions::run(sh, false)),
    step("the benchmark's harness", benchmark),
    step("documentation", |sh| {
        Ok(cmd!(sh, "cargo doc --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    step("package", |sh| Ok(cmd!(sh, "cargo package --package pumice --allow-dirty").run()?)),
    step("npm package, in applications of three bundlers", npm_package),
    step("browser: API", |sh| browser::run(sh, &["api"])),
    step("browser: tabs", |sh| browser::run(sh, &["units", "tabs", "tabs_change", "tabs_life"])),
    step("browser: kills and failures", |sh| browser::run(sh, &["durability", "failures", "damage"])),
    step("browser: snapshots", browser::interchange),
    step("browser: demo page", |sh| browser::run(sh, &["demo"])),
    optional("kills at every call", "kills", |sh| harness(sh, &["kills"])),
    optional("I/O errors at every call", "io-errors", |sh| harness(sh, &["io-errors"])),
    optional("power cuts", "power-cuts", |sh| harness(sh, &["power-cuts", "--engine", "pumice"])),
    optional("power cuts under Chromium", "power-cuts", browser::power_cuts),
    optional("full disk and failing syncs", "full-disk", |sh| harness(sh, &["full-disk"])),
];

/// Without the examples, which the lints have compiled.
fn tests(sh: &Shell) -> Result<()> {
    let _brief = sh.push_env("PUMICE_BRIEF", "1");
    cmd!(sh, "cargo test --workspace --all-features --lib --bins --tests").run()?;
    Ok(cmd!(sh, "cargo test --workspace --all-features --doc").run()?)
}

/// What runs in a browser's worker, in a worker of a real browser. `webdriver.json` says how it is started.
///
/// As `wasm-pack test --headless --chrome` does, but for this one program, and without compiling everything twice.
pub fn wasm_in_a_browser(sh: &Shell) -> Result<()> {
    setup::browser::wasm_tools(sh)?;
    let driver = setup::browser::chromium(sh)?;
    Ok(cmd!(sh, "cargo test --package pumice --target wasm32-unknown-unknown --test wasm")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
        .env("CHROMEDRIVER", driver)
        // Seconds for all of them; a soak takes longer.
        .env("WASM_BINDGEN_TEST_TIMEOUT", "3600")
        .run()?)
}

/// All of the crate is compiled in another way for it, so apart from everything else.
pub fn interleavings(sh: &Shell) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = target.join("shuttle");
    Ok(cmd!(sh, "cargo test --package pumice --test interleavings --target-dir {target}")
        .env("RUSTFLAGS", "--cfg shuttle")
        .run()?)
}

/// Imports what the real MoltenDB wrote, and has it open what was exported. It is built into the same folder, but its lock file
/// is its own, as is its license.
fn real_moltendb(sh: &Shell) -> Result<()> {
    let manifest = "tests/moltendb/Cargo.toml";
    let target = setup::target_dir(sh)?;
    cmd!(sh, "cargo fmt --manifest-path {manifest} --check").run()?;
    let clippy = ["clippy", "--manifest-path", manifest, "--tests", "--target-dir"];
    cmd!(sh, "cargo {clippy...} {target} -- -D warnings").run()?;
    Ok(cmd!(sh, "cargo test --manifest-path {manifest} --target-dir {target}").run()?)
}

/// The harness that measures has a lock file of its own, for its many engines. The one for browsers is JavaScript.
fn benchmark(sh: &Shell) -> Result<()> {
    let manifest = "bench/Cargo.toml";
    let target = setup::target_dir(sh)?;
    cmd!(sh, "cargo fmt --manifest-path {manifest} --check").run()?;
    let clippy = ["clippy", "--locked", "--manifest-path", manifest, "--all-targets", "--target-dir"];
    cmd!(sh, "cargo {clippy...} {target} -- -D warnings").run()?;
    cmd!(sh, "cargo test --locked --manifest-path {manifest} --target-dir {target}").run()?;
    bench::browser::test(sh)
}

/// Builds it, installs it into applications and runs those in Chromium.
fn npm_package(sh: &Shell) -> Result<()> {
    setup::browser::chromium(sh)?;
    package::run(sh)?;
    let target = setup::target_dir(sh)?;
    let limit = browser::limit(sh);
    Ok(cmd!(sh, "node --test {limit} tests/package/package.test.js").env("PUMICE_TARGET", target).run()?)
}

/// The names that `--leave-out` knows.
pub fn optional_steps() -> Vec<&'static str> {
    let mut names: Vec<_> = STEPS.iter().filter_map(|step| step.optional).collect();
    // Neighbours may share one.
    names.dedup();
    names
}

/// Runs the harness with a `pumice` built for release. It is built like the tests, which share its dependencies.
fn harness(sh: &Shell, args: &[&str]) -> Result<()> {
    setup::system_tools(sh)?;
    let pumice = setup::release_binary(sh)?;
    let harness = setup::harness(sh, "test")?;
    let (name, rest) = args.split_first().map_or(("", args), |(name, rest)| (*name, rest));
    let binary = if name == "power-cuts" { vec![] } else { vec!["--pumice".into(), pumice.into_os_string()] };
    Ok(cmd!(sh, "{harness} {name} {rest...} {binary...}").run()?)
}

/// Runs the steps in order, up to the first that fails, without those that the user leaves out.
pub fn run(sh: &Shell, leave_out: &[String]) -> Result<ExitCode> {
    let figures = setup::target_dir(sh)?.join("figures");
    let _figures = sh.push_env("PUMICE_FIGURES", figures);
    let total = STEPS.len();
    let start = Instant::now();
    let (mut passed, mut skipped) = (0, 0);
    let mut times = Vec::new();
    let summary = |passed, failed, skipped| match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
    };
    for (number, Step { name, optional, run }) in (1..).zip(STEPS) {
        if optional.is_some_and(|short| leave_out.iter().any(|name| name == short)) {
            println!("\n[{number}/{total}] {name}: left out, as asked");
            skipped += 1;
            continue;
        }
        println!("\n[{number}/{total}] {name}");
        let step_start = Instant::now();
        let watchdog = Watchdog::over(name);
        let outcome = run(sh);
        drop(watchdog);
        let seconds = step_start.elapsed().as_secs_f64();
        if let Err(error) = outcome {
            println!("[{number}/{total}] {name}: FAILED after {seconds:.1} s: {error:#}");
            println!("\n{}", summary(passed, 1, skipped));
            return Ok(ExitCode::FAILURE);
        }
        println!("[{number}/{total}] {name}: passed in {seconds:.1} s");
        times.push((seconds, name));
        passed += 1;
    }
    println!();
    for (seconds, name) in times {
        println!("{seconds:8.1} s  {name}");
    }
    println!("\nall steps took {:.1} s", start.elapsed().as_secs_f64());
    println!("{}", summary(passed, 0, skipped));
    Ok(ExitCode::SUCCESS)
}
