//! The tests in `tests/browser/`: the built npm package in a real Chromium.

use crate::{package, setup};
use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs the test files `names`, each of which starts browsers of its own. The package must have been built.
pub fn run(sh: &Shell, names: &[&str]) -> Result<()> {
    setup::browser::chromium(sh)?;
    setup::npm_packages(sh, "tests")?;
    let files = names.iter().map(|name| format!("tests/browser/{name}.test.mjs"));
    let limit = limit(sh);
    Ok(cmd!(sh, "node --test --test-reporter=spec {limit} {files...}").run()?)
}

/// How long one file of tests may take, hooks included. What hangs then fails, and says which test it was.
pub fn limit(sh: &Shell) -> String {
    let minutes = if sh.var_os("PUMICE_SOAK").is_some() { 600 } else { 20 };
    format!("--test-timeout={}", minutes * 60_000)
}

/// Snapshots between the page and the `pumice` command, built in `profile`.
pub fn interchange(sh: &Shell, profile: &str) -> Result<()> {
    let pumice = setup::binary(sh, profile, "pumice")?;
    let _pumice = sh.push_env("PUMICE_BIN", pumice);
    run(sh, &["interchange", "encryption"])
}

/// Everything here that has figures, for the page of them.
pub fn figures(sh: &Shell) -> Result<()> {
    package::run(sh)?;
    run(sh, &["durability"])?;
    interchange(sh, "release")?;
    power_cuts(sh)
}

/// Chromium's profile on a file system whose power is cut: needs root and loop devices.
pub fn power_cuts(sh: &Shell) -> Result<()> {
    setup::system_tools(sh)?;
    run(sh, &["power_cuts"])
}
