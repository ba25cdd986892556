//! What cannot be stored or opened: refused in one line, with nothing made and nothing changed.

use crate::{Place, contents, run, run_with};
use std::fs;

#[test]
fn limits_are_exact() {
    const MAX: usize = 16 << 20;
    let place = Place::new();
    let db = &place.arg("app");
    let text = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
    run_with(&["put", db, "c", "big"], format!(" {} \n", text(MAX)).as_bytes()).ok();
    assert!(run(&["get", db, "c", "big"]).ok() == text(MAX) + "\n");
    run_with(&["put", db, "c", "bigger"], text(MAX + 1).as_bytes()).fails("over the limit");
    let line = |len: usize| format!("{{\"collection\":\"c\",\"key\":\"line\",\"value\":  {}}}\n", text(len));
    run_with(&["load", db], line(MAX).as_bytes()).ok();
    assert!(run(&["get", db, "c", "line"]).ok() == text(MAX) + "\n");
    run_with(&["load", db], line(MAX + 1).as_bytes()).fails("line 1: a document of 16777217 bytes");

    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    run(&["put", db, "c", "deep", &nested(128)]).ok();
    assert_eq!(run(&["get", db, "c", "deep"]).ok(), nested(128) + "\n");
    run(&["put", db, "c", "deeper", &nested(129)]).fails("nested 129 deep");
    run(&["put", db, "c", &"k".repeat(1024), "1"]).ok();
    run(&["put", db, "c", &"k".repeat(1025), "1"]).fails("1025 bytes");
    run(&["put", db, &"c".repeat(255), "k", "1"]).ok();
    run(&["put", db, &"c".repeat(256), "k", "1"]).fails("256 bytes");
    run(&["put", db, "c", "", "1"]).fails("empty");
    run(&["put", db, "", "k", "1"]).fails("empty");
    run(&["put", db, "a\nb", "k", "1"]).fails("control character");
    run(&["get", db, "", "k"]).fails("empty");
    run(&["scan", db, "a\nb"]).fails("control character");
    run(&["put", db, "c", "bad", "{\"a\":}"]).fails("not valid JSON");
    run(&["put", db, "c", "bad", ""]).fails("not valid JSON");
    run_with(&["put", db, "c", "bad"], b"\"\xff\"").fails("not UTF-8");
    run(&["get", db, "c", "bad"]).missing();
}

#[test]
fn only_put_and_load_make_a_database() {
    let place = Place::new();
    let db = &place.arg("app");
    for args in [
        &["get", db, "c", "k"][..],
        &["del", db, "c", "k"],
        &["drop", db, "c"],
        &["scan", db],
        &["stats", db],
        &["verify", db],
        &["compact", db],
        &["log", db],
    ] {
        run(args).fails("no database");
        assert!(!place.path("app").exists(), "{args:?}");
    }
    run(&["put", db, "c", "k", "nonsense"]).fails("not valid JSON");
    run(&["load", db, &place.arg("no-such-file")]).fails("no-such-file");
    assert!(!place.path("app").exists());
    fs::create_dir(place.path("app")).unwrap();
    run(&["scan", db]).fails("no database");
    run(&["compact", db]).fails("no database");
    assert!(contents(&place.path("app")).is_empty());
    run(&["put", db, "c", "k", "1"]).ok();
}

#[test]
fn a_foreign_directory_or_file_stays_as_it_is() {
    let place = Place::new();
    let db = &place.arg("app");
    fs::create_dir(place.path("app")).unwrap();
    fs::write(place.path("app/letter.txt"), "Dear Ada").unwrap();
    let before = contents(&place.path("app"));
    for args in
        [&["put", db, "c", "k", "1"][..], &["load", db], &["del", db, "c", "k"], &["get", db, "c", "k"]]
    {
        run(args).fails("app");
        assert!(contents(&place.path("app")) == before, "{args:?}");
    }
    let file = &place.arg("app/letter.txt");
    for args in [&["put", file, "c", "k", "1"][..], &["scan", file], &["load", file], &["verify", file]] {
        run(args).fails("letter.txt");
    }
    run(&["put", &place.arg("app/letter.txt/db"), "c", "k", "1"]).fails("letter.txt");
    assert!(contents(&place.path("app")) == before);
    run(&["load", &place.arg("db"), db]).fails("cannot read");
}

#[test]
fn a_name_with_a_line_end_still_makes_one_line() {
    let place = Place::new();
    run(&["scan", &place.arg("no\nsuch\nplace")]).fails("no such place");
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_a_database_but_not_within_it() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    symlink(place.path("app"), place.path("link")).unwrap();
    assert_eq!(run(&["get", &place.arg("link"), "c", "k"]).ok(), "1\n");
    run(&["put", &place.arg("link"), "c", "k", "2"]).ok();
    fs::write(place.path("victim"), "mine").unwrap();
    symlink(place.path("victim"), place.path("app/00000000000000000009.log")).unwrap();
    for args in [&["get", db, "c", "k"][..], &["put", db, "c", "k", "3"], &["verify", db], &["log", db]] {
        run(args).fails("symbolic link");
    }
    assert_eq!(fs::read_to_string(place.path("victim")).unwrap(), "mine");
}

/// A limit on file sizes stands in for a full disk: both refuse an append halfway.
#[cfg(unix)]
#[test]
fn a_full_disk_is_one_line_and_loses_nothing_acknowledged() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    let input = &place.arg("lines");
    fs::write(input, (0..20_000).map(crate::entry).collect::<String>()).unwrap();
    let script = r#"trap '' XFSZ; ulimit -f 2048; exec "$@""#;
    let args =
        ["-c", script, "sh", env!("CARGO_BIN_EXE_pumice"), "load", db, input, "--batch", "100", "--acks"];
    let output = std::process::Command::new("sh").args(args).output().unwrap();
    let ran = crate::Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    ran.fails("");
    let acknowledged: usize = ran.out.lines().last().map_or(0, |l| l.parse().unwrap());
    let found = run(&["scan", db, "users"]);
    assert_eq!(found.code, Some(0), "{}", found.err);
    let count = found.out.lines().count();
    assert!(count >= acknowledged && count < 20_000 && count.is_multiple_of(100), "{count} {acknowledged}");
    assert_eq!(run(&["put", db, "c", "k", "2"]).code, Some(0));
    assert_eq!(run(&["get", db, "c", "k"]).ok(), "2\n");
}
