//! `--key-file` and `rekey`: an encrypted database from the shell, and nothing of it in any file.

use crate::{Place, contents, entry, last_segment, run, run_with};
use std::fs;
use std::path::PathBuf;

/// A key file for 32 bytes, which costs no time to open, or with a passphrase.
fn key_file(place: &Place, name: &str, line: &str) -> String {
    fs::write(place.path(name), format!("{line}\n")).unwrap();
    place.arg(name)
}

fn hidden(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) {
    for (name, bytes) in files {
        for plain in ["users", "INSERT", "xxxxxxxx", "u00000"] {
            let shown = bytes.windows(plain.len()).any(|part| part == plain.as_bytes());
            assert!(!shown, "{plain} is in {}", name.display());
        }
    }
}

#[test]
fn every_command_works_with_the_key_and_nothing_is_plain() {
    let place = Place::new();
    let key = &key_file(&place, "key", &"0123456789abcdef".repeat(4));
    let (db, backups, plain) = (&place.arg("app"), &place.arg("backups"), &place.arg("plain"));
    let with = |args: &[&str]| run(&[args, &["--key-file", key]].concat());
    let lines: String = (0..500).map(entry).collect();
    run_with(&["load", db, "--key-file", key, "--batch", "50"], lines.as_bytes()).ok();
    run_with(&["load", plain, "--batch", "50"], lines.as_bytes()).ok();
    let documents = run(&["scan", plain]).ok();
    assert_eq!(with(&["scan", db]).ok(), documents);
    with(&["retention", db, "--keep", "7d"]).ok();
    with(&["compact", db]).ok();
    with(&["put", db, "users", "u000007", "1"]).ok();
    assert_eq!(with(&["get", db, "users", "u000007"]).ok(), "1\n");
    with(&["del", db, "users", "u000008"]).ok();
    let before = with(&["scan", db, "--at", "520"]).ok();
    assert_eq!(before, documents);
    assert_eq!(with(&["log", db, "--after", "520"]).ok().lines().count(), 2);
    assert!(with(&["verify", db]).ok().starts_with("sound"));
    assert!(with(&["stats", db, "--json"]).ok().contains("\"documents\":499"));

    for _ in 0..2 {
        assert_eq!(with(&["backup", db, backups]).code, Some(0));
    }
    let again = with(&["backup", db, backups]).err;
    assert!(again.contains(", 0 of them new"), "{again}");
    let now = with(&["scan", db]).ok();
    for (at, expected) in [(None, &now), (Some("520"), &documents)] {
        let restored = &place.arg(&format!("restored-{}", at.unwrap_or("now")));
        let mut command = vec!["restore", backups, restored, "--key-file", key];
        command.extend(at.iter().flat_map(|at| ["--at", at]));
        run(&command).ok();
        assert_eq!(with(&["scan", restored]).ok(), *expected);
        hidden(contents(&place.path(restored.rsplit('/').next().unwrap())));
    }
    run(&["restore", backups, &place.arg("no")]).fails("encrypted");
    assert!(!place.path("no").exists());

    // A torn tail, set aside.
    let segment = last_segment(&place.path("app"));
    let mut bytes = fs::read(&segment).unwrap();
    bytes.extend(b"torn");
    fs::write(&segment, bytes).unwrap();
    let repaired = with(&["repair", db, "--mode", "torn-tail"]);
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert!(with(&["verify", db]).ok().starts_with("sound"));
    assert_eq!(with(&["scan", db]).ok(), now);
    with(&["repair", db, "--mode", "salvage"]).ok();
    with(&["drop", db, "users"]).ok();
    hidden(contents(&place.path("app")));
    hidden(contents(&place.path("backups")));
}

