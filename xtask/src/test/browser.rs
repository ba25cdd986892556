//! The tests in `tests/browser/`: the built npm package in a real Chromium.

use crate::{package, setup};
use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs the test files `names`, each of which starts browsers of its own. The package must have been built.
pub fn run(sh: &Shell, names: &[&str]) -> Result<()> {
    setup::browser::chromium(sh)?;
    setup::npm_packages(sh, "tests")?;
    let files = names.iter().map(|name| format!("tests/browser/{name}.test.mjs"));
    Ok(cmd!(sh, "node --test --test-reporter=spec {files...}").run()?)
}

/// Snapshots between the page and the `pumice` command.
pub fn interchange(sh: &Shell) -> Result<()> {
    let pumice = setup::release_binary(sh)?;
    let _pumice = sh.push_env("PUMICE_BIN", pumice);
    run(sh, &["interchange"])
}

/// Everything here that has figures, for the page of them.
pub fn figures(sh: &Shell) -> Result<()> {
    package::run(sh)?;
    run(sh, &["durability"])?;
    interchange(sh)?;
    power_cuts(sh)
}

/// Chromium's profile on a file system whose power is cut: needs root and loop devices.
pub fn power_cuts(sh: &Shell) -> Result<()> {
    setup::system_tools(sh)?;
    run(sh, &["power_cuts"])
}
