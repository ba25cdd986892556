//! A sample of flipped bits and cuts in the files of a real directory, seen through the command line: `verify` tells,
//! and the reading commands print what was written or fail with one line.

use crate::{Place, Ran, entry, run, run_with};
use std::fs;
use std::path::{Path, PathBuf};

/// Damage to each file: so many flips, and half as many cuts.
const FLIPS: usize = 100;

/// What the commands print while nothing is damaged.
struct Sound {
    scan: String,
    get: String,
}

/// A closed database of a snapshot and a log behind it; returns its files that hold anything.
fn database(place: &Place) -> (Sound, Vec<PathBuf>) {
    let db = &place.arg("app");
    let entries = |numbers: std::ops::Range<usize>| numbers.map(entry).collect::<String>();
    run_with(&["load", db, "--batch", "7"], entries(0..80).as_bytes()).ok();
    run(&["del", db, "users", "u000003"]).ok();
    run(&["compact", db]).ok();
    run_with(&["load", db, "--batch", "7"], entries(60..120).as_bytes()).ok();
    run(&["put", db, "c", "k", "[1, 2.50]"]).ok();
    run(&["drop", db, "c"]).ok();
    run(&["verify", db]).ok();
    let files = fs::read_dir(place.path("app")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| fs::metadata(file).unwrap().len() > 0).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    let sound = Sound { scan: run(&["scan", db]).ok(), get: run(&["get", db, "users", "u000070"]).ok() };
    assert_eq!(sound.scan.lines().count(), 119);
    (sound, files)
}

/// Runs `verify`, `get` and `scan`; returns whether `verify` reports damage.
fn check(db: &str, sound: &Sound) -> bool {
    let verify = run(&["verify", db]);
    let damaged = match verify.code {
        Some(0) => false,
        Some(1) => true,
        _ => panic!("{verify:?}"),
    };
    if damaged {
        assert_eq!(verify.err, "");
        assert!(verify.out.contains("(file ") && verify.out.contains(", offset "), "{verify:?}");
    }
    is_right_or_refused(&run(&["get", db, "users", "u000070"]), &sound.get, damaged);
    is_right_or_refused(&run(&["scan", db]), &sound.scan, damaged);
    damaged
}

fn is_right_or_refused(ran: &Ran, wanted: &str, damaged: bool) {
    if ran.code == Some(0) {
        assert_eq!(ran.out, wanted, "a wrong answer, and no word of it: {}", ran.err);
        assert!(
            ran.err.is_empty() || ran.err.starts_with("note: ") && ran.err.lines().count() == 1,
            "{ran:?}"
        );
        return;
    }
    assert!(damaged, "refused, and sound to verify: {ran:?}");
    // With one line on stderr, no panic and no signal.
    ran.fails("");
    assert!(wanted.starts_with(&ran.out), "a wrong answer before the failure: {ran:?}");
}

fn with_file(path: &Path, bytes: &[u8], work: impl FnOnce() -> bool) -> bool {
    let before = fs::read(path).unwrap();
    fs::write(path, bytes).unwrap();
    let damaged = work();
    fs::write(path, before).unwrap();
    damaged
}

#[test]
fn damage_anywhere_is_told_or_harmless() {
    let place = Place::new();
    let (sound, files) = database(&place);
    let db = &place.arg("app");
    assert!(!check(db, &sound));
    let (mut told, mut harmless) = (0, 0);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        // Spread over the file, the last bytes among them.
        let len = bytes.len();
        let places = |count: usize| (1..=count).map(move |n| (n, n * len / count - 1));
        for (n, at) in places(FLIPS) {
            let mut flipped = fs::read(file).unwrap();
            flipped[at] ^= 1 << (n % 8);
            let damaged = with_file(file, &flipped, || check(db, &sound));
            *if damaged { &mut told } else { &mut harmless } += 1;
        }
        for (_, len) in places(FLIPS / 2) {
            let cut = fs::read(file).unwrap();
            let damaged = with_file(file, &cut[..len], || check(db, &sound));
            *if damaged { &mut told } else { &mut harmless } += 1;
        }
    }
    assert!(!check(db, &sound));
    println!("{told} times damage was told, {harmless} times it was harmless");
    // Only the seal at the end of the log holds nothing.
    assert!(harmless <= 6, "{harmless}");
}
