//! A line of those who want to write: whoever took a place first gets its turn first, however its future is polled.

use crate::sync::{Mutex, MutexGuard, PoisonError};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The line. The one in front has the turn.
#[derive(Default)]
pub(crate) struct Order(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    /// By number.
    places: VecDeque<(u64, Option<Waker>)>,
}

/// A place in the line, given up when dropped.
pub(crate) struct Place {
    order: Arc<Order>,
    number: u64,
}

impl Order {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the last place, at once.
    pub(crate) fn join(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.places.push_back((number, None));
        Place { order: Arc::clone(self), number }
    }
}

impl State {
    fn find(&self, number: u64) -> Option<usize> {
        self.places.binary_search_by_key(&number, |(there, _)| *there).ok()
    }
}

impl Place {
    /// Waits until everyone in front is gone.
    pub(crate) fn turn(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            let mut state = self.order.state();
            match state.find(self.number) {
                Some(behind @ 1..) => {
                    state.places[behind].1 = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.order.state();
            if let Some(at) = state.find(self.number) {
                state.places.remove(at);
            }
            state.places.front_mut().and_then(|(_, waker)| waker.take())
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }
}
