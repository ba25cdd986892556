//! x
/// x
pub struct AsyncDiskStorage;
