//! The real `MoltenDB` 0.7 writes, Pumice imports; Pumice writes or exports, `MoltenDB` opens.
//!
//! Guards that the formats are what `docs/format.md` says, by the one program whose word on them counts.

mod back;
mod there;

use moltendb_core::engine::{Db as Molten, DbConfig};
use pumice::blocking::Db;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Documents by collection and key.
type Documents = BTreeMap<(String, String), Value>;

fn open(log: &Path, sync_mode: bool) -> Molten {
    // Nothing is paged out, which would be a matter of its own.
    let config = DbConfig { path: text(log), sync_mode, hot_threshold: usize::MAX, ..DbConfig::default() };
    Molten::open(config).expect("MoltenDB opens")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path that is text").to_owned()
}

/// What `MoltenDB` holds in these collections.
fn of_molten(db: &Molten, collections: &[&str]) -> Documents {
    let of = |name: &&str| {
        let name = (*name).to_owned();
        db.get_all(&name).into_iter().map(move |(key, value)| ((name.clone(), key), value))
    };
    collections.iter().flat_map(of).collect()
}

/// What Pumice holds.
fn of_pumice(db: &Db) -> Documents {
    let mut documents = Documents::new();
    db.read_view()
        .for_each_of_all_raw(|collection, key, text| {
            let value = serde_json::from_str(text).expect("JSON");
            documents.insert((collection.to_owned(), key.to_owned()), value);
            Ok(())
        })
        .expect("it is read");
    documents
}

/// Compares without printing a hundred thousand documents.
#[track_caller]
fn assert_same(one: &Documents, other: &Documents) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
}
