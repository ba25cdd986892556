//! The files of `MoltenDB` as streams of records. One record is in memory at a time, and none that is longer than allowed.

use super::line::{self, Entry};
use super::moltsnap::{self, HEADER_LEN, HeaderError, LENGTH_LEN};
use std::io::{self, BufRead, BufReader, Read};

/// The longest record, white space included. What can be stored of it is bounded elsewhere.
pub(crate) const MAX_RECORD: usize = 64 << 20;
/// Room for many records at a time.
const BUFFER: usize = 256 << 10;

/// What stands at a place of a file.
pub(crate) struct Item<'a> {
    /// Of the line or the record, from 1.
    pub(crate) number: u64,
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    pub(crate) record: Result<Entry<'a>, Problem>,
}

/// Why something is no record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It was written as something else. Says what is wrong with it.
    Damaged(String),
    /// As damaged; so many records from here on cannot be found for it.
    Rest(u64, String),
    /// The end of a log that was being written: so many bytes, and what is missing.
    Torn(u64, String),
}

impl Problem {
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Damaged(why) | Self::Rest(_, why) | Self::Torn(_, why) => why,
        }
    }

    /// How many records there were.
    pub(crate) fn records(&self) -> u64 {
        if let Self::Rest(records, _) = self { *records } else { 1 }
    }
}

/// Records, one after the other.
pub(crate) trait Records {
    /// What the file calls one of them.
    const UNIT: &'static str;

    /// The next one. `None` at the end.
    fn next(&mut self) -> io::Result<Option<Item<'_>>>;

    /// How many bytes were read.
    fn offset(&self) -> u64;
}

/// The lines of a log.
pub(crate) struct LogReader<R> {
    source: BufReader<R>,
    number: u64,
    offset: u64,
    line: Vec<u8>,
}

impl<R: Read> LogReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(BUFFER, source), number: 0, offset: 0, line: Vec::new() }
    }

    /// How many lines were read or passed over.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Passes over so many lines.
    pub(crate) fn skip_lines(&mut self, lines: u64) -> io::Result<()> {
        for _ in 0..lines {
            let skipped = self.source.skip_until(b'\n')? as u64;
            if skipped == 0 {
                break;
            }
            self.offset += skipped;
            self.number += 1;
        }
        Ok(())
    }

    /// Reads a line, and returns how many bytes of the file it takes, its end included.
    fn read_line(&mut self) -> io::Result<u64> {
        self.line.clear();
        let len = self.source.by_ref().take(MAX_RECORD as u64 + 1).read_until(b'\n', &mut self.line)?;
        let rest =
            if len > MAX_RECORD && !self.line.ends_with(b"\n") { self.source.skip_until(b'\n')? } else { 0 };
        Ok(len as u64 + rest as u64)
    }

    /// The line that was read.
    fn item(&self, offset: u64, len: u64) -> Item<'_> {
        let record = if self.line.len() > MAX_RECORD {
            Err(Problem::Damaged(format!("it is over {MAX_RECORD} bytes long")))
        } else {
            line::decode(&self.line).map_err(|error| {
                if is_torn(&self.line) {
                    Problem::Torn(len, error.message())
                } else {
                    Problem::Damaged(error.message())
                }
            })
        };
        Item { number: self.number, offset, record }
    }
}

impl<R: Read> Records for LogReader<R> {
    const UNIT: &'static str = "line";

    fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            let offset = self.offset;
            let len = self.read_line()?;
            if len == 0 {
                return Ok(None);
            }
            self.offset += len;
            self.number += 1;
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.item(offset, len)));
            }
        }
    }

    fn offset(&self) -> u64 {
        self.offset
    }
}

/// Whether a line that is no record is what a crash leaves of one: its beginning, or a length without bytes, which read as
/// zeros. Only the last line has no end.
fn is_torn(line: &[u8]) -> bool {
    let zeros = line.iter().rev().take_while(|byte| **byte == 0).count();
    let written = line.get(..line.len() - zeros).unwrap_or_default();
    !line.ends_with(b"\n") && (written.is_empty() || written.starts_with(b"{"))
}

/// The records of a snapshot.
pub(crate) struct SnapshotReader<R> {
    source: BufReader<R>,
    header: moltsnap::Header,
    number: u64,
    offset: u64,
    /// Bytes of the file.
    len: u64,
    record: Vec<u8>,
    ended: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header of a file that has `len` bytes.
    pub(crate) fn open(source: R, len: u64) -> io::Result<Result<Self, HeaderError>> {
        let mut source = BufReader::with_capacity(BUFFER, source);
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        source.by_ref().take(HEADER_LEN as u64).read_to_end(&mut bytes)?;
        Ok(moltsnap::decode_header(&bytes).map(|header| {
            let offset = bytes.len() as u64;
            Self { source, header, number: 0, offset, len, record: Vec::new(), ended: false }
        }))
    }

    pub(crate) fn header(&self) -> moltsnap::Header {
        self.header
    }

    /// How many records the header speaks of that were not read.
    fn missing(&self) -> u64 {
        self.header.records.saturating_sub(self.number)
    }

    /// Ends with a problem: where the next record begins is not known.
    fn give_up(&mut self, offset: u64, why: String) -> Item<'_> {
        self.ended = true;
        Item { number: self.number, offset, record: Err(Problem::Rest(1 + self.missing(), why)) }
    }
}

impl<R: Read> Records for SnapshotReader<R> {
    const UNIT: &'static str = "record";

    fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        let offset = self.offset;
        if self.ended {
            return Ok(None);
        }
        if self.missing() == 0 {
            self.ended = true;
            if self.len == offset {
                return Ok(None);
            }
            let why = "there is something behind the last record that the file's header counts".to_owned();
            self.number += 1;
            return Ok(Some(self.give_up(offset, why)));
        }
        self.number += 1;
        let mut length = [0; LENGTH_LEN];
        if let Err(error) = self.source.read_exact(&mut length) {
            return ends(error).map(|()| Some(self.give_up(offset, "the file ends before it".to_owned())));
        }
        self.offset += LENGTH_LEN as u64;
        let left = self.len.saturating_sub(self.offset);
        let Some(len) = moltsnap::decode_length(length, left, MAX_RECORD) else {
            let len = u64::from_le_bytes(length);
            let why =
                format!("its length of {len} bytes cannot be, for {left} are left and {MAX_RECORD} the most");
            return Ok(Some(self.give_up(offset, why)));
        };
        self.record.resize(len, 0);
        if let Err(error) = self.source.read_exact(&mut self.record) {
            return ends(error).map(|()| Some(self.give_up(offset, "the file ends within it".to_owned())));
        }
        self.offset += len as u64;
        let record = line::decode(&self.record).map_err(|error| Problem::Damaged(error.message()));
        Ok(Some(Item { number: self.number, offset, record }))
    }

    fn offset(&self) -> u64 {
        self.offset
    }
}

/// Lets an error pass that only says that a file ended.
fn ends(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
