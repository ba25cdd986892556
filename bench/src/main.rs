//! Pumice beside other embedded databases, and beside the most that the disk gives: `cargo xtask bench` runs it.
//!
//! To read it, begin with `plan` (what is run), then `workload` (how it is measured) and `engine` (on what). `run`
//! starts a process for each piece of work, `results` are its JSON lines, and `report` makes docs/benchmarks.md of
//! them.

mod documents;
mod engine;
mod latencies;
mod machine;
mod plan;
mod process;
mod report;
mod results;
mod run;
mod slow_flush;
mod workload;

use anyhow::{Result, ensure};
use clap::{Args, Parser};
use engine::Kind;
use plan::{Plan, Size};
use results::Results;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "pumice-bench", about = "Measures embedded databases beside one another")]
enum Command {
    /// Runs the cases, each in a process of its own
    Run(RunArgs),
    /// Does one piece of work, and prints what came out as JSON
    One {
        #[arg(long)]
        engine: Kind,
        /// As JSON
        #[arg(long)]
        work: String,
        #[arg(long)]
        dir: PathBuf,
    },
    /// Makes the page of the results
    Page {
        results: PathBuf,
        /// The file to write; its plots go into the folder beside it that is named like it
        page: PathBuf,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Small sizes and short times, only to see that everything works
    #[arg(long)]
    quick: bool,
    /// With ten million documents too
    #[arg(long, conflicts_with = "quick")]
    large: bool,
    /// How often; 3 with --quick, otherwise 5, unless set
    #[arg(long)]
    rounds: Option<u32>,
    /// Only the cases with this in their names
    #[arg(long)]
    only: Option<String>,
    /// Only these engines
    #[arg(long, value_delimiter = ',')]
    engines: Option<Vec<Kind>>,
    /// Where the databases are made, on the disk that is to be measured
    #[arg(long)]
    dir: PathBuf,
    /// The file of results to write
    #[arg(long)]
    results: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Command::parse() {
        Command::Run(args) => measure(args),
        Command::One { engine, work, dir } => {
            let work: workload::Work = serde_json::from_str(&work)?;
            println!("{}", serde_json::to_string(&work.run(engine, &dir)?)?);
            Ok(())
        }
        Command::Page { results, page } => {
            let results = Results::read(&results)?;
            let plots = page.with_extension("");
            fs::create_dir_all(&plots)?;
            for plot in report::plots(&results)? {
                fs::write(plots.join(plot.file), plot.svg)?;
            }
            Ok(fs::write(page, report::page(&results)?)?)
        }
    }
}

fn measure(args: RunArgs) -> Result<()> {
    let size = match args {
        RunArgs { quick: true, .. } => Size::Quick,
        RunArgs { large: true, .. } => Size::Large,
        RunArgs { .. } => Size::Full,
    };
    let mut plan = Plan::new(size);
    if let Some(part) = &args.only {
        plan.keep(part);
        ensure!(!plan.is_empty(), "no case has `{part}` in its name");
    }
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 5 });
    ensure!(rounds > 0, "--rounds must be at least 1");
    let engines = args.engines.unwrap_or_else(|| Kind::ALL.to_vec());
    fs::create_dir_all(&args.dir)?;
    run::Run { plan, engines, rounds, is_quick: args.quick, dir: args.dir }.run(&args.results)
}
