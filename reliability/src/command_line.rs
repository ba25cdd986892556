//! The `pumice` command as a user runs it, and a `load` that is fed a batch at a time.

use crate::process::{self, Finished, PATIENCE};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// A compaction of a test takes a tenth of this.
const COMPACTION: Duration = Duration::from_millis(700);

/// The `pumice` binary.
#[derive(Clone)]
pub struct Pumice(PathBuf);

impl Pumice {
    /// # Errors
    /// When there is no such file.
    pub fn new(binary: &Path) -> Result<Self> {
        let binary = binary.canonicalize().with_context(|| {
            format!(
                "no pumice binary at {}; `cargo build --release --bin pumice --all-features` makes one",
                binary.display()
            )
        })?;
        Ok(Self(binary))
    }

    pub fn command(&self, name: &str, db: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(name).arg(db).args(args);
        command
    }

    pub fn with_args(&self, args: &[String]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(args);
        command
    }

    /// # Errors
    /// When the command does not exit with 0.
    pub fn run(&self, name: &str, db: &Path, args: &[&str]) -> Result<String> {
        process::succeed(&mut self.command(name, db, args))
    }

    /// What a scan prints: nothing where there is no database yet.
    ///
    /// # Errors
    /// When the scan fails.
    pub fn scan(&self, db: &Path) -> Result<String> {
        if !db.exists() {
            return Ok(String::new());
        }
        let Finished { status, stdout, stderr } = process::run(&mut self.command("scan", db, &[]))?;
        let missing = status.code() == Some(2) && stderr.contains("no database") && stdout.is_empty();
        ensure!(status.success() || missing, "scan: {status}: {}", stderr.trim());
        Ok(stdout)
    }
}

/// A load that ended, in whatever way.
pub struct Loaded {
    /// Batches that were acknowledged, by the last number that came out.
    pub acknowledged: usize,
    pub status: ExitStatus,
    pub stderr: String,
}

/// A running `load - --acks`, under strace or not.
pub struct Load<'a> {
    child: Child,
    acknowledgements: Receiver<String>,
    stderr: thread::JoinHandle<Vec<u8>>,
    batches: &'a [String],
    lines_each: usize,
    sent: usize,
    acknowledged: usize,
    ended: bool,
}

impl<'a> Load<'a> {
    /// Starts `command`, to be fed `batches` of `lines_each` lines.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, batches: &'a [String], lines_each: usize) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("the load has no stdout")?;
        let stderr = process::collect(child.stderr.take());
        let (sender, acknowledgements) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
        });
        let (sent, acknowledged, ended) = (0, 0, false);
        Ok(Self { child, acknowledgements, stderr, batches, lines_each, sent, acknowledged, ended })
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends batches up to number `until`, each when the one before is acknowledged or after `pause`.
    ///
    /// # Errors
    /// When something is acknowledged that was not sent.
    pub fn feed(&mut self, until: usize, pause: Duration) -> Result<()> {
        while self.sent < until && !self.ended {
            let Some(batch) = self.batches.get(self.sent) else { return Ok(()) };
            let stdin = self.child.stdin.as_mut().context("the load has no stdin")?;
            self.sent += 1;
            // Half a batch may have arrived: it counts as sent.
            if stdin.write_all(batch.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                self.ended = true;
                return Ok(());
            }
            self.wait_for(self.sent, pause)?;
        }
        Ok(())
    }

    /// Reads acknowledgements until there are so many, the load ends, or nothing comes for `pause`.
    fn wait_for(&mut self, batches: usize, pause: Duration) -> Result<()> {
        while self.acknowledged < batches && !self.ended {
            match self.acknowledgements.recv_timeout(pause) {
                Ok(line) => self.note(&line)?,
                Err(RecvTimeoutError::Disconnected) => self.ended = true,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
            }
        }
        Ok(())
    }

    fn note(&mut self, line: &str) -> Result<()> {
        let lines: usize = line.parse().with_context(|| format!("`load --acks` printed {line:?}"))?;
        let batches = lines / self.lines_each;
        ensure!(
            lines.is_multiple_of(self.lines_each),
            "{lines} lines are acknowledged, which is no whole batch"
        );
        ensure!(batches <= self.sent, "{batches} batches are acknowledged, and {} were sent", self.sent);
        ensure!(
            batches >= self.acknowledged,
            "{batches} batches are acknowledged after {}",
            self.acknowledged
        );
        self.acknowledged = batches;
        Ok(())
    }

    /// Waits a while for a file of the database to go, as long as the load lives.
    ///
    /// # Errors
    /// When it acknowledges what was not sent.
    pub fn wait_until_gone(&mut self, file: &Path) -> Result<()> {
        let start = Instant::now();
        while file.exists() && start.elapsed() < COMPACTION {
            match self.acknowledgements.recv_timeout(Duration::from_millis(2)) {
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(line) => self.note(&line)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    /// Kills it where it stands.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends the input and waits for the load to end.
    ///
    /// # Errors
    /// When it hangs, or acknowledges what was not sent.
    pub fn finish(mut self) -> Result<Loaded> {
        drop(self.child.stdin.take());
        let Some(status) = self.child.wait_timeout(PATIENCE)? else {
            self.child.kill()?;
            self.child.wait()?;
            bail!("the load hangs: not done {PATIENCE:?} after its input ended");
        };
        while let Ok(line) = self.acknowledgements.recv_timeout(PATIENCE) {
            self.note(&line)?;
        }
        Ok(Loaded { acknowledged: self.acknowledged, status, stderr: process::text(self.stderr) })
    }
}
