//! An open database on a disk of the model checker, and what must hold of it.

use crate::disk::{Disk, Record};
use crate::explore::exploring;
use pumice::blocking::{Db, ReadView};
use pumice::{Durability, Environment, Options, RecoveryMode, Result};
use std::collections::BTreeMap;

pub type Documents = BTreeMap<String, u64>;

/// The same times and the same chance at every run, so that a schedule can be replayed.
struct Fixed;

impl Environment for Fixed {
    fn unix_millis(&self) -> u64 {
        1_790_000_000_000
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

/// Compacts only on request.
pub fn options() -> Options {
    Options::new().environment(Fixed).compact_at(None).cache_bytes(64 << 10)
}

#[derive(Clone)]
pub struct World {
    pub disk: Disk,
    pub db: Db<Disk>,
}

impl World {
    /// A database that holds `documents`; from here on the order of events is explored.
    pub fn new(options: Options, documents: &[(&str, u64)]) -> Self {
        let disk = Disk::new();
        let db = Db::open_with(disk.clone(), options).unwrap();
        for (key, value) in documents {
            db.collection("c").put(key, value).unwrap();
        }
        exploring(true);
        Self { disk, db }
    }

    /// A blocking write at `Disk` that has to succeed, and was synced when it returns.
    pub fn put(&self, key: &str, value: u64) -> u64 {
        let sequence = self.db.collection("c").put(key, &value).unwrap();
        self.acknowledged(sequence);
        sequence
    }

    pub fn put_buffered(&self, key: &str, value: u64) -> u64 {
        self.db.collection("c").with_durability(Durability::Buffered).put(key, &value).unwrap()
    }

    /// What was acknowledged at `Disk` was synced before.
    pub fn acknowledged(&self, sequence: u64) {
        assert!(self.disk.is_durable(sequence), "{sequence} was acknowledged before it was synced");
    }

    /// Ends the exploration, and the database as a power cut would: every durable write is there.
    pub fn cut_the_power(&self) {
        exploring(false);
        let disk = self.disk.after_a_power_cut();
        let history = self.disk.history();
        let durable = history.keys().copied().filter(|sequence| self.disk.is_durable(*sequence)).max();
        let db = Db::open_with(disk, options()).unwrap();
        assert_eq!(documents(&db.read_view()), model(&history, durable.unwrap_or(0)));
        db.close().unwrap();
    }

    /// Ends the exploration, closes, opens again, and compares with everything that was ever written.
    pub fn close_and_check(&self) -> BTreeMap<u64, Record> {
        exploring(false);
        self.db.close().unwrap();
        self.check_closed()
    }

    pub fn check_closed(&self) -> BTreeMap<u64, Record> {
        let history = self.disk.history();
        let last = history.keys().next_back().copied().unwrap_or(0);
        assert_eq!(history.len() as u64, last, "no number is left out");
        let disk = self.disk.after_a_power_cut();
        let db = Db::open_with(disk, options().recovery(RecoveryMode::Strict)).unwrap();
        assert!(!db.recovery().unclean);
        assert_eq!(documents(&db.read_view()), model(&history, last));
        db.close().unwrap();
        history
    }
}

/// What a view shows. Its count is that of its documents.
pub fn documents(view: &ReadView<Disk>) -> Documents {
    let scan = view.scan::<u64>("c", ..).unwrap().map(std::result::Result::unwrap);
    let documents: Documents = scan.map(|entry| (entry.key, entry.document)).collect();
    assert_eq!(view.count("c", ..).unwrap(), documents.len() as u64);
    documents
}

/// What the records up to `sequence` amount to.
pub fn model(history: &BTreeMap<u64, Record>, sequence: u64) -> Documents {
    let mut documents = Documents::new();
    for record in history.range(..=sequence).map(|(_, record)| record) {
        match (record.cmd.as_str(), record.value) {
            ("INSERT", Some(value)) => drop(documents.insert(record.key.clone(), value)),
            ("DELETE", _) => drop(documents.remove(&record.key)),
            ("DROP", _) => documents.clear(),
            _ => {}
        }
    }
    documents
}
