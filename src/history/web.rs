//! A database in a browser keeps nothing of its past.

use crate::error::Result;
use crate::log::files::Files;
use crate::options::Environment;
use crate::snapshot::verify::OnProblem;
use crate::storage::Storage;
use std::sync::Arc;

/// What becomes of the files that snapshots replace: they go.
#[derive(Default)]
pub(crate) struct Archive;

/// Nothing is ever read from an archive.
pub(crate) struct Reading;

impl Archive {
    pub(crate) fn new(_files: &Files) -> Self {
        Self
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // As where there is one.
    pub(crate) fn require_log(&self, _files: &Files) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_async)]
    pub(crate) async fn take_in<S: Storage>(&self, _storage: &Arc<S>, _name: &str) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_async)]
    pub(crate) async fn let_go<S: Storage>(&self, _storage: &S, _clock: &dyn Environment) -> Result<()> {
        Ok(())
    }
}

/// There is no archive to check.
#[allow(clippy::unused_async)]
pub(crate) async fn check<S: Storage>(
    _storage: &Arc<S>,
    _files: &Files,
    _problem: &mut OnProblem<'_>,
) -> Result<u64> {
    Ok(0)
}
