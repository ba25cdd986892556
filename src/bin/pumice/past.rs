//! backup, restore and retention: what is kept of a database's past, and going back to it.

use crate::Outcome;
use crate::args::{Backup, Restore, Retention};
use crate::hook::Program;
use crate::moment::show_span;
use crate::output::{Notes, Output, Progress};
use crate::place::{self, Db};
use crate::{read, write};
use pumice::Result;

pub(crate) fn backup(args: &Backup, notes: &mut Notes) -> Result<Outcome> {
    let program = Program::new(&args.hook)?;
    let db = read::open(&args.db, notes)?;
    let progress = Progress::spinner("backing up");
    let done = db.backup(&args.dir)?;
    drop(progress);
    program.run(&args.dir);
    program.tell(notes);
    let (sequence, files, new, bytes) = (done.sequence, done.files, done.new_files, done.new_bytes);
    notes.add(format!("backed up to record {sequence}: {files} files, {new} of them new with {bytes} bytes"));
    Ok(Outcome::Done)
}

pub(crate) fn restore(args: &Restore, notes: &mut Notes) -> Result<Outcome> {
    let progress = Progress::spinner("restoring");
    let restored = Db::restore_with_key(&args.source, &args.db, args.at, place::key());
    drop(progress);
    for damage in restored?.passed_over {
        notes.add(format!("restored in spite of damage that was not needed for it: {damage}"));
    }
    Ok(Outcome::Done)
}

pub(crate) fn retention(args: &Retention, notes: &mut Notes) -> Result<Outcome> {
    if args.off || args.keep.is_some() || args.max_bytes.is_some() {
        let mut setting = pumice::Retention::new();
        if let Some(keep) = args.keep {
            setting = setting.keep(keep);
        }
        if let Some(bytes) = args.max_bytes {
            setting = setting.max_bytes(bytes.as_u64());
        }
        let db = write::open_existing(&args.db, notes)?;
        let set = db.set_retention((!args.off).then_some(setting));
        return write::close(&db, set.map(|()| Outcome::Done));
    }
    let setting = read::open(&args.db, notes)?.retention();
    let mut out = Output::default();
    let text = match setting {
        None => "off".to_owned(),
        Some(setting) => {
            let keep = setting.limit_time().map(|keep| format!("keep {}", show_span(keep)));
            let max = setting.limit_bytes().map(|bytes| format!("max-bytes {bytes}"));
            let limits: Vec<_> = keep.into_iter().chain(max).collect();
            if limits.is_empty() { "everything".to_owned() } else { limits.join(", ") }
        }
    };
    out.line(text.as_bytes())?;
    out.finish()?;
    Ok(Outcome::Done)
}
