//! The same keys written again and again, and a compaction while a writer goes on.

use super::{Measures, measures};
use crate::documents::{Pool, key, scattered};
use crate::engine::{Durability, Engine, Kind};
use crate::latencies::Latencies;
use crate::process;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const DURABLE_EVERY: u64 = 10_000;
/// About 4,000 puts a second beside the compaction: a live writer, and not one that only tests the disk.
const PAUSE: Duration = Duration::from_micros(200);

pub fn run(kind: Kind, dir: &Path, keys: u64, rounds: u64, seconds: f64) -> Result<Measures> {
    let pool = Pool::new(250);
    let names: Vec<_> = (0..keys).map(|n| key(scattered(n, keys))).collect();
    let engine = kind.open(dir, Durability::Buffered)?;
    let written = process::bytes_written()?;
    let (mut latencies, mut peak, start) = (Latencies::default(), 0, Instant::now());
    for n in 0..keys * rounds {
        let put = Instant::now();
        engine.put(&names[(n % keys) as usize], pool.get(n.wrapping_mul(17)))?;
        latencies.add(put.elapsed());
        if (n + 1).is_multiple_of(DURABLE_EVERY) {
            engine.sync()?;
            peak = peak.max(process::disk(dir)?);
            if start.elapsed().as_secs_f64() > seconds {
                break;
            }
        }
    }
    engine.sync()?;
    let took = start.elapsed().as_secs_f64();
    let puts = latencies.len() as f64;
    let before = process::disk(dir)?;
    let mut all = measures([
        ("per_second", puts / took),
        ("puts", puts),
        ("longest_seconds", latencies.within(1.0) / 1e6),
        ("bytes_written_per_put", (process::bytes_written()? - written) as f64 / puts),
        ("before_bytes", before as f64),
        ("most_bytes", peak.max(before) as f64),
        ("peak_bytes", process::memory()?.peak as f64),
    ]);
    if let Some((compaction, mut beside)) = compact_beside_a_writer(engine.as_ref(), &names, &pool)? {
        all.extend(measures([
            ("compaction_seconds", compaction.as_secs_f64()),
            ("beside_longest_seconds", beside.within(1.0) / 1e6),
            ("beside_median_seconds", beside.within(0.5) / 1e6),
            ("beside_puts", beside.len() as f64),
        ]));
        // Once more, for what the writer put meanwhile.
        engine.compact()?;
    }
    engine.close()?;
    all.insert("after_bytes".to_owned(), process::disk(dir)? as f64);
    Ok(all)
}

/// How long the compaction took, and the puts that began before its end. Nothing when the engine has none.
fn compact_beside_a_writer(
    engine: &dyn Engine,
    keys: &[String],
    pool: &Pool,
) -> Result<Option<(Duration, Latencies)>> {
    let (is_running, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
    let write = || {
        let mut latencies = Latencies::default();
        for (n, key) in (0..).zip(keys.iter().cycle()) {
            if is_done.load(Ordering::Acquire) {
                break;
            }
            let counts = is_running.load(Ordering::Acquire);
            let start = Instant::now();
            engine.put(key, pool.get(n))?;
            if counts {
                latencies.add(start.elapsed());
            }
            thread::sleep(PAUSE);
        }
        Ok::<_, anyhow::Error>(latencies)
    };
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        thread::sleep(Duration::from_millis(50));
        is_running.store(true, Ordering::Release);
        let start = Instant::now();
        let compacts = engine.compact();
        let took = start.elapsed();
        is_done.store(true, Ordering::Release);
        let latencies = writer.join().ok().context("the writer panicked")??;
        Ok(compacts?.then_some((took, latencies)))
    })
}
