//! Torn tails, which are normal, and damage, which is not.

use crate::{Place, contents, entry, last_segment, run, run_with};
use serde_json::Value;
use std::fs;
use std::io::Write;

/// Adds half a record to the log, as a crash may.
fn tear(place: &Place) -> u64 {
    let path = last_segment(&place.path("app"));
    let offset = fs::metadata(&path).unwrap().len();
    let half = b"{\"_s\":3,\"_p\":\"0000";
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(half).unwrap();
    offset
}

#[test]
fn a_torn_tail_is_noted_by_readers_and_set_aside_by_writers() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    run(&["put", db, "c", "k", "2"]).ok();
    let offset = tear(&place);
    let before = contents(&place.path("app"));
    for args in [&["get", db, "c", "k"][..], &["scan", db], &["stats", db], &["verify", db], &["log", db]] {
        let ran = run(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.starts_with("note: ") && ran.err.lines().count() == 1, "{ran:?}");
        assert!(ran.err.contains(&format!("offset {offset}")) && ran.err.contains(".log"), "{ran:?}");
        assert!(!ran.out.is_empty());
    }
    let json: Value = serde_json::from_str(&run(&["verify", db, "--json"]).out).unwrap();
    assert_eq!((&json["sound"], &json["torn"]["offset"]), (&true.into(), &offset.into()), "{json}");
    assert_eq!(json["torn"]["bytes"], 18, "{json}");
    assert!(contents(&place.path("app")) == before);

    let ran = run(&["put", db, "c", "k", "3"]);
    assert_eq!((ran.code, ran.err.lines().count()), (Some(0), 1), "{ran:?}");
    assert!(ran.err.starts_with("note: ") && ran.err.contains("quarantine/"), "{ran:?}");
    assert_eq!(run(&["get", db, "c", "k"]).ok(), "3\n");
    run(&["verify", db]).ok();
    tear(&place);
    run(&["del", db, "c", "none"]).fails_or_missing_with_note();
    tear(&place);
    run_with(&["load", db], b"x\n").fails("line 1");
}

impl crate::Ran {
    #[track_caller]
    fn fails_or_missing_with_note(&self) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        assert!(self.err.starts_with("note: ") && self.err.lines().count() == 1, "{self:?}");
    }
}

#[test]
fn damage_is_found_and_named() {
    let place = Place::new();
    let db = &place.arg("app");
    let input: String = (0..100).map(entry).collect();
    run_with(&["load", db, "--batch", "10"], input.as_bytes()).ok();
    let path = last_segment(&place.path("app"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    for args in [&["get", db, "c", "k"][..], &["scan", db], &["put", db, "c", "k", "1"], &["compact", db]] {
        let ran = run(args);
        ran.fails(".log");
        ran.fails("offset ");
    }
    let ran = run(&["verify", db]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.out.contains(".log") && ran.out.contains("offset"), "{ran:?}");
    let ran = run(&["verify", db, "--json"]);
    assert_eq!(ran.code, Some(1));
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["sound"], &json["more_damage"]), (&false.into(), &0.into()));
    assert!(json["damage"][0]["file"].as_str().unwrap().contains(".log"), "{json}");
    assert!(json["damage"][0]["offset"].is_u64() && json["damage"][0]["message"].is_string(), "{json}");
    let log = run(&["log", db]);
    log.fails("damaged");
    assert!(!log.out.is_empty());
}

#[test]
fn a_damaged_snapshot_is_found() {
    let place = Place::new();
    let db = &place.arg("app");
    let input: String = (0..100).map(entry).collect();
    run_with(&["load", db], input.as_bytes()).ok();
    run(&["compact", db]).ok();
    let files = fs::read_dir(place.path("app")).unwrap().map(|e| e.unwrap().path());
    let snapshot = files.filter(|p| p.extension().is_some_and(|e| e == "snapshot")).max().unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let ran = run(&["verify", db]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.out.contains(".snapshot") && ran.out.contains("offset"), "{ran:?}");
    run(&["scan", db]).fails(".snapshot");
}
