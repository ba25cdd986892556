//! Faults at a chosen system call of another program, by strace.
//!
//! strace counts the calls of each thread and of each kind by itself. A kill at call `n` of one kind comes when the
//! first of the threads gets there. Where every thread's first calls matter, strace can be attached to a program that
//! waits, and then counts from there.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The calls that change files, sync them or open them.
pub const CALLS: &[&str] = &[
    "openat",
    "write",
    "writev",
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "mkdir",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    /// This call fails with the error of that name.
    Once(&'static str),
    /// This call and all of its kind after it fail.
    FromThenOn(&'static str),
}

/// A fault at call number `index`, from 1 on, of the kind `call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    pub call: &'static str,
    pub index: u32,
    pub fault: Fault,
}

/// What strace is to do with a program.
#[derive(Clone, Copy)]
pub enum Tracing<'a> {
    /// Write down the calls, into this file.
    Record(&'a Path),
    /// Write down these calls with all their bytes, which stand there in hexadecimal.
    Everything {
        calls: &'a [&'a str],
        log: &'a Path,
    },
    Inject(Injection),
}

impl Tracing<'_> {
    /// strace around `program`, from its start.
    pub fn around(self, program: &Command) -> Command {
        let mut command = self.strace();
        command.arg("-qqq");
        // Only calls that are traced stop the program, which is several times as fast. It keeps signals from being
        // injected.
        if !matches!(self, Self::Inject(Injection { fault: Fault::Kill, .. })) {
            command.arg("--seccomp-bpf");
        }
        command.arg(program.get_program()).args(program.get_args());
        command
    }

    /// Attaches to all threads of a process, and returns when their calls count.
    ///
    /// # Errors
    /// When strace cannot.
    pub fn attach(self, process: u32) -> Result<Child> {
        let mut command = self.strace();
        command.args(["-p", &process.to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start strace")?;
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().context("strace has no stderr")?);
        stderr.read_line(&mut said)?;
        ensure!(said.contains("attached"), "strace cannot attach to process {process}: {said}");
        // It may have more to say, and must not wait for a reader.
        child.stderr = Some(stderr.into_inner());
        Ok(child)
    }

    fn strace(self) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "signal=none"]);
        match self {
            Self::Record(log) => {
                command.args(["-y", "-e", &format!("trace={}", CALLS.join(","))]).arg("-o").arg(log);
            }
            Self::Everything { calls, log } => {
                // More than anything here writes at once.
                command.args(["-y", "-xx", "-s", "16777216", "-e", &format!("trace={}", calls.join(","))]);
                command.arg("-o").arg(log);
            }
            Self::Inject(Injection { call, index, fault }) => {
                let what = match fault {
                    Fault::Kill => format!("signal=SIGKILL:when={index}"),
                    Fault::Once(error) => format!("error={error}:when={index}"),
                    Fault::FromThenOn(error) => format!("error={error}:when={index}+"),
                };
                command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{what}")]);
                command.args(["-o", "/dev/null"]);
            }
        }
        command
    }
}

/// Where faults make sense, as the record of a run shows it.
#[derive(Debug, Default)]
pub struct Recorded {
    /// For each kind of call the first and the last number.
    pub reach: BTreeMap<&'static str, (u32, u32)>,
    /// All calls from the first that concerned the database on.
    pub calls: u32,
}

impl Recorded {
    /// Reads what [`Tracing::Record`] wrote down. What the program did before it touched the directory `dir` does not count.
    ///
    /// # Errors
    /// When the log is missing or shows nothing of that directory.
    pub fn read(log: &Path, dir: &Path) -> Result<Self> {
        let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
        let dir = dir.to_str().context("the directory's name is not UTF-8")?;
        let mut counts: BTreeMap<(&str, &'static str), u32> = BTreeMap::new();
        let mut recorded = Self::default();
        let mut first = BTreeMap::new();
        let mut concerned = false;
        for line in text.lines().filter(|line| !line.contains(" resumed>")) {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let name = rest.trim_start().split('(').next().unwrap_or_default();
            let Some(call) = CALLS.iter().find(|call| **call == name) else { continue };
            if !concerned && line.contains(dir) {
                concerned = true;
                first = counts.iter().map(|((_, call), count)| (*call, *count)).collect();
            }
            let count = counts.entry((thread, call)).or_default();
            *count += 1;
            if concerned {
                recorded.calls += 1;
                let last = *count;
                let begin = first.get(call).map_or(1, |before| before + 1);
                let reach = recorded.reach.entry(call).or_insert((begin, last));
                reach.1 = reach.1.max(last);
            }
        }
        ensure!(concerned, "no call of the program concerns {dir}");
        Ok(recorded)
    }

    /// Every kind and number of call, with the fault.
    pub fn injections(&self, fault: Fault) -> Vec<Injection> {
        let each = |(call, (first, last)): (&&'static str, &(u32, u32))| {
            let call = *call;
            (*first..=*last).map(move |index| Injection { call, index, fault }).collect::<Vec<_>>()
        };
        self.reach.iter().flat_map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Recorded};
    use std::path::Path;

    #[test]
    fn counts_calls_by_thread_and_kind_from_the_first_that_concerns_the_database() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let text = "\
7 openat(AT_FDCWD</>, \"/etc/ld.so.cache\", O_RDONLY) = 3
7 openat(AT_FDCWD</>, \"/t/db/1.log\", O_RDWR) = 3
7 pwrite64(3</t/db/1.log>, \"x\", 1, 0) = 1
8 fdatasync(3</t/db/1.log> <unfinished ...>
7 write(1<pipe:[1]>, \"1\\n\", 2) = 2
8 <... fdatasync resumed>) = 0
8 pwrite64(3</t/db/1.log>, \"x\", 1, 1) = 1
8 pwrite64(3</t/db/1.log>, \"x\", 1, 2) = 1
";
        std::fs::write(log.path(), text).unwrap();
        let recorded = Recorded::read(log.path(), Path::new("/t/db")).unwrap();
        assert_eq!(recorded.calls, 6);
        let reach = [("fdatasync", (1, 1)), ("openat", (2, 2)), ("pwrite64", (1, 2)), ("write", (1, 1))];
        assert_eq!(recorded.reach, reach.into());
        assert_eq!(recorded.injections(Fault::Kill).len(), 5);
    }
}
