//! What stands in OPFS and in the journal, and what becomes of a database when one of them is damaged or gone.

use crate::place::{self, evict, pool, slots, try_pool, write};
use crate::support::conformance::{all, kind, listed};
use pumice::browser::{self, Wanted};
use pumice::opfs::{IndexedDbJournal, OpfsJournal};
use pumice::pool::{Journal, JournalEdit, SlotFiles};
use pumice::{Db, ErrorKind, Options, Storage};
use wasm_bindgen_test::wasm_bindgen_test;

/// Where the content of a slot begins.
const DATA: usize = 8192;

#[wasm_bindgen_test]
async fn the_log_is_text_in_the_directory_of_the_database() {
    for millis in [0, 60_000] {
        let name = format!("text {millis}");
        let db = Db::open_with(pool(&name, millis).await, Options::new()).await.unwrap();
        db.collection("notes").put_raw("n1", r#"{"title":"hi"}"#).await.unwrap();
        db.close().await.unwrap();
        let (files, numbers) = slots(&name).await;
        let mut logs = Vec::new();
        for slot in numbers {
            files.open(slot).await.unwrap();
            let content = files.read_at(slot, DATA as u64, 1 << 20).unwrap();
            logs.extend(
                String::from_utf8(content).ok().filter(|text| text.contains(r#""value":{"title":"hi"}"#)),
            );
        }
        let [log] = &logs[..] else { panic!("{logs:?}") };
        assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");
    }
}

#[wasm_bindgen_test]
async fn a_young_database_survives_the_loss_of_its_slots() {
    let name = "lost slots";
    let db = Db::open_with(place::open(name, Wanted::Auto).await, Options::new()).await.unwrap();
    let long = format!("\"{}\"", "x".repeat(300_000));
    db.collection("notes").put_raw("long", &long).await.unwrap();
    for n in 0..20 {
        db.collection("notes").put_raw(&format!("n{n}"), "1").await.unwrap();
    }
    db.close().await.unwrap();
    evict(name).await;
    let opened = browser::open(name, Wanted::Auto, place::PATIENCE).await.unwrap();
    assert!(!opened.evicted);
    let db = Db::open_with(opened.storage, Options::new()).await.unwrap();
    assert_eq!(db.stats().await.unwrap().documents, 21);
    assert_eq!(db.collection("notes").get_raw("long").await.unwrap().unwrap(), long.as_str());
}

#[wasm_bindgen_test]
async fn an_aged_database_needs_no_journal_and_its_loss_is_told() {
    let name = "evicted";
    let young = pool(name, 0).await;
    write(&young, "a.log", b"old").await;
    young.close().await.unwrap();
    let aged = pool(name, 60_000).await;
    aged.sync("a.log").await.unwrap();
    aged.close().await.unwrap();
    let journal = OpfsJournal::open(name, place::PATIENCE).await.unwrap();
    assert!(journal.read().await.unwrap().is_empty());
    journal.close().await;
    let opened = browser::open(name, Wanted::Auto, place::PATIENCE).await.unwrap();
    assert!(!opened.evicted);
    assert_eq!(all(&opened.storage, "a.log").await, b"old");
    opened.storage.close().await.unwrap();
    evict(name).await;
    let opened = browser::open(name, Wanted::Auto, place::PATIENCE).await.unwrap();
    assert!(opened.evicted);
    assert!(listed(&opened.storage).await.is_empty());
    opened.storage.close().await.unwrap();
    let new = browser::open("never there", Wanted::Auto, place::PATIENCE).await.unwrap();
    assert!(!new.evicted);
}

#[wasm_bindgen_test]
async fn a_damaged_header_is_told_and_one_whole_copy_is_enough() {
    let name = "headers";
    let aged = pool(name, 60_000).await;
    write(&aged, "a.log", b"content").await;
    aged.close().await.unwrap();
    let damage = async |at: u64| {
        let (files, _) = slots(name).await;
        files.open(0).await.unwrap();
        let byte = files.read_at(0, at, 1).unwrap()[0];
        files.write_at(0, at, &[byte ^ 1]).unwrap();
    };
    damage(40).await;
    let one = pool(name, 0).await;
    assert_eq!(all(&one, "a.log").await, b"content");
    one.close().await.unwrap();
    damage(4096 + 40).await;
    kind(try_pool(name, 0).await, ErrorKind::Corrupt);
    let refused = browser::open(name, Wanted::Auto, place::PATIENCE).await;
    assert!(refused.as_ref().err().is_some_and(|error| error.to_string().contains("slot 0")));
    kind(refused, ErrorKind::Corrupt);
    damage(40).await;
    assert_eq!(all(&pool(name, 0).await, "a.log").await, b"content", "a refused opening changes nothing");
}

#[wasm_bindgen_test]
async fn the_journal_is_an_ordered_map_of_any_length() {
    let name = "map";
    let open = || IndexedDbJournal::open(name, place::PATIENCE);
    let put = |key: &str, len: usize, byte: u8| JournalEdit::Put { key: key.into(), value: vec![byte; len] };
    let journal = open().await.unwrap();
    journal.commit(vec![put("b", 500_000, 1), put("a/1", 61_440, 2), put("a", 0, 3)]).await.unwrap();
    journal.commit(vec![put("c", 61_441, 4), put("b", 122_880, 5)]).await.unwrap();
    journal.commit(Vec::new()).await.unwrap();
    drop(journal);
    let journal = open().await.unwrap();
    let lengths = async || {
        let entries = journal.read().await.unwrap();
        assert!(entries.iter().all(|(_, value)| value.iter().all(|byte| *byte == value[0])));
        entries.iter().map(|(key, value)| format!("{key} {}", value.len())).collect::<Vec<_>>()
    };
    assert_eq!(lengths().await, ["a 0", "a/1 61440", "b 122880", "c 61441"]);
    let edits = vec![JournalEdit::Remove { from: "a/".into(), to: "c".into() }, put("bb", 7, 6)];
    journal.commit(edits).await.unwrap();
    assert_eq!(lengths().await, ["a 0", "bb 7", "c 61441"]);
}

#[wasm_bindgen_test]
async fn a_handle_reads_and_writes_what_is_asked_for() {
    let (files, _) = slots("raw").await;
    for slot in [0, 7] {
        files.open(slot).await.unwrap();
        files.open(slot).await.expect("opening again does nothing");
        assert_eq!(files.len(slot).unwrap(), 0);
        assert!(files.read_at(slot, 0, 10).unwrap().is_empty());
        files.write_at(slot, 5, b"hello").unwrap();
        files.flush(slot).unwrap();
        assert_eq!(files.read_at(slot, 0, usize::MAX).unwrap(), b"\0\0\0\0\0hello");
        assert_eq!(files.read_at(slot, 7, 2).unwrap(), b"ll");
        assert!(files.read_at(slot, 11, 2).unwrap().is_empty());
        files.truncate(slot, 7).unwrap();
        files.truncate(slot, 9).unwrap();
        assert_eq!(files.read_at(slot, 5, 9).unwrap(), b"he\0\0");
    }
    let mut numbers = files.list().await.unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 7]);
    files.close();
    kind(files.len(0), ErrorKind::Closed);
}
