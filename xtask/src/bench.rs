//! `cargo xtask bench`: Pumice beside other engines, and the page with what came out.

pub mod browser;

use crate::setup;
use anyhow::Result;
use clap::Args;
use std::env::consts::EXE_SUFFIX;
use std::path::PathBuf;
use xshell::{Shell, cmd};

const MANIFEST: &str = "bench/Cargo.toml";
const PAGE: &str = "docs/benchmarks.md";

#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // One for each flag.
pub struct BenchArgs {
    /// In Chromium instead, with the npm package, for docs/benchmarks-browser.md
    ///
    /// Needs npm and Debian's Chromium too.
    #[arg(long, conflicts_with_all = ["large", "only", "micro"])]
    browser: bool,
    /// Small sizes and short times, some minutes: only to see that everything works
    #[arg(long)]
    quick: bool,
    /// With ten million documents too
    #[arg(long, conflicts_with = "quick")]
    large: bool,
    /// Only the work with this in its name, such as `puts`, `scan/1000000` or `churn`; the figures are only printed
    #[arg(long, value_name = "WORKLOAD")]
    only: Option<String>,
    /// Only these engines, with commas between them; the figures are only printed
    #[arg(long, value_name = "NAMES")]
    engines: Option<String>,
    /// How often each; 3 with --quick (1 in Chromium), otherwise 5, unless set
    #[arg(long)]
    rounds: Option<u32>,
    /// Where the databases are made, on the disk that is to be measured; in the folder of builds unless set
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only write the page again, from the results of the last run
    #[arg(long, conflicts_with_all = ["quick", "large", "only", "engines", "rounds", "dir", "micro"])]
    page_only: bool,
    /// Instead, the engine's hot paths alone, with statistics within seconds: for work on one of them
    #[arg(long, conflicts_with_all = ["quick", "large", "only", "engines", "rounds", "dir"])]
    micro: bool,
    /// With --micro: handed to the benchmark, such as a part of the name of the ones to run
    #[arg(last = true, requires = "micro")]
    micro_args: Vec<String>,
}

/// Builds the harness, runs it and writes the page of a whole run.
///
/// # Errors
/// When something does not build, or the machine lacks something.
pub fn run(sh: &Shell, args: &BenchArgs) -> Result<()> {
    if args.browser {
        return browser::run(sh, args);
    }
    if args.micro {
        let rest = &args.micro_args;
        return Ok(cmd!(sh, "cargo bench --bench engine --all-features -- {rest...}").run()?);
    }
    let target = setup::target_dir(sh)?;
    cmd!(sh, "cargo build --release --manifest-path {MANIFEST} --locked --target-dir {target}").run()?;
    let harness = target.join("release").join(format!("pumice-bench{EXE_SUFFIX}"));
    let folder = target.join("bench");
    sh.create_dir(&folder)?;
    let is_whole = args.only.is_none() && args.engines.is_none();
    let results = folder.join(if is_whole { "results.jsonl" } else { "part.jsonl" });
    if !args.page_only {
        let dir = args.dir.clone().unwrap_or_else(|| folder.clone());
        let options = args.options();
        cmd!(sh, "{harness} run {options...} --dir {dir} --results {results}").run()?;
    }
    if is_whole {
        cmd!(sh, "{harness} page {results} {PAGE}").run()?;
        println!("The page is {PAGE}");
        return Ok(());
    }
    let page = folder.join("part.md");
    cmd!(sh, "{harness} page {results} {page}").run()?;
    println!("{}", sh.read_file(&page)?);
    Ok(())
}

impl BenchArgs {
    fn options(&self) -> Vec<String> {
        let flags = [("--quick", self.quick), ("--large", self.large)];
        let mut all: Vec<_> =
            flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| (*flag).to_owned()).collect();
        let rounds = self.rounds.map(|rounds| rounds.to_string());
        for (name, value) in [("--only", &self.only), ("--engines", &self.engines), ("--rounds", &rounds)] {
            if let Some(value) = value {
                all.extend([name.to_owned(), value.clone()]);
            }
        }
        all
    }
}
