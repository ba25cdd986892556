//! restore: a database of a snapshot file.

use crate::Outcome;
use crate::args::Restore;
use crate::output::Progress;
use pumice::Result;
use pumice::blocking::Db;

pub(crate) fn restore(args: &Restore) -> Result<Outcome> {
    let progress = Progress::spinner("restoring");
    let restored = Db::restore(&args.snapshot, &args.db);
    drop(progress);
    restored.map(|()| Outcome::Done)
}
