//! The limit: an append-only file of records, each with its length and a CRC-32C, and one sync for all who wait.
//!
//! It keeps no index while it writes and is no database: it never reclaims a byte. A reader maps the file, and makes an
//! index in memory for its gets when it is made, outside of what is measured.

use super::{Documents, Durability, Engine, Reader};
use anyhow::Result;
use memmap2::Mmap;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Length of the rest, checksum of the rest, length of the key.
const HEADER: usize = 4 + 4 + 2;
/// Buffered records are written when there are so many bytes of them.
const WRITE_AT: usize = 256 << 10;
const AHEAD: usize = 16 << 20;

/// Whether each sync has to make a new length of the file durable too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    AtItsTail,
    /// Zeros are written ahead of the tail, so that few syncs have metadata to write.
    Ahead,
}

pub struct Raw {
    file: File,
    durability: Durability,
    growth: Growth,
    state: Mutex<State>,
    synced: Condvar,
}

#[derive(Default)]
struct State {
    /// Records that are not yet in the file.
    queue: Vec<u8>,
    /// Where the next bytes go.
    end: u64,
    /// Bytes of the file that are there, zeros included.
    grown: u64,
    accepted: u64,
    durable: u64,
    is_syncing: bool,
}

fn encode(queue: &mut Vec<u8>, key: &str, document: &str) {
    let start = queue.len();
    queue.extend(((HEADER - 4 + key.len() + document.len()) as u32).to_le_bytes());
    queue.extend([0; 4]);
    queue.extend((key.len() as u16).to_le_bytes());
    queue.extend(key.as_bytes());
    queue.extend(document.as_bytes());
    let checksum = crc32c::crc32c(&queue[start + 8..]);
    queue[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Calls `visit` with the places of key and document of each whole record; returns where the last of them ends.
fn walk(bytes: &[u8], mut visit: impl FnMut(Range<usize>, Range<usize>)) -> usize {
    let mut at = 0;
    while let Some((length, rest)) = bytes[at..].split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((checksum, record)) = rest.get(..length).and_then(|rest| rest.split_first_chunk::<4>())
        else {
            break;
        };
        let Some((key, text)) = record.split_first_chunk::<2>() else { break };
        let key = usize::from(u16::from_le_bytes(*key));
        if key > text.len() || crc32c::crc32c(record) != u32::from_le_bytes(*checksum) {
            break;
        }
        let (start, end) = (at + HEADER, at + 4 + length);
        visit(start..start + key, start + key..end);
        at = end;
    }
    at
}

/// Sound, for the directory is this process's own, and what is mapped of the file is never changed or cut off.
#[allow(unsafe_code)]
fn map(file: &File) -> Result<Mmap> {
    Ok(unsafe { Mmap::map(file)? })
}

impl Raw {
    pub fn open(dir: &Path, durability: Durability, growth: Growth) -> Result<Self> {
        let file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(dir.join("log"))?;
        let end = walk(&map(&file)?, |_, _| {}) as u64;
        let state = State { end, grown: end, ..State::default() };
        Ok(Self { file, durability, growth, state: Mutex::new(state), synced: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<'a>(&self, documents: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut state = self.state();
        documents.for_each(|(key, document)| encode(&mut state.queue, key, document));
        if self.durability == Durability::Durable {
            state.accepted += 1;
            let mine = state.accepted;
            return self.wait_for(state, mine);
        }
        if state.queue.len() >= WRITE_AT { self.write_queue(&mut state) } else { Ok(()) }
    }

    fn write_queue(&self, state: &mut State) -> Result<()> {
        self.file.write_all_at(&state.queue, state.end)?;
        state.end += state.queue.len() as u64;
        state.queue.clear();
        Ok(())
    }

    /// Who finds nobody syncing writes and syncs for all that wait.
    fn wait_for<'a>(&'a self, mut state: MutexGuard<'a, State>, mine: u64) -> Result<()> {
        while state.durable < mine {
            if state.is_syncing {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_syncing = true;
            let bytes = std::mem::take(&mut state.queue);
            let (start, accepted) = (state.end, state.accepted);
            state.end += bytes.len() as u64;
            if self.growth == Growth::Ahead && state.end > state.grown {
                self.file.write_all_at(&vec![0; AHEAD], state.end)?;
                state.grown = state.end + AHEAD as u64;
            }
            drop(state);
            self.file.write_all_at(&bytes, start)?;
            self.file.sync_data()?;
            state = self.state();
            state.durable = accepted;
            state.is_syncing = false;
            self.synced.notify_all();
        }
        Ok(())
    }
}

impl Engine for Raw {
    fn put(&self, key: &str, document: &str) -> Result<()> {
        self.write(std::iter::once((key, document)))
    }

    fn put_all(&self, documents: &Documents<'_>) -> Result<()> {
        self.write(documents.iter().map(|(key, document)| (key.as_str(), *document)))
    }

    fn sync(&self) -> Result<()> {
        self.write_queue(&mut self.state())?;
        Ok(self.file.sync_data()?)
    }

    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        self.write_queue(&mut self.state())?;
        let bytes = map(&self.file)?;
        let mut index = HashMap::new();
        walk(&bytes, |key, document| {
            index.insert(bytes[key].into(), document);
        });
        Ok(Box::new(RawReader { bytes, index }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}

struct RawReader {
    bytes: Mmap,
    index: HashMap<Box<[u8]>, Range<usize>>,
}

impl Reader for RawReader {
    fn get(&mut self, key: &str, found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let document = self.index.get(key.as_bytes());
        if let Some(document) = document {
            found(&self.bytes[document.clone()]);
        }
        Ok(document.is_some())
    }

    fn scan(&mut self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        walk(&self.bytes, |key, document| visit(&self.bytes[key], &self.bytes[document]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_stops_at_a_torn_record() {
        let mut bytes = Vec::new();
        encode(&mut bytes, "a", "{\"n\":1}");
        let whole = bytes.len();
        encode(&mut bytes, "b", "{\"n\":2}");
        for (end, count) in [(bytes.len(), 2), (bytes.len() - 1, 1), (whole, 1), (whole - 1, 0)] {
            let mut keys = Vec::new();
            walk(&bytes[..end], |key, document| keys.push((bytes[key].to_vec(), bytes[document].len())));
            assert_eq!(keys.len(), count);
        }
        bytes[whole + 9] ^= 1;
        assert_eq!(walk(&bytes, |_, _| {}), whole);
        assert_eq!(walk(&[0; 64], |_, _| {}), 0);
    }
}
