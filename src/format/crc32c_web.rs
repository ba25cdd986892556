//! CRC-32C where no instruction computes it. The tables are made at the first use: they are most of what cannot be packed
//! of a module that has them inside, and every page would load them.

use crc::{CRC_32_ISCSI, Crc, Table};
use std::sync::LazyLock;

static TABLES: LazyLock<Crc<u32, Table<16>>> = LazyLock::new(|| Crc::<u32, Table<16>>::new(&CRC_32_ISCSI));

/// The checksum of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    TABLES.checksum(bytes)
}
