//! `restore`: a database of a snapshot file, whole or not at all.

use crate::{Place, command, contents, entry, run, run_with};
use pumice::blocking::Db;
use std::fs;
use std::thread;
use std::time::Duration;

/// A database with documents, and its snapshot file.
fn exported(place: &Place, documents: usize) -> String {
    let db = &place.arg("app");
    run_with(&["load", db], (0..documents).map(entry).collect::<String>().as_bytes()).ok();
    run(&["put", db, "c", "odd \"key\"", r#"{"b":1.50,"a":1e999,"a":"\ud800"}"#]).ok();
    run(&["del", db, "users", "u000003"]).ok();
    let file = place.path("all.snapshot");
    let opened = Db::open(db).unwrap();
    opened.export_snapshot(&file).unwrap();
    opened.close().unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn brings_back_every_byte_of_every_document() {
    let place = Place::new();
    let file = &exported(&place, 300);
    let db = &place.arg("again");
    assert_eq!(run(&["restore", file, db]).ok(), "");
    let scan = run(&["scan", db]).ok();
    assert_eq!(scan, run(&["scan", &place.arg("app")]).ok());
    assert_eq!(scan.lines().count(), 300);
    run(&["verify", db]).ok();
    run(&["put", db, "c", "k", "1"]).ok();
    assert_eq!(run(&["log", db]).ok().lines().count(), 1);
    run(&["compact", db]).ok();
    assert_eq!(run(&["get", db, "c", "k"]).ok(), "1\n");
}

#[test]
fn takes_only_a_place_where_nothing_is() {
    let place = Place::new();
    let file = &exported(&place, 5);
    let before = contents(&place.path("app"));
    run(&["restore", file, &place.arg("app")]).fails("already");
    assert_eq!(contents(&place.path("app")), before);
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full").join("note"), b"mine").unwrap();
    run(&["restore", file, &place.arg("full")]).fails("already");
    run(&["restore", file, file]).fails("already");
    assert_eq!(contents(&place.path("full")).len(), 1);
    fs::create_dir(place.path("empty")).unwrap();
    run(&["restore", file, &place.arg("empty")]).ok();
    run(&["verify", &place.arg("empty")]).ok();
    run(&["restore", &place.arg("none"), &place.arg("new")]).fails("none");
    run(&["restore", &place.arg("app"), &place.arg("copied")]).ok();
    assert!(!place.path("new").exists());
}

#[test]
fn refuses_whatever_is_damaged_and_leaves_nothing_behind() {
    let place = Place::new();
    let sound = fs::read(exported(&place, 4)).unwrap();
    let there = fs::read_dir(place.path("")).unwrap().count();
    let (broken, db) = (place.arg("broken"), place.arg("new"));
    let refuse = |bytes: &[u8]| {
        fs::write(&broken, bytes).unwrap();
        run(&["restore", &broken, &db]).fails("broken");
        assert_eq!(fs::read_dir(place.path("")).unwrap().count(), there + 1);
    };
    // A process each, so not every one; the engine's own tests go through all.
    (0..sound.len()).step_by(23).for_each(|cut| refuse(&sound[..cut]));
    for at in (0..sound.len()).step_by(17) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        refuse(&damaged);
    }
    refuse(b"{\"collection\":\"c\",\"key\":\"k\",\"value\":1}\n");
    run(&["restore", "--at", "3", &broken, &db]).code.filter(|code| *code == 2).unwrap();
}

#[test]
fn a_kill_leaves_no_database_or_a_whole_one() {
    let place = Place::new();
    let file = &exported(&place, 30_000);
    let wanted = run(&["scan", &place.arg("app")]).ok();
    let (mut whole, mut none) = (0, 0);
    for round in 0..20_u64 {
        let db = &place.arg("new");
        let mut child = command(&["restore", file, db]).spawn().unwrap();
        thread::sleep(Duration::from_millis(round * 4));
        let _ = child.kill();
        child.wait().unwrap();
        if place.path("new").exists() {
            assert!(run(&["scan", db]).ok() == wanted);
            run(&["verify", db]).ok();
            fs::remove_dir_all(db).unwrap();
            whole += 1;
        } else {
            none += 1;
        }
    }
    println!("{whole} whole, {none} not there");
    // What the last kill left is no hindrance.
    run(&["restore", file, &place.arg("new")]).ok();
    let left: Vec<_> = fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(none > 0);
}
