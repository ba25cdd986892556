//! The engine through its public API, on memory, in directories, and on storages that watch, delay and fail.
//!
//! One program, so that what all of them need is compiled once. It is compiled without optimisation, for it has the
//! whole engine in it once for each storage, and spends its time waiting for disks and threads.
//! `cargo test --workspace --test engine losses::` runs one part.

#![cfg(not(target_family = "wasm"))]

mod beside;
mod compaction;
mod concurrency;
mod conformance;
mod disk;
mod due;
mod edges;
#[cfg(feature = "encryption")]
mod encrypted;
mod end_mark;
mod faults;
mod feeds;
mod golden;
mod history;
mod importing;
mod interrupted;
#[cfg(feature = "encryption")]
mod keys;
mod kills;
mod log_lines;
mod losses;
mod model;
mod pool;
mod recovery;
mod restoring;
mod salvage;
#[cfg(feature = "encryption")]
mod sealed_snapshot;
mod segments;
mod stress;
mod submit;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
mod twin;
mod visible;
