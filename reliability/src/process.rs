//! Running another program to its end, or to the end of our patience.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wait_timeout::ChildExt;

/// Nothing that is run here takes a tenth of this: whoever takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program that ended.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` without input.
///
/// # Errors
/// When it cannot be started, or is not done in time.
pub fn run(command: &mut Command) -> Result<Finished> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let Some(status) = child.wait_timeout(PATIENCE)? else {
        child.kill()?;
        child.wait()?;
        bail!("{command:?} hangs: not done after {PATIENCE:?}");
    };
    Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Runs a tool that has to succeed.
///
/// # Errors
/// When it does not; with what it said.
pub fn succeed(command: &mut Command) -> Result<String> {
    let Finished { status, stdout, stderr } = run(command)?;
    if !status.success() {
        bail!("{command:?}: {status}: {}", stderr.trim());
    }
    Ok(stdout)
}

/// Reads a pipe to its end beside whatever else goes on.
pub fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks has given what it had.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// What [`collect`] read.
pub fn text(pipe: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&pipe.join().unwrap_or_default()).into_owned()
}
