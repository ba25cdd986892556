//! Snapshot files: building them and reading them in place.
//!
//! [`builder`] turns sorted entries into bytes and knows no storage; [`table`] finds single entries in a stored
//! file, [`cursor`] walks over them in order, [`verify`] reads all of it. [`cache`] keeps blocks for all tables of a
//! database. None of them knows what a document is: keys and values are bytes.

mod builder;
mod cache;
mod cursor;
mod path;
mod table;
mod verify;

pub(crate) use crate::format::snapshot::{SnapshotHeader, file_name, parse_name};
pub(crate) use builder::{Finished, Layout, SnapshotBuilder, Summary};
pub(crate) use cache::BlockCache;
pub(crate) use cursor::{Direction, EntryRef, KeyRange, TableCursor};
pub(crate) use table::{Found, OpenOutcome, Table};

#[cfg(test)]
mod tests;
