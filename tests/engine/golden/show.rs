//! Everything that a database shows, as JSON lines.

use pumice::blocking::Db;
use pumice::{ErrorKind, Recovery, Stats, Storage};
use serde_json::{Value, json};
use std::fmt::Write;

pub fn recovery(opened: &str, found: &Recovery) -> String {
    let torn = found.torn.as_ref().map(|torn| {
        json!({
            "file": torn.file, "offset": torn.offset, "bytes": torn.bytes, "reason": torn.reason,
            "quarantined": torn.quarantined,
        })
    });
    assert!(found.damage.is_empty());
    let report =
        json!({"opened": opened, "unclean": found.unclean, "replayed": found.replayed, "torn": torn});
    format!("{report}\n")
}

pub fn stats(stats: &Stats) -> String {
    format!("{}\n", json!({ "stats": stats }))
}

/// The sequence number, the documents with their text as stored, and the changes that the log holds.
pub fn contents<S: Storage>(db: &Db<S>) -> String {
    let mut text = format!("{}\n", json!({"sequence": db.sequence()}));
    text += &documents(db);
    let mut feed = (0..=db.sequence())
        .find_map(|after| match db.changes(after) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other.unwrap()),
        })
        .unwrap();
    while let Some(change) = feed.try_next().unwrap() {
        let (sequence, kind) = (change.sequence, format!("{:?}", change.kind));
        let line =
            json!({"change": sequence, "kind": kind, "collection": change.collection, "key": change.key});
        writeln!(text, "{line}").unwrap();
    }
    text
}

pub fn documents<S: Storage>(db: &Db<S>) -> String {
    let mut text = String::new();
    for collection in db.collections().unwrap() {
        for entry in db.collection(&collection).scan::<Value>(..).unwrap().raw() {
            let entry = entry.unwrap();
            let (name, key) = (Value::from(collection.as_str()), Value::from(entry.key));
            let value = entry.document;
            writeln!(text, r#"{{"collection":{name},"key":{key},"value":{value}}}"#).unwrap();
        }
    }
    text
}

/// The lines of [`contents`] that are documents.
pub fn documents_in(contents: &str) -> String {
    let lines = contents.lines().filter(|line| line.starts_with(r#"{"collection":"#));
    lines.flat_map(|line| [line, "\n"]).collect()
}
