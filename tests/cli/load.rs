//! load of entry lines: batches, bad lines, acknowledgements, and what a kill leaves.

use crate::{Place, command, entry, run, run_with};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn reads_what_scan_prints_in_any_order_of_members() {
    let place = Place::new();
    let db = &place.arg("app");
    let input = "{\"key\":\"k\\u00e9\\\"\",\"value\": {\"b\" : 1.50e+01, \"a\":[ ], \"b\":2} ,\"collection\":\"c\"}\r\n\
                 \n  \t\r\n{\"value\":null,\"collection\":\"c\",\"key\":\"n\"}";
    assert_eq!(run_with(&["load", db, "--acks"], input.as_bytes()).ok(), "4\n");
    let expected = "{\"collection\":\"c\",\"key\":\"ké\\\"\",\"value\":{\"b\":1.50e+01,\"a\":[],\"b\":2}}\n\
                    {\"collection\":\"c\",\"key\":\"n\",\"value\":null}\n";
    assert_eq!(run(&["scan", db]).ok(), expected);
    let file = &place.arg("lines");
    std::fs::write(file, [b"\xef\xbb\xbf", expected.as_bytes()].concat()).unwrap();
    let copy = &place.arg("copy");
    assert_eq!(run(&["load", copy, file]).ok(), "");
    assert_eq!(run(&["scan", copy]).ok(), expected);
}

#[test]
fn a_bad_line_ends_the_load_and_earlier_batches_stay() {
    let bad: &[(&[u8], &str)] = &[
        (b"{\"collection\":\"c\",\"key\":\"k\"}", "missing field `value`"),
        (b"{\"collection\":\"c\",\"value\":1}", "missing field `key`"),
        (b"{\"key\":\"k\",\"value\":1}", "missing field `collection`"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"value\":1,\"more\":2}", "unknown field `more`"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"key\":\"l\",\"value\":1}", "duplicate field `key`"),
        (b"{\"collection\":\"c\",\"key\":5,\"value\":1}", "expected a"),
        (b"{\"collection\":\"c\",\"key\":\"\\ud800\",\"value\":1}", "hex escape"),
        (b"{\"collection\":\"c\",\"key\":\"\",\"value\":1}", "must not be empty"),
        (b"{\"collection\":\"\",\"key\":\"k\",\"value\":1}", "must not be empty"),
        (b"{\"collection\":\"c\\n\",\"key\":\"k\",\"value\":1}", "control character"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"value\":01}", "column"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"value\":}", "expected value"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"value\":1} x", "trailing characters"),
        (b"{\"collection\":\"c\",\"key\":\"k\",\"value\":1", "EOF"),
        (b"[\"c\",\"k\",1]", "found an array"),
        (b"nonsense", "JSON object"),
        (b"{\"collection\":\"c\",\"key\":\"\xff\",\"value\":1}", "not UTF-8"),
    ];
    let place = Place::new();
    for (n, (line, part)) in bad.iter().enumerate() {
        let db = &place.arg(&n.to_string());
        let mut input: Vec<u8> = (0..25).flat_map(|n| entry(n).into_bytes()).collect();
        input.extend_from_slice(line);
        input.extend_from_slice(b"\n");
        input.extend_from_slice(entry(99).as_bytes());
        for durability in ["disk", "buffered"] {
            let ran = run_with(&["load", db, "--batch", "10", "--durability", durability, "--acks"], &input);
            ran.fails(part);
            ran.fails("pumice: line 26: ");
            assert_eq!(ran.out.lines().last(), Some("20"), "{ran:?}");
            assert_eq!(run(&["scan", db]).ok().lines().count(), 20);
        }
    }
}

#[test]
fn acks_grow_to_the_number_of_lines() {
    let place = Place::new();
    let mut input: String = (0..5_000).map(entry).collect();
    input.push_str("\n\n");
    for durability in ["disk", "buffered"] {
        let args = ["load", &place.arg(durability), "--batch", "7", "--durability", durability, "--acks"];
        let acks = numbers(&run_with(&args, input.as_bytes()).ok());
        assert!(acks.is_sorted_by(|a, b| a < b));
        assert_eq!(acks.last(), Some(&5_002));
        assert_eq!(run(&["scan", &place.arg(durability)]).ok().lines().count(), 5_000);
    }
    assert_eq!(run_with(&["load", &place.arg("empty"), "--acks"], b"").ok(), "0\n");
}

fn numbers(text: &str) -> Vec<usize> {
    text.lines().map(|l| l.parse().unwrap()).collect()
}

#[test]
fn acks_come_while_the_input_goes_on() {
    let place = Place::new();
    for durability in ["disk", "buffered"] {
        let args =
            ["load", &place.arg(durability), "-", "--batch", "2", "--durability", durability, "--acks"];
        let mut child = command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut acks = BufReader::new(child.stdout.take().unwrap()).lines();
        for round in 0..5 {
            input.write_all((entry(2 * round) + &entry(2 * round + 1)).as_bytes()).unwrap();
            assert_eq!(acks.next().unwrap().unwrap(), (2 * round + 2).to_string());
        }
        drop(input);
        assert!(acks.next().is_none());
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_load_goes_on_when_nobody_reads_its_acks() {
    let place = Place::new();
    let db = &place.arg("app");
    let mut child = command(&["load", db, "--batch", "1", "--acks"]).stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    for n in 0..50 {
        input.write_all(entry(n).as_bytes()).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert_eq!(run(&["scan", db]).ok().lines().count(), 50);
}

#[test]
fn a_kill_loses_nothing_acknowledged_and_leaves_whole_batches() {
    let place = Place::new();
    for (round, durability) in
        ["disk", "buffered", "disk", "buffered", "disk", "buffered"].into_iter().enumerate()
    {
        let db = &place.arg(&round.to_string());
        let args = ["load", db, "--batch", "10", "--durability", durability, "--acks"];
        let mut child = command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || {
            let mut n = 0;
            while n < 1_000_000 && input.write_all(entry(n).as_bytes()).is_ok() {
                n += 1;
            }
        });
        let mut acks = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        for _ in 0..5 + 3 * round {
            acknowledged = acks.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged =
            acks.map_while(Result::ok).filter_map(|l| l.parse().ok()).last().unwrap_or(acknowledged);
        feeder.join().unwrap();

        let before = scan_keys(db);
        assert!(
            before.len() >= acknowledged && before.len().is_multiple_of(10),
            "{acknowledged} {}",
            before.len()
        );
        assert!(before.iter().enumerate().all(|(n, key)| *key == format!("u{n:06}")));
        let verified = run(&["verify", db]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        let put = run(&["put", db, "other", "k", "1"]);
        assert_eq!(put.code, Some(0), "{put:?}");
        assert!(
            put.err.lines().count() <= 1 && (put.err.is_empty() || put.err.starts_with("note: ")),
            "{put:?}"
        );
        assert_eq!(scan_keys(db), before);
        run(&["verify", db]).ok();
    }
}

fn scan_keys(db: &str) -> BTreeSet<String> {
    let ran = run(&["scan", db, "users"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let key =
        |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["key"].as_str().unwrap().to_owned();
    ran.out.lines().map(key).collect()
}

#[test]
fn a_line_without_an_end_is_refused() {
    let place = Place::new();
    let db = &place.arg("app");
    let mut input = entry(0).into_bytes();
    input.resize(65 << 20, b' ');
    run_with(&["load", db], &input).fails("line 2: over 67108864 bytes");
    assert_eq!(run(&["scan", db]).ok(), "");
}
