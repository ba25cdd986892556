//! Snapshot files: building them and reading them in place.
//!
//! [`builder`] turns sorted entries into bytes and [`packer`] makes values shorter; neither knows a storage. [`table`] finds single
//! entries in a stored file, [`cursor`] walks over them in order, [`verify`] reads all of it, [`writing`] brings one onto the disk.
//! [`BlockCache`] keeps blocks for all tables of a database. None of them knows what a document is: keys and values are bytes.

mod builder;

mod cursor;
mod packer;
mod path;
mod table;
mod tally;
pub(crate) mod verify;
pub(crate) mod writing;

pub(crate) use crate::format::snapshot::SnapshotHeader;
pub(crate) use crate::storage::cache::BlockCache;
pub(crate) use builder::SnapshotBuilder;
pub(crate) use cursor::{Direction, KeyRange, TableCursor};
pub(crate) use table::{OpenOutcome, Table};
pub(crate) use tally::Summary;
pub(crate) use writing::SnapshotWriter;

#[cfg(test)]
mod tests;
