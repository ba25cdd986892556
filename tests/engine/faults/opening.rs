//! Faults on top of faults: what a failed process left is opened, and that fails too, at each of its calls.

use super::fault::{Fault, How, Manner, manners};
use super::told::Told;
use super::workload::{check_after, check_closed, documents};
use super::{any, figures, is_soak, run};
use crate::support::hooked::{Hooked, Op, Part};
use crate::support::page_cache::PageCache;
use pumice::blocking::Db;
use pumice::{ErrorKind, Options, Result, Storage};
use std::sync::Arc;

/// What processes left that failed at one call or another, with what they were told.
fn left_behind() -> Vec<(PageCache, Told)> {
    let mut left = Vec::new();
    let parts = [Some(Part::Half), Some(Part::All), None, Some(Part::AllButOne)];
    for (n, at) in (0..).step_by(if is_soak() { 3 } else { 11 }).enumerate() {
        let how = if n % 2 == 0 { How::FromThenOn } else { How::Once };
        let manner = Manner { how, kind: ErrorKind::Io, part: parts[n % parts.len()] };
        let cache = PageCache::new();
        let fault = Fault::new(at, manner, any, Some(cache.clone()));
        let told = run(cache.clone(), &fault);
        // A power cut, or just the end of the process.
        let cache = if n % 3 == 0 { cache.after_a_power_cut() } else { cache };
        left.push((cache, told));
        if !fault.hit() {
            return left;
        }
    }
    unreachable!("every workload ends")
}

/// Writes, compacts and closes what was opened. Whatever is acknowledged makes what was found certain.
pub fn use_again<S: Storage>(opened: Result<Db<S>>, fault: &Arc<Fault>, told: &mut Told) {
    let db = match opened {
        Ok(db) => db,
        Err(error) => {
            assert!(fault.hit() && error.kind() == fault.kind(), "{error}");
            return;
        }
    };
    let found = documents(&db).ok();
    told.poisoned = false;
    for n in 0..2 {
        let written = db.collection("c").put(&format!("again {n}"), &n);
        if let (true, Some(found)) = (written.is_ok() && n == 0, &found) {
            told.stays(found);
        }
        told.wrote(&[&format!("again {n}")], Some(n), &written);
    }
    if let Err(error) = db.compact() {
        // The background task may have met the failure of the log before.
        assert!(fault.hit() && (error.kind() == fault.kind() || db.health().is_err()), "{error}");
    }
    if let Err(error) = db.close() {
        assert!(fault.hit() && error.kind() == ErrorKind::Poisoned, "{error}");
    }
    assert_eq!(fault.retries(), 0, "the log was written to after a failure");
}

/// Says, when a check fails, where.
pub struct Context<'a>(pub &'a str);

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Goes through the calls of `use_again` that count, for everything that was left behind.
fn every_call_of_an_opening(counts: fn(Op, &str) -> bool) -> u64 {
    let mut points = 0;
    for (n, (left, told)) in left_behind().into_iter().enumerate() {
        for (m, manner) in manners().enumerate() {
            // All ten manners in a soak, two of them for each state otherwise.
            if !is_soak() && m % 5 != n % 5 {
                continue;
            }
            for at in 0.. {
                let (cache, mut told) = (left.copy(), told.clone());
                let fault = Fault::new(at, manner, counts, Some(cache.clone()));
                let storage = Hooked::new(cache.clone(), &fault);
                use_again(Db::open_with(storage, Options::new().compact_at(None)), &fault, &mut told);
                let context = format!("state {n}, {manner:?}, call {at}: {}", fault.met());
                let _context = Context(&context);
                let cut = cache.after_a_power_cut();
                let found = check_after(|| cut.clone(), &told);
                check_closed(cut.after_a_power_cut(), &found);
                let found = check_after(|| cache.clone(), &told);
                check_closed(cache.after_a_power_cut(), &found);
                if !fault.hit() {
                    break;
                }
                points += 1;
            }
        }
    }
    points
}

