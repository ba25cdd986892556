//! Reads a whole snapshot and checks everything that can be checked.
//!
//! One walk serves three ends: proving a file good, finding all of its damage, and getting out what is undamaged.

use super::cursor::{Direction, KeyRange};
use super::path::Path;
use super::table::{Table, block_offset};
use super::tally::{Counter, Digest, Summary};
use crate::error::{Error, Result};
use crate::format::snapshot::{
    Block, Child, FOOTER_LEN, Footer, HEADER_LEN, KIND_INDEX, KIND_LEAF, SnapshotHeader, Span, Symbols,
    decode_drops, value_checksum,
};
use crate::storage::Storage;
use std::ops::Bound;

const EVERYTHING: KeyRange = (Bound::Unbounded, Bound::Unbounded);

/// Is given an entry's key, sequence number and value. Not generic, so that what walks is compiled once.
pub(crate) type OnEntry<'f> = dyn FnMut(&[u8], u64, Option<&[u8]>) + Send + 'f;
/// Is given what is wrong.
pub(crate) type OnProblem<'f> = dyn FnMut(Error) + Send + 'f;

/// What the walk has seen so far.
#[derive(Default)]
struct Seen {
    entries: u64,
    documents: u64,
    digest: Digest,
    counts: Counter,
    last_key: Vec<u8>,
    /// Bytes of the file, from its start to the root, that the index leads to.
    reached: u64,
    /// What the last packed page was unpacked with, and where it stands; `None` where that is damaged.
    symbols: Option<(Span, Option<Symbols>)>,
}

impl<S: Storage> Table<S> {
    /// Reads everything from the file, past the cache.
    ///
    /// # Errors
    /// The first damage, or what the storage failed with.
    pub(crate) async fn verify(&self) -> Result<Summary> {
        let mut first = None;
        let summary = self
            .salvage(&mut |_, _, _| (), &mut |problem| {
                first.get_or_insert(problem);
            })
            .await;
        first.map_or(Ok(summary), Err)
    }

    /// Like [`verify`](Self::verify), but goes on after a problem and reports every one.
    pub(crate) async fn check(&self, problem: &mut OnProblem<'_>) {
        self.salvage(&mut |_, _, _| (), problem).await;
    }

    /// Gives every undamaged entry to `on_entry`, in order: key, sequence number, value (`None` for a tombstone). All
    /// damage goes to `on_problem`. Returns what was found.
    pub(crate) async fn salvage(
        &self,
        on_entry: &mut OnEntry<'_>,
        on_problem: &mut OnProblem<'_>,
    ) -> Summary {
        let mut problems = 0_u64;
        let (seen, drops) = self
            .walk(on_entry, &mut |problem| {
                problems += 1;
                on_problem(problem);
            })
            .await;
        let Seen { entries, documents, digest, counts, reached, .. } = seen;
        let Footer { file_len, .. } = self.footer;
        let summary = Summary { entries, documents, digest: digest.finish(&drops), file_len };
        match self.counts().await {
            Err(problem) => on_problem(problem),
            // After other damage the sums are wrong anyway.
            Ok(stated) if problems == 0 => {
                let sums = summary == self.summary() && reached == self.footer.root.offset;
                if !sums || counts.rows() != stated {
                    on_problem(Error::corrupt(
                        self.name(),
                        self.footer_offset(),
                        "the snapshot's entries do not add up to its footer; restore from a backup",
                    ));
                }
            }
            Ok(_) => {}
        }
        summary
    }

    /// Everything but the sums. Returns what was seen, and the drops section.
    async fn walk(&self, on_entry: &mut OnEntry<'_>, on_problem: &mut OnProblem<'_>) -> (Seen, Vec<u8>) {
        let mut seen = Seen { reached: HEADER_LEN as u64, ..Seen::default() };
        if let Err(problem) = self.check_ends().await {
            on_problem(problem);
        }
        let drops = self.check_drops().await.unwrap_or_else(|problem| {
            on_problem(problem);
            Vec::new()
        });
        match Path::new(self, &EVERYTHING, true) {
            Err(problem) => on_problem(problem),
            Ok(mut path) => {
                loop {
                    match path.next(self, &EVERYTHING, Direction::Forward).await {
                        Ok(None) => break,
                        Err(problem) => on_problem(problem),
                        Ok(Some(child)) => {
                            self.check_page(&path, child, &mut seen, on_entry, on_problem).await;
                        }
                    }
                }
                seen.reached = seen.reached.saturating_add(path.index_len);
            }
        }
        (seen, drops)
    }

    /// What the footer says.
    pub(crate) fn summary(&self) -> Summary {
        let Footer { entries, documents, digest, file_len, .. } = self.footer;
        Summary { entries, documents, digest, file_len }
    }

    fn footer_offset(&self) -> u64 {
        self.footer.file_len - FOOTER_LEN as u64
    }

