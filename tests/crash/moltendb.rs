//! The same crashes under another algorithm: that of MoltenDB's storage layer, as its formats and its behaviour are
//! described, not its code. It shows that the enumerator finds what it is there to find.
//!
//! Writes go to a log and are acknowledged when the system has them. A compaction writes all documents to a new
//! snapshot, moves the old snapshot away, gives the new one its name, and empties the log. Nothing is ever synced. The
//! disk is the same as for Pumice: names and lengths are durable at once, the bytes behind them only after a sync.

use crate::chance::{Chance, Thoroughness};
use crate::disk::{Disk, State};
use crate::recording::Effect;
use crate::support::figures;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

const LOG: &str = "db.log";
const SNAPSHOT: &str = "db.log.snapshot.bin";
const NEW: &str = "db.log.snapshot.bin.tmp";

type Documents = BTreeMap<String, u64>;

/// A database that keeps account of what it does to its files.
#[derive(Default)]
struct Molten {
    effects: Vec<Effect>,
    documents: Documents,
    /// What the documents were after each write; the first entry is before any.
    history: Vec<Documents>,
    has_snapshot: bool,
}

impl Molten {
    fn open() -> Self {
        Self { effects: vec![Effect::Create(LOG.into())], history: vec![Documents::new()], ..Self::default() }
    }

    fn append(&mut self, file: &str, bytes: &[u8]) {
        self.effects.push(Effect::Append(file.into(), bytes.into()));
    }

    fn write(&mut self, lines: &str) {
        self.append(LOG, lines.as_bytes());
        self.history.push(self.documents.clone());
        self.effects.push(Effect::Acknowledged(self.history.len() - 1));
    }

    fn put(&mut self, key: u32, value: u64) {
        self.documents.insert(format!("k{key}"), value);
        self.write(&insert(key, value));
    }

    fn delete(&mut self, key: u32) {
        self.documents.remove(&format!("k{key}"));
        self.write(&line("DELETE", &format!("k{key}"), "null"));
    }

    fn batch(&mut self, keys: std::ops::Range<u32>, value: u64) {
        let mut lines = line("TX_BEGIN", "t", "null");
        for key in keys {
            self.documents.insert(format!("k{key}"), value);
            lines += &insert(key, value);
        }
        self.write(&(lines + &line("TX_COMMIT", "t", "null")));
    }

    fn compact(&mut self) {
        let mut bytes = b"MOLTSNAP".to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend((self.documents.len() as u64).to_le_bytes());
        for (key, value) in &self.documents {
            let entry = line("INSERT", key, &value.to_string());
            bytes.extend((entry.len() as u64).to_le_bytes());
            bytes.extend(entry.as_bytes());
        }
        self.effects.push(Effect::Create(NEW.into()));
        self.append(NEW, &bytes);
        // Under its new name nothing reads the old one.
        if std::mem::replace(&mut self.has_snapshot, true) {
            self.effects.push(Effect::Remove(SNAPSHOT.into()));
        }
        self.effects.push(Effect::Create(SNAPSHOT.into()));
        self.append(SNAPSHOT, &bytes);
        self.effects.push(Effect::Remove(NEW.into()));
        self.effects.push(Effect::Truncate(LOG.into(), 0));
    }
}

fn line(command: &str, key: &str, value: &str) -> String {
    format!("{{\"cmd\":\"{command}\",\"collection\":\"c\",\"key\":\"{key}\",\"value\":{value},\"_t\":1}}\n")
}

fn insert(key: u32, value: u64) -> String {
    line("INSERT", &format!("k{key}"), &value.to_string())
}

