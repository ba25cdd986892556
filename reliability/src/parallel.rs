//! Many independent cases on two threads.

use crate::scratch::Scratch;
use anyhow::{Result, bail};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const THREADS: usize = 2;
/// So many failures are enough to see what is wrong.
const ENOUGH: usize = 10;

/// Calls `each` with every case and a folder of the thread's own.
///
/// # Errors
/// All failures, up to ten.
pub fn for_each<T: Sync>(cases: &[T], each: impl Fn(&T, &Scratch) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        let scratch = Scratch::new()?;
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = each(case, &scratch) {
                let mut failures = failures.lock().expect("no thread panics here");
                failures.push(format!("{error:#}"));
                if failures.len() >= ENOUGH {
                    next.store(cases.len(), Ordering::Relaxed);
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics here"))
    })?;
    let failures = failures.into_inner().expect("no thread panics here");
    if !failures.is_empty() {
        bail!("{} failures:\n{}", failures.len(), failures.join("\n"));
    }
    Ok(())
}
