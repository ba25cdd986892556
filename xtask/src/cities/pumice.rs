//! The `pumice` command, run on one database.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a load may be silent before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Pumice {
    binary: PathBuf,
    db: PathBuf,
}

/// A command that ended.
pub struct Run {
    pub stdout: String,
    /// What it had to say on stderr, such as what recovery found.
    pub note: String,
    pub seconds: f64,
}

impl Pumice {
    pub fn new(binary: PathBuf, db: PathBuf) -> Self {
        Self { binary, db }
    }

    /// # Errors
    /// When the command exits with anything but 0.
    pub fn run(&self, name: &str, args: &[&str]) -> Result<Run> {
        let (run, status) = self.run_to_any_end(name, args)?;
        ensure!(status.success(), "`pumice {name} {}`: {status}: {}", args.join(" "), run.note);
        Ok(run)
    }

    /// # Errors
    /// When the command cannot be started.
    pub fn run_to_any_end(&self, name: &str, args: &[&str]) -> Result<(Run, ExitStatus)> {
        let start = Instant::now();
        let output = self.command(name, args).output().with_context(|| self.binary.display().to_string())?;
        let seconds = start.elapsed().as_secs_f64();
        let note = String::from_utf8(output.stderr)?.trim().replace('\n', "; ");
        Ok((Run { stdout: String::from_utf8(output.stdout)?, note, seconds }, output.status))
    }

    /// Feeds `lines` to a load and kills it when it has acknowledged `enough` of them. The last `held_back` lines are
    /// never sent, so that the load cannot have ended before. Returns the highest acknowledgement that came out.
    pub fn killed_load(&self, lines: &[u8], enough: usize, held_back: usize) -> Result<(Run, usize)> {
        let start = Instant::now();
        let mut child = self
            .command("load", &["-", "--acks"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| self.binary.display().to_string())?;
        let mut stdin = child.stdin.take().context("the load has no stdin")?;
        let stdout = child.stdout.take().context("the load has no stdout")?;
        let sent: Vec<u8> = {
            let all: Vec<_> = lines.split_inclusive(|&byte| byte == b'\n').collect();
            all[..all.len().saturating_sub(held_back)].concat()
        };
        // The pipe breaks when the load dies, which is the point. Until then the thread's result keeps it open.
        let feeder = thread::spawn(move || {
            let _ = stdin.write_all(&sent);
            stdin
        });
        let (sender, acknowledgements) = mpsc::channel();
        thread::spawn(move || BufReader::new(stdout).lines().try_for_each(|line| sender.send(line).ok()));

        let acknowledged = kill_after(&mut child, &acknowledgements, enough);
        let _ = child.kill();
        child.wait()?;
        drop(feeder.join());
        let note = "killed in the middle".to_owned();
        Ok((Run { stdout: String::new(), note, seconds: start.elapsed().as_secs_f64() }, acknowledged?))
    }

    /// The size of all files of the database.
    pub fn bytes(&self) -> Result<u64> {
        size(&self.db).with_context(|| self.db.display().to_string())
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(name).arg(&self.db).args(args);
        command
    }
}

fn kill_after(
    child: &mut Child,
    acknowledgements: &Receiver<io::Result<String>>,
    enough: usize,
) -> Result<usize> {
    let mut highest = 0;
    let mut killed = false;
    loop {
        match acknowledgements.recv_timeout(PATIENCE) {
            Ok(line) => {
                let line = line?;
                let count = line.trim().parse().with_context(|| format!("`load --acks` printed {line:?}"))?;
                highest = highest.max(count);
            }
            Err(RecvTimeoutError::Disconnected) if killed => return Ok(highest),
            Err(RecvTimeoutError::Disconnected) => bail!("the load ended by itself at {highest} documents"),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the load acknowledged nothing more after {highest} documents")
            }
        }
        if highest >= enough && !killed {
            child.kill()?;
            killed = true;
        }
    }
}

fn size(path: &Path) -> io::Result<u64> {
    if path.is_dir() {
        fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
    } else {
        Ok(fs::metadata(path)?.len())
    }
}
