//! x
/// x
pub struct SyncDiskStorage;
