//! The past of a database: what it keeps of it, and reading it as of an earlier moment.
//!
//! With a [`Retention`], what snapshots have replaced goes to `archive/` instead of going away. A backup is a directory of
//! the same files. Both are read the same way: a chain of snapshots up to some record, and the segments behind it.
//!
//! `names` says what a file in `archive/` is, `archive` puts files there and takes them away, `catalog` lists what
//! there is, `timeline` orders it into what followed what, and `past` shows one moment of it.

mod archive;
mod catalog;
mod check;
mod handle;
mod names;
mod past;
mod retention;
mod timeline;

pub(crate) use archive::{Archive, Reading, archived_name, copy_file, same};
pub(crate) use catalog::Catalog;
pub(crate) use check::check;
pub use past::Moment;
pub(crate) use past::{Look, Past, lines, past};
pub use retention::Retention;
pub(crate) use retention::{of as retention_of, write as write_retention};
