//! Turns a hang into a failure.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs `work` on a thread of its own and panics when it takes longer than `limit`. The thread is then left behind.
///
/// # Panics
/// When `work` does, or is not done in time.
pub fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = channel();
    let worker = thread::Builder::new().name(what.to_owned());
    let worker = worker.spawn(move || drop(done.send(work()))).expect("a thread");
    match result.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("{what} hangs: not done after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(()) => unreachable!("the worker ended without a result"),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}
