//! put, del, drop and compact: one write each, durable when the command ends.

use crate::Outcome;
use crate::args::{Collection, Compact, Delete, Put, Rekey};
use crate::hook::Program;
use crate::output::{Notes, Progress};
use crate::place::{self, Db};
use pumice::{Error, ErrorKind, MemoryStorage, Options, Result, SyncDiskStorage, blocking};
use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;

/// The most JSON text taken from stdin for one document, white space included.
const MAX_TEXT: u64 = 64 << 20;

/// Opens for writing, which recovers first; makes a database if there is none. Notes what recovery set aside.
pub(crate) fn open(dir: &Path, options: Options, notes: &mut Notes) -> Result<Db> {
    let db = Db::open_with(place::open(dir)?, options)?;
    if let Some(torn) = &db.recovery().torn {
        let kept = torn.quarantined.as_deref().map_or(String::new(), |copy| format!(", kept as {copy}"));
        let (file, offset, bytes) = (&torn.file, torn.offset, torn.bytes);
        let place = format!("file {file}, offset {offset}, {bytes} bytes");
        notes.add(format!("set aside a torn tail that a crash left in the log ({place}){kept}"));
    }
    Ok(db)
}

/// The same, but never makes a database.
pub(crate) fn open_existing(dir: &Path, notes: &mut Notes) -> Result<Db> {
    open_as(dir, Options::new(), notes)
}

fn open_as(dir: &Path, options: Options, notes: &mut Notes) -> Result<Db> {
    drop(place::open_read_only(dir)?);
    open(dir, options, notes)
}

pub(crate) fn put(args: &Put, notes: &mut Notes) -> Result<Outcome> {
    let json = match args.json.as_deref() {
        None | Some("-") => Cow::Owned(read_stdin()?),
        Some(text) => Cow::Borrowed(text),
    };
    if SyncDiskStorage::open_read_only(&args.db).is_err() {
        // What cannot be stored makes no database either.
        let trial = blocking::Db::open_with(MemoryStorage::new(), Options::new())?;
        trial.collection(&args.collection).put_raw(&args.key, &json)?;
    }
    let db = open(&args.db, Options::new(), notes)?;
    let written = db.collection(&args.collection).put_raw(&args.key, &json);
    close(&db, written.map(|_| Outcome::Done))
}

fn read_stdin() -> Result<String> {
    let mut text = Vec::new();
    let read = io::stdin().lock().take(MAX_TEXT + 1).read_to_end(&mut text);
    read.map_err(|e| Error::io("read", "stdin", e))?;
    if text.len() as u64 > MAX_TEXT {
        let message = format!("the document on stdin has over {MAX_TEXT} bytes; split it");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    String::from_utf8(text).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::new(ErrorKind::InvalidArgument, format!("the document on stdin is not UTF-8 at byte {at}"))
    })
}

pub(crate) fn del(args: &Delete, notes: &mut Notes) -> Result<Outcome> {
    let args = &args.document;
    let db = open_existing(&args.db, notes)?;
    let deleted = db.collection(&args.collection).delete(&args.key);
    close(&db, deleted.map(|there| if there { Outcome::Done } else { Outcome::No }))
}

pub(crate) fn drop_collection(args: &Collection, notes: &mut Notes) -> Result<Outcome> {
    let db = open_existing(&args.db, notes)?;
    let dropped = db.collection(&args.collection).drop_all();
    close(&db, dropped.map(|_| Outcome::Done))
}

pub(crate) fn compact(args: &Compact, notes: &mut Notes) -> Result<Outcome> {
    let program = Program::new(&args.hook)?;
    let db = open_as(&args.db, program.attach(Options::new(), &args.db), notes)?;
    let progress = Progress::spinner("compacting");
    let compacted = db.compact();
    let closed = close(&db, compacted.map(|()| Outcome::Done));
    drop(progress);
    program.tell(notes);
    closed
}

/// Closes the database whatever happened; the first failure counts.
pub(crate) fn close<T>(db: &Db, done: Result<T>) -> Result<T> {
    let closed = db.close();
    let done = done?;
    closed?;
    Ok(done)
}

pub(crate) fn rekey(args: &Rekey, notes: &mut Notes) -> Result<Outcome> {
    let key = place::read_key(&args.new_key_file)?;
    let db = open_existing(&args.db, notes)?;
    let changed = db.change_key(&key);
    close(&db, changed.map(|()| Outcome::Done))
}
