//! get and scan: documents out of a database, beside whoever writes to it.

use crate::Outcome;
use crate::args::{Document, Scan};
use crate::output::{Notes, Output};
use crate::place::{self, Db};
use pumice::blocking::ReadView;
use pumice::{Error, ErrorKind, KeyedDiskStorage, Keys, Options, Result, Torn};
use std::ops::Bound;
use std::path::Path;

/// Opens for reading. Notes a torn tail.
pub(crate) fn open(dir: &Path, notes: &mut Notes) -> Result<Db> {
    let db = Db::open_with(place::open_read_only(dir)?, Options::new().read_only(true))?;
    if let Some(torn) = &db.recovery().torn {
        notes.add(describe(torn));
    }
    Ok(db)
}

/// What a reader says about a torn tail.
pub(crate) fn describe(torn: &Torn) -> String {
    let Torn { file, offset, bytes, reason, .. } = torn;
    format!(
        "the log ends in a torn tail, as a crash leaves it: {reason} (file {file}, offset {offset}, {bytes} bytes)"
    )
}

pub(crate) fn get(args: &Document, notes: &mut Notes) -> Result<Outcome> {
    let db = open(&args.db, notes)?;
    let Some(text) = db.collection(&args.collection).get_raw(&args.key)? else {
        return Ok(Outcome::No);
    };
    let mut out = Output::default();
    out.line(text.as_bytes())?;
    out.finish()?;
    Ok(Outcome::Done)
}

pub(crate) fn scan(args: &Scan, notes: &mut Notes) -> Result<Outcome> {
    let db = open(&args.db, notes)?;
    let view = args.at.map_or_else(|| Ok(db.read_view()), |moment| db.read_view_at(moment))?;
    let mut out = Output::default();
    match &args.collection {
        Some(name) => view.for_each_raw(name, keys(args), |key, value| out.entry(name, key, value))?,
        None => all(&view, args.limit.unwrap_or(u64::MAX), &mut out)?,
    }
    out.finish()?;
    Ok(Outcome::Done)
}

fn keys(args: &Scan) -> Keys {
    let start = args.from.as_deref().map_or(Bound::Unbounded, Bound::Included);
    let end = args.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut keys = Keys::between(start, end);
    if let Some(prefix) = &args.prefix {
        keys = keys.with_prefix(prefix);
    }
    if args.reverse {
        keys = keys.reverse();
    }
    if let Some(limit) = args.limit {
        keys = keys.limit(limit);
    }
    keys
}

pub(crate) fn all(view: &ReadView<KeyedDiskStorage>, limit: u64, out: &mut Output) -> Result<()> {
    let mut left = limit;
    let mut enough = false;
    let walked = view.for_each_of_all_raw(|collection, key, value| {
        if left == 0 {
            // An error is the way out of the walk.
            enough = true;
            return Err(Error::new(ErrorKind::InvalidArgument, "enough"));
        }
        left -= 1;
        out.entry(collection, key, value)
    });
    if enough { Ok(()) } else { walked }
}
