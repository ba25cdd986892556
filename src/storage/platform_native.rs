//! Background work, waiting and blocking, with threads.

use crate::error::{Error, Result};
use crate::sync::thread::{self, Thread};
use crate::sync::{Condvar, Mutex, PoisonError, wait_while};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Whether snapshots' values are packed unless told otherwise: scans and compactions would take nearly twice as long.
pub(crate) const PACKS_VALUES: bool = false;

/// What background work must be able to do: move to another thread.
pub trait MaybeSend: Send {}
impl<T: Send> MaybeSend for T {}

/// What threads must be able to share.
pub trait MaybeShared: Send + Sync {}
impl<T: Send + Sync> MaybeShared for T {}

/// Work that goes on beside its owner.
pub(crate) struct Task(thread::JoinHandle<()>);

impl Task {
    /// Waits for its end, unless the caller is the task itself.
    pub(crate) fn finish(self) {
        if self.0.thread().id() != thread::current().id() {
            // A panic there was reported there.
            let _ = self.0.join();
        }
    }
}

/// Runs the future that `start` makes, beside the caller, to its end.
///
/// # Errors
/// When the system gives no more threads.
pub(crate) fn spawn<F, Fut>(name: &str, start: F) -> Result<Task>
where
    F: FnOnce() -> Fut + MaybeSend + 'static,
    Fut: Future<Output = ()>,
{
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || block_on(start()))
        .map(Task)
        .map_err(|e| Error::io("start a thread", name, e))
}

/// Lets others run for a moment in the midst of long background work.
#[allow(clippy::unused_async)] // Other platforms have to wait here.
pub(crate) async fn breathe() {}

/// A flag that wakes the one background task waiting for it.
#[derive(Default)]
pub(crate) struct Signal {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn notify(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Returns once notified since the last wait, or after `timeout`. Blocks: for background threads only.
    #[allow(clippy::unused_async)] // Other platforms have to wait here.
    pub(crate) async fn wait(&self, timeout: Option<Duration>) {
        let mut guard = wait_while(&self.set, &self.changed, timeout, |set| !*set);
        *guard = false;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread. Futures of blocking storages are ready at the first poll, which costs nothing.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
