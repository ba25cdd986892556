//! import and export: databases of others.

use crate::args::{Export, ExportTo, FromMoltendb, Import, ImportFrom, ToMoltendb};
use crate::output::{Notes, Progress};
use crate::{Outcome, place, read};
use pumice::moltendb::{self, ImportOptions, PassedOver};
use pumice::{Result, Torn};

pub(crate) fn import(args: &Import, notes: &mut Notes) -> Result<Outcome> {
    let ImportFrom::Moltendb(FromMoltendb { log, db, skip_damaged }) = &args.from;
    let progress = Progress::bytes(Some(0), "importing");
    let tell = |done, total| {
        progress.of_total(total);
        progress.at(done);
    };
    let options = ImportOptions::new().skip_damaged(*skip_damaged).on_progress(tell);
    let imported = moltendb::import_with_key(log, db, options, place::key());
    drop(progress);
    let imported = imported?;
    if let Some(PassedOver { count, first, .. }) = imported.damaged {
        notes.add(format!(
            "skipped {count} of the records, for they cannot be carried over; the first: {first}"
        ));
    }
    if let Some(PassedOver { count, first, .. }) = imported.unfinished {
        notes.add(format!(
            "left out {count} of the records, for their transactions were never committed; the first: {first}"
        ));
    }
    if let Some(Torn { file, offset, bytes, .. }) = imported.torn {
        let place = format!("file {file}, offset {offset}, {bytes} bytes");
        notes.add(format!("left out a torn line at the end of the log, as a crash leaves it ({place})"));
    }
    Ok(Outcome::Done)
}

pub(crate) fn export(args: &Export, notes: &mut Notes) -> Result<Outcome> {
    let ExportTo::Moltendb(ToMoltendb { db, log }) = &args.to;
    let db = read::open(db, notes)?;
    let progress = Progress::documents(db.stats()?.documents, "exporting");
    let exported = moltendb::export(&db, log, |documents| progress.at(documents));
    drop(progress);
    exported.map(|_| Outcome::Done)
}
