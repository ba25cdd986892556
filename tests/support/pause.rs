//! Letting others go on.

/// Returns after everything else that could go on had its turn.
#[cfg(not(target_family = "wasm"))]
pub async fn pause() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Returns after everything else that could go on had its turn. To wake oneself would keep a browser's events out.
#[cfg(target_family = "wasm")]
pub async fn pause() {
    gloo_timers::future::TimeoutFuture::new(0).await;
}
