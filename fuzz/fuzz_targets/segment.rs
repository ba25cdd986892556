//! A segment, header and records. The first byte says how much of it is mended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice_fuzz::{bounded, log};

fuzz_target!(|input: &[u8]| {
    let Some((&flags, text)) = input.split_first() else { return };
    let mending = log::Mending { checksums: flags & 1 == 1, chain: flags & 2 == 2 };
    let (segment, _) = log::segment(text, mending, log::Link::START);
    bounded(segment.len(), || pumice::fuzzing::segment(&segment));
});
