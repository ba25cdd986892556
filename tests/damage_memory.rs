//! Guards against a damaged length that is trusted: opening and reading a damaged database must not take more memory
//! than its size calls for. Alone in its program, because the whole program's allocations are counted.

mod support;

use peak_alloc::PeakAlloc;
use pumice::Options;
use pumice::blocking::Db;
use std::sync::Arc;
use support::sealed::{Damage, Damaged, Sealed};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most that was allocated beside what was there before, in bytes.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

/// The most that reading the damaged database took.
fn worst(sealed: &Arc<Sealed>, step: usize) -> (usize, String) {
    let mut worst = (0, String::new());
    for (file, bytes) in &sealed.files {
        let dense = |at: usize| at < 300 || at + 600 > bytes.len();
        let places = (0..bytes.len()).filter(|at| at % step == 0 || dense(*at) && at % 3 == 0);
        for (n, at) in places.enumerate() {
            // The high bits make the largest numbers.
            let bit = [7, 6, 0, 5][n % 4];
            for damage in [Damage::Flip { at, bit }, Damage::Cut { len: at }] {
                let storage = Damaged { sealed: Arc::clone(sealed), file: file.clone(), damage };
                let peak = peak_of(|| {
                    if let Ok(db) = Db::open_with(storage, Options::new().read_only(true)) {
                        let _ = db.read_view().for_each_of_all_raw(|_, _, _| Ok(()));
                        let _ = db.verify();
                    }
                });
                if peak > worst.0 {
                    worst = (peak, format!("{damage:?} of {file}"));
                }
            }
        }
    }
    worst
}

#[test]
fn reading_a_damaged_database_takes_no_more_than_four_times_its_size_and_a_mebibyte() {
    for (name, sealed) in [("log", Sealed::log_only()), ("snapshot and log", Sealed::snapshot_and_log())] {
        let sealed = Arc::new(sealed);
        let (peak, damage) = worst(&sealed, 331);
        let limit = 4 * sealed.bytes() + (1 << 20);
        eprintln!("{name}: {} bytes, at most {peak} allocated, by {damage}", sealed.bytes());
        assert!(peak <= limit, "{peak} bytes for {} of {name}, by {damage}", sealed.bytes());
    }
}
