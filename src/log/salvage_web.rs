//! No salvage: every page would load the code for it, and hardly one need it.

use crate::error::{Error, ErrorKind, Result};
use crate::log::files::Files;
use crate::log::recovery::Opened;
use crate::snapshot::BlockCache;
use crate::storage::Storage;
use std::sync::Arc;

/// Refuses.
#[allow(clippy::unused_async)] // Other platforms have to wait here.
pub(crate) async fn open<S: Storage>(
    _storage: Arc<S>,
    _cache: Arc<BlockCache>,
    _files: &Files,
) -> Result<Opened<S>> {
    let message = "a browser cannot salvage a damaged database; restore an exported snapshot";
    Err(Error::new(ErrorKind::Unsupported, message))
}
