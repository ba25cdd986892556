//! `repair`: what each mode keeps, gives up, and never deletes.

use crate::{Place, contents, entry, run, run_with};
use std::fs;
use std::path::PathBuf;

/// Two compacted runs' worth of documents and a tail, closed.
fn database(place: &Place) -> String {
    let db = place.arg("app");
    run_with(&["load", &db], (0..50).map(entry).collect::<String>().as_bytes()).ok();
    run(&["compact", &db]).ok();
    for n in 50..60 {
        run(&["put", &db, "tail", &n.to_string(), &n.to_string()]).ok();
    }
    db
}

fn file(place: &Place, ending: &str) -> PathBuf {
    let mut names = contents(&place.path("app")).into_keys();
    place.path("app").join(names.rfind(|name| name.to_string_lossy().ends_with(ending)).unwrap())
}

fn damage(path: &PathBuf, at: impl Fn(&[u8]) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(&bytes);
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn middle(bytes: &[u8]) -> usize {
    bytes.len() / 2
}

#[test]
fn a_sound_database_stays_as_it_is() {
    let place = Place::new();
    let db = &database(&place);
    let before = run(&["scan", db]).ok();
    for mode in ["torn-tail", "point-in-time"] {
        let ran = run(&["repair", db, "--mode", mode]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
        assert!(ran.err.contains("nothing to repair"), "{}", ran.err);
    }
    assert_eq!(run(&["repair", db, "--mode", "salvage"]).ok(), before);
    assert_eq!(run(&["scan", db]).ok(), before);
    run(&["repair", &place.arg("none"), "--mode", "torn-tail"]).fails("no database");
}

#[test]
fn a_torn_tail_is_set_aside() {
    let place = Place::new();
    let db = &database(&place);
    fs::remove_file(file(&place, ".end")).unwrap();
    let log = file(&place, ".log");
    let mut bytes = fs::read(&log).unwrap();
    let whole = run(&["scan", db]).ok();
    bytes.extend_from_slice(b"{\"_s\":61,\"_p\":\"half a li");
    fs::write(&log, bytes).unwrap();
    let ran = run(&["repair", db, "--mode", "torn-tail"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("quarantine/"), "{}", ran.err);
    assert_eq!(run(&["scan", db]).ok(), whole);
    run(&["verify", db]).ok();
    assert_eq!(fs::read_dir(place.path("app").join("quarantine")).unwrap().count(), 1);
}

#[test]
fn torn_tail_refuses_other_damage_and_point_in_time_keeps_what_is_before_it() {
    let place = Place::new();
    let db = &database(&place);
    damage(&file(&place, ".log"), middle);
    let before = contents(&place.path("app"));
    run(&["verify", db]).code.into_iter().for_each(|code| assert_eq!(code, 1));
    run(&["repair", db, "--mode", "torn-tail"]).fails(".log");
    assert_eq!(contents(&place.path("app")), before);
    let ran = run(&["repair", db, "--mode", "point-in-time"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("is kept") && ran.err.contains("quarantine/"), "{}", ran.err);
    let kept = run(&["scan", db]).ok();
    let tail = kept.lines().filter(|line| line.contains("\"tail\"")).count();
    assert_eq!(kept.lines().count(), 50 + tail);
    assert!((1..10).contains(&tail), "{tail}");
    run(&["verify", db]).ok();
    run(&["put", db, "c", "k", "1"]).ok();
}

#[test]
fn a_damaged_snapshot_is_given_up_with_what_is_behind_it_or_salvaged() {
    let place = Place::new();
    let db = &database(&place);
    // In the values of the first page.
    damage(&file(&place, ".snapshot"), |_| 70);
    let before = contents(&place.path("app"));
    run(&["repair", db, "--mode", "torn-tail"]).fails(".snapshot");
    run(&["repair", db, "--mode", "point-in-time"]).fails("salvage");
    assert_eq!(contents(&place.path("app")), before);
    let ran = run(&["repair", db, "--mode", "salvage"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains(".snapshot"), "{}", ran.err);
    assert_eq!(ran.out.lines().filter(|line| line.contains("\"tail\"")).count(), 10);
    assert_eq!(contents(&place.path("app")), before);
}
