//! Interchange with `MoltenDB` up to 0.10: a database made of its files, and its files made of a database.
//!
//! `MoltenDB` keeps a log of JSON lines and, beside it, a snapshot named as the log with `.snapshot.bin` behind. Both are
//! described in `docs/format.md`, and what is carried over in `docs/moltendb.md`.
//!
//! ```no_run
//! # fn main() -> pumice::Result<()> {
//! use pumice::moltendb::{self, ImportOptions};
//!
//! let imported = moltendb::import("old/app.log", "app", ImportOptions::new())?;
//! println!("{} records", imported.records);
//! moltendb::export(&pumice::blocking::Db::open_read_only("app")?, "again/app.log", |_| ())?;
//! # Ok(())
//! # }
//! ```

#[path = "moltendb/export.rs"]
mod export;
#[path = "moltendb/files.rs"]
mod files;
#[path = "moltendb/import.rs"]
mod import;
#[path = "format/moltendb_line.rs"]
pub(crate) mod line;
#[path = "format/moltsnap.rs"]
pub(crate) mod moltsnap;
#[path = "moltendb/reader.rs"]
pub(crate) mod reader;
#[path = "moltendb/transactions.rs"]
pub(crate) mod transactions;

pub use export::export;
#[cfg(feature = "encryption")]
pub use import::import_with_key;
pub use import::{ImportOptions, Imported, PassedOver, import};
