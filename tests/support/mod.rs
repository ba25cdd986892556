//! What several test programs share.

#![allow(dead_code)] // Each of them uses a part.

pub mod conformance;
pub mod effort;
pub mod figures;
pub mod hooked;
pub mod image;
pub mod kill;
pub mod log_file;
pub mod medium;
pub mod model;
pub mod page_cache;
pub mod pause;
pub mod sealed;
pub mod snapshots;
pub mod steps;
pub mod watchdog;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, without any runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
