//! Waiting for what another worker has open, for a while.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::now;
use gloo_timers::future::TimeoutFuture;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use web_time::Instant;

/// The longest pause between two attempts.
const LONGEST_PAUSE_MILLIS: u32 = 250;

/// How long to try, and how often.
#[derive(Clone)]
pub(crate) struct Patience {
    until: Instant,
    pause: u32,
}

impl Patience {
    pub(crate) fn new(duration: Duration) -> Self {
        Self { until: now() + duration, pause: 5 }
    }

    fn left(&self) -> u32 {
        // A browser takes a longer time for none.
        self.until.saturating_duration_since(now()).as_millis().min(i32::MAX as u128) as u32
    }

    /// Pauses before another attempt, twice as long each time. False: there was time enough.
    pub(crate) async fn pause(&mut self) -> bool {
        let left = self.left();
        if left == 0 {
            return false;
        }
        TimeoutFuture::new(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE_MILLIS);
        true
    }

    /// Waits for `future` while there is time.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) when it did not end.
    pub(crate) async fn limit<T>(&self, future: impl Future<Output = T>, what: &str) -> Result<T> {
        let mut future = pin!(future);
        let mut end = pin!(TimeoutFuture::new(self.left()));
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            end.as_mut().poll(cx).map(|()| {
                let message = format!("another tab or worker has {what} open; close it there, or wait");
                Err(Error::new(ErrorKind::Busy, message))
            })
        })
        .await
    }
}
