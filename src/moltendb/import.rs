//! A database made of the files of `MoltenDB`.

use super::files::{Files, SnapshotRecords, Source};
use super::line::{Command, Entry};
use super::reader::{Item, Problem, Records};
use super::transactions::{Decider, Survey};
use crate::blocking::Db;
use crate::blocking::staging::{check_free, staged};
use crate::db::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::log::recovery::Torn;
use crate::options::{Durability, Options};
use crate::storage::Storage;
use crate::storage::blocking::places::{Places, Plain};
use std::fmt;
use std::path::Path;

/// A batch has at most so many records, or little more than so many bytes.
const BATCH_RECORDS: usize = 2000;
const BATCH_BYTES: u64 = 1 << 20;
/// How many bytes are read between two calls for progress, at most.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How to import.
#[derive(Default)]
pub struct ImportOptions<'a> {
    skip_damaged: bool,
    progress: Option<Box<dyn FnMut(u64, u64) + 'a>>,
}

impl fmt::Debug for ImportOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportOptions").field("skip_damaged", &self.skip_damaged).finish_non_exhaustive()
    }
}

impl<'a> ImportOptions<'a> {
    /// The defaults: any damage but a torn tail ends the import.
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes over what is damaged, encrypted, or cannot be stored, and counts it.
    #[must_use]
    pub fn skip_damaged(mut self, skip: bool) -> Self {
        self.skip_damaged = skip;
        self
    }

    /// Called now and then with the bytes read so far and those to read in all.
    #[must_use]
    pub fn on_progress(mut self, call: impl FnMut(u64, u64) + 'a) -> Self {
        self.progress = Some(Box::new(call));
        self
    }
}

/// What an import found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Imported {
    /// Writes that were carried over: documents stored, documents deleted, collections dropped.
    pub records: u64,
    /// Writes of transactions that were never committed. They were left out.
    pub unfinished: Option<PassedOver>,
    /// What was damaged, encrypted, or cannot be stored. Only with [`ImportOptions::skip_damaged`].
    pub damaged: Option<PassedOver>,
    /// The end of the log, where it is no whole record. A crash leaves that, and nobody was told that it was written.
    pub torn: Option<Torn>,
}

/// Records that were left out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PassedOver {
    /// How many.
    pub count: u64,
    /// Where the first one is, and why.
    pub first: Error,
}

impl PassedOver {
    fn add(this: &mut Option<Self>, count: u64, why: impl FnOnce() -> Error) {
        this.get_or_insert_with(|| Self { count: 0, first: why() }).count += count;
    }
}

/// Makes a database in the directory `dir` of the files of `MoltenDB` 0.7 to 0.10: the log `log`, and the snapshot and the cold
/// log beside it, if there are any. The database is built beside `dir` and is there when it is complete and durable. What
/// another process appends to the log meanwhile is left out.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when `dir` is anything but missing or an empty directory, or `log` no log of
/// `MoltenDB`. [`Corrupt`](ErrorKind::Corrupt), with the line, the file and the offset, when a record is damaged,
/// [`Unsupported`](ErrorKind::Unsupported) when one is encrypted, and the kind that a write would fail with when a document
/// cannot be stored; [`ImportOptions::skip_damaged`] passes over all three. Otherwise when files cannot be read or written.
pub fn import(log: impl AsRef<Path>, dir: impl AsRef<Path>, options: ImportOptions<'_>) -> Result<Imported> {
    import_to(&Plain, log.as_ref(), dir.as_ref(), options)
}

/// The same, as an encrypted database if there is a key.
///
/// # Errors
/// As for [`import`].
#[cfg(feature = "encryption")]
pub fn import_with_key(
    log: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: ImportOptions<'_>,
    key: Option<&crate::storage::Key>,
) -> Result<Imported> {
    import_to(&key, log.as_ref(), dir.as_ref(), options)
}

fn import_to(places: &impl Places, log: &Path, dir: &Path, options: ImportOptions<'_>) -> Result<Imported> {
    check_free(dir)?;
    let files = Files::open(log)?;
    let mut import = Import::new(&files, options);
    let snapshot = import.open_snapshot(&files)?;
    let covered = import.covered(&files, snapshot.as_ref().map_or(0, |records| records.header().covered))?;
    let mut decider = import.survey(&files, covered)?;
    staged(dir, "importing", |staging| {
        let options = Options::new().durability(Durability::Buffered);
        let db = Db::open_with(places.open(staging)?, options)?;
        let written = import.write(&db, &files, snapshot, covered, &mut decider);
        let closed = db.close();
        written.and(closed)
    })?;
    Ok(import.found)
}

struct Import<'a> {
    options: ImportOptions<'a>,
    found: Imported,
    /// Records that are some, whatever they say.
    understood: u64,
    /// Bytes of the files that were read to their ends, those to read in all, and those that were told of last.
    done: u64,
    total: u64,
    told: u64,
}

impl<'a> Import<'a> {
    fn new(files: &Files, options: ImportOptions<'a>) -> Self {
        let len = |source: &Option<Source>| source.as_ref().map_or(0, |source| source.len);
        // Logs are read twice.
        let total = 2 * (len(&files.cold) + files.log.len) + len(&files.snapshot);
        Self { options, found: Imported::default(), understood: 0, done: 0, total, told: 0 }
    }

