//! The program to run when a new snapshot is there. A program, never a line for a shell.

use crate::args::Hook;
use crate::output::Notes;
use pumice::{Error, ErrorKind, Options, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wait_timeout::ChildExt;

/// What to run, and what went wrong so far.
#[derive(Clone, Default)]
pub(crate) struct Program {
    command: Option<(PathBuf, Vec<OsString>, Duration)>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Program {
    pub(crate) fn new(hook: &Hook) -> Result<Self> {
        let Some((program, arguments)) = hook.on_snapshot.split_first() else { return Ok(Self::default()) };
        let program = PathBuf::from(program);
        if !program.is_absolute() {
            let message = format!("--on-snapshot takes an absolute path, and {} is none", program.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self {
            command: Some((program, arguments.to_vec(), hook.on_snapshot_timeout)),
            failures: Arc::default(),
        })
    }

    /// Has it run for each snapshot that the database in `dir` publishes.
    pub(crate) fn attach(&self, options: Options, dir: &Path) -> Options {
        if self.command.is_none() {
            return options;
        }
        let (program, dir) = (self.clone(), dir.to_owned());
        options.on_published(move |published| program.run(&dir.join(&published.file)))
    }

    pub(crate) fn run(&self, path: &Path) {
        let Some((program, arguments, timeout)) = &self.command else { return };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Err(why) = run(program, arguments, &path, *timeout) {
            let failure = format!("{} failed after {} was written: {why}", program.display(), path.display());
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        }
    }

    /// Notes what went wrong.
    pub(crate) fn tell(&self, notes: &mut Notes) {
        for failure in self.failures.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            notes.add(failure);
        }
    }
}

fn run(
    program: &Path,
    arguments: &[OsString],
    path: &Path,
    timeout: Duration,
) -> std::result::Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).env_clear().stdin(Stdio::null());
    // What it prints is not this command's data.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    match child.wait_timeout(timeout).map_err(|e| e.to_string())? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(status.to_string()),
        None => {
            let stopped = child.kill().and_then(|()| child.wait().map(drop));
            let stopped = stopped.err().map_or(String::new(), |e| format!(", and it cannot be stopped: {e}"));
            Err(format!("it was not done within {timeout:?}{stopped}"))
        }
    }
}
