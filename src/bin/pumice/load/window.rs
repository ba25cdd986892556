//! A window on the input's bytes, as large as one line needs and never larger than allowed.

use pumice::{Error, Result};
use std::io::{self, Read};

/// Room for many lines at a time.
const START: usize = 1 << 20;

pub(super) struct Window {
    source: Box<dyn Read>,
    name: String,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    read: u64,
}

impl Window {
    pub(super) fn new(source: Box<dyn Read>, name: String) -> Self {
        Self { source, name, bytes: vec![0; START], start: 0, end: 0, read: 0 }
    }

    /// What was read and not yet taken.
    pub(super) fn ahead(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more behind what is ahead. False at the end of the input.
    pub(super) fn more(&mut self) -> Result<bool> {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
        loop {
            match self.source.read(self.bytes.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    self.end += len;
                    self.read += len as u64;
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", self.name.clone(), e)),
            }
        }
    }

    /// Moves past `len` bytes of what is ahead and shows them.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let from = self.start;
        self.start = (from + len).min(self.end);
        self.bytes.get(from..self.start).unwrap_or_default()
    }

    /// How many bytes of the input were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }
}
