//! Guards against silent damage: whichever bit of whichever file flips, and wherever a file is cut, what is read is
//! what was written, or an error says that something is wrong.
//!
//! A default run samples bytes, with another bit each time, and lengths; with `PUMICE_SOAK` every bit and every length
//! is tried.

mod support;

use pumice::blocking::Db;
use pumice::{Error, ErrorKind, Options};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use support::sealed::{Damage, Damaged, Sealed};

/// How a piece of damage shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// An error, or damage in the report of a verification.
    Error,
    /// The opening told of an unclean end.
    Unclean,
    /// Not at all, and everything is there.
    Not,
}

fn is_damage(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version), "{error}");
    assert!(!error.to_string().is_empty());
}

/// Opens the damaged database, reads everything, and panics at the first wrong value.
fn read_everything(sealed: &Arc<Sealed>, file: &str, damage: Damage) -> Seen {
    let storage = Damaged { sealed: Arc::clone(sealed), file: file.to_owned(), damage };
    let db = match Db::open_with(storage, Options::new().read_only(true)) {
        Ok(db) => db,
        Err(error) => {
            is_damage(&error);
            return Seen::Error;
        }
    };
    let report = db.recovery();
    let unclean = report.torn.is_some() || report.unclean;
    // Behind an unclean end something may be missing: then what is there is what was there at that moment.
    let is_right = |name: &(String, String), text: &str| {
        if unclean {
            return sealed.history.get(name).is_some_and(|all| all.iter().any(|old| old == text));
        }
        sealed.documents.get(name).is_some_and(|wanted| wanted == text)
    };
    let mut found = 0;
    let scanned = db.read_view().for_each_of_all_raw(|collection, key, text| {
        let name = (collection.to_owned(), key.to_owned());
        assert!(is_right(&name, text), "{name:?} is {text}");
        found += 1;
        Ok(())
    });
    let mut seen = Seen::Not;
    for name in sealed.documents.keys().step_by(17) {
        match db.collection(&name.0).get_raw(&name.1) {
            Ok(Some(text)) => assert!(is_right(name, &text), "{name:?} is {text}"),
            Ok(None) => assert!(unclean, "{name:?} is gone"),
            Err(error) => {
                is_damage(&error);
                seen = Seen::Error;
            }
        }
    }
    if let Err(error) = scanned {
        is_damage(&error);
        return Seen::Error;
    }
    if seen == Seen::Error {
        return seen;
    }
    let verified = db.verify().unwrap();
    verified.damage.iter().for_each(is_damage);
    if !verified.is_sound() {
        return Seen::Error;
    }
    if unclean {
        assert!(verified.torn == report.torn);
        return Seen::Unclean;
    }
    assert_eq!(found, sealed.documents.len(), "documents are missing, and nothing tells");
    Seen::Not
}

/// Tries each piece of damage, on as many threads as there are processors.
fn try_all(sealed: &Arc<Sealed>, file: &str, all: &[Damage], check: impl Fn(Damage, Seen) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for part in 0..threads {
            let check = &check;
            scope.spawn(move || {
                for damage in all.iter().skip(part).step_by(threads) {
                    let one = || check(*damage, read_everything(sealed, file, *damage));
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(one)) {
                        eprintln!("it was {damage:?} of {file}");
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
}

fn soak() -> bool {
    std::env::var_os("PUMICE_SOAK").is_some()
}

/// Every `step`th byte, with another bit each time.
fn flips(len: usize, step: usize) -> Vec<Damage> {
    if soak() {
        return (0..len * 8).map(|n| Damage::Flip { at: n / 8, bit: (n % 8) as u8 }).collect();
    }
    (0..len).step_by(step).enumerate().map(|(n, at)| Damage::Flip { at, bit: (n % 8) as u8 }).collect()
}

fn cuts(len: usize, step: usize) -> Vec<Damage> {
    let step = if soak() { 1 } else { step };
    // The last bytes, where the structure is dense, in any case.
    (0..len).filter(|at| at % step == 0 || at + 200 > len).map(|len| Damage::Cut { len }).collect()
}

fn damage_everything(sealed: Sealed, flip_step: impl Fn(&str) -> usize, cut_step: usize) {
    let sealed = Arc::new(sealed);
    for (file, bytes) in &sealed.files {
        assert_eq!(read_everything(&sealed, file, Damage::Nothing), Seen::Not);
        // Every byte is under a checksum, so no flip goes unseen even where it does no harm.
        let flips = flips(bytes.len(), flip_step(file));
        try_all(&sealed, file, &flips, |damage, seen| assert_ne!(seen, Seen::Not, "{damage:?}"));
        let cuts = cuts(bytes.len(), cut_step);
        try_all(&sealed, file, &cuts, |damage, seen| assert_ne!(seen, Seen::Not, "{damage:?}"));
        eprintln!("{file}: {} flips and {} cuts of {} bytes", flips.len(), cuts.len(), bytes.len());
    }
}

#[test]
fn no_flip_and_no_cut_of_a_log_goes_unseen() {
    damage_everything(Sealed::log_only(), |_| 47, 257);
}

#[test]
fn no_flip_and_no_cut_of_a_snapshot_and_its_log_goes_unseen() {
    damage_everything(
        Sealed::snapshot_and_log(),
        |file| if file.ends_with(".snapshot") { 9 } else { 61 },
        257,
    );
}
