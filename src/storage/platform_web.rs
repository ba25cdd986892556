//! Background work and waiting on a page's or worker's event loop.

use crate::error::Result;
use gloo_timers::future::TimeoutFuture;
use js_sys::Promise;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

/// Whether snapshots' values are packed unless told otherwise: room is scarcer than time, most of which messages take.
pub(crate) const PACKS_VALUES: bool = true;

/// What background work must be able to do: nothing here, for there is one thread.
pub trait MaybeSend {}
impl<T> MaybeSend for T {}

/// What threads must be able to share: nothing here.
pub trait MaybeShared {}
impl<T> MaybeShared for T {}

/// Work that goes on beside its owner.
pub(crate) struct Task;

impl Task {
    /// Nothing can wait for it here; it ends by itself.
    #[allow(clippy::unused_self)] // Other platforms wait.
    pub(crate) fn finish(self) {}
}

/// Runs the future that `start` makes, beside the caller, to its end.
#[allow(clippy::unnecessary_wraps)] // Other platforms can fail here.
pub(crate) fn spawn<F, Fut>(_name: &str, start: F) -> Result<Task>
where
    F: FnOnce() -> Fut + MaybeSend + 'static,
    Fut: Future<Output = ()> + 'static,
{
    wasm_bindgen_futures::spawn_local(start());
    Ok(Task)
}

/// Lets others run for a moment in the midst of long background work.
///
/// A message to oneself is an event like any other. A timer would not do: browsers let those that follow each other
/// wait for 4 ms each.
pub(crate) async fn breathe() {
    let Ok(channel) = MessageChannel::new() else { return };
    let (near, far) = (channel.port1(), channel.port2());
    let arrived = Promise::new(&mut |resolve, _| near.set_onmessage(Some(&resolve)));
    if far.post_message(&JsValue::NULL).is_ok() {
        let _ = JsFuture::from(arrived).await;
    }
    // Open ports are kept.
    near.close();
}

/// A flag that wakes the one background task waiting for it.
#[derive(Default)]
pub(crate) struct Signal {
    set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    pub(crate) fn notify(&self) {
        self.set.set(true);
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Returns once notified since the last wait, or after `timeout`.
    pub(crate) async fn wait(&self, timeout: Option<Duration>) {
        let mut timer = pin!(async move {
            match timeout {
                // A browser takes a longer time for none.
                Some(t) => TimeoutFuture::new(t.as_millis().min(i32::MAX as u128) as u32).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if self.set.replace(false) || timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// For tests, on storages whose futures are ready at once.
#[cfg(test)]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing can wait here"),
    }
}
