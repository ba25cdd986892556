//! `pumice-reliability`: kills processes, cuts the power, fills disks and flips bits under Pumice and under other
//! engines, opens what is left in a fresh process, and compares it with what was acknowledged.
//!
//! Reading order: `workload` is what is written, `worker` who writes and who judges, `engine` the engines behind one
//! interface. `scenario` is the command line under a fault. The rest is one file for each way of breaking things.

mod bit_flips;
#[allow(dead_code)] // How thorough is for others.
#[path = "../../tests/crash/chance.rs"]
mod chance;
mod command_line;
mod crash_states;
mod engine;
mod failing_sync;
#[path = "../../tests/support/figures.rs"]
mod figures;
mod files;
mod full_disk;
mod io_errors;
mod kills;
mod losses;
mod mount;
mod parallel;
mod posix;
mod power_cuts;
mod process;
mod scenario;
mod scenarios;
mod scratch;
mod strace;
mod trace;
mod witness;
mod worker;
mod workload;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use command_line::Pumice;
use engine::Kind;
use mount::FileSystem;
use scenarios::Size;
use std::path::PathBuf;
use std::process::ExitCode;
use strace::Fault;

#[derive(Parser)]
#[command(
    about = "Breaks databases in every way this machine can, and counts what was lost",
    after_help = "With PUMICE_SOAK set everything is done many more times. The variable PUMICE_FIGURES names a folder \
                  for the figures."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill the command line at every call that changes, syncs or opens a file
    Kills(Binary),
    /// Cut the power at every moment of the command line's backups, restores, imports and repairs, by a model of the disk
    CrashStates(Binary),
    /// Let every such call of the command line fail, once and from then on
    IoErrors(Binary),
    /// Fill disks, limit the size of files, and let syncs fail
    FullDisk(Binary),
    /// Kill an engine's worker at a sample of its calls
    EngineKills(Engines),
    /// Cut the power under an engine's worker, by shutting down its file system
    PowerCuts {
        #[command(flatten)]
        engines: Engines,
        /// Cuts of each engine on each file system
        #[arg(long)]
        cuts: Option<u64>,
        /// Only this file system
        #[arg(long, value_enum)]
        file_system: Vec<FileSystem>,
    },
    /// Flip single bits in an engine's closed database
    BitFlips(Engines),
    #[command(hide = true)]
    Flip { engine: Kind, closed: PathBuf, flipped: PathBuf, from: u64, to: u64 },
    #[command(hide = true)]
    Work { engine: Kind, dir: PathBuf, from: u64, to: u64 },
    #[command(hide = true)]
    Judge { engine: Kind, dir: PathBuf, acknowledged: u64, issued: u64 },
}

#[derive(Args)]
struct Binary {
    /// The `pumice` binary; the one beside this program if left out
    #[arg(long)]
    pumice: Option<PathBuf>,
}

#[derive(Args)]
struct Engines {
    /// Only these engines
    #[arg(long, value_enum)]
    engine: Vec<Kind>,
}

impl Binary {
    fn find(self) -> Result<Pumice> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("pumice"));
        Pumice::new(&self.pumice.or_else(beside).context("where is the pumice binary? give --pumice")?)
    }
}

impl Engines {
    fn each(self) -> Vec<Kind> {
        if self.engine.is_empty() { Kind::ALL.to_vec() } else { self.engine }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `usual` in a test run, `soak` with `PUMICE_SOAK`.
fn many<T>(usual: T, soak: T) -> T {
    if std::env::var_os("PUMICE_SOAK").is_some() { soak } else { usual }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Work { engine, dir, from, to } => return worker::work(engine, &dir, from, to),
        Command::Judge { engine, dir, acknowledged, issued } => {
            println!("{}", worker::judge(engine, &dir, acknowledged, issued));
            return Ok(());
        }
        Command::Flip { engine, closed, flipped, from, to } => {
            return bit_flips::flip(engine, &closed, &flipped, from, to);
        }
        _ => scratch::clean_up()?,
    }
    match command {
        Command::Kills(binary) => kills::command_line(&binary.find()?, Size { batches: many(210, 1000) }),
        Command::CrashStates(binary) => crash_states::run(&binary.find()?),
        Command::IoErrors(binary) => {
            let (once, from_then_on) = (Fault::Once, Fault::FromThenOn);
            let usual = [once("EIO"), from_then_on("ENOSPC")];
            let soak = [once("EIO"), from_then_on("EIO"), once("ENOSPC"), from_then_on("ENOSPC")];
            let (batches, faults) = many((15, &usual[..]), (100, &soak[..]));
            io_errors::run(&binary.find()?, Size { batches }, faults)
        }
        Command::FullDisk(binary) => {
            let pumice = binary.find()?;
            failing_sync::run()?;
            full_disk::fill(&pumice)?;
            full_disk::limit_files(&pumice, many(60, 1000))
        }
        Command::EngineKills(engines) => engines.each().into_iter().try_for_each(|kind| {
            let losses = kills::worker(kind, many(250, 600), many(40, 400))?;
            if kind == Kind::Pumice { losses.require_none("pumice") } else { Ok(()) }
        }),
        Command::PowerCuts { engines, cuts, file_system } => {
            cut_power(&engines.each(), cuts.unwrap_or_else(|| many(20, 150)), file_system)
        }
        Command::BitFlips(engines) => {
            engines.each().into_iter().try_for_each(|kind| bit_flips::run(kind, many(2000, 20_000)))
        }
        Command::Work { .. } | Command::Judge { .. } | Command::Flip { .. } => Ok(()),
    }
}

/// Both file systems at the same time.
fn cut_power(kinds: &[Kind], cuts: u64, systems: Vec<FileSystem>) -> Result<()> {
    let systems = if systems.is_empty() { FileSystem::ALL.to_vec() } else { systems };
    parallel::for_each(&systems, |system, _| {
        kinds.iter().try_for_each(|kind| {
            let losses = power_cuts::run(*kind, *system, cuts)
                .with_context(|| format!("{} on {}", kind.name(), system.name()))?;
            if *kind == Kind::Pumice { losses.require_none("pumice") } else { Ok(()) }
        })
    })
}