#[test]
fn without_the_right_key_nothing_is_shown_and_nothing_changed() {
    let place = Place::new();
    let (right, wrong) = (&key_file(&place, "right", "a passphrase"), &key_file(&place, "wrong", "another"));
    let (db, plain) = (&place.arg("app"), &place.arg("plain"));
    run(&["put", db, "users", "u000001", "1", "--key-file", right]).ok();
    run(&["put", plain, "users", "u000001", "1"]).ok();
    let before = (contents(&place.path("app")), contents(&place.path("plain")));
    let commands: &[&[&str]] = &[
        &["get", db, "users", "u000001"],
        &["put", db, "users", "u000001", "2"],
        &["scan", db],
        &["log", db],
        &["verify", db],
        &["stats", db],
        &["compact", db],
        &["backup", db, &place.arg("backups")],
        &["repair", db, "--mode", "torn-tail"],
        &["repair", db, "--mode", "point-in-time"],
        &["repair", db, "--mode", "salvage"],
        &["restore", db, &place.arg("restored"), "--at", "1"],
        &["rekey", db, "--new-key-file", wrong],
    ];
    for command in commands {
        run(command).fails("encrypted");
        run(&[command, &["--key-file", wrong][..]].concat()).fails("key");
        let plain: Vec<_> = command.iter().map(|arg| if arg == db { plain } else { *arg }).collect();
        run(&[&plain, &["--key-file", right][..]].concat()).fails("not encrypted");
    }
    run(&["get", db, "users", "u000001", "--key-file", &place.arg("none")]).fails("none");
    assert_eq!((contents(&place.path("app")), contents(&place.path("plain"))), before);
    assert_eq!(run(&["get", db, "users", "u000001", "--key-file", right]).ok(), "1\n");
}

#[test]
fn a_new_key_replaces_the_old_one() {
    let place = Place::new();
    let (old, new) = (&key_file(&place, "old", "a passphrase"), &key_file(&place, "new", &"ab".repeat(32)));
    let (db, backups) = (&place.arg("app"), &place.arg("backups"));
    run(&["put", db, "users", "u000001", "1", "--key-file", old]).ok();
    assert_eq!(run(&["backup", db, backups, "--key-file", old]).code, Some(0));
    run(&["rekey", db, "--key-file", old, "--new-key-file", new]).ok();
    run(&["get", db, "users", "u000001", "--key-file", old]).fails("key");
    assert_eq!(run(&["get", db, "users", "u000001", "--key-file", new]).ok(), "1\n");
    // The backup opens as it did, until the next one is made.
    run(&["restore", backups, &place.arg("first"), "--key-file", old]).ok();
    assert_eq!(run(&["backup", db, backups, "--key-file", new]).code, Some(0));
    run(&["restore", backups, &place.arg("second"), "--key-file", old]).fails("key");
    run(&["restore", backups, &place.arg("second"), "--key-file", new]).ok();
    assert_eq!(run(&["get", &place.arg("second"), "users", "u000001", "--key-file", new]).ok(), "1\n");
}

#[test]
fn a_directory_takes_backups_of_one_sort() {
    let place = Place::new();
    let key = &key_file(&place, "key", &"ab".repeat(32));
    let (one, other, plain) = (&place.arg("one"), &place.arg("other"), &place.arg("plain"));
    for db in [one, other] {
        run(&["put", db, "users", "u000001", "1", "--key-file", key]).ok();
    }
    run(&["put", plain, "users", "u000001", "1"]).ok();
    let (sealed, open) = (&place.arg("sealed"), &place.arg("open"));
    assert_eq!(run(&["backup", one, sealed, "--key-file", key]).code, Some(0));
    assert_eq!(run(&["backup", plain, open]).code, Some(0));
    let before = contents(&place.path("sealed"));
    run(&["backup", other, sealed, "--key-file", key]).fails("another database");
    run(&["backup", plain, sealed]).fails("encrypted");
    run(&["backup", one, open, "--key-file", key]).fails("header does not open");
    assert_eq!(contents(&place.path("sealed")), before);
    run(&["restore", sealed, &place.arg("restored"), "--key-file", key]).ok();
    run(&["restore", open, &place.arg("again")]).ok();
}

#[test]
fn what_is_imported_is_encrypted() {
    let place = Place::new();
    let key = &key_file(&place, "key", &"ab".repeat(32));
    let (log, db) = (&place.arg("app.log"), &place.arg("app"));
    fs::write(log, "{\"cmd\":\"INSERT\",\"collection\":\"users\",\"key\":\"u000001\",\"value\":{\"n\":1}}\n")
        .unwrap();
    run(&["import", "moltendb", log, db, "--key-file", key]).ok();
    assert_eq!(run(&["get", db, "users", "u000001", "--key-file", key]).ok(), "{\"n\":1}\n");
    hidden(contents(&place.path("app")));
}
