//! `cargo xtask mutants`: small changes to the engine, each of which a test must notice.
//!
//! What is changed, and which tests judge it, is in `.cargo/mutants.toml`.

use crate::setup;
use anyhow::Result;
use xshell::{Shell, cmd};

/// Hands `args` to cargo-mutants, and leaves its lists in `target/mutants.out`.
///
/// # Errors
/// When a change survives, or the tool is missing and cannot be installed.
pub fn run(sh: &Shell, args: &[String]) -> Result<()> {
    setup::cargo_mutants(sh)?;
    let target = setup::target_dir(sh)?;
    // A few cases of the model find what a change breaks; thousands would take a minute for each.
    Ok(cmd!(sh, "cargo mutants --output {target} {args...}").env("PROPTEST_CASES", "50").run()?)
}
