//! One hot path of the engine, on a storage in memory, or only what must be there before it.
//!
//! `cargo xtask instructions` runs each path both ways under callgrind; the difference is what the path itself takes,
//! on all threads. Clock and randomness are fixed, so that a count comes out the same again.

use pumice::blocking::{Collection, Db};
use pumice::{Durability, Environment, MemoryStorage, Options};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

type Path = fn(is_measured: bool) -> pumice::Result<()>;

const PATHS: [(&str, Path); 8] = [
    ("buffered-put", |is_measured| puts(Durability::Buffered, is_measured)),
    ("durable-put", |is_measured| puts(Durability::Disk, is_measured)),
    ("batch", batch),
    ("get-from-the-tail", |is_measured| gets(false, is_measured)),
    ("get-from-a-snapshot", |is_measured| gets(true, is_measured)),
    ("scan", scan),
    ("replay", replay),
    ("compaction", compaction),
];
const DOCUMENTS: u32 = 3000;
const COLLECTION: &str = "documents";

/// The same time and the same bytes, always.
struct Fixed;

impl Environment for Fixed {
    fn unix_millis(&self) -> u64 {
        1_790_000_000_000
    }

    fn random(&self, bytes: &mut [u8]) -> pumice::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (name, mode) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    if name == "--about" {
        println!("{}", processor_features());
        return ExitCode::SUCCESS;
    }
    if name == "--list" {
        for (name, _) in PATHS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    let path = PATHS.iter().find(|(known, _)| *known == name).map(|(_, path)| path);
    let (Some(path), "setup" | "measured") = (path, mode.as_str()) else {
        eprintln!("usage: pumice-instructions --list | --about | PATH setup|measured");
        return ExitCode::from(2);
    };
    match path(mode == "measured") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What decides which implementations of checksums, searches and copies run here.
fn processor_features() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("sse4.2", std::arch::is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let there = features.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
    std::iter::once(std::env::consts::ARCH).chain(there).collect::<Vec<_>>().join(" ")
}

fn options() -> Options {
    // No flush by the clock: how often it comes depends on how slow valgrind is.
    Options::new().environment(Fixed).compact_at(None).flush_interval(Duration::from_secs(3600))
}

fn open(storage: &MemoryStorage) -> pumice::Result<(Db<MemoryStorage>, Collection<MemoryStorage>)> {
    let db = Db::open_with(storage.clone(), options())?;
    let collection = db.collection(COLLECTION);
    Ok((db, collection))
}

/// A permutation of the documents' numbers, so that keys come in no order.
fn scattered(n: u32) -> u32 {
    (n * 1009) % DOCUMENTS
}

fn key(n: u32) -> String {
    format!("users/{n}")
}

fn document(n: u32) -> String {
    format!(
        "{{\"id\":{n},\"name\":\"Ada {n}\",\"email\":\"ada.{n}@example.com\",\"active\":{},\"score\":{}.25,\
         \"tags\":[\"basalt\",\"slate\"],\"notes\":\"granite basalt obsidian tuff gneiss marble slate chalk pumice \
         granite basalt obsidian tuff gneiss marble slate chalk\"}}",
        n.is_multiple_of(2),
        n % 100
    )
}

fn keys_and_documents() -> Vec<(String, String)> {
    (0..DOCUMENTS).map(|n| (key(scattered(n)), document(n))).collect()
}

fn load(db: &Db<MemoryStorage>, documents: &[(String, String)]) -> pumice::Result<()> {
    for part in documents.chunks(1000) {
        db.batch(|batch| {
            for (key, document) in part {
                batch.put_raw(COLLECTION, key, document)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn puts(durability: Durability, is_measured: bool) -> pumice::Result<()> {
    let documents = keys_and_documents();
    let (_db, collection) = open(&MemoryStorage::new())?;
    let collection = collection.with_durability(durability);
    if is_measured {
        for (key, document) in &documents {
            collection.put_raw(key, document)?;
        }
    }
    Ok(())
}

fn batch(is_measured: bool) -> pumice::Result<()> {
    let documents = keys_and_documents();
    let (db, _) = open(&MemoryStorage::new())?;
    if is_measured { load(&db, &documents) } else { Ok(()) }
}

fn gets(is_compacted: bool, is_measured: bool) -> pumice::Result<()> {
    let documents = keys_and_documents();
    let (db, collection) = open(&MemoryStorage::new())?;
    load(&db, &documents)?;
    if is_compacted {
        db.compact()?;
    }
    // The first ones fill the cache of the index.
    for round in 0..if is_measured { 3 } else { 1 } {
        for (key, _) in &documents {
            black_box((round, collection.get_raw(key)?));
        }
    }
    Ok(())
}

fn scan(is_measured: bool) -> pumice::Result<()> {
    let (db, collection) = open(&MemoryStorage::new())?;
    load(&db, &keys_and_documents())?;
    db.compact()?;
    for _ in 0..if is_measured { 9 } else { 1 } {
        let mut bytes = 0;
        collection.for_each_raw(.., |key, document| {
            bytes += key.len() + document.len();
            Ok(())
        })?;
        black_box(bytes);
    }
    Ok(())
}

fn replay(is_measured: bool) -> pumice::Result<()> {
    let storage = MemoryStorage::new();
    let (db, _) = open(&storage)?;
    load(&db, &keys_and_documents())?;
    db.close()?;
    drop(db);
    for _ in 0..if is_measured { 4 } else { 0 } {
        let db = Db::open_with(storage.clone(), options().read_only(true))?;
        black_box(db.sequence());
    }
    Ok(())
}

fn compaction(is_measured: bool) -> pumice::Result<()> {
    let (db, _) = open(&MemoryStorage::new())?;
    load(&db, &keys_and_documents())?;
    if is_measured { db.compact() } else { Ok(()) }
}
