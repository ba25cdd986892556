//! put, get, del, drop, scan, stats, compact and log on a sound database.

use crate::{Place, command, run, run_with};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn a_document_comes_back_digit_for_digit() {
    let place = Place::new();
    let db = &place.arg("a/b/app");
    let text = r#"{"z":1.50e+01,"a":[1,2.0,-0.0],"z":1e999999,"s":"\ud800 \u00e9 é \/"}"#;
    assert_eq!(run(&["put", db, "users", "u1", text]).ok(), "");
    assert_eq!(run(&["get", db, "users", "u1"]).ok(), format!("{text}\n"));
    run_with(&["put", db, "users", "u2"], b" [ 1 , \"a b\" ]\n").ok();
    run_with(&["put", db, "users", "u3", "-"], b"null").ok();
    run(&["put", db, "users", "-5", "-1.50"]).ok();
    let all = run(&["scan", db]).ok();
    let expected = format!(
        "{{\"collection\":\"users\",\"key\":\"-5\",\"value\":-1.50}}\n\
         {{\"collection\":\"users\",\"key\":\"u1\",\"value\":{text}}}\n\
         {{\"collection\":\"users\",\"key\":\"u2\",\"value\":[1,\"a b\"]}}\n\
         {{\"collection\":\"users\",\"key\":\"u3\",\"value\":null}}\n"
    );
    assert_eq!(all, expected);
    run(&["compact", db]).ok();
    assert_eq!(run(&["scan", db]).ok(), expected);
    assert_eq!(run(&["get", db, "users", "u1"]).ok(), format!("{text}\n"));
}

#[test]
fn what_is_missing_exits_1() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    run(&["get", db, "c", "other"]).missing();
    run(&["get", db, "other", "k"]).missing();
    run(&["del", db, "c", "other"]).missing();
    assert_eq!(run(&["del", db, "c", "k"]).ok(), "");
    run(&["get", db, "c", "k"]).missing();
    run(&["del", db, "c", "k"]).missing();
    assert_eq!(run(&["scan", db]).ok(), "");
}

#[test]
fn keys_may_hold_anything() {
    let place = Place::new();
    let db = &place.arg("app");
    let keys = ["\u{1}\n\t\"\\/", "é", "日本", "🦀", " ", "--", "null", "a\u{7f}\u{2028}"];
    for key in keys {
        run(&["put", db, "Größe \"q\"", "--", key, "true"]).ok();
        assert_eq!(run(&["get", db, "Größe \"q\"", "--", key]).ok(), "true\n");
    }
    let lines = run(&["scan", db]).ok();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    let found: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(found.iter().map(|v| v["key"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    assert!(found.iter().all(|v| v["collection"] == "Größe \"q\""));
    let copy = &place.arg("copy");
    run_with(&["load", copy], lines.as_bytes()).ok();
    assert_eq!(run(&["scan", copy]).ok(), lines);
}

#[test]
fn scan_selects() {
    let place = Place::new();
    let db = &place.arg("app");
    for (collection, key) in [("b", "a"), ("b", "a1"), ("b", "a2"), ("b", "b"), ("a", "x"), ("c", "y")] {
        run(&["put", db, collection, key, "0"]).ok();
    }
    let keys = |args: &[&str]| {
        let out = run(&[&["scan", db], args].concat()).ok();
        let key = |l: &str| serde_json::from_str::<Value>(l).unwrap()["key"].as_str().unwrap().to_owned();
        out.lines().map(key).collect::<Vec<_>>().join(" ")
    };
    for compacted in [false, true] {
        assert_eq!(keys(&[]), "x a a1 a2 b y");
        assert_eq!(keys(&["--limit", "2"]), "x a");
        assert_eq!(keys(&["--limit", "0"]), "");
        assert_eq!(keys(&["b"]), "a a1 a2 b");
        assert_eq!(keys(&["b", "--prefix", "a"]), "a a1 a2");
        assert_eq!(keys(&["b", "--from", "a1", "--to", "b"]), "a1 a2");
        assert_eq!(keys(&["b", "--prefix", "a", "--from", "a1", "--reverse", "--limit", "1"]), "a2");
        assert_eq!(keys(&["b", "--reverse"]), "b a2 a1 a");
        assert_eq!(keys(&["b", "--from", "b", "--to", "a"]), "");
        assert_eq!(keys(&["b", "--from", "b", "--to", "b"]), "");
        assert_eq!(keys(&["b", "--from", "z", "--prefix", "a"]), "");
        assert_eq!(keys(&["none"]), "");
        if !compacted {
            run(&["compact", db]).ok();
        }
    }
}

#[test]
fn drop_takes_one_collection() {
    let place = Place::new();
    let db = &place.arg("app");
    for collection in ["a", "b"] {
        run(&["put", db, collection, "k", "1"]).ok();
    }
    assert_eq!(run(&["drop", db, "a"]).ok(), "");
    run(&["get", db, "a", "k"]).missing();
    assert_eq!(run(&["get", db, "b", "k"]).ok(), "1\n");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let db = &place.arg("app");
    let input: String = (0..20_000).map(crate::entry).collect();
    run_with(&["load", db], input.as_bytes()).ok();
    for args in [&["scan", db][..], &["scan", db, "users"], &["log", db]] {
        let mut child = command(args).stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'));
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

#[test]
fn stats_count() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    run(&["put", db, "c", "k", "2"]).ok();
    let json: Value = serde_json::from_str(&run(&["stats", db, "--json"]).ok()).unwrap();
    assert_eq!((&json["documents"], &json["sequence"]), (&1.into(), &2.into()), "{json}");
    for member in ["logBytes", "snapshotBytes", "segments", "snapshots", "compactions"] {
        assert!(json[member].is_u64(), "{member}");
    }
    let text = run(&["stats", db]).ok();
    assert_eq!(text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["documents", "1"]);
    run(&["compact", db]).ok();
    let json: Value = serde_json::from_str(&run(&["stats", db, "--json"]).ok()).unwrap();
    assert_eq!((&json["documents"], &json["snapshots"]), (&1.into(), &1.into()), "{json}");
}

#[test]
fn log_shows_records_as_they_stand() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k1", "{\"a\":1.0}"]).ok();
    run(&["del", db, "c", "k1"]).ok();
    run(&["put", db, "c", "k2", "2"]).ok();
    let lines = run(&["log", db]).ok();
    let records: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let cmds: Vec<_> =
        records.iter().map(|r| (r["_s"].as_u64().unwrap(), r["cmd"].as_str().unwrap())).collect();
    assert_eq!(cmds, [(1, "INSERT"), (2, "DELETE"), (3, "INSERT")]);
    assert!(lines.contains("{\"a\":1.0}"));
    let after = run(&["log", db, "--after", "2"]).ok();
    assert_eq!(Some(after.trim_end()), lines.lines().last());
    assert_eq!(run(&["log", db, "--after", &u64::MAX.to_string()]).ok(), "");
    assert!(run(&["log", db, "--all"]).ok().lines().count() > 4);
    run(&["compact", db]).ok();
    run(&["log", db, "--after", "0"]).fails("no longer holds");
    assert_eq!(run(&["log", db]).ok(), "");
}
