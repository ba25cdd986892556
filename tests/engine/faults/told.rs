//! What a workload was told of its writes, and so what may be found later.

use pumice::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// What was tried with a document, and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The values it may have: the last one that is certain, then those whose fate is open. `None` is no document.
    pub possible: Vec<Option<u64>>,
}

/// What the workload was told.
#[derive(Clone, Default)]
pub struct Told {
    pub documents: BTreeMap<String, Known>,
    /// Buffered writes that no sync has confirmed yet.
    buffered: Vec<(String, u64)>,
    /// Pairs written together, under a number each.
    pub batches: Vec<(String, String, u64)>,
    pub poisoned: bool,
}

impl Told {
    fn known(&mut self, key: &str) -> &mut Known {
        self.documents.entry(key.to_owned()).or_insert_with(|| Known { possible: vec![None] })
    }

    /// A durable write: certain, or of unknown fate.
    pub fn wrote<T>(&mut self, keys: &[&str], value: Option<u64>, result: &Result<T>) {
        for key in keys {
            let known = self.known(key);
            if result.is_ok() {
                known.possible.clear();
            }
            known.possible.push(value);
        }
        if let Err(error) = result {
            self.failed(error);
        }
    }

    pub fn accepted(&mut self, key: &str, value: u64, result: &Result<u64>) {
        self.known(key).possible.push(Some(value));
        match result {
            Ok(_) => self.buffered.push((key.to_owned(), value)),
            Err(error) => self.failed(error),
        }
    }

    pub fn synced<T>(&mut self, result: &Result<T>) {
        match result {
            Ok(_) => {
                for (key, value) in std::mem::take(&mut self.buffered) {
                    let known = self.known(&key);
                    let at = known.possible.iter().rposition(|v| *v == Some(value)).expect("it was tried");
                    known.possible.drain(..at);
                }
            }
            Err(error) => self.failed(error),
        }
    }

    pub fn failed(&mut self, error: &Error) {
        if self.poisoned {
            assert_eq!(error.kind(), ErrorKind::Poisoned, "after a failure no write is taken: {error}");
        } else {
            let expected = matches!(error.kind(), ErrorKind::Io | ErrorKind::Full | ErrorKind::Poisoned);
            assert!(expected, "{error}");
        }
        self.poisoned = true;
    }

    /// A later opening showed `found`, and something was acknowledged behind it: so it stays.
    pub fn stays(&mut self, found: &BTreeMap<String, u64>) {
        for (key, known) in &mut self.documents {
            known.possible = vec![found.get(key).copied()];
        }
        self.buffered.clear();
    }
}
