//! The `pumice` command: databases from the shell. Data goes to stdout, everything said about it to stderr.
//!
//! Exit codes: 0 done, 1 the thing asked for is missing or damaged, 2 a failure, told in one line.

mod args;
mod hook;
mod interchange;
mod load;
mod log;
mod moment;
mod output;
mod past;
mod place;
mod read;
mod repair;
mod report;
mod write;

use args::{Cli, Command};
use clap::Parser;
use output::Notes;
use std::process::ExitCode;

/// How a command that did not fail ended.
enum Outcome {
    Done,
    /// What was asked for is not there, or is damaged.
    No,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut notes = Notes::default();
    let done = place::use_key_file(cli.key_file.as_deref()).and_then(|()| run(cli.command, &mut notes));
    match done {
        Ok(outcome) => {
            notes.print();
            match outcome {
                Outcome::Done => ExitCode::SUCCESS,
                Outcome::No => ExitCode::from(1),
            }
        }
        // Whoever read stdout has seen enough.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            notes.print_failure(&error);
            ExitCode::from(2)
        }
    }
}

fn run(command: Command, notes: &mut Notes) -> pumice::Result<Outcome> {
    match command {
        Command::Put(args) => write::put(&args, notes),
        Command::Get(args) => read::get(&args, notes),
        Command::Del(args) => write::del(&args, notes),
        Command::Drop(args) => write::drop_collection(&args, notes),
        Command::Scan(args) => read::scan(&args, notes),
        Command::Load(args) => load::load(&args, notes),
        Command::Stats(args) => report::stats(&args, notes),
        Command::Verify(args) => report::verify(&args, notes),
        Command::Compact(args) => write::compact(&args, notes),
        Command::Log(args) => log::log(&args, notes),
        Command::Import(args) => interchange::import(&args, notes),
        Command::Export(args) => interchange::export(&args, notes),
        Command::Backup(args) => past::backup(&args, notes),
        Command::Restore(args) => past::restore(&args, notes),
        Command::Retention(args) => past::retention(&args, notes),
        Command::Repair(args) => repair::repair(&args, notes),
        Command::Rekey(args) => write::rekey(&args, notes),
    }
}
