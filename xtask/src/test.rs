//! `cargo xtask test`: everything that must hold, in steps, cheapest first.

mod platform_table;

use crate::setup;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use xshell::{Shell, cmd};

type Step = (&'static str, fn(&Shell) -> Result<()>);

const STEPS: &[Step] = &[
    ("formatting", |sh| Ok(cmd!(sh, "cargo fmt --all --check").run()?)),
    ("one table of platforms", |sh| platform_table::check(&sh.current_dir().join("src"))),
    ("lints", |sh| {
        Ok(cmd!(sh, "cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?)
    }),
    ("lints, no clock and no randomness in the library", |sh| {
        Ok(cmd!(
            sh,
            "cargo clippy --package pumice --lib --all-features -- -D warnings -D clippy::disallowed_methods"
        )
        .run()?)
    }),
    ("compiles for the browser", |sh| {
        setup::wasm_target(sh)?;
        Ok(cmd!(sh, "cargo check --lib --target wasm32-unknown-unknown").run()?)
    }),
    ("release binary", |sh| setup::release_binary(sh).map(drop)),
    ("tests, all features", |sh| Ok(cmd!(sh, "cargo test --workspace --all-features").run()?)),
    ("orders of events, with the model checker", interleavings),
    ("tests, default features", |sh| {
        cmd!(sh, "cargo clippy --package pumice --tests -- -D warnings").run()?;
        Ok(cmd!(sh, "cargo test --package pumice --lib").run()?)
    }),
    ("documentation", |sh| {
        Ok(cmd!(sh, "cargo doc --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    ("package", |sh| Ok(cmd!(sh, "cargo package --package pumice --allow-dirty").run()?)),
];

/// All of the crate is compiled in another way for it, so apart from everything else.
pub fn interleavings(sh: &Shell) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = target.join("shuttle");
    Ok(cmd!(sh, "cargo test --package pumice --test interleavings --target-dir {target}")
        .env("RUSTFLAGS", "--cfg shuttle")
        .run()?)
}

/// Runs the steps in order, up to the first that fails.
pub fn run(sh: &Shell) -> ExitCode {
    let total = STEPS.len();
    let start = Instant::now();
    for (passed, (name, step)) in STEPS.iter().enumerate() {
        println!("\n[{}/{total}] {name}", passed + 1);
        let step_start = Instant::now();
        let outcome = step(sh);
        let seconds = step_start.elapsed().as_secs_f64();
        if let Err(error) = outcome {
            println!("[{}/{total}] {name}: FAILED after {seconds:.1} s: {error:#}", passed + 1);
            println!("\n{passed} passed, 1 failed");
            return ExitCode::FAILURE;
        }
        println!("[{}/{total}] {name}: passed in {seconds:.1} s", passed + 1);
    }
    println!("\nall steps took {:.1} s", start.elapsed().as_secs_f64());
    println!("{total} passed, 0 failed");
    ExitCode::SUCCESS
}
