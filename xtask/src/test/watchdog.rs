//! An end to steps that hang, so that it is known where.

use std::process::{self, Command};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Several times what the longest step takes on two processors.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Ends the whole command, after a list of what runs, unless it is dropped within the limit.
pub struct Watchdog(#[expect(dead_code, reason = "dropping it is the message")] Sender<()>);

impl Watchdog {
    pub fn over(step: &'static str) -> Self {
        let (alive, watched) = mpsc::channel::<()>();
        thread::spawn(move || {
            if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let minutes = LIMIT.as_secs() / 60;
                println!("\n{step}: FAILED, for it did not end within {minutes} minutes. What runs:");
                let running = running().unwrap_or_else(|error| format!("unknown: {error}\n"));
                print!("{running}");
                // What the step has started does not end with this process by itself.
                let started = descendants(&running, process::id());
                let _ = Command::new("kill").args(started.iter().map(u32::to_string)).status();
                process::exit(1);
            }
        });
        Self(alive)
    }
}

/// A line for each process, which begins with its number and its parent's.
fn running() -> std::io::Result<String> {
    let output = Command::new("ps").args(["-e", "-o", "pid,ppid,stat,etime,args"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All that `ancestor` started, and what these started.
fn descendants(running: &str, ancestor: u32) -> Vec<u32> {
    let pairs: Vec<(u32, u32)> = running
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(pairs.iter().filter(|(_, its)| *its == parent).map(|(child, _)| child));
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn descendants_are_found_at_any_depth() {
        let running = "PID PPID STAT\n  1 0 Ss init\n 20 1 S us\n 31 20 S one\n 30 31 D its\n 40 1 S other\n";
        assert_eq!(super::descendants(running, 20), [31, 30]);
        assert!(super::descendants("", 20).is_empty());
    }
}