#[test]
fn every_call_fails_while_recovering_from_a_failure() {
    let points = every_call_of_an_opening(any);
    assert!(points > 500, "only {points} calls");
    figures::keep("faults-recovery", &[("points", points)]);
}

/// Reading alone fails: nothing is changed by an opening that could not read what it would have to change.
#[test]
fn every_read_fails_while_opening() {
    fn read(op: Op, _: &str) -> bool {
        matches!(op, Op::List | Op::Len | Op::ReadAt)
    }
    let points = every_call_of_an_opening(read);
    assert!(points > 100, "only {points} calls");
    figures::keep("faults-reads", &[("points", points)]);
}

/// The seal of a close is in the page cache, but its sync failed: the medium never gets it. The next process finds the
/// log sealed, and must not append behind that hole.
#[test]
fn what_is_written_behind_a_seal_that_was_never_synced_stays() {
    behind_a_lost_seal(false);
    behind_a_lost_seal(true);
}

fn behind_a_lost_seal(compacts: bool) {
    fn snapshot(_: Op, name: &str) -> bool {
        name.ends_with(".snapshot")
    }
    fn check(left: &PageCache, wanted: &[(&str, u64)]) {
        let db = Db::open_with(left.clone(), Options::new()).unwrap();
        let wanted = wanted.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        assert_eq!(documents(&db).unwrap(), wanted);
        db.close().unwrap();
    }
    fn sync_of_the_log(op: Op, name: &str) -> bool {
        op == Op::Sync && name.ends_with(".log")
    }
    let cache = PageCache::new();
    let manner = Manner { how: How::Once, kind: ErrorKind::Io, part: None };
    // The segment's own, that of the first write, that of the seal.
    let fault = Fault::new(2, manner, sync_of_the_log, Some(cache.clone()));
    let db = Db::open_with(Hooked::new(cache.clone(), &fault), Options::new()).unwrap();
    db.collection("c").put("before", &1).unwrap();
    assert_eq!(db.close().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(fault.hit());
    drop(db);
    let no_snapshot = Fault::new(0, Manner { how: How::FromThenOn, ..manner }, snapshot, None);
    let db = Db::open_with(Hooked::new(cache.clone(), &no_snapshot), Options::new()).unwrap();
    assert!(!db.recovery().unclean, "the seal is found");
    if compacts {
        // Moving on to the next segment puts something behind it as well.
        db.compact().unwrap_err();
        check(&cache.after_a_power_cut(), &[("before", 1)]);
    } else {
        db.collection("c").put("behind", &2).unwrap();
        check(&cache.after_a_power_cut(), &[("before", 1), ("behind", 2)]);
    }
}

/// A segment that carries records over is in the page cache, but its sync failed. The next opening finds it whole, and
/// must not cut the records off the segment they came from before they are durable elsewhere.
#[test]
fn records_stay_where_they_are_until_their_copies_are_durable() {
    fn sync_of_the_log(op: Op, name: &str) -> bool {
        op == Op::Sync && name.ends_with(".log")
    }
    fn creation(op: Op, _: &str) -> bool {
        op == Op::Create
    }
    let cache = PageCache::new();
    let db = Db::open_with(cache.clone(), Options::new()).unwrap();
    db.collection("c").put("proven", &1).unwrap();
    db.collection("c").put("last", &2).unwrap();
    let killed = cache.copy();
    let manner = Manner { how: How::Once, kind: ErrorKind::Io, part: None };
    // The sync of the old segment, then that of the new one.
    let fault = Fault::new(1, manner, sync_of_the_log, Some(killed.clone()));
    Db::open_with(Hooked::new(killed.clone(), &fault), Options::new()).map(drop).unwrap_err();
    assert!(fault.hit());
    let fault = Fault::new(0, manner, creation, None);
    Db::open_with(Hooked::new(killed.clone(), &fault), Options::new()).map(drop).unwrap_err();
    assert!(fault.hit());
    let db = Db::open_with(killed.after_a_power_cut(), Options::new()).unwrap();
    let wanted = [("last".to_owned(), 2), ("proven".to_owned(), 1)];
    assert_eq!(documents(&db).unwrap(), wanted.into());
}
