//! Locks, threads and the clock of deadlines, chosen in this one place.
//!
//! They are the standard library's. Compiled with `--cfg shuttle` they are those of the model checker shuttle, which
//! decides at each of them who goes on, so that `tests/interleavings.rs` can go through the orders of events.

#[cfg(shuttle)]
mod model;
#[cfg(shuttle)]
pub use model::set_deadlines;
#[cfg(shuttle)]
pub(crate) use model::{now, wait_while};
#[cfg(shuttle)]
pub(crate) use shuttle::{sync::*, thread};

#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(not(shuttle))]
#[allow(unused_imports, dead_code)] // A browser has no threads, and nothing that waits for them.
mod real {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic};
    pub(crate) use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use std::thread;
    use std::time::Duration;

    #[allow(clippy::disallowed_methods)] // Deadlines are real time; no recorded byte depends on it.
    pub(crate) fn now() -> web_time::Instant {
        web_time::Instant::now()
    }

    /// Locks `lock` and waits on `changed` while `condition` holds of what is in it, for `timeout` at most.
    pub(crate) fn wait_while<'a, T>(
        lock: &'a Mutex<T>,
        changed: &Condvar,
        timeout: Option<Duration>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        match timeout {
            None => changed.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = changed.wait_timeout_while(guard, timeout, condition);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
