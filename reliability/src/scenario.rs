//! What the command line is doing when the fault comes, and what must be there afterwards.

use crate::command_line::{Load, Loaded, Pumice};
use crate::files::{self, Tree};
use crate::process::{self, PATIENCE};
use crate::scratch::Scratch;
use crate::strace::{Injection, Recorded, Tracing};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// One command on one database, to be run from the same beginning again and again.
pub struct Scenario {
    pub name: &'static str,
    /// The database before.
    pub before: Tree,
    /// What a scan prints before.
    pub base: String,
    pub action: Action,
}

pub enum Action {
    /// `load - --acks`. The lines stand behind the base in a scan, and in this order.
    Load {
        batches: Vec<String>,
        lines_each: usize,
        /// Faults count only from here: strace is attached when so many batches are acknowledged.
        attach_after: Option<usize>,
        /// The input ends when this file is gone, or after a while.
        until_gone: Option<&'static str>,
    },
    /// A command with its arguments, and what a scan prints when it has succeeded.
    Command { name: &'static str, args: Vec<String>, after: String },
}

/// How a run ended.
pub struct Run {
    pub status: ExitStatus,
    pub stderr: String,
    acknowledged: usize,
}

impl Scenario {
    /// Lays the database out in `db`.
    ///
    /// # Errors
    /// The system's.
    pub fn lay_out(&self, db: &Path) -> Result<()> {
        if self.before.files.is_empty() { files::remove(db) } else { self.before.write(db) }
    }

    /// Runs without a fault and records the calls.
    ///
    /// # Errors
    /// When the run fails or leaves something wrong.
    pub fn record(&self, pumice: &Pumice, scratch: &Scratch) -> Result<Recorded> {
        let (db, log) = (scratch.join("db"), scratch.join("calls"));
        self.lay_out(&db)?;
        let run = self.run_under(pumice, &db, Tracing::Record(&log), PATIENCE)?;
        ensure!(run.status.success(), "{}: without a fault: {}: {}", self.name, run.status, run.stderr);
        self.check(pumice, &db, &run).with_context(|| format!("{}: without a fault", self.name))?;
        Recorded::read(&log, &db)
    }

    /// Runs from the beginning with the fault; `pause` is how long a load waits for an acknowledgement before it
    /// sends more.
    ///
    /// # Errors
    /// When the command hangs or acknowledges what was not sent.
    pub fn run(&self, pumice: &Pumice, db: &Path, fault: Injection, pause: Duration) -> Result<Run> {
        self.lay_out(db)?;
        self.run_under(pumice, db, Tracing::Inject(fault), pause)
    }

    fn run_under(&self, pumice: &Pumice, db: &Path, tracing: Tracing<'_>, pause: Duration) -> Result<Run> {
        match &self.action {
            Action::Command { name, args, .. } => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let ended = process::run(&mut tracing.around(&pumice.command(name, db, &args)))?;
                Ok(Run { status: ended.status, stderr: ended.stderr, acknowledged: 0 })
            }
            Action::Load { batches, lines_each, attach_after, until_gone } => {
                let program =
                    pumice.command("load", db, &["-", "--acks", "--batch", &lines_each.to_string()]);
                let Some(quiet) = attach_after else {
                    let mut load = Load::start(&mut tracing.around(&program), batches, *lines_each)?;
                    load.feed(batches.len(), pause)?;
                    if let Some(file) = until_gone {
                        load.wait_until_gone(&db.join(file))?;
                    }
                    return Ok(load.finish()?.into());
                };
                let mut load = Load::start(&mut { program }, batches, *lines_each)?;
                load.feed(*quiet, PATIENCE)?;
                let mut strace = tracing.attach(load.process())?;
                load.feed(batches.len(), pause)?;
                let loaded = load.finish()?;
                strace.wait()?;
                Ok(loaded.into())
            }
        }
    }

    /// Checks what is there after a run: sound, everything acknowledged, whole batches, right values; and that it
    /// takes a write.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self, pumice: &Pumice, db: &Path, run: &Run) -> Result<()> {
        let found = pumice.scan(db)?;
        if !found.is_empty() || !self.base.is_empty() {
            pumice.run("verify", db, &[])?;
        }
        match &self.action {
            Action::Load { batches, .. } => self.check_load(&found, batches, run)?,
            Action::Command { after, .. } if found == *after => {}
            Action::Command { .. } if run.status.success() => bail!("it succeeded and did nothing"),
            Action::Command { .. } => ensure!(found == self.base, "neither the old documents nor the new"),
        }
        pumice.run("put", db, &["zz", "a write after it", "true"])?;
        pumice.run("verify", db, &[])?;
        let line = "{\"collection\":\"zz\",\"key\":\"a write after it\",\"value\":true}\n";
        ensure!(pumice.scan(db)? == found + line, "a write after it changed more than it should");
        Ok(())
    }

    fn check_load(&self, found: &str, batches: &[String], run: &Run) -> Result<()> {
        let mut rest =
            found.strip_prefix(self.base.as_str()).context("older documents are not as they were")?;
        let mut there = 0;
        for batch in batches {
            let Some(behind) = rest.strip_prefix(batch.as_str()) else { break };
            rest = behind;
            there += 1;
        }
        ensure!(rest.is_empty(), "after {there} whole batches there is something else, or half of one");
        let needed = if run.status.success() { batches.len() } else { run.acknowledged };
        ensure!(there >= needed, "LOST: {needed} batches were acknowledged, {there} are there");
        Ok(())
    }
}

impl From<Loaded> for Run {
    fn from(loaded: Loaded) -> Self {
        Self { status: loaded.status, stderr: loaded.stderr, acknowledged: loaded.acknowledged }
    }
}
