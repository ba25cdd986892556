//! An encrypted storage bears failures of the one beneath it as that one does: what it writes besides, headers of files
//! and the key, costs nothing that was acknowledged either.

use super::fault::{Fault, How, Manner, manners};
use super::opening::{Context, use_again};
use super::told::Told;
use super::workload::{check_after, check_closed, workload};
use super::{any, figures, is_soak};
use crate::support::hooked::{Hooked, Op};
use crate::support::page_cache::PageCache;
use pumice::blocking::{Db, encrypted};
use pumice::{EncryptedStorage, ErrorKind, Key, Options, Result, Storage};
use std::sync::Arc;

fn dressed<S: Storage>(storage: S) -> Result<EncryptedStorage<S>> {
    encrypted(storage, &Key::bytes([1; 32]))
}

fn open(cache: &PageCache, fault: &Arc<Fault>) -> Result<Db<EncryptedStorage<Hooked<PageCache>>>> {
    Db::open_with(dressed(Hooked::new(cache.clone(), fault))?, Options::new().compact_at(None))
}

fn run(cache: &PageCache, fault: &Arc<Fault>) -> Told {
    let mut told = Told::default();
    match open(cache, fault) {
        Ok(db) => workload(&db, fault, &mut told),
        Err(error) => assert!(fault.hit() && error.kind() == fault.kind(), "{error}"),
    }
    assert_eq!(fault.retries(), 0, "the log was written to after a failure");
    told
}

/// What a power cut leaves, and what the next process sees if there is none, has everything that was acknowledged.
fn check(cache: &PageCache, told: &Told) {
    let cut = cache.after_a_power_cut();
    let found = check_after(|| dressed(cut.clone()).unwrap(), told);
    check_closed(dressed(cut.after_a_power_cut()).unwrap(), &found);
    let found = check_after(|| dressed(cache.clone()).unwrap(), told);
    check_closed(dressed(cache.after_a_power_cut()).unwrap(), &found);
}

fn every_call(manner: Manner, counts: fn(Op, &str) -> bool, step: usize) -> u64 {
    for (points, at) in (0..).step_by(step).enumerate() {
        let cache = PageCache::new();
        let fault = Fault::new(at, manner, counts, Some(cache.clone()));
        let told = run(&cache, &fault);
        let context = format!("{manner:?}, call {at}: {}", fault.met());
        let _context = Context(&context);
        check(&cache, &told);
        if !fault.hit() {
            return points as u64;
        }
    }
    unreachable!("every workload ends")
}

#[test]
fn each_call_beneath_fails() {
    let mut points = 0;
    for (manner, step) in manners().zip([3, 5, 7, 11, 13, 17, 19, 23, 29, 31]) {
        points += every_call(manner, any, if is_soak() { 1 } else { step });
    }
    assert!(points > 100, "only {points} calls");
    figures::keep("faults-encrypted", &[("points", points)]);
}

#[test]
fn a_failed_sync_beneath_loses_what_it_should_have_written() {
    fn sync(op: Op, _: &str) -> bool {
        op == Op::Sync
    }
    let mut points = 0;
    for how in [How::Once, How::FromThenOn] {
        points += every_call(Manner { how, kind: ErrorKind::Io, part: None }, sync, 1);
    }
    assert!(points > 50, "only {points} syncs");
    figures::keep("faults-encrypted-lost-pages", &[("points", points)]);
}

#[test]
fn every_call_beneath_fails_while_recovering_from_a_failure() {
    let mut points = 0;
    for (n, at) in (0..).step_by(if is_soak() { 3 } else { 23 }).enumerate() {
        let left = PageCache::new();
        let manner = manners().nth(n % 10).unwrap();
        let fault = Fault::new(at, manner, any, Some(left.clone()));
        let told = run(&left, &fault);
        if !fault.hit() {
            break;
        }
        // A power cut, or just the end of the process.
        let left = if n % 3 == 0 { left.after_a_power_cut() } else { left };
        for again in 0.. {
            let (cache, mut told) = (left.copy(), told.clone());
            let manner = manners().nth((n + again) % 10).unwrap();
            let second = Fault::new(again, manner, any, Some(cache.clone()));
            use_again(open(&cache, &second), &second, &mut told);
            let context = format!("{}, then {manner:?}, call {again}: {}", fault.met(), second.met());
            let _context = Context(&context);
            check(&cache, &told);
            if !second.hit() {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 300, "only {points} calls");
    figures::keep("faults-encrypted-recovery", &[("points", points)]);
}
