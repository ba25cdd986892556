//! The files of `MoltenDB` made of a database: a snapshot of all documents, and an empty log, as after a compaction.

use super::files::snapshot_path;
use super::line::encode_insert;
use super::moltsnap::{self, HEADER_LEN, LENGTH_LEN};
use crate::blocking::Db;
use crate::blocking::staging::{beside, failed, publish, taken};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// How much goes to the file in one piece.
const WRITE_BYTES: usize = 1 << 20;

/// Writes all documents of `db` as files that `MoltenDB` 0.7 to 0.10 opens: an empty log at `log`, and the snapshot beside it. They
/// are there when they are complete and durable, the snapshot first. Returns how many documents they hold. Writers and readers
/// go on meanwhile. `progress` is called now and then with the number of documents so far.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is something at either place already;
/// [`Unsupported`](ErrorKind::Unsupported) when there is a document that `MoltenDB` cannot read, for it would then
/// read none; otherwise when the database cannot be read or the files not be written. Then neither file is left.
pub fn export<S: Storage>(db: &Db<S>, log: impl AsRef<Path>, progress: impl FnMut(u64)) -> Result<u64> {
    let log = log.as_ref();
    let snapshot = snapshot_path(log);
    for path in [log, &snapshot] {
        if fs::symlink_metadata(path).is_ok() {
            return Err(taken(path));
        }
    }
    let parts = [beside(&snapshot, "part")?, beside(log, "part")?];
    let written = write_snapshot(db, &parts[0], progress).and_then(|documents| {
        let empty = File::create(&parts[1]).map_err(|e| failed("create", &parts[1], e))?;
        empty.sync_all().map_err(|e| failed("sync", &parts[1], e))?;
        publish(&parts[0], &snapshot)?;
        if let Err(error) = publish(&parts[1], log) {
            // It would lie beside another one's log. This one made it, a moment ago.
            let _ = fs::remove_file(&snapshot);
            return Err(error);
        }
        Ok(documents)
    });
    if written.is_err() {
        // They may not even be there.
        parts.iter().for_each(|part| drop(fs::remove_file(part)));
    }
    written
}

fn write_snapshot<S: Storage>(db: &Db<S>, path: &Path, mut progress: impl FnMut(u64)) -> Result<u64> {
    let mut part = Part::create(path)?;
    let time = db.as_async().core().options.environment.unix_millis();
    let mut out = Vec::new();
    let mut records = 0;
    db.read_view().for_each_of_all_raw(|collection, key, value| {
        let start = out.len() + LENGTH_LEN;
        moltsnap::push_record(&mut out, |out| encode_insert(out, collection, key, value, time));
        check_readable(out.get(start..).unwrap_or_default(), collection, key)?;
        records += 1;
        if out.len() >= WRITE_BYTES {
            part.write(&out)?;
            out.clear();
            progress(records);
        }
        Ok(())
    })?;
    part.write(&out)?;
    part.finish(moltsnap::Header { covered: 0, records })?;
    Ok(records)
}

/// A snapshot that is being written.
struct Part<'a> {
    path: &'a Path,
    file: File,
    /// Of everything behind the header.
    digest: Xxh3,
}

impl<'a> Part<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        // What another export left here that was killed is no longer wanted.
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|e| failed("create", path, e))?;
        let mut part = Self { path, file, digest: Xxh3::new() };
        // The place of the header, which is known at the end.
        part.file.write_all(&[0; HEADER_LEN]).map_err(|e| failed("write", path, e))?;
        Ok(part)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.digest.update(bytes);
        self.file.write_all(bytes).map_err(|e| failed("write", self.path, e))
    }

    /// Makes the file whole and durable, and reads it back.
    fn finish(mut self, header: moltsnap::Header) -> Result<()> {
        let path = self.path;
        let header = moltsnap::encode_header(header);
        let written = self.file.rewind().and_then(|()| self.file.write_all(&header));
        written.map_err(|e| failed("write", path, e))?;
        self.file.sync_all().map_err(|e| failed("sync", path, e))?;
        if self.is_there(header).map_err(|e| failed("read", path, e))? {
            return Ok(());
        }
        let message = "the file does not hold what was written to it; check the disk";
        Err(Error::corrupt(path.display().to_string(), 0, message))
    }

    /// Whether the file holds what was written.
    fn is_there(&mut self, header: [u8; HEADER_LEN]) -> io::Result<bool> {
        let mut first = [0; HEADER_LEN];
        self.file.rewind()?;
        self.file.read_exact(&mut first)?;
        let mut digest = Xxh3::new();
        let mut bytes = vec![0; WRITE_BYTES];
        loop {
            let len = self.file.read(&mut bytes)?;
            if len == 0 {
                return Ok(first == header && digest.digest() == self.digest.digest());
            }
            digest.update(bytes.get(..len).unwrap_or_default());
        }
    }
}

/// Refuses a record that `MoltenDB` does not take for one: it then takes its snapshot for damaged and opens without it.
fn check_readable(record: &[u8], collection: &str, key: &str) -> Result<()> {
    serde_json::from_slice::<Readable>(record).map(drop).map_err(|error| {
        let text = error.to_string();
        let why = text.split(" at line ").next().unwrap_or_default();
        let message = format!(
            "MoltenDB cannot read the document {key:?} of the collection {collection:?} ({why}); change or remove it first"
        );
        Error::new(ErrorKind::Unsupported, message)
    })
}

/// Anything that the JSON reader that `MoltenDB` uses makes a value of, with its limits for numbers, strings and depth. Keeps
/// nothing of it.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> std::result::Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
