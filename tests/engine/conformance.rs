//! Guards against storages that differ: one suite runs over all of them, and over every way to drive their futures.

use crate::support::block_on;
use crate::support::conformance::{check, check_closed};
use crate::support::medium::Medium;
use pumice::pool::PooledStorage;
use pumice::{MemoryStorage, SyncDiskStorage};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn memory() {
    let places = RefCell::new(HashMap::<String, MemoryStorage>::new());
    block_on(check(async |place: &str| places.borrow_mut().entry(place.to_owned()).or_default().clone()));
}

/// `millis` is how much time each look at the clock takes.
fn pool(millis: u64) {
    let places = RefCell::new(HashMap::<String, Medium>::new());
    let open = async |place: &str| {
        let parts = places.borrow_mut().entry(place.to_owned()).or_default().clone();
        let now = AtomicU64::new(0);
        let clock = move || now.fetch_add(millis, Ordering::Relaxed);
        PooledStorage::open(parts.clone(), parts, clock).await.unwrap()
    };
    block_on(check(open));
    block_on(check_closed(open));
}

#[test]
fn pool_of_young_slots() {
    pool(0);
}

#[test]
fn pool_of_ageing_slots() {
    pool(2000);
}

#[test]
fn pool_of_aged_slots() {
    pool(60_000);
}

#[cfg(feature = "encryption")]
mod encrypted {
    use super::*;
    use pumice::Key;
    use pumice::blocking::encrypted;

    #[test]
    fn in_memory() {
        let places = RefCell::new(HashMap::<String, MemoryStorage>::new());
        let open = async |place: &str| {
            let inner = places.borrow_mut().entry(place.to_owned()).or_default().clone();
            encrypted(inner, &Key::bytes([1; 32])).unwrap()
        };
        block_on(check(open));
        block_on(check_closed(open));
    }

    #[test]
    fn on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let open = async |place: &str| {
            let inner = SyncDiskStorage::open(dir.path().join(place)).unwrap();
            encrypted(inner, &Key::bytes([1; 32])).unwrap()
        };
        block_on(check(open));
        block_on(check_closed(open));
    }
}

#[test]
fn disk() {
    let dir = tempfile::tempdir().unwrap();
    let open = async |place: &str| SyncDiskStorage::open(dir.path().join(place)).unwrap();
    block_on(check(open));
    block_on(check_closed(open));
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use super::*;
    use pumice::AsyncDiskStorage;
    use tokio::runtime::Builder;

    async fn run() {
        let dir = tempfile::tempdir().unwrap();
        let open = async |place: &str| AsyncDiskStorage::open(dir.path().join(place)).await.unwrap();
        check(open).await;
        check_closed(open).await;
    }

    #[test]
    fn without_a_runtime() {
        block_on(run());
    }

    #[test]
    fn on_a_current_thread_runtime() {
        Builder::new_current_thread().build().unwrap().block_on(run());
    }

    #[test]
    fn on_a_multi_thread_runtime() {
        Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(run());
    }
}
