//! What the fuzz targets share: files with right checksums, databases made of them, and a limit on memory.

#![forbid(unsafe_code)]

pub mod files;
pub mod log;
pub mod snapshot;

/// What any target may allocate besides four times its input.
const SLACK: u64 = 1 << 20;

/// Runs `work` and panics where the heap of this thread grows beyond four times `input` bytes and 1 MiB.
pub fn bounded<T>(input: usize, work: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(work()));
    let limit = 4 * input as u64 + SLACK;
    assert!(used.bytes_max <= limit, "{} bytes allocated for an input of {input}", used.bytes_max);
    result.expect("the work was done")
}
