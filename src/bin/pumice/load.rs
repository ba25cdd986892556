//! load: many documents, a batch at a time.
//!
//! Each batch is one write: all of its lines or none. What was read and what is safe are counted in input lines.

mod acks;
mod input;
mod line;
mod window;

use crate::Outcome;
use crate::args::{Durability, Load};
use crate::hook::Program;
use crate::output::{Notes, Progress};
use crate::place::Db;
use crate::write;
use acks::Acks;
use input::Input;
use line::Shape;
use pumice::{Error, ErrorKind, Options, Result};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;
use window::Window;

/// How long a buffered load gathers batches for one sync.
const BUFFERED_PAUSE: Duration = Duration::from_millis(20);

pub(crate) fn load(args: &Load, notes: &mut Notes) -> Result<Outcome> {
    let program = Program::new(&args.hook)?;
    // Before anything is made: the input may not be there.
    let (window, progress) = open_input(args.file.as_deref())?;
    let shape = match (&args.collection, &args.key) {
        (Some(collection), Some(field)) => Shape::Documents { collection, field },
        _ => Shape::Entries,
    };
    let mut input = Input::new(window, matches!(shape, Shape::Documents { .. }))?;
    // Accepted batches are made durable beside the reading of the next, see `acks`.
    let options = Options::new().durability(pumice::Durability::Buffered);
    let db = write::open(&args.db, program.attach(options, &args.db), notes)?;
    let pause = match args.durability {
        Durability::Disk => Duration::ZERO,
        Durability::Buffered => BUFFERED_PAUSE,
    };
    let acks = Acks::start(&db, pause, args.acks, notes)?;
    let loaded = load_all(&db, &mut input, &shape, args.batch.get(), &acks, &progress);
    // What was accepted before a bad line is safe as well, and said to be.
    let acknowledged = acks.finish(loaded.is_ok());
    let closed = write::close(&db, loaded.and(acknowledged));
    program.tell(notes);
    closed?;
    Ok(Outcome::Done)
}

fn open_input(file: Option<&Path>) -> Result<(Window, Progress)> {
    match file {
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|e| Error::io("open", name.clone(), e))?;
            let known = file.metadata().ok().filter(std::fs::Metadata::is_file);
            let progress = Progress::bytes(known.map(|m| m.len()), "loading");
            Ok((Window::new(Box::new(file), name), progress))
        }
        _ => Ok((
            Window::new(Box::new(io::stdin().lock()), "stdin".to_owned()),
            Progress::bytes(None, "loading"),
        )),
    }
}

fn load_all(
    db: &Db,
    input: &mut Input,
    shape: &Shape<'_>,
    lines: usize,
    acks: &Acks,
    progress: &Progress,
) -> Result<()> {
    let mut ended = false;
    while !ended {
        db.batch(|batch| {
            for _ in 0..lines {
                let Some(text) = input.next()? else {
                    ended = true;
                    break;
                };
                if !text.is_blank {
                    shape.put(batch, text.bytes).map_err(|e| at_line(text.line, &e))?;
                }
            }
            Ok(())
        })?;
        acks.accepted(input.covered());
        progress.at(input.bytes_read());
    }
    Ok(())
}

/// `line` is that of the text's beginning.
fn at_line(line: u64, error: &Error) -> Error {
    Error::new(error.kind(), format!("line {line}: {error}"))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}
