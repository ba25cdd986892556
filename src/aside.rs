//! Long work on a task of its own, for callers whose futures may be dropped before it is done.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::platform::{self, MaybeSend};
use crate::sync::{Mutex, PoisonError};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Does the work that `start` begins, whatever becomes of the caller, and waits for its end.
///
/// # Errors
/// Those of the work, and when the system has no task for it.
pub(crate) async fn run<F, Fut>(name: &str, start: F) -> Result<()>
where
    F: FnOnce() -> Fut + MaybeSend + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let outcome = Arc::new(Outcome::default());
    let teller = Teller(Arc::clone(&outcome));
    platform::spawn(name, move || async move { teller.tell(start().await) })?;
    poll_fn(|cx| outcome.poll(cx)).await
}

/// How the work ended, for the one who asked for it.
#[derive(Default)]
struct Outcome(Mutex<(Option<Result<()>>, Option<Waker>)>);

impl Outcome {
    fn poll(&self, cx: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = state.0.take() {
            return Poll::Ready(result);
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Tells the outcome whatever happens.
struct Teller(Arc<Outcome>);

impl Teller {
    fn tell(&self, result: Result<()>) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.get_or_insert(result);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell(Err(Error::new(ErrorKind::Io, "the work was interrupted by a panic")));
    }
}