/// What it reads of the files that a crash left: what it cannot parse it passes over.
fn reopened(state: &State) -> Documents {
    let file = |name: &str| state.iter().find(|(n, _)| &**n == name).map_or(&[][..], |(_, bytes)| bytes);
    let mut documents = Documents::new();
    for entry in snapshot_entries(file(SNAPSHOT)) {
        apply(&entry, &mut documents);
    }
    let mut held: Option<Vec<Value>> = None;
    for line in file(LOG).split(|byte| *byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Value>(line) else { continue };
        match (entry["cmd"].as_str(), &mut held) {
            (Some("TX_BEGIN"), _) => held = Some(Vec::new()),
            (Some("TX_COMMIT"), _) => {
                held.take().unwrap_or_default().iter().for_each(|e| apply(e, &mut documents));
            }
            (_, Some(held)) => held.push(entry),
            (_, None) => apply(&entry, &mut documents),
        }
    }
    documents
}

fn snapshot_entries(bytes: &[u8]) -> Vec<Value> {
    let mut entries = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(b"MOLTSNAP").and_then(|rest| rest.get(16..)) else {
        return entries;
    };
    while let Some((len, behind)) = rest.split_first_chunk::<8>() {
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some((entry, behind)) = behind.split_at_checked(len) else { break };
        entries.extend(serde_json::from_slice::<Value>(entry));
        rest = behind;
    }
    entries
}

fn apply(entry: &Value, documents: &mut Documents) {
    let key = entry["key"].as_str().unwrap_or_default().to_owned();
    match (entry["cmd"].as_str(), entry["value"].as_u64()) {
        (Some("INSERT"), Some(value)) => drop(documents.insert(key, value)),
        (Some("DELETE"), _) => drop(documents.remove(&key)),
        _ => {}
    }
}

/// How many different states there were, and how many of them had lost something acknowledged or held half a write.
#[derive(Default)]
struct Count {
    met: HashSet<(u64, usize)>,
    lost: u64,
}

impl Count {
    fn see(&mut self, state: &State, history: &[Documents], acknowledged: usize) {
        let hash = state.iter().fold(0_u64, |hash, (name, bytes)| {
            hash.rotate_left(7) ^ xxh3_64(name.as_bytes()) ^ xxh3_64(bytes).rotate_left(21)
        });
        if self.met.insert((hash, acknowledged)) && !history[acknowledged..].contains(&reopened(state)) {
            self.lost += 1;
        }
    }
}

#[test]
fn an_algorithm_that_never_syncs_is_found_out() {
    let workloads: [(&str, fn(&mut Molten)); 3] = [
        ("puts", |db| (0..20).for_each(|n| db.put(n, 1))),
        ("batches", |db| {
            (0..6).for_each(|n| db.batch(n * 4..n * 4 + 4, 1));
            db.delete(3);
        }),
        ("compactions", |db| {
            for round in 0..4 {
                (0..5).for_each(|n| db.put(n + 3 * round, u64::from(round)));
                db.compact();
            }
        }),
    ];
    let (mut cuts, mut kills) = (Count::default(), Count::default());
    for (name, body) in workloads {
        let mut db = Molten::open();
        body(&mut db);
        let (mut disk, mut acknowledged, mut chance) = (Disk::default(), 0, Chance::new(1));
        let before = (cuts.lost, kills.lost);
        for effect in &db.effects {
            disk.apply(effect);
            if let Effect::Acknowledged(write) = effect {
                acknowledged = *write;
            }
            kills.see(&disk.all(), &db.history, acknowledged);
            disk.states(Some(effect), Thoroughness::Dense, &mut chance, &mut |state, _| {
                cuts.see(state, &db.history, acknowledged);
            });
        }
        println!("{name}: {} power cuts and {} kills lose", cuts.lost - before.0, kills.lost - before.1);
        assert!(cuts.lost > before.0, "{name}: without a sync, a power cut must lose something");
    }
    figures::keep(
        "crash-states-moltendb",
        &[
            ("states", cuts.met.len() as u64),
            ("lost", cuts.lost),
            ("kills", kills.met.len() as u64),
            ("kills_lost", kills.lost),
        ],
    );
    assert!(kills.lost > 0, "a kill between two renames loses every document");
}
