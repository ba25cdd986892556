//! Pumice: an embedded JSON document database made of a log that a person can read and snapshots that open in place.
//!
//! ```
//! # fn main() -> pumice::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("app");
//! use serde_json::{Value, json};
//!
//! let db = pumice::blocking::Db::open(&path)?;
//! let users = db.collection("users");
//! users.put("u1", &json!({"name": "Ada", "born": 1815}))?;
//! let ada: Option<Value> = users.get("u1")?;
//! assert_eq!(ada, Some(json!({"name": "Ada", "born": 1815})));
//! db.close()
//! # }
//! ```
//!
//! A write acknowledged at [`Durability::Disk`], the default, survives a crash of the process, of the system, and a
//! power cut. A [batch](Db::batch) is all or nothing. Damage is reported with file and offset, never guessed around.
//!
//! To read the code, follow a document on its way: `document`, `record`, `format` (the bytes), `storage` (the one seam
//! to a platform), `log` (queue, group commit, writer, recovery), `snapshot`, `state` (what reads see), `compaction`,
//! `core` and `db` (the handle), `blocking` (the same for blocking callers).

mod aside;
mod compaction;
mod core;
mod db;
mod document;
mod error;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod log;
mod options;
mod record;
#[cfg(feature = "encryption")]
#[cfg_attr(not(feature = "js"), allow(dead_code))] // In a browser only a page has such files.
mod sealed_snapshot;
mod snapshot;
mod sorted_map;
mod state;
mod storage;
mod sync;
mod text;
mod verify;

pub use db::{
    Accepted, Answer, Batch, Change, ChangeKind, Changes, Chunk, Collection, Confirmations, Db, Entry,
};
pub use db::{Export, Feed, Keys, Origin, ReadView, Scan, Stats, Submission};
pub use document::{MAX_COLLECTION_BYTES, MAX_KEY_BYTES};
pub use error::{Error, ErrorKind, Result};
pub use import::SnapshotSource;
pub use log::lines::LogLines;
pub use log::recovery::{Recovery, Torn};
pub use options::{Durability, Environment, Limits, Options, Published, RecoveryMode};
pub use storage::*;
#[cfg(shuttle)]
pub use sync::set_deadlines;
pub use text::JsonText;
pub use verify::{Verification, verify};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
