//! What crosses between Rust and JavaScript, and how.

use crate::db::Keys;
use crate::error::{Error, ErrorKind, Result};
use js_sys::Uint8Array;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;

/// What a call comes to.
pub(super) type Answer = std::result::Result<JsValue, JsValue>;

/// What a call gives: its value where that is there at once, otherwise a promise of it. Most reads are, for the browser's
/// file system answers at once in a worker, and a promise costs more than they do.
pub(super) fn settle<V: Into<JsValue>>(future: impl Future<Output = Result<V>> + 'static) -> Answer {
    settle_boxed(Box::pin(async move { future.await.map(Into::into) }))
}

/// The part of it that is compiled once.
fn settle_boxed(mut future: Pin<Box<dyn Future<Output = Result<JsValue>>>>) -> Answer {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(settled) => settled.map_err(|error| thrown(&error)),
        // Its next poll, which leaves a waker that does something, comes before anything else can happen.
        Poll::Pending => {
            let rest = async move { future.await.map_err(|error| thrown(&error)) };
            Ok(wasm_bindgen_futures::future_to_promise(rest).into())
        }
    }
}

/// An error as JavaScript gets it thrown: the string `code: message`. Anything else that a call throws is a crash.
pub(super) fn thrown(error: &Error) -> JsValue {
    let code = match error.kind() {
        ErrorKind::ReadOnly => ErrorKind::Unsupported,
        kind => kind,
    };
    JsValue::from_str(&format!("{}: {error}", code.as_str()))
}

/// Whole numbers are exact in JavaScript up to 2^53, which no sequence number or length reaches.
#[allow(clippy::cast_precision_loss)]
pub(super) fn number(value: u64) -> f64 {
    value as f64
}

/// The number of a caller that has checked it.
#[allow(clippy::cast_sign_loss)] // Below zero becomes zero.
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}

#[wasm_bindgen]
extern "C" {
    /// A range, as the message has it.
    #[wasm_bindgen(
        typescript_type = "{ prefix?: string; from?: string; to?: string; reverse?: boolean; limit?: number }"
    )]
    pub type Range;

    #[wasm_bindgen(method, getter, structural)]
    fn prefix(this: &Range) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn from(this: &Range) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn to(this: &Range) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn reverse(this: &Range) -> Option<bool>;
    #[wasm_bindgen(method, getter, structural)]
    fn limit(this: &Range) -> Option<f64>;
}

impl Range {
    /// The keys that it selects.
    pub(super) fn keys(&self) -> Keys {
        let (from, to) = (self.from(), self.to());
        let start = from.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let end = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = Keys::between(start, end).with_prefix(&self.prefix().unwrap_or_default());
        if self.reverse() == Some(true) {
            keys = keys.reverse();
        }
        match self.limit() {
            Some(limit) => keys.limit(whole(limit)),
            None => keys,
        }
    }
}

/// The text of a JSON array, grown element by element.
pub(super) struct Elements(Vec<u8>);

impl Elements {
    pub(super) fn new() -> Self {
        Self(b"[".to_vec())
    }

    /// With room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.push(b'[');
        Self(text)
    }

    /// Begins the next element, whose text the caller appends.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        &mut self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The array's text in a buffer of JavaScript's.
    pub(super) fn finish(mut self) -> Uint8Array {
        self.0.push(b']');
        Uint8Array::from(&*self.0)
    }
}
