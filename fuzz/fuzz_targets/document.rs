//! A document's text: accepted where serde_json takes it for one JSON value, and stored as the same one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice_fuzz::bounded;
use serde_json::{Value, value::RawValue};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let stored = bounded(text.len(), || pumice::fuzzing::document(text));
    let is_json = serde_json::from_str::<&RawValue>(text.trim_matches([' ', '\t', '\r', '\n'])).is_ok();
    let Some(stored) = stored else {
        assert!(!is_json || depth(text) > 128, "JSON is refused");
        return;
    };
    assert!(is_json, "no JSON is accepted");
    assert!(depth(text) <= 128, "too deep");
    assert!(!stored.bytes().any(|byte| byte < 0x20), "more than one line");
    assert_eq!(pumice::fuzzing::document(&stored).as_deref(), Some(&*stored), "not the least of it");
    let without_spaces = |text: &str| text.chars().filter(|c| !" \t\r\n".contains(*c)).collect::<String>();
    assert_eq!(without_spaces(&stored), without_spaces(text), "a token is not as it was");
    // Numbers beyond an f64 and lone surrogates are JSON, but no `Value`.
    match (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(&stored)) {
        (Ok(before), Ok(after)) => assert_eq!(before, after),
        (before, after) => assert_eq!(before.is_ok(), after.is_ok()),
    }
});

/// How deep the brackets outside of strings go.
fn depth(json: &str) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !in_string => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
