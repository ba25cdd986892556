//! An end to steps that hang, so that it is known where.

use super::processes;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Twice what the longest step takes on two processors beside others.
const LIMIT: Duration = Duration::from_secs(50 * 60);

/// Ends the whole command, after a list of what runs, unless it is dropped within the limit.
pub struct Watchdog(#[expect(dead_code, reason = "dropping it is the message")] Sender<()>);

impl Watchdog {
    pub fn over(step: &'static str) -> Self {
        let (alive, watched) = mpsc::channel::<()>();
        thread::spawn(move || {
            if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let minutes = LIMIT.as_secs() / 60;
                println!("\n{step}: FAILED, for it did not end within {minutes} minutes. What runs:");
                print!("{}", processes::running().unwrap_or_else(|error| format!("unknown: {error}\n")));
                processes::end_descendants();
                process::exit(1);
            }
        });
        Self(alive)
    }
}
