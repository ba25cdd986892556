//! log: the records as they stand, and as they come.

use crate::Outcome;
use crate::args::Log;
use crate::output::{Notes, Output, say};
use crate::place;
use pumice::blocking::LogLines;
use pumice::{KeyedDiskStorage, Result};
use std::thread;
use std::time::Duration;

/// How often `--follow` looks for more.
const POLL: Duration = Duration::from_millis(100);
/// Rounds after which half a record is no longer one that is just being written.
const TORN_ROUNDS: u32 = 20;

pub(crate) fn log(args: &Log, notes: &mut Notes) -> Result<Outcome> {
    let storage = place::open_read_only(&args.db)?;
    let mut lines = LogLines::open(storage, args.after, args.all)?;
    let mut out = Output::default();
    if args.follow {
        return follow(&mut lines, &mut out);
    }
    let torn = lines.read(|line| out.line(line));
    out.finish()?;
    if let Some(note) = torn? {
        notes.add(note);
    }
    Ok(Outcome::Done)
}

fn follow(lines: &mut LogLines<KeyedDiskStorage>, out: &mut Output) -> Result<Outcome> {
    let mut last = None;
    let mut rounds = 0;
    loop {
        let torn = lines.read(|line| out.line(line));
        out.finish()?;
        let torn = torn?;
        rounds = if torn.is_some() && torn == last { rounds + 1 } else { 0 };
        if let (Some(note), TORN_ROUNDS) = (&torn, rounds) {
            say("note", note);
        }
        last = torn;
        thread::sleep(POLL);
    }
}
