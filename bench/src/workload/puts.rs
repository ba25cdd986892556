//! Single puts, durable or buffered.

use super::{Measures, measures};
use crate::documents::{Pool, key, scattered};
use crate::engine::{Durability, Engine, Kind};
use crate::latencies::Latencies;
use crate::process;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const KEYS: u64 = 10_000_000;
const WARM_UP: u64 = 50;

pub fn durable(
    kind: Kind,
    dir: &Path,
    writers: u64,
    document_bytes: usize,
    seconds: f64,
) -> Result<Measures> {
    let pool = Pool::new(document_bytes);
    let engine = kind.open(dir, Durability::Durable)?;
    for n in 0..WARM_UP {
        engine.put(&key(KEYS + n), pool.get(n))?;
    }
    let written = process::bytes_written()?;
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let until = Duration::from_secs_f64(seconds);
    let write = || write(engine.as_ref(), &pool, &next, || start.elapsed() < until);
    let mut latencies = thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
        let mut all = Latencies::default();
        for thread in threads {
            all.append(thread.join().ok().context("a writer panicked")??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let took = start.elapsed().as_secs_f64();
    let puts = latencies.len() as f64;
    let written = (process::bytes_written()? - written) as f64;
    let all = measures([
        ("per_second", puts / took),
        ("median_seconds", latencies.within(0.5) / 1e6),
        ("p99_seconds", latencies.within(0.99) / 1e6),
        ("longest_seconds", latencies.within(1.0) / 1e6),
        ("bytes_written_per_put", written / puts),
        ("all_puts", puts + WARM_UP as f64),
        ("peak_bytes", process::memory()?.peak as f64),
    ]);
    engine.close()?;
    Ok(all)
}

fn write(
    engine: &dyn Engine,
    pool: &Pool,
    next: &AtomicU64,
    goes_on: impl Fn() -> bool,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    // At least one, however late the thread comes to run.
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let key = key(scattered(n, KEYS));
        let start = Instant::now();
        engine.put(&key, pool.get(n))?;
        latencies.add(start.elapsed());
        if !goes_on() {
            break;
        }
    }
    Ok(latencies)
}

pub fn buffered(
    kind: Kind,
    dir: &Path,
    documents: u64,
    document_bytes: usize,
    seconds: f64,
) -> Result<Measures> {
    let pool = Pool::new(document_bytes);
    let keys: Vec<_> = (0..documents).map(|n| key(scattered(n, documents))).collect();
    let engine = kind.open(dir, Durability::Buffered)?;
    let (mut puts, start) = (0, Instant::now());
    for (n, key) in (0..).zip(&keys) {
        engine.put(key, pool.get(n))?;
        puts = n + 1;
        // Slow engines get no further than this: their figure is of fewer puts.
        if puts % 1024 == 0 && start.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    engine.sync()?;
    let took = start.elapsed().as_secs_f64();
    let all = measures([
        ("per_second", puts as f64 / took),
        ("puts", puts as f64),
        ("peak_bytes", process::memory()?.peak as f64),
    ]);
    engine.close()?;
    Ok(all)
}
