//! load of plain documents, as lines and as one array.

use crate::{Place, run, run_with};

const LINES: &str =
    "{\"id\":\"a\",\"n\":1.0}\n\n{ \"x\":{\"id\":1} , \"i\\u0064\" : \"b\" }\n{\"\\ud800\":1,\"id\":\"c\"}";
const SCANNED: &str = "{\"collection\":\"c\",\"key\":\"a\",\"value\":{\"id\":\"a\",\"n\":1.0}}\n\
    {\"collection\":\"c\",\"key\":\"b\",\"value\":{\"x\":{\"id\":1},\"i\\u0064\":\"b\"}}\n\
    {\"collection\":\"c\",\"key\":\"c\",\"value\":{\"\\ud800\":1,\"id\":\"c\"}}\n";

fn load(db: &str, input: &str, more: &[&str]) -> crate::Ran {
    run_with(&[&["load", db, "--collection", "c", "--key", "id"], more].concat(), input.as_bytes())
}

#[test]
fn lines_and_arrays_store_the_same() {
    let place = Place::new();
    let array = format!("\n [{}]\n \n", LINES.replace("\n\n", "\n").replace('\n', ",\n"));
    let over_lines = "\u{feff}[\n{\"id\":\n\"a\",\"n\":1.0}, {\"x\":\n{\"id\":1},\"i\\u0064\":\"b\"},{\"\\ud800\":1,\"id\":\"c\"}\n]";
    for (name, input, lines) in [("lines", LINES, 4), ("array", &array, 5), ("over", over_lines, 5)] {
        let db = &place.arg(name);
        let acks = load(db, input, &["--acks", "--batch", "1"]).ok();
        assert_eq!(acks.lines().last(), Some(lines.to_string().as_str()), "{name}: {acks}");
        assert_eq!(run(&["scan", db]).ok(), SCANNED);
    }
    let db = &place.arg("empty");
    assert_eq!(load(db, " [ ] ", &[]).ok(), "");
    assert_eq!(run(&["scan", db]).ok(), "");
}

#[test]
fn an_array_in_small_batches_acknowledges_whole_lines_only() {
    let place = Place::new();
    let input: Vec<String> =
        (0..1000).map(|n| format!("{{\"id\":\"k{n:04}\",\"t\":\"a ] }} \\\" , [\"}}")).collect();
    let one_line = format!("[{}]", input.join(","));
    assert_eq!(load(&place.arg("one"), &one_line, &["--acks", "--batch", "10"]).ok(), "1\n");
    let many = format!("[\n{}\n]\n", input.join(",\n"));
    let acks = load(&place.arg("many"), &many, &["--acks", "--batch", "10"]).ok();
    let acks: Vec<u64> = acks.lines().map(|l| l.parse().unwrap()).collect();
    assert!(acks.is_sorted_by(|a, b| a < b), "{acks:?}");
    // The bracket's line and nine whole lines of documents after the first batch, then ten more with each.
    assert!(acks.iter().rev().skip(1).all(|n| n.is_multiple_of(10)), "{acks:?}");
    assert_eq!(acks.last(), Some(&1002));
    assert_eq!(run(&["scan", &place.arg("one")]).ok(), run(&["scan", &place.arg("many")]).ok());
}

#[test]
fn bad_documents_are_named_by_their_line() {
    let place = Place::new();
    let cases = [
        ("{\"id\":\"a\"}\n{\"id\":5}\n", "line 2: the member \"id\" is a number"),
        ("{\"id\":\"a\"}\n{\"di\":\"b\"}\n", "line 2: the document has no member \"id\""),
        ("{\"id\":\"a\",\"i\\u0064\":\"b\"}\n", "line 1: the document has two members \"id\""),
        ("{\"id\":\"\\udc00\"}\n", "line 1: the member \"id\":"),
        ("{\"id\":\"a\"}\n[{\"id\":\"b\"}]\n", "line 2: expected a JSON object, found an array"),
        ("{\"id\":\"a\",}", "line 1: trailing comma"),
        ("[\n{\"id\":\"a\"},\n{\"id\":null}]", "line 3: the member \"id\" is null"),
        ("[{\"id\":\"a\"},\n]", "line 2: a comma before"),
        ("[{\"id\":\"a\"}", "line 1: the array does not end"),
        ("[{\"id\":\"a\"}}", "line 1: the array does not end"),
        ("[", "line 1: the array does not end"),
        ("[{\"id\":\"a\"} {\"id\":\"b\"}]", "line 1: trailing characters"),
        ("[,{\"id\":\"b\"}]", "line 1: expected a JSON object, found nothing"),
        ("[{\"id\":\"a\"}]\nx", "line 2: something follows the array"),
        ("[{\"id\":\"a\"},1]", "line 1: expected a JSON object, found a number"),
        ("[{\"id\":\"a\n\"}]", "control character"),
    ];
    for (n, (input, part)) in cases.into_iter().enumerate() {
        let db = &place.arg(&n.to_string());
        load(db, input, &[]).fails(part);
        assert_eq!(run(&["scan", db]).ok(), "", "{input}");
    }
}

#[test]
fn elements_may_be_cut_anywhere_by_the_reads() {
    let place = Place::new();
    let input: Vec<String> = (0..40_000)
        .map(|n| format!("{{\"id\":\"k{n:05}\",\"text\":\"{}\\\\\\\"[\"}}", "\\n,é".repeat(n % 17)))
        .collect();
    let db = &place.arg("app");
    load(db, &format!("[{}]", input.join(" , ")), &[]).ok();
    let scanned = run(&["scan", db]).ok();
    let values = scanned.lines().map(|l| &l[l.find("\"value\":").unwrap() + 8..l.len() - 1]);
    assert!(values.eq(input.iter().map(String::as_str)));
}

#[test]
fn deep_documents_load() {
    let place = Place::new();
    let deep = |n: usize| format!("{{\"d\":{}{},\"id\":\"k\"}}", "[".repeat(n - 1), "]".repeat(n - 1));
    load(&place.arg("a"), &deep(128), &[]).ok();
    load(&place.arg("b"), &format!("[{}]", deep(128)), &[]).ok();
    load(&place.arg("c"), &deep(129), &[]).fails("line 1: a document nested 129 deep");
    load(&place.arg("d"), &format!("[{}]", deep(100_000)), &[])
        .fails("line 1: a document nested 100000 deep");
    load(&place.arg("e"), &"[".repeat(1_000_000), &[]).fails("line 1: ");
}
