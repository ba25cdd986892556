//! A lock that may be held while waiting for something else, on any executor.

use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[derive(Default)]
pub(in crate::storage) struct Turn(Mutex<State>);

#[derive(Default)]
struct State {
    taken: bool,
    waiting: Vec<Waker>,
}

/// Gives the turn back when dropped.
pub(in crate::storage) struct Taken<'a>(&'a Turn);

impl Turn {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody has the turn, and takes it.
    pub(in crate::storage) fn take(&self) -> impl Future<Output = Taken<'_>> {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.taken {
                state.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            state.taken = true;
            Poll::Ready(Taken(self))
        })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.taken = false;
        // All of them: one alone may have lost its interest. They are few.
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }
}
