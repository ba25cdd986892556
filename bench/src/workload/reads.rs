//! Gets and scans of a loaded database.

use super::{Measures, measures};
use crate::documents::key;
use crate::engine::{Durability, Kind};
use crate::latencies::Latencies;
use crate::process;
use anyhow::{Result, ensure};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

pub fn gets(kind: Kind, dir: &Path, documents: u64, gets: u64) -> Result<Measures> {
    process::warm(dir)?;
    let mut random = fastrand::Rng::with_seed(11);
    let keys: Vec<_> = (0..gets).map(|_| key(random.u64(..documents))).collect();
    let before = process::memory()?;
    let engine = kind.open(dir, Durability::Durable)?;
    let mut reader = engine.reader()?;
    let mut get = |key: &str| {
        // As any caller would, the first and the last byte are looked at.
        let mut look = |document: &[u8]| {
            black_box((document.first(), document.last()));
        };
        let found = reader.get(key, &mut look)?;
        ensure!(found, "{key} is missing");
        Ok(())
    };
    keys.iter().try_for_each(|key| get(key))?;
    let start = Instant::now();
    keys.iter().try_for_each(|key| get(key))?;
    let took = start.elapsed();
    let after = process::memory()?;
    let mut latencies = Latencies::default();
    for key in keys.iter().take(100_000) {
        let start = Instant::now();
        get(key)?;
        latencies.add(start.elapsed());
    }
    Ok(measures([
        ("per_second", gets as f64 / took.as_secs_f64()),
        ("median_seconds", latencies.within(0.5) / 1e6),
        ("p99_seconds", latencies.within(0.99) / 1e6),
        ("resident_bytes", after.resident.saturating_sub(before.resident) as f64),
        ("anonymous_bytes", after.anonymous.saturating_sub(before.anonymous) as f64),
    ]))
}

pub fn scan(kind: Kind, dir: &Path, documents: u64) -> Result<Measures> {
    process::warm(dir)?;
    let engine = kind.open(dir, Durability::Durable)?;
    let mut reader = engine.reader()?;
    let mut took = 0.0;
    // The first time warms up.
    for _ in 0..2 {
        let (mut count, mut bytes, start) = (0, 0, Instant::now());
        reader.scan(&mut |key, document| {
            count += 1;
            bytes += key.len() + document.len();
            black_box((document.first(), document.last()));
        })?;
        took = start.elapsed().as_secs_f64();
        ensure!(count == documents, "{count} documents of {documents}");
        black_box(bytes);
    }
    Ok(measures([("per_second", documents as f64 / took)]))
}
