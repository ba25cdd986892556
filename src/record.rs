//! A record: one write, as the log keeps it.

use std::borrow::Cow;

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// Stores a document, replacing any before it. `value` is minified JSON text.
    Put { collection: Cow<'a, str>, key: Cow<'a, str>, value: &'a str },
    /// Removes a document.
    Delete { collection: Cow<'a, str>, key: Cow<'a, str> },
    /// Removes a whole collection.
    Drop { collection: Cow<'a, str> },
    /// Opens a batch: what follows counts only once its commit is there.
    Begin { batch: Cow<'a, str> },
    /// Closes the batch of the same name.
    Commit { batch: Cow<'a, str> },
}

/// Which client made a write, and that client's own number for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    pub(crate) client: Cow<'a, str>,
    pub(crate) number: u64,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Dense and strictly increasing over the life of the database.
    pub(crate) sequence: u64,
    /// The checksum of the record before it; 0 before the first.
    pub(crate) previous: u32,
    /// The highest sequence number known durable when this was written.
    pub(crate) watermark: Option<u64>,
    /// Unix milliseconds.
    pub(crate) time: u64,
    pub(crate) origin: Option<Origin<'a>>,
    pub(crate) op: Op<'a>,
}
