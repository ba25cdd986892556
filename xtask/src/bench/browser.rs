//! `cargo xtask bench --browser`: the npm package beside other ways to store documents in Chromium.

use super::BenchArgs;
use crate::{package, setup};
use anyhow::Result;
use xshell::{Shell, cmd};

const HARNESS: &str = "bench/browser";
const PAGE: &str = "docs/benchmarks-browser.md";
const PLOT: &str = "docs/benchmarks/browser-ratios.svg";

/// Builds the package, runs the harness and writes the page of a whole run.
///
/// # Errors
/// When something does not build, or the machine lacks something.
pub fn run(sh: &Shell, args: &BenchArgs) -> Result<()> {
    setup::npm_packages(sh, HARNESS)?;
    let folder = setup::target_dir(sh)?.join("bench");
    sh.create_dir(&folder)?;
    let is_whole = args.engines.is_none();
    let results = folder.join(if is_whole { "browser.jsonl" } else { "browser-part.jsonl" });
    if !args.page_only {
        setup::browser::chromium(sh)?;
        package::run(sh)?;
        let dir = args.dir.as_ref().unwrap_or(&folder);
        let options = args.options();
        cmd!(sh, "node {HARNESS}/run.mjs {options...} --dir {dir} --results {results}").run()?;
    }
    if is_whole {
        cmd!(sh, "node {HARNESS}/report.mjs {results} {PAGE} {PLOT}").run()?;
        println!("The page is {PAGE}");
        return Ok(());
    }
    let (page, plot) = (folder.join("browser-part.md"), folder.join("browser-part.svg"));
    cmd!(sh, "node {HARNESS}/report.mjs {results} {page} {plot}").run()?;
    println!("{}", sh.read_file(&page)?);
    Ok(())
}

/// The tests of what it computes and writes.
///
/// # Errors
/// A test that fails.
pub fn test(sh: &Shell) -> Result<()> {
    setup::npm(sh)?;
    Ok(cmd!(sh, "node --test {HARNESS}/test/report.test.mjs").run()?)
}
