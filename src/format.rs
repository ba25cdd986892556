//! The bytes of Pumice's files: pure functions, no I/O, no clock, no platform.

pub(crate) mod clients;
pub(crate) mod end_mark;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod sealed;
pub(crate) mod segment;
pub(crate) mod snapshot;
