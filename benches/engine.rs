//! The engine's hot paths in a real directory, 250-byte documents under scattered keys. Run with `cargo xtask bench`.
//!
//! Only ratios within one run mean anything on a shared machine.

use divan::Bencher;
use divan::counter::ItemsCount;
use pumice::blocking::{Collection, Db};
use pumice::{Durability, Options, SyncDiskStorage};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

const DOCUMENTS: u64 = 200_000;

fn main() {
    divan::main();
}

/// A permutation of `0..count`.
fn scattered(n: u64, count: u64) -> u64 {
    n.wrapping_mul(2_654_435_761) % count
}

fn key(n: u64) -> String {
    format!("users/{n}")
}

fn document(n: u64) -> String {
    let words = ["granite", "basalt", "obsidian", "tuff", "gneiss", "marble", "slate", "chalk"];
    let mut text = format!(
        "{{\"id\":{n},\"email\":\"user{n}@example.com\",\"active\":{},\"bio\":\"",
        n.is_multiple_of(2)
    );
    let mut at = n;
    while text.len() < 248 {
        text.push_str(words[usize::try_from(at % 8).unwrap_or_default()]);
        text.push(' ');
        at = at.wrapping_mul(31).wrapping_add(7);
    }
    text.push_str("\"}");
    text
}

fn open(dir: &TempDir, options: Options) -> Db {
    Db::open_with(SyncDiskStorage::open(dir.path()).unwrap(), options).unwrap()
}

fn load(db: &Db, documents: u64) {
    for start in (0..documents).step_by(1000) {
        db.batch(|batch| {
            for n in start..(start + 1000).min(documents) {
                let id = scattered(n, documents);
                batch.put_raw("bench", &key(id), &document(id))?;
            }
            Ok(())
        })
        .unwrap();
    }
}

/// One compacted database for all benchmarks that only read.
fn compacted() -> &'static (TempDir, Db, Collection) {
    static SHARED: OnceLock<(TempDir, Db, Collection)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir, Options::new());
        load(&db, DOCUMENTS);
        db.compact().unwrap();
        let collection = db.collection("bench");
        (dir, db, collection)
    })
}

fn puts(bencher: Bencher<'_, '_>, durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir, Options::new().durability(durability));
    let collection = db.collection("bench");
    let text = document(7);
    let next = AtomicU64::new(0);
    bencher.counter(ItemsCount::new(1_u64)).bench(|| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        collection.put_raw(&key(scattered(n, 1 << 20)), &text).unwrap()
    });
}

#[divan::bench(threads = [1, 8, 32], sample_count = 200)]
fn durable_put(bencher: Bencher<'_, '_>) {
    puts(bencher, Durability::Disk);
}

#[divan::bench(sample_count = 2000, sample_size = 100)]
fn buffered_put(bencher: Bencher<'_, '_>) {
    puts(bencher, Durability::Buffered);
}

#[divan::bench(sample_count = 100)]
fn batch_of_1000(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir, Options::new());
    let texts: Vec<String> = (0..1000).map(document).collect();
    let next = AtomicU64::new(0);
    bencher.counter(ItemsCount::new(1000_u64)).bench(|| {
        let start = next.fetch_add(1000, Ordering::Relaxed);
        db.batch(|batch| {
            for (n, text) in (start..).zip(&texts) {
                batch.put_raw("bench", &key(scattered(n, 1 << 20)), text)?;
            }
            Ok(())
        })
        .unwrap()
    });
}

#[divan::bench(sample_count = 200, sample_size = 100)]
fn get(bencher: Bencher<'_, '_>) {
    let (_, _, collection) = compacted();
    let next = AtomicU64::new(0);
    bencher.counter(ItemsCount::new(1_u64)).bench(|| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        collection.get_raw(&key(scattered(n, DOCUMENTS))).unwrap().unwrap()
    });
}

#[divan::bench(sample_count = 20)]
fn scan(bencher: Bencher<'_, '_>) {
    let (_, _, collection) = compacted();
    bencher.counter(ItemsCount::new(DOCUMENTS)).bench(|| {
        let mut bytes = 0;
        collection
            .for_each_raw(.., |key, text| {
                bytes += key.len() + text.len();
                Ok(())
            })
            .unwrap();
        black_box(bytes)
    });
}

#[divan::bench(sample_count = 20)]
fn count(bencher: Bencher<'_, '_>) {
    let (_, _, collection) = compacted();
    bencher.counter(ItemsCount::new(DOCUMENTS)).bench(|| collection.count(..).unwrap());
}

#[divan::bench(sample_count = 50)]
fn open_read_only_and_get(bencher: Bencher<'_, '_>) {
    let (dir, _, _) = compacted();
    bencher.bench(|| {
        let db = Db::open_read_only(dir.path()).unwrap();
        db.collection("bench").get_raw(&key(1)).unwrap().unwrap()
    });
}

#[divan::bench(sample_count = 10)]
fn replay_16_mib(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir, Options::new().compact_at(None));
    load(&db, 45_000);
    db.close().unwrap();
    bencher.bench(|| {
        let db = Db::open_read_only(dir.path()).unwrap();
        db.collection("bench").get_raw(&key(1)).unwrap().unwrap()
    });
}

#[divan::bench(sample_count = 5)]
fn compact(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(DOCUMENTS))
        .with_inputs(|| {
            let dir = tempfile::tempdir().unwrap();
            let db = open(&dir, Options::new().compact_at(None));
            load(&db, DOCUMENTS);
            (dir, db)
        })
        .bench_refs(|(_, db)| db.compact().unwrap());
}
