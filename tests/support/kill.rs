//! Child processes of a test program that are killed with SIGKILL in the midst of their work.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Set in a child: the directory to work on.
pub const DIR: &str = "PUMICE_TEST_KILL_DIR";
/// Set in a child: what tells its work from that of other rounds.
pub const ROUND: &str = "PUMICE_TEST_KILL_ROUND";

/// Runs the test `name` of this program as a child, kills it `after` its first line of output, and returns what it
/// had said: the lines that begin with `ack `, without that.
pub fn run_and_kill(name: &str, dir: &Path, round: &str, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(ROUND, round)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child process");
    let output = child.stdout.take().expect("a pipe");
    let (first, began) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            // The test harness writes its own words in front of the first one.
            if let Some(at) = line.find("ack ") {
                said.push(line[at + 4..].to_owned());
                let _ = first.send(());
            }
        }
        said
    });
    let began = began.recv_timeout(Duration::from_secs(60));
    if began.is_ok() {
        thread::sleep(after);
    }
    let early = child.try_wait().expect("its state");
    child.kill().expect("a kill");
    child.wait().expect("its end");
    let said = reader.join().expect("its words");
    assert!(began.is_ok(), "the child said nothing");
    assert!(early.is_none(), "the child ended by itself: {early:?}");
    said
}

/// Says, durably for a reader of the pipe, that something was acknowledged.
pub fn acknowledge(what: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // One call, so that a kill never leaves half a line that another thread continues.
    let _ = out.write_all(format!("ack {what}\n").as_bytes());
    let _ = out.flush();
}
