//! One line of the log. The first byte says whether it gets a right checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice_fuzz::{bounded, log};

fuzz_target!(|input: &[u8]| {
    let Some((&flags, text)) = input.split_first() else { return };
    let line = if flags & 1 == 1 { log::line(text) } else { text.to_vec() };
    bounded(line.len(), || pumice::fuzzing::line(&line));
});
