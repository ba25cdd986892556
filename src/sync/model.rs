//! Time, as the model checker sees it.
//!
//! A wait with a deadline may end at any moment: its thread just lets the others go on, and how long it is away is the
//! scheduler's choice. When it comes back and nobody has notified it, its time is up, and the clock has moved by that
//! much. Nothing else moves the clock, so a schedule can be replayed.
//!
//! That would hide whoever waits for a wake-up that never comes, until some deadline happens to help. So a test can
//! also have no deadline ever come: then everything has to go on without, or shuttle reports a deadlock.

use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use shuttle::thread;
use std::cell::Cell;
use std::time::Duration;
use web_time::Instant;

// Shuttle runs all threads of a model on one thread of the system.
thread_local! {
    static DEADLINES_COME: Cell<bool> = const { Cell::new(true) };
    static BEGINNING: Instant = beginning();
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

#[allow(clippy::disallowed_methods)] // Only differences are looked at.
fn beginning() -> Instant {
    Instant::now()
}

/// Whether deadlines come in the tests that this thread runs from now on.
pub fn set_deadlines(come: bool) {
    DEADLINES_COME.set(come);
}

pub(crate) fn now() -> Instant {
    BEGINNING.with(|beginning| *beginning + PASSED.get())
}

pub(crate) fn wait_while<'a, T>(
    lock: &'a Mutex<T>,
    changed: &Condvar,
    timeout: Option<Duration>,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(timeout) = timeout.filter(|_| DEADLINES_COME.get()) else {
        return changed.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner);
    };
    if condition(&mut guard) {
        drop(guard);
        thread::yield_now();
        guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if condition(&mut guard) {
            PASSED.set(PASSED.get() + timeout);
        }
    }
    guard
}