    /// Header, footer and root once more, as they stand in the file now.
    async fn check_ends(&self) -> Result<()> {
        let header = self.read(Span { offset: 0, len: HEADER_LEN as u64 }).await?;
        if SnapshotHeader::decode(&header) != Ok(self.footer.header) {
            return Err(self.damaged(0));
        }
        let footer = self.read(Span { offset: self.footer_offset(), len: FOOTER_LEN as u64 }).await?;
        if Footer::decode(&footer, self.footer.file_len).as_ref() != Ok(&self.footer) {
            return Err(self.damaged(self.footer_offset()));
        }
        let Span { offset, len } = self.footer.root;
        self.read_block(Child { offset, values_len: 0, block_len: len }, KIND_INDEX).await.map(drop)
    }

    async fn check_drops(&self) -> Result<Vec<u8>> {
        let section = self.read(self.footer.drops).await?;
        let drops = decode_drops(&section).ok_or_else(|| self.damaged(self.footer.drops.offset))?;
        let SnapshotHeader { base, sequence, .. } = self.footer.header;
        if drops.iter().any(|&(_, dropped)| base == 0 || dropped <= base || dropped > sequence) {
            return Err(self.damaged(self.footer.drops.offset));
        }
        Ok(section.to_vec())
    }

    async fn check_page(
        &self,
        path: &Path,
        child: Child,
        seen: &mut Seen,
        on_entry: &mut OnEntry<'_>,
        on_problem: &mut OnProblem<'_>,
    ) {
        let len = child.values_len + child.block_len;
        seen.reached = seen.reached.saturating_add(len);
        let mut values = match self.read(Span { offset: child.offset, len }).await {
            Ok(bytes) => bytes,
            Err(problem) => return on_problem(problem),
        };
        // The page has been read whole, so the length of its values fits memory.
        let block = values.split_off(child.values_len as usize);
        let Some(leaf) = Block::open(&block, KIND_LEAF) else {
            return on_problem(self.damaged(block_offset(child)));
        };
        if !path.leads_to(&leaf) {
            on_problem(self.damaged(block_offset(child)));
        }
        if let Err(problem) = self.check_symbols(&leaf, child, seen).await {
            on_problem(problem);
        }
        let symbols = seen.symbols.as_ref().and_then(|(_, symbols)| symbols.as_ref());
        let mut unpacked = Vec::new();
        let mut key = leaf.prefix().to_vec();
        let mut values_end = 0;
        for index in 0..leaf.count() {
            let entry = match self.leaf_entry(&leaf, child, index) {
                Ok(entry) => entry,
                Err(problem) => {
                    on_problem(problem);
                    continue;
                }
            };
            key.truncate(leaf.prefix().len());
            key.extend_from_slice(entry.suffix);
            let in_order = seen.entries == 0 || key > seen.last_key;
            let mut value = None;
            let mut tiled = true;
            if let Some(at) = entry.value {
                tiled = at.offset == values_end;
                values_end = at.offset + at.len;
                let stored = values.get(at.offset..values_end);
                value = match at.unpacked {
                    None => stored,
                    Some(len) => stored
                        .and_then(|stored| symbols?.unpack(stored, len, &mut unpacked))
                        .map(|()| unpacked.as_slice()),
                };
                value = value.filter(|bytes| value_checksum(bytes) == at.checksum);
                if value.is_none() {
                    on_problem(self.damaged_value(child.offset + at.offset as u64));
                    continue;
                }
            }
            if seen.counts.entry(&key, value.is_some()).is_none() || !in_order || !tiled {
                on_problem(self.damaged(block_offset(child)));
            }
            let sequence = self.sequence_of(&entry);
            seen.entries += 1;
            seen.documents += u64::from(value.is_some());
            seen.digest.entry(&key, sequence, value);
            std::mem::swap(&mut seen.last_key, &mut key);
            key.clear();
            key.extend_from_slice(leaf.prefix());
            on_entry(&seen.last_key, sequence, value);
        }
        if values_end != values.len() {
            on_problem(self.damaged(block_offset(child)));
        }
    }

    /// Reads the symbols of a packed leaf where the page before had others.
    async fn check_symbols(&self, leaf: &Block, child: Child, seen: &mut Seen) -> Result<()> {
        let Some(span) = leaf.symbols() else { return Ok(()) };
        if seen.symbols.as_ref().is_some_and(|(of, _)| *of == span) {
            return Ok(());
        }
        seen.reached = seen.reached.saturating_add(span.len);
        let read = self.read_symbols(span, child).await;
        let (symbols, problem) = match read {
            Ok(symbols) => (Some(symbols), Ok(())),
            Err(problem) => (None, Err(problem)),
        };
        seen.symbols = Some((span, symbols));
        problem
    }
}
