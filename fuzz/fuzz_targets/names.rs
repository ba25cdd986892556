//! Names of files, collections and documents.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice_fuzz::bounded;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        bounded(text.len(), || pumice::fuzzing::names(text));
    }
});
