//! Makes what a load wrote durable while it goes on, and tells on stdout (`--acks`) how many input lines are safe, as
//! soon as they are and never before.
//!
//! Batches are handed over once they are accepted; a thread of its own syncs, so that reading the next lines and
//! waiting for the disk go on at the same time, and batches that come meanwhile share a sync. A sync that fails ends the
//! program, and so does an acknowledgement that cannot be told: whoever feeds it may be waiting for one before sending more.

use crate::output::Notes;
use crate::place::Db;
use pumice::{Error, ErrorKind, Result};
use std::io::{self, Write};
use std::process;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(super) struct Acks {
    accepted: Sender<u64>,
    thread: JoinHandle<Printer>,
}

impl Acks {
    /// Syncs at once when there is something to sync, or `pause` later. Prints if asked to.
    pub(super) fn start(db: &Db, pause: Duration, print: bool, notes: &Notes) -> Result<Self> {
        let (sender, accepted) = mpsc::channel();
        let (db, notes) = (db.clone(), notes.clone());
        let printer = Printer { printed: None, silent: !print, failure: None };
        let thread = thread::Builder::new().name("acks".to_owned());
        let thread = thread.spawn(move || sync_all(&db, &accepted, pause, printer, &notes));
        let thread = thread.map_err(|e| Error::io("start a thread", "acks", e))?;
        Ok(Self { accepted: sender, thread })
    }

    /// The first `lines` lines are accepted by the database.
    pub(super) fn accepted(&self, lines: u64) {
        // Without a receiver the thread has panicked, and `finish` says so.
        let _ = self.accepted.send(lines);
    }

    /// Waits until everything accepted is durable and told. `complete` when that is the whole input.
    pub(super) fn finish(self, complete: bool) -> Result<()> {
        drop(self.accepted);
        let broken = || Error::new(ErrorKind::Io, "the thread that syncs ended early");
        let mut printer = self.thread.join().map_err(|_| broken())?;
        if complete && printer.printed.is_none() {
            printer.write(0);
        }
        printer.failure.map_or(Ok(()), Err)
    }
}

fn sync_all(
    db: &Db,
    accepted: &Receiver<u64>,
    pause: Duration,
    mut printer: Printer,
    notes: &Notes,
) -> Printer {
    for lines in accepted {
        thread::sleep(pause);
        let lines = accepted.try_iter().last().unwrap_or(lines);
        let synced = db.sync().map(|()| printer.print(lines));
        if let Err(error) = synced.and_then(|()| printer.failure.take().map_or(Ok(()), Err)) {
            notes.print_failure(&error);
            process::exit(2);
        }
    }
    printer
}

struct Printer {
    printed: Option<u64>,
    /// Nobody asked for it, or nobody reads it any more.
    silent: bool,
    failure: Option<Error>,
}

impl Printer {
    fn print(&mut self, lines: u64) {
        if lines > self.printed.unwrap_or(0) {
            self.write(lines);
        }
    }

    fn write(&mut self, lines: u64) {
        self.printed = Some(lines);
        if self.silent {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{lines}").and_then(|()| out.flush()) {
            self.silent = true;
            // The load is worth finishing when the listener has gone.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(Error::io("write", "stdout", error));
            }
        }
    }
}
