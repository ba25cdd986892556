//! `--acks`: tells on stdout how many input lines are safe, as soon as they are and never before.

use pumice::blocking::Db;
use pumice::{Durability, Error, Result};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a buffered load is made durable and told so.
const INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Acks {
    shared: Arc<Shared>,
    mode: Mode,
}

enum Mode {
    Silent,
    /// Batches are durable when they return.
    Each,
    /// Batches are accepted when they return; a thread syncs.
    Synced {
        stop: Sender<()>,
        thread: JoinHandle<()>,
    },
}

#[derive(Default)]
struct Shared {
    accepted: AtomicU64,
    printer: Mutex<Printer>,
}

#[derive(Default)]
struct Printer {
    printed: Option<u64>,
    /// Nobody reads what is printed.
    deaf: bool,
    failure: Option<Error>,
}

impl Acks {
    pub(super) fn none() -> Self {
        Self { shared: Arc::default(), mode: Mode::Silent }
    }

    pub(super) fn start(db: &Db, durability: Durability) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        if durability == Durability::Disk {
            return Ok(Self { shared, mode: Mode::Each });
        }
        let (stop, stopped) = mpsc::channel();
        let (db, for_thread) = (db.clone(), Arc::clone(&shared));
        let run = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A failure comes back with the next batch, or at the end.
                if for_thread.sync(&db).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("acks".to_owned()).spawn(run);
        let thread = thread.map_err(|e| Error::io("start a thread", "acks", e))?;
        Ok(Self { shared, mode: Mode::Synced { stop, thread } })
    }

    /// The first `lines` lines are accepted by the database.
    pub(super) fn accepted(&self, lines: u64) {
        self.shared.accepted.store(lines, Ordering::Release);
        if matches!(self.mode, Mode::Each) {
            self.shared.printer().print(lines);
        }
    }

    /// Makes everything accepted durable and says so. `complete` when that is the whole input.
    pub(super) fn finish(self, db: &Db, complete: bool) -> Result<()> {
        match self.mode {
            Mode::Silent => return Ok(()),
            Mode::Each => {}
            Mode::Synced { stop, thread } => {
                drop(stop);
                // It cannot panic, and what it did is in `shared`.
                let _ = thread.join();
                self.shared.sync(db)?;
            }
        }
        let mut printer = self.shared.printer();
        if complete && printer.printed.is_none() {
            printer.write(0);
        }
        printer.failure.take().map_or(Ok(()), Err)
    }
}

impl Shared {
    fn printer(&self) -> std::sync::MutexGuard<'_, Printer> {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, db: &Db) -> Result<()> {
        let lines = self.accepted.load(Ordering::Acquire);
        if lines > self.printer().printed.unwrap_or(0) {
            db.sync()?;
            self.printer().print(lines);
        }
        Ok(())
    }
}

impl Printer {
    fn print(&mut self, lines: u64) {
        if lines > self.printed.unwrap_or(0) {
            self.write(lines);
        }
    }

    fn write(&mut self, lines: u64) {
        self.printed = Some(lines);
        if self.deaf {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{lines}").and_then(|()| out.flush()) {
            self.deaf = true;
            // The load is worth finishing when the listener has gone.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failure = Some(Error::io("write", "stdout", error));
            }
        }
    }
}
