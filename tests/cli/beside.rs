//! Reading commands beside a writer, and that they write nothing.

use crate::{Place, command, contents, entry, run, run_with};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn readers_work_beside_a_running_load() {
    let place = Place::new();
    let db = &place.arg("app");
    let mut writer = command(&["load", db, "--batch", "2", "--acks"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut acks = BufReader::new(writer.stdout.take().unwrap()).lines();
    input.write_all((entry(0) + &entry(1)).as_bytes()).unwrap();
    assert_eq!(acks.next().unwrap().unwrap(), "2");

    let mut follower = command(&["log", db, "--follow"]).spawn().unwrap();
    let mut records = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut cmds = |n: usize| {
        let line = |_| {
            let line: serde_json::Value = serde_json::from_str(&records.next().unwrap().unwrap()).unwrap();
            line["cmd"].as_str().unwrap().to_owned()
        };
        (0..n).map(line).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(cmds(4), "TX_BEGIN INSERT INSERT TX_COMMIT");

    assert_eq!(run(&["scan", db]).ok().lines().count(), 2);
    assert!(run(&["get", db, "users", "u000001"]).ok().starts_with("{\"n\":1,"));
    assert!(run(&["stats", db]).ok().contains("documents"));
    assert!(run(&["verify", db]).ok().starts_with("sound"));
    assert_eq!(run(&["log", db]).ok().lines().count(), 4);
    for args in
        [&["put", db, "c", "k", "1"][..], &["del", db, "c", "k"], &["compact", db], &["drop", db, "c"]]
    {
        run(args).fails("");
    }

    input.write_all((entry(2) + &entry(3)).as_bytes()).unwrap();
    assert_eq!(acks.next().unwrap().unwrap(), "4");
    assert_eq!(run(&["scan", db]).ok().lines().count(), 4);
    assert_eq!(cmds(4), "TX_BEGIN INSERT INSERT TX_COMMIT");
    drop(input);
    assert!(writer.wait().unwrap().success());
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_follower_is_told_when_the_log_goes_away() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "c", "k", "1"]).ok();
    let mut follower = command(&["log", db, "--follow"]).spawn().unwrap();
    let mut records = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert!(records.next().unwrap().unwrap().contains("INSERT"));
    // Compacted with records in between that it can hardly have seen.
    let input: String = (0..5_000).map(entry).collect();
    run_with(&["load", db], input.as_bytes()).ok();
    run(&["compact", db]).ok();
    run(&["put", db, "c", "k", "2"]).ok();
    let rest: Vec<String> =
        records.by_ref().map_while(Result::ok).take_while(|l| !l.contains("\"_s\":5012")).collect();
    drop(records);
    if rest.len() < 5_000 {
        let output = follower.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(0)
                || (output.status.code() == Some(2) && text.contains("compacted away"))
        );
    } else {
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
}

#[test]
fn readers_write_nothing() {
    let place = Place::new();
    let db = &place.arg("app");
    let input: String = (0..100).map(entry).collect();
    run_with(&["load", db], input.as_bytes()).ok();
    run(&["compact", db]).ok();
    run(&["put", db, "c", "k", "1"]).ok();
    let before = contents(&place.path("app"));
    for args in [
        &["get", db, "c", "k"][..],
        &["scan", db],
        &["scan", db, "users", "--reverse"],
        &["stats", db],
        &["verify", db, "--json"],
        &["log", db, "--all"],
    ] {
        assert!(!run(args).ok().is_empty());
        assert!(contents(&place.path("app")) == before, "{args:?}");
    }
}
