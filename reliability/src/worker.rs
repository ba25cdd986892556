//! The process that is killed, and the one that looks at what it left behind.

use crate::engine::{Engine, Kind};
use crate::process;
use crate::workload::{self, Model};
use anyhow::{Context, Result};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use wait_timeout::ChildExt;

/// In the worker's process: carries out the operations from `from` up to `to`, and acknowledges each on stdout, as the
/// number of operations that are durable.
///
/// # Errors
/// The engine's, and when nobody reads the acknowledgements any more.
pub fn work(kind: Kind, dir: &Path, from: u64, to: u64) -> Result<()> {
    let mut engine = kind.open(dir)?;
    let mut out = io::stdout().lock();
    for n in from..to {
        workload::operation(n).write(engine.as_mut())?;
        writeln!(out, "{}", n + 1)?;
        out.flush()?;
    }
    engine.close()
}

/// A running worker, and what it has acknowledged so far.
pub struct Worker {
    child: Child,
    acknowledged: Arc<AtomicU64>,
    reader: JoinHandle<()>,
    stderr: JoinHandle<Vec<u8>>,
}

/// How a worker ended.
pub struct Ended {
    /// The highest acknowledgement that came out at all.
    pub acknowledged: u64,
    pub killed: bool,
    pub stderr: String,
}

impl Worker {
    /// Starts `command`, a worker that begins at operation `from`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, from: u64) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("the worker has no stdout")?;
        let stderr = process::collect(child.stderr.take());
        let acknowledged = Arc::new(AtomicU64::new(from));
        let highest = Arc::clone(&acknowledged);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(count) = line.parse() {
                    highest.fetch_max(count, Ordering::SeqCst);
                }
            }
        });
        Ok(Self { child, acknowledged, reader, stderr })
    }

    /// What was acknowledged, and read, by now.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Kills it.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        self.wait()
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it hangs.
    pub fn wait(mut self) -> Result<Ended> {
        let status = self.child.wait_timeout(process::PATIENCE)?;
        if status.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        let status = status.context("the worker hangs")?;
        self.reader.join().ok().context("the thread that reads acknowledgements panicked")?;
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        Ok(Ended { acknowledged, killed: status.code().is_none(), stderr: process::text(self.stderr) })
    }
}

/// What became of a database, compared with what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything acknowledged is there; so many operations in all, and one more was written.
    Intact(u64),
    /// Everything is there and takes writes, but the engine's own check complains.
    Unsound(String),
    /// The documents are as they were before the last so many acknowledged operations.
    Lost(u64),
    /// The documents are such as they never were: half of a batch, or a hole in what was written.
    Wrong(String),
    /// It does not open, cannot be read, or takes no write.
    Refused(String),
    /// Opening it ended the process, or hangs.
    Crashed(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact(operations) => write!(f, "intact {operations}"),
            Self::Unsound(why) => write!(f, "unsound {}", one_line(why)),
            Self::Lost(operations) => write!(f, "lost {operations}"),
            Self::Wrong(why) => write!(f, "wrong {}", one_line(why)),
            Self::Refused(why) => write!(f, "refused {}", one_line(why)),
            Self::Crashed(why) => write!(f, "crashed {}", one_line(why)),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Verdict {
    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.trim().split_once(' ')?;
        Some(match word {
            "intact" => Self::Intact(rest.parse().ok()?),
            "unsound" => Self::Unsound(rest.to_owned()),
            "lost" => Self::Lost(rest.parse().ok()?),
            "wrong" => Self::Wrong(rest.to_owned()),
            "refused" => Self::Refused(rest.to_owned()),
            "crashed" => Self::Crashed(rest.to_owned()),
            _ => return None,
        })
    }
}

/// In a process of its own: opens the database and compares. `acknowledged` operations must be there, and at most
/// `issued` can be. Writes one more operation, opens again, and compares again.
pub fn judge(kind: Kind, dir: &Path, acknowledged: u64, issued: u64) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| look(kind, dir, acknowledged, issued))) {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => Verdict::Refused(format!("{error:#}")),
        Err(_) => Verdict::Crashed("panicked".to_owned()),
    }
}

fn look(kind: Kind, dir: &Path, acknowledged: u64, issued: u64) -> Result<Verdict> {
    let mut engine = kind.open(dir)?;
    let found = engine.read_all()?;
    let Some(there) = Model::find(&found, issued) else {
        return Ok(Verdict::Wrong(describe(&found, acknowledged)));
    };
    if there < acknowledged {
        return Ok(Verdict::Lost(acknowledged - there));
    }
    workload::operation(there).write(engine.as_mut()).context("takes no write")?;
    engine.close()?;
    let mut engine = kind.open(dir).context("does not open after a write")?;
    let model = Model::after(there + 1);
    if engine.read_all()? != model.documents {
        return Ok(Verdict::Wrong("a write after reopening changed more than it should".to_owned()));
    }
    if let Err(complaint) = engine.check() {
        return Ok(Verdict::Unsound(format!("{complaint:#}")));
    }
    engine.close()?;
    Ok(Verdict::Intact(there + 1))
}

fn describe(found: &crate::engine::Documents, acknowledged: u64) -> String {
    let model = Model::after(acknowledged);
    let differs = model.documents.iter().find(|(key, document)| found.get(*key) != Some(document));
    let key = differs.map_or("none", |(key, _)| key);
    format!("{} documents and not {}; the first that differs is {key}", found.len(), model.documents.len())
}

/// Has a fresh process judge.
///
/// # Errors
/// When that process cannot be started.
pub fn judge_apart(kind: Kind, dir: &Path, acknowledged: u64, issued: u64) -> Result<Verdict> {
    let mut command = this_program()?;
    command.args(["judge", kind.name()]).arg(dir).args([acknowledged.to_string(), issued.to_string()]);
    let finished = match process::run(&mut command) {
        Ok(finished) => finished,
        Err(error) => return Ok(Verdict::Crashed(format!("{error:#}"))),
    };
    let verdict = finished.stdout.lines().last().and_then(Verdict::parse);
    let crashed = || Verdict::Crashed(format!("{}: {}", finished.status, finished.stderr));
    Ok(verdict.unwrap_or_else(crashed))
}

/// The command of a worker.
///
/// # Errors
/// When the system does not tell where this program is.
pub fn command(kind: Kind, dir: &Path, from: u64, to: u64) -> Result<Command> {
    let mut command = this_program()?;
    command.args(["work", kind.name()]).arg(dir).args([from.to_string(), to.to_string()]);
    Ok(command)
}

/// A command that runs this program again.
///
/// # Errors
/// When the system does not tell where it is.
pub fn this_program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("where is this program?")?))
}

/// Writes a closed store of so many operations.
///
/// # Errors
/// The engine's.
pub fn build(kind: Kind, dir: &Path, operations: u64) -> Result<()> {
    let mut engine: Box<dyn Engine> = kind.open(dir)?;
    for n in 0..operations {
        workload::operation(n).write(engine.as_mut())?;
    }
    engine.close()
}
