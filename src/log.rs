//! The log: its one writer, group commit, and what opening finds in it.

pub(crate) mod files;
pub(crate) mod group_commit;
pub(crate) mod lines;
pub(crate) mod order;
pub(crate) mod queue;
pub(crate) mod recovery;
pub(crate) mod replay;
mod take_over;
pub(crate) mod writer;
