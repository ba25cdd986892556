//! Pumice: an embedded JSON document database.

mod error;
mod format;
mod snapshot;
mod storage;

pub use error::{Error, ErrorKind, Result};
pub use storage::*;
