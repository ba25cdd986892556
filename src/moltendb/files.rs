//! Which files a database of `MoltenDB` consists of, opened for reading, in the order in which it replays them.

use super::line;
use super::moltsnap::{HeaderError, MAGIC};
use super::reader::{LogReader, Problem, SnapshotReader};
use crate::blocking::staging::failed;
use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

/// Bytes of a log that are looked at for what it is.
const FIRST_LOOK: u64 = 64 << 10;

/// Where the snapshot of a log is.
pub(super) fn snapshot_path(log: &Path) -> PathBuf {
    with_ending(log, ".snapshot.bin")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// A file, as long as it was when it was opened: what is appended meanwhile is not read.
pub(super) struct Source {
    path: PathBuf,
    file: File,
    pub(super) len: u64,
    /// Whether it is what a crash may have interrupted the writing of.
    pub(super) may_be_torn: bool,
}

pub(super) type LogLines<'f> = LogReader<Take<&'f File>>;
pub(super) type SnapshotRecords<'f> = SnapshotReader<Take<&'f File>>;

impl Source {
    /// `None` when there is nothing at `path`.
    fn open(path: PathBuf) -> Result<Option<Self>> {
        // Opening a pipe would wait for its other end.
        match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("open", &path, e)),
            Ok(metadata) if !metadata.is_file() => {
                let message = format!("{} is not a file; name a log of MoltenDB", path.display());
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            Ok(_) => {}
        }
        let file = File::open(&path).map_err(|e| failed("open", &path, e))?;
        let len = file.metadata().map_err(|e| failed("open", &path, e))?.len();
        Ok(Some(Self { path, file, len, may_be_torn: false }))
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn failed(&self, error: io::Error) -> Error {
        failed("read", &self.path, error)
    }

    /// An error that concerns what stands there.
    pub(super) fn wrong(&self, kind: ErrorKind, unit: &str, number: u64, offset: u64, why: &str) -> Error {
        Error::at(kind, self.name(), offset, format!("{unit} {number} {why}"))
    }

    pub(super) fn damaged(&self, unit: &str, number: u64, offset: u64, problem: &Problem) -> Error {
        let why = format!("is no record of MoltenDB: {}", problem.message());
        self.wrong(ErrorKind::Corrupt, unit, number, offset, &why)
    }

    fn start(&self) -> Result<Take<&File>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(|e| self.failed(e))?;
        Ok(file.take(self.len))
    }

    /// The lines behind the first `covered` ones.
    pub(super) fn lines(&self, covered: u64) -> Result<LogLines<'_>> {
        let mut reader = LogReader::new(self.start()?);
        reader.skip_lines(covered).map_err(|e| self.failed(e))?;
        Ok(reader)
    }

    /// The records of a snapshot.
    pub(super) fn records(&self) -> Result<SnapshotRecords<'_>> {
        SnapshotReader::open(self.start()?, self.len).map_err(|e| self.failed(e))?.map_err(|error| match error {
            HeaderError::None => Error::corrupt(self.name(), 0, "the file does not begin like a snapshot of MoltenDB"),
            HeaderError::Later => {
                let message = format!(
                    "{} was written by MoltenDB 1.0 or later, whose files cannot be read; have it write out its documents, \
                     and `pumice load` those",
                    self.path.display()
                );
                Error::new(ErrorKind::Unsupported, message)
            }
        })
    }

    /// Refuses a file that is something else than a log of `MoltenDB`.
    fn check_log(&self) -> Result<()> {
        let refuse =
            |why: &str| Err(Error::new(ErrorKind::InvalidArgument, format!("{} {why}", self.path.display())));
        let mut first = Vec::new();
        let start = BufReader::new(self.start()?).take(FIRST_LOOK).read_until(b'\n', &mut first);
        start.map_err(|e| self.failed(e))?;
        if first.starts_with(&MAGIC) {
            return refuse("is a snapshot of MoltenDB; name the log that it lies beside");
        }
        if line::is_of_pumice(&first) {
            return refuse(
                "is a log of Pumice, a part of the database in its directory; open that, or `pumice scan` it into `pumice load`",
            );
        }
        Ok(())
    }
}

/// The files of a database.
pub(super) struct Files {
    /// What its tiered mode moved out of the log, older than all else.
    pub(super) cold: Option<Source>,
    pub(super) snapshot: Option<Source>,
    pub(super) log: Source,
}

impl Files {
    pub(super) fn open(log: &Path) -> Result<Self> {
        let Some(mut source) = Source::open(log.to_owned())? else {
            let message = format!("there is no file {}; name a log of MoltenDB", log.display());
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        source.check_log()?;
        source.may_be_torn = true;
        let snapshot = snapshot_path(log);
        let unfinished = with_ending(&snapshot, ".tmp");
        let files =
            Self { cold: Source::open(cold_path(log))?, snapshot: Source::open(snapshot)?, log: source };
        if files.snapshot.is_none() && unfinished.exists() {
            let (unfinished, snapshot) = (unfinished.display(), snapshot_path(log));
            let message = format!(
                "a compaction of MoltenDB was interrupted: the snapshot {} is not there, and {unfinished} is; give that one its \
                 name, or if it is damaged the newest one in the folder `backup`",
                snapshot.display()
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(files)
    }
}

/// Where the tiered mode keeps what it moves out of a log.
fn cold_path(log: &Path) -> PathBuf {
    if log.extension().is_some_and(|ending| ending == "log") {
        log.with_extension("cold.log")
    } else {
        with_ending(log, ".cold.log")
    }
}
