//! `backup`, `restore --at`, `scan --at`, `retention` and `--on-snapshot`: what is kept of the past, from the shell.

use crate::{Place, contents, entry, run, run_with};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A database of `writes` single documents, each in a state of its own, compacted now and then.
fn written(place: &Place, name: &str, writes: usize) -> String {
    let db = place.arg(name);
    for n in 0..writes {
        run(&["put", &db, "users", &format!("u{n:06}"), &n.to_string()]).ok();
        if n % 4 == 3 {
            run(&["compact", &db]).ok();
        }
    }
    db
}

#[test]
fn each_moment_that_is_kept_can_be_read() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "users", "first", "0"]).ok();
    assert_eq!(run(&["retention", db]).ok(), "off\n");
    run(&["retention", db, "--keep", "7d", "--max-bytes", "1GiB"]).ok();
    assert_eq!(run(&["retention", db]).ok(), "keep 7d, max-bytes 1073741824\n");
    written(&place, "app", 10);
    for sequence in 1..=11 {
        let lines = run(&["scan", db, "--at", &sequence.to_string()]).ok();
        assert_eq!(lines.lines().count(), sequence, "{lines}");
    }
    let users = run(&["scan", db, "users", "--at", "4", "--prefix", "u", "--reverse", "--limit", "1"]).ok();
    assert_eq!(users, "{\"collection\":\"users\",\"key\":\"u000002\",\"value\":2}\n");
    // The log still shows every record, though most were compacted.
    let log = run(&["log", db]).ok();
    assert_eq!(log.lines().count(), 11);
    assert!(
        log.lines().enumerate().all(|(n, line)| line.starts_with(&format!("{{\"_s\":{},", n + 1))),
        "{log}"
    );
    assert_eq!(run(&["log", db, "--after", "3"]).ok().lines().count(), 8);
    assert_eq!(run(&["scan", db, "--at", "2999-01-01T00:00:00Z"]).ok(), run(&["scan", db]).ok());
    run(&["scan", db, "--at", "12"]).fails("12");
    run(&["scan", db, "--at", "1970-01-02T00:00:00+01:00"]).ok();
    assert_ne!(run(&["scan", db, "--at", "yesterday"]).code, Some(0));

    run(&["retention", db, "--off"]).ok();
    assert_eq!(run(&["retention", db]).ok(), "off\n");
    run(&["scan", db, "--at", "3"]).fails("out of reach");
    run(&["log", db, "--after", "3"]).fails("no longer");
    run(&["verify", db]).ok();
}

#[test]
fn a_directory_of_backups_gives_back_what_it_was_given() {
    let place = Place::new();
    let (db, backups) = (&written(&place, "app", 6), &place.arg("backups"));
    let first = run(&["scan", db]).ok();
    let said = run(&["backup", db, backups]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert!(said.err.starts_with("note: backed up to record 6: "), "{said:?}");
    run(&["put", db, "users", "later", "1"]).ok();
    run(&["compact", db]).ok();
    let second = run(&["scan", db]).ok();
    assert_eq!(run(&["backup", db, backups]).code, Some(0));
    let made = contents(&place.path("backups"));
    let again = run(&["backup", db, backups]).err;
    assert!(again.contains(", 0 of them new with 0 bytes"), "{again}");
    assert_eq!(contents(&place.path("backups")), made);

    for (at, expected) in [(None, &second), (Some("7"), &second), (Some("6"), &first)] {
        let name = &place.arg(&format!("restored-{}", at.unwrap_or("last")));
        let mut command = vec!["restore", backups, name];
        command.extend(at.iter().flat_map(|at| ["--at", at]));
        assert_eq!(run(&command).ok(), "");
        assert_eq!(run(&["scan", name]).ok(), *expected);
        run(&["verify", name]).ok();
        run(&["put", name, "users", "on", "1"]).ok();
    }
    run(&["restore", backups, &place.arg("no"), "--at", "8"]).fails("8");
    run(&["restore", backups, db]).fails("already");
    assert!(!place.path("no").exists());
    run(&["put", backups, "c", "k", "1"]).fails("restore");
    run(&["scan", backups]).fails("restore");
    run(&["backup", &place.arg("none"), &place.arg("new")]).fails("no database");
    run(&["backup", &written(&place, "other", 1), backups]).fails("another database");
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let (db, backups) = (&written(&place, "app", 6), &place.arg("backups"));
    assert_eq!(run(&["backup", db, backups]).code, Some(0));
    for (name, bytes) in contents(&place.path("backups")) {
        let path = place.path("backups").join(&name);
        if !bytes.is_empty() {
            let mut damaged = bytes.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 1;
            fs::write(&path, damaged).unwrap();
            let refused = run(&["restore", backups, &place.arg("no")]);
            assert_eq!(refused.code, Some(2), "{name:?}: {refused:?}");
            assert_eq!(refused.err.lines().count(), 1, "{name:?}: {refused:?}");
            assert!(!place.path("no").exists(), "{name:?}");
            // The database has it still, so the next backup mends it.
            assert_eq!(run(&["backup", db, backups]).code, Some(0), "{name:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{name:?}");
        }
    }
    run(&["restore", backups, &place.arg("yes")]).ok();
}

fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    place.arg(name)
}

#[test]
fn a_program_is_run_for_a_new_snapshot_and_its_failure_changes_nothing() {
    let place = Place::new();
    let db = &place.arg("app");
    run_with(&["load", db], (0..5).map(entry).collect::<String>().as_bytes()).ok();
    let seen = place.arg("seen");
    let note = script(
        &place,
        "note",
        &format!("/usr/bin/env > {seen}.env; for a in \"$@\"; do echo \"$a\"; done > {seen}"),
    );
    run(&["compact", db, "--on-snapshot", &note, "a b", "--c"]).ok();
    let seen = fs::read_to_string(place.path("seen")).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[..2], ["a b", "--c"]);
    assert!(lines[2].starts_with(db.as_str()) && lines[2].ends_with(".snapshot"), "{seen}");
    let environment = fs::read_to_string(place.path("seen.env")).unwrap();
    assert!(!environment.contains("HOME=") && !environment.contains("CARGO"), "{environment}");

    for (text, why) in [("exit 3", "exit status: 3"), ("exec sleep 60", "not done within")] {
        run(&["put", db, "c", "k", "1"]).ok();
        let failing = script(&place, "failing", text);
        let ran = run(&["compact", db, "--on-snapshot-timeout", "1s", "--on-snapshot", &failing]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.starts_with("note: ") && ran.err.contains(why), "{ran:?}");
        assert_eq!(ran.err.lines().count(), 1);
    }
    run(&["compact", db, "--on-snapshot", "note"]).fails("absolute path");
    run(&["verify", db]).ok();
}
