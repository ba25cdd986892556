//! What runs on this machine, and who started it.

use std::process::{self, Command};

/// A line for each process, which begins with its number and its parent's.
///
/// # Errors
/// Where `ps` does not run.
pub fn running() -> std::io::Result<String> {
    let output = Command::new("ps").args(["-e", "-o", "pid,ppid,stat,etime,args"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Ends all that this process has started: that does not end with it by itself.
pub fn end_descendants() {
    end(&descendants(&running().unwrap_or_default(), process::id()));
}

/// Ends the process and all that it has started.
pub fn end_with_descendants(ancestor: u32) {
    let mut all = descendants(&running().unwrap_or_default(), ancestor);
    all.push(ancestor);
    end(&all);
}

fn end(processes: &[u32]) {
    // One that has ended meanwhile is an error of no account.
    let _ = Command::new("kill").args(processes.iter().map(u32::to_string)).status();
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
