//! What an import from `MoltenDB` reads: by the first byte a record, a log, or a snapshot.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice_fuzz::bounded;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, bytes)) = input.split_first() else { return };
    bounded(bytes.len(), || match kind % 3 {
        0 => pumice::fuzzing::moltendb_record(bytes),
        1 => pumice::fuzzing::moltendb_log(bytes),
        _ => pumice::fuzzing::moltendb_snapshot(bytes),
    });
});
