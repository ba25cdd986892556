//! From opening a database to its first answer, after a clean end and after a kill.

use super::{Measures, batches, measures};
use crate::documents::{Pool, key};
use crate::engine::{Durability, Kind};
use crate::process;
use anyhow::{Result, ensure};
use rustix::process::{Signal, getpid, kill_process};
use std::path::Path;
use std::time::Instant;

pub fn open(kind: Kind, dir: &Path, documents: u64, cold: bool) -> Result<Measures> {
    let dropped = if cold { process::cool(dir)? } else { process::warm(dir).map(|()| false)? };
    let before = process::memory()?;
    let key = key(documents / 3);
    let mut found = 0;
    let start = Instant::now();
    let engine = kind.open(dir, Durability::Durable)?;
    ensure!(engine.reader()?.get(&key, &mut |document| found = document.len())?, "{key} is missing");
    let took = start.elapsed();
    ensure!(found > 0, "{key} is empty");
    let after = process::memory()?;
    let mut all = measures([
        ("first_get_seconds", took.as_secs_f64()),
        ("resident_bytes", after.resident.saturating_sub(before.resident) as f64),
        ("anonymous_bytes", after.anonymous.saturating_sub(before.anonymous) as f64),
    ]);
    if cold {
        all.insert("dropped_caches".to_owned(), f64::from(u8::from(dropped)));
    }
    engine.close()?;
    Ok(all)
}

pub fn first_put(kind: Kind, dir: &Path) -> Result<Measures> {
    process::warm(dir)?;
    let pool = Pool::new(250);
    let start = Instant::now();
    let engine = kind.open(dir, Durability::Durable)?;
    engine.put("first", pool.get(0))?;
    let took = start.elapsed();
    engine.close()?;
    Ok(measures([("first_put_seconds", took.as_secs_f64())]))
}

pub fn die_after_writing(kind: Kind, dir: &Path, documents: u64, more: u64) -> Result<Measures> {
    let pool = Pool::new(250);
    let engine = kind.open(dir, Durability::Durable)?;
    batches::put(engine.as_ref(), &pool, documents..documents + more, |n| n)?;
    kill_process(getpid(), Signal::KILL)?;
    unreachable!("a process that was killed")
}
