//! Durable batches of 1,000, and the database that the reading works use.

use super::{Measures, measures};
use crate::documents::{Pool, key, scattered};
use crate::engine::{Durability, Engine, Kind};
use crate::process;
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

const BATCH: u64 = 1000;

/// Puts the documents of these numbers under the keys that `id` gives; returns how long the batches took.
pub fn put(
    engine: &dyn Engine,
    pool: &Pool,
    numbers: std::ops::Range<u64>,
    id: impl Fn(u64) -> u64,
) -> Result<Duration> {
    let mut took = Duration::ZERO;
    for first in numbers.clone().step_by(BATCH as usize) {
        let batch: Vec<_> =
            (first..numbers.end.min(first + BATCH)).map(|n| (key(id(n)), pool.get(n))).collect();
        let start = Instant::now();
        engine.put_all(&batch)?;
        took += start.elapsed();
    }
    Ok(took)
}

pub fn run(kind: Kind, dir: &Path, documents: u64, document_bytes: usize) -> Result<Measures> {
    let pool = Pool::new(document_bytes);
    let engine = kind.open(dir, Durability::Durable)?;
    let written = process::bytes_written()?;
    let took = put(engine.as_ref(), &pool, 0..documents, |n| scattered(n, documents))?;
    let all = measures([
        ("per_second", documents as f64 / took.as_secs_f64()),
        ("bytes_written_per_put", (process::bytes_written()? - written) as f64 / documents as f64),
        ("peak_bytes", process::memory()?.peak as f64),
    ]);
    engine.close()?;
    Ok(all)
}

pub fn load(kind: Kind, dir: &Path, documents: u64) -> Result<Measures> {
    let pool = Pool::new(250);
    let engine = kind.open(dir, Durability::Durable)?;
    let took = put(engine.as_ref(), &pool, 0..documents, |n| n)?;
    let loaded = process::disk(dir)?;
    let start = Instant::now();
    let compacts = engine.compact()?;
    let compaction = start.elapsed();
    engine.close()?;
    let mut all = measures([
        ("per_second", documents as f64 / took.as_secs_f64()),
        ("loaded_bytes", loaded as f64),
        ("disk_bytes", process::disk(dir)? as f64),
    ]);
    if compacts {
        all.insert("compaction_seconds".to_owned(), compaction.as_secs_f64());
    }
    Ok(all)
}
