//! The work that is measured. Each piece runs in a process of its own, in a directory of its own.

mod batches;
mod churn;
mod opening;
mod puts;
mod reads;

use crate::engine::Kind;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What came out, by name: numbers in base units (seconds, bytes, operations per second).
pub type Measures = BTreeMap<String, f64>;

/// Names with their numbers.
fn measures<const N: usize>(all: [(&str, f64); N]) -> Measures {
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Puts that are durable before they return, under scattered keys, for so many seconds.
    DurablePuts { writers: u64, document_bytes: usize, seconds: f64 },
    /// Puts that may return before they are durable, and one sync behind them all.
    BufferedPuts { documents: u64, document_bytes: usize, seconds: f64 },
    /// Durable batches of 1,000 under scattered keys.
    Batches { documents: u64, document_bytes: usize },
    /// The same keys written again and again, durable every 10,000; then a compaction with a writer beside it.
    Churn { keys: u64, rounds: u64, seconds: f64 },
    /// Makes the database that the works below use: batches of 1,000 in the order of their numbers, then a compaction.
    Load { documents: u64 },
    /// From opening to the first document, with the files in the page cache or out of it.
    Open { documents: u64, cold: bool },
    /// From opening to the first durable put.
    FirstPut,
    /// Gets of random keys, one thread.
    Gets { documents: u64, gets: u64 },
    /// All documents in order, one thread.
    Scan { documents: u64 },
    /// Writes durable batches behind the loaded documents, and dies by SIGKILL.
    DieAfterWriting { documents: u64, more: u64 },
}

impl Work {
    /// Why this engine has no such thing, if it has not.
    pub fn lacks(&self, kind: Kind) -> Option<&'static str> {
        match (kind, self) {
            (Kind::RawAhead, work) if !matches!(work, Self::DurablePuts { .. }) => {
                Some("only for durable puts")
            }
            (Kind::Raw, Self::Open { .. } | Self::FirstPut | Self::DieAfterWriting { .. }) => {
                Some("reads all of itself when it opens")
            }
            (Kind::Emdb, Self::Scan { .. }) => Some("has no order"),
            _ => None,
        }
    }

    /// Whether the process kills itself at the end, so that there is no answer to wait for.
    pub fn dies(&self) -> bool {
        matches!(self, Self::DieAfterWriting { .. })
    }

    /// Does the work in `dir`, which is there.
    ///
    /// # Errors
    /// The engine's own.
    pub fn run(&self, kind: Kind, dir: &Path) -> Result<Measures> {
        match *self {
            Self::DurablePuts { writers, document_bytes, seconds } => {
                puts::durable(kind, dir, writers, document_bytes, seconds)
            }
            Self::BufferedPuts { documents, document_bytes, seconds } => {
                puts::buffered(kind, dir, documents, document_bytes, seconds)
            }
            Self::Batches { documents, document_bytes } => batches::run(kind, dir, documents, document_bytes),
            Self::Churn { keys, rounds, seconds } => churn::run(kind, dir, keys, rounds, seconds),
            Self::Load { documents } => batches::load(kind, dir, documents),
            Self::Open { documents, cold } => opening::open(kind, dir, documents, cold),
            Self::FirstPut => opening::first_put(kind, dir),
            Self::Gets { documents, gets } => reads::gets(kind, dir, documents, gets),
            Self::Scan { documents } => reads::scan(kind, dir, documents),
            Self::DieAfterWriting { documents, more } => {
                opening::die_after_writing(kind, dir, documents, more)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(work: &Work, kind: Kind, dir: &Path) -> Measures {
        work.run(kind, dir).unwrap_or_else(|error| panic!("{work:?} on {kind:?}: {error:#}"))
    }

    #[test]
    fn every_engine_does_every_work_that_it_has() {
        for kind in Kind::ALL {
            for work in [
                Work::DurablePuts { writers: 3, document_bytes: 250, seconds: 0.05 },
                Work::BufferedPuts { documents: 500, document_bytes: 100, seconds: 5.0 },
                Work::Batches { documents: 2000, document_bytes: 250 },
                Work::Churn { keys: 500, rounds: 3, seconds: 5.0 },
            ] {
                if work.lacks(kind).is_none() {
                    let dir = tempfile::tempdir().unwrap();
                    assert!(run(&work, kind, dir.path())["per_second"] > 0.0, "{work:?} on {kind:?}");
                }
            }
            let documents = 3000;
            let dir = tempfile::tempdir().unwrap();
            for work in [
                Work::Load { documents },
                Work::Open { documents, cold: false },
                Work::Gets { documents, gets: 3000 },
                Work::Scan { documents },
                Work::FirstPut,
            ] {
                if work.lacks(kind).is_none() {
                    assert!(!run(&work, kind, dir.path()).is_empty(), "{work:?} on {kind:?}");
                }
            }
        }
    }
}