    fn open_snapshot<'f>(&mut self, files: &'f Files) -> Result<Option<SnapshotRecords<'f>>> {
        let Some(source) = &files.snapshot else { return Ok(None) };
        match source.records() {
            Ok(records) => Ok(Some(records)),
            Err(error) if error.kind() == ErrorKind::Corrupt => self.pass_over(error, 1).map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// How many lines of the log are not to be replayed.
    fn covered(&mut self, files: &Files, said: u64) -> Result<u64> {
        let there = if said == 0 { 0 } else { files.log.lines(said)?.number() };
        if there == said {
            return Ok(said);
        }
        let name = files.snapshot.as_ref().map_or_else(String::new, Source::name);
        let message = format!("the snapshot says that it covers {said} lines of the log, which has {there}");
        // Lines that are replayed once more do no harm.
        self.pass_over(Error::corrupt(name, 8, message), 1).map(|()| 0)
    }

    /// Reads the logs for the transactions that were never committed, and for damage, before anything is written.
    fn survey(&mut self, files: &Files, covered: u64) -> Result<Decider> {
        let mut survey = Survey::default();
        for (source, covered) in files.cold.iter().map(|cold| (cold, 0)).chain([(&files.log, covered)]) {
            let mut lines = source.lines(covered)?;
            while let Some(item) = lines.next().map_err(|e| source.failed(e))? {
                match item.record {
                    Ok(entry) => survey.see(&entry),
                    Err(Problem::Torn(..)) if source.may_be_torn => {}
                    Err(_) if self.options.skip_damaged => {}
                    Err(problem) => return Err(source.damaged("line", item.number, item.offset, &problem)),
                }
                self.tell(lines.offset());
            }
            self.done += source.len;
        }
        Ok(survey.finish())
    }

    /// Writes what counts of the files into `db`, in the order in which `MoltenDB` replays them.
    fn write<S: Storage>(
        &mut self,
        db: &Db<S>,
        files: &Files,
        snapshot: Option<SnapshotRecords<'_>>,
        covered: u64,
        decider: &mut Decider,
    ) -> Result<()> {
        if let Some(cold) = &files.cold {
            self.write_all(db, cold, &mut cold.lines(0)?, &mut |entry| decider.counts(entry))?;
        }
        if let (Some(source), Some(mut records)) = (&files.snapshot, snapshot) {
            self.write_all(db, source, &mut records, &mut |_| true)?;
        }
        let mut lines = files.log.lines(covered)?;
        self.write_all(db, &files.log, &mut lines, &mut |entry| decider.counts(entry))?;
        match &self.found.damaged {
            Some(damaged) if self.understood == 0 => {
                let (log, first) = (files.log.name(), &damaged.first);
                let message = format!("{log} holds no record that can be read; the first: {first}");
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
            _ => Ok(()),
        }
    }

    fn write_all<S: Storage, R: Records>(
        &mut self,
        db: &Db<S>,
        source: &Source,
        records: &mut R,
        counts: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result<()> {
        let mut ended = false;
        while !ended {
            db.batch(|batch| {
                let start = records.offset();
                while batch.len() < BATCH_RECORDS && records.offset() - start < BATCH_BYTES {
                    let Some(item) = records.next().map_err(|e| source.failed(e))? else {
                        ended = true;
                        break;
                    };
                    self.take(batch, source, R::UNIT, item, counts)?;
                }
                Ok(())
            })?;
            self.tell(records.offset());
        }
        self.done += source.len;
        Ok(())
    }

    /// Puts what the item asks for into the batch, or finds a place for it in what is told at the end.
    fn take(
        &mut self,
        batch: &mut Batch,
        source: &Source,
        unit: &str,
        item: Item<'_>,
        counts: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> Result<()> {
        let Item { number, offset, record } = item;
        let wrong = |kind, why: &str| source.wrong(kind, unit, number, offset, why);
        let entry = match record {
            Ok(entry) => entry,
            Err(Problem::Torn(bytes, reason)) if source.may_be_torn => {
                self.found.torn =
                    Some(Torn { file: source.name(), offset, bytes, reason, quarantined: None });
                return Ok(());
            }
            Err(problem) => {
                return self.pass_over(source.damaged(unit, number, offset, &problem), problem.records());
            }
        };
        if entry.command == Command::Encrypted {
            let why = "is encrypted; have MoltenDB write the database without a key, and import that";
            return self.pass_over(wrong(ErrorKind::Unsupported, why), 1);
        }
        self.understood += 1;
        let counts = counts(&entry);
        if matches!(entry.command, Command::Begin | Command::Commit | Command::Other) {
            return Ok(());
        }
        if !counts {
            let why = || wrong(ErrorKind::NotFound, "is of a transaction that was never committed");
            PassedOver::add(&mut self.found.unfinished, 1, why);
            return Ok(());
        }
        match apply(batch, &entry) {
            Ok(()) => self.found.records += 1,
            Err(error) => {
                let why = format!("cannot be stored: {}", error.message());
                self.pass_over(wrong(error.kind(), &why), 1)?;
            }
        }
        Ok(())
    }

    /// Counts records that cannot be carried over, or refuses to go on.
    fn pass_over(&mut self, error: Error, records: u64) -> Result<()> {
        if !self.options.skip_damaged {
            return Err(error);
        }
        PassedOver::add(&mut self.found.damaged, records, || error);
        Ok(())
    }

    /// `offset` is how far the file was read that is being read.
    fn tell(&mut self, offset: u64) {
        let done = self.done + offset;
        if done - self.told >= PROGRESS_BYTES
            && let Some(progress) = &mut self.options.progress
        {
            self.told = done;
            progress(done, self.total);
        }
    }
}

fn apply(batch: &mut Batch, entry: &Entry<'_>) -> Result<()> {
    let (collection, key) = (&*entry.collection, &*entry.key);
    match (entry.command, entry.value) {
        (Command::Insert, Some(value)) => batch.put_raw(collection, key, value),
        (Command::Delete, _) => batch.delete(collection, key),
        (Command::Drop, _) => batch.drop_collection(collection),
        _ => Ok(batch),
    }
    .map(drop)
}
