//! Runs the real `pumice` command. Guards its contract with scripts: what goes to which stream, the exit codes, one
//! line per failure, and that nothing acknowledged is lost when it is killed.

#![cfg(feature = "cli")]

mod beside;
mod damage;
mod damage_anywhere;
mod documents;
mod encrypted;
mod load;
mod load_documents;
mod moltendb;
mod past;
mod refusals;
mod repair;
mod restore;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A place for databases, gone with the test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as an argument.
    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Asserts success without a word on stderr, and returns stdout.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// Asserts exit code 1 with nothing said.
    #[track_caller]
    fn missing(&self) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (Some(1), "", ""));
    }

    /// Asserts exit code 2 with exactly one line on stderr, which holds `part`.
    #[track_caller]
    fn fails(&self, part: &str) {
        assert_eq!(self.code, Some(2), "{self:?}");
        let line = self.err.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {self:?}"));
        assert!(line.starts_with("pumice: ") && !line.contains('\n'), "{self:?}");
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pumice"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> Ran {
    run_with(args, b"")
}

fn run_with(args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    let feeder = std::thread::spawn(move || {
        // A command that fails early does not read everything.
        let _ = pipe.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything under a directory: relative paths with their bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), Vec::new());
                todo.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Line `n` of a made-up input for `load`.
fn entry(n: usize) -> String {
    format!(
        "{{\"collection\":\"users\",\"key\":\"u{n:06}\",\"value\":{{\"n\":{n},\"text\":\"{}\"}}}}\n",
        "x".repeat(200)
    )
}

/// The newest segment of the database in `dir`.
fn last_segment(dir: &Path) -> PathBuf {
    let logs = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    logs.filter(|p| p.extension().is_some_and(|e| e == "log")).max().unwrap()
}

#[test]
fn help_is_no_failure_and_every_command_has_one() {
    let help = run(&["--help"]).ok();
    for name in [
        "put", "get", "del", "drop", "scan", "load", "stats", "verify", "compact", "log", "restore",
        "import", "export", "rekey",
    ] {
        assert!(help.contains(&format!("\n  {name} ")), "{name}: {help}");
        let own = run(&[name, "--help"]).ok();
        assert!(own.contains("Example"), "{own}");
    }
    assert_eq!(run(&["--version"]).ok(), format!("pumice {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_exit_2() {
    for args in [
        &["frobnicate"][..],
        &["get", "db", "c"],
        &["scan", "db", "--prefix", "a"],
        &["scan", "db", "--reverse"],
        &["scan", "db", "c", "--limit", "x"],
        &["load", "db", "--collection", "c"],
        &["load", "db", "--key", "id"],
        &["load", "db", "--batch", "0"],
        &["load", "db", "--durability", "never"],
        &["import", "log", "db"],
        &["import", "moltendb", "log"],
        &["export", "moltendb", "db"],
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(!ran.err.is_empty());
    }
}
