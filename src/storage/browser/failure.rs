//! What a browser's exceptions mean.

use crate::error::{Error, ErrorKind};
use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// The exception's name, which the standards fix. Its message is the browser's own.
pub(crate) fn name(exception: &JsValue) -> String {
    text(exception, "name")
}

fn text(exception: &JsValue, member: &str) -> String {
    Reflect::get(exception, &member.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// The failure of the browser to do `action`, such as "write slot 3".
pub(crate) fn failure(action: &str, exception: &JsValue) -> Error {
    let name = name(exception);
    let (kind, advice) = match name.as_str() {
        "QuotaExceededError" => (ErrorKind::Full, "; make room, then open the database again"),
        "NoModificationAllowedError" => (ErrorKind::Busy, "; another tab or worker has it open"),
        "NotFoundError" => (ErrorKind::NotFound, ""),
        "SecurityError" | "NotAllowedError" | "NotSupportedError" => {
            (ErrorKind::Unsupported, "; the browser does not allow this here, as in a private window")
        }
        _ => (ErrorKind::Io, ""),
    };
    Error::new(kind, format!("cannot {action}: {name}: {}{advice}", text(exception, "message")))
}

/// The browser has no such thing.
pub(crate) fn lacks(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this browser, or this place in it, has no {what}"))
}
