//! A journal in two copies that are written one after the other.
//!
//! `IndexedDB` in Chromium is a log of its own. A power cut in the midst of a transaction may leave zeros in it where a record
//! was begun, if the file system had written the file's new length and not yet its bytes (ext4 does that when something
//! else is synced at that moment). Chromium takes that for damage and throws the whole store away, whatever had been
//! acknowledged of it; and behind zeros that it lets pass it goes on writing what a later opening cannot read. So:
//!
//! - Each copy is a store apart from all others, and of the two at most one is being written at any time. What is
//!   acknowledged is in both.
//! - A mark in each copy counts the commits and sums up what the copy holds, so that one that lost something is told from
//!   one that did not. The whole copy with the highest count is what counts.
//! - Nothing is added to a copy of an earlier session. Opening carries what there is over into new ones, and removes the old
//!   ones only then, emptied before, for a removal is not durable.

use super::parts::{Copies, Journal, JournalEdit};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Where the mark is, behind all entries.
const MARK: &str = "~";
/// How many bytes are carried over in one transaction.
const CARRIED: usize = 4 << 20;

/// A [`Journal`] in two of the [`Copies`] that a platform provides. They are made when there is something to keep.
///
/// After a commit that failed it refuses every other one: the copies may differ.
pub struct TwinJournal<C: Copies> {
    copies: C,
    state: Mutex<State<C::Copy>>,
}

struct State<J> {
    pair: Option<Arc<[J; 2]>>,
    /// The number for a new copy: above all that there are.
    next: u64,
    held: Held,
    failed: Option<Error>,
}

/// What a copy holds, without the bytes.
#[derive(Default)]
struct Held {
    /// How many commits led to it.
    count: u64,
    /// The sum of the digests.
    sum: u64,
    digests: SortedMap<String, u64>,
}

impl Held {
    fn of(count: u64, entries: &[(String, Vec<u8>)]) -> Self {
        let mut held = Self { count, ..Self::default() };
        for (key, value) in entries {
            held.put(key, value);
        }
        held
    }

    fn put(&mut self, key: &str, value: &[u8]) {
        let digest = xxh3_64_with_seed(value, xxh3_64(key.as_bytes()));
        let old = self.digests.insert(key.to_owned(), digest).unwrap_or_default();
        self.sum = self.sum.wrapping_add(digest).wrapping_sub(old);
    }

    fn apply(&mut self, edits: &[JournalEdit]) {
        for edit in edits {
            match edit {
                JournalEdit::Put { key, value } => self.put(key, value),
                JournalEdit::Remove { from, to } => {
                    let sum = &mut self.sum;
                    self.digests.retain(|key, digest| {
                        let stays = key < from || key >= to;
                        if !stays {
                            *sum = sum.wrapping_sub(*digest);
                        }
                        stays
                    });
                }
            }
        }
    }

    fn mark(&self) -> JournalEdit {
        let value = [self.count.to_le_bytes(), self.sum.to_le_bytes()].concat();
        JournalEdit::Put { key: MARK.to_owned(), value }
    }
}

/// The count and the sum that a mark tells.
fn decode(mark: &[u8]) -> Option<(u64, u64)> {
    let (count, sum) = mark.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*count), u64::from_le_bytes(sum.try_into().ok()?)))
}

fn remove_all() -> JournalEdit {
    JournalEdit::Remove { from: String::new(), to: "\u{7f}".to_owned() }
}

/// What was found: the entries that count, and in which copy they are.
#[derive(Default)]
struct Found {
    number: Option<u64>,
    count: u64,
    entries: Vec<(String, Vec<u8>)>,
    /// Whether there is something in the former journal.
    former: bool,
}

impl<C: Copies> TwinJournal<C> {
    /// A journal in `copies`. [`read`](Journal::read) it before anything is committed.
    pub fn new(copies: C) -> Self {
        let state = State { pair: None, next: 0, held: Held::default(), failed: None };
        Self { copies, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<C::Copy>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses what counts.
    async fn find(&self, copies: &[(u64, C::Copy)]) -> Result<Found> {
        let (mut found, mut damaged) = (Found::default(), None);
        for (number, copy) in copies {
            let mut entries = copy.read().await?;
            let mark = entries.iter().position(|(key, _)| key == MARK);
            // Without a mark it was thrown away, or never finished.
            let Some((_, mark)) = mark.map(|place| entries.remove(place)) else { continue };
            match decode(&mark) {
                Some((count, sum)) if Held::of(count, &entries).sum == sum => {
                    if found.number.is_none() || count >= found.count {
                        found = Found { number: Some(*number), count, entries, former: false };
                    }
                }
                other => damaged = damaged.max(Some((other.map_or(u64::MAX, |(count, _)| count), *number))),
            }
        }
        if let Some((count, number)) = damaged
            && (found.number.is_none() || count > found.count)
        {
            let message = "it lacks entries, and no other copy has them; restore a backup";
            return Err(Error::corrupt(format!("copy {number} of the journal"), 0, message));
        }
        let former = self.copies.former().read().await?;
        found.former = !former.is_empty();
        if found.number.is_none() {
            found.entries = former;
        }
        Ok(found)
    }

    /// Makes a copy that holds these entries.
    async fn fill(&self, entries: &[(String, Vec<u8>)], held: &Held) -> Result<C::Copy> {
        let copy = self.make().await?;
        let (mut edits, mut bytes) = (Vec::new(), 0);
        for (key, value) in entries {
            edits.push(JournalEdit::Put { key: key.clone(), value: value.clone() });
            bytes += value.len();
            if bytes > CARRIED {
                copy.commit(std::mem::take(&mut edits)).await?;
                bytes = 0;
            }
        }
        edits.push(held.mark());
        copy.commit(edits).await?;
        Ok(copy)
    }

    async fn make(&self) -> Result<C::Copy> {
        let number = {
            let mut state = self.state();
            state.next += 1;
            state.next - 1
        };
        self.copies.open(number).await
    }

    /// Removes a copy that is not needed any more. It is emptied first: the removal may be undone by a power cut.
    async fn discard(&self, number: u64, copy: C::Copy) -> Result<()> {
        copy.commit(vec![remove_all()]).await?;
        copy.close().await;
        self.copies.remove(number).await
    }

    /// Leaves what counts in a new pair, or nothing where there is nothing.
    async fn renew(&self, mut old: Vec<(u64, C::Copy)>, found: &Found) -> Result<()> {
        let held = Held::of(found.count, &found.entries);
        let mut first = None;
        if !found.entries.is_empty() {
            first = Some(self.fill(&found.entries, &held).await?);
        }
        // What counts is the last to go.
        old.sort_by_key(|(number, _)| (Some(*number) == found.number, *number));
        let kept = found.number.and_then(|_| old.pop());
        for (number, copy) in old {
            self.discard(number, copy).await?;
        }
        if let Some(first) = first {
            let second = self.fill(&found.entries, &held).await?;
            self.state().pair = Some(Arc::new([first, second]));
        }
        if found.former {
            self.copies.former().commit(vec![remove_all()]).await?;
        }
        if let Some((number, copy)) = kept {
            self.discard(number, copy).await?;
        }
        self.state().held = held;
        Ok(())
    }

    /// The copies to write, made where there are none yet.
    async fn pair(&self) -> Result<Arc<[C::Copy; 2]>> {
        if let Some(pair) = &self.state().pair {
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new([self.make().await?, self.make().await?]);
        self.state().pair = Some(Arc::clone(&pair));
        Ok(pair)
    }

    async fn write(&self, edits: Vec<JournalEdit>) -> Result<()> {
        let is_first = self.state().pair.is_none();
        let pair = self.pair().await?;
        pair[0].commit(edits.clone()).await?;
        pair[1].commit(edits).await?;
        if is_first { self.copies.used().await } else { Ok(()) }
    }
}

impl<C: Copies> Journal for TwinJournal<C> {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut numbers = self.copies.list().await?;
        numbers.sort_unstable();
        self.state().next = numbers.last().map_or(0, |last| last + 1);
        let mut old = Vec::new();
        for number in numbers {
            old.push((number, self.copies.open(number).await?));
        }
        let found = self.find(&old).await?;
        self.renew(old, &found).await?;
        Ok(found.entries)
    }

    async fn commit(&self, mut edits: Vec<JournalEdit>) -> Result<()> {
        {
            let mut state = self.state();
            if let Some(cause) = &state.failed {
                let message =
                    format!("an earlier failure left the journal in doubt: {cause}; open the database again");
                return Err(Error::new(ErrorKind::Poisoned, message));
            }
            let puts = edits.iter().any(|edit| matches!(edit, JournalEdit::Put { .. }));
            if state.pair.is_none() && !puts {
                // There is nothing to remove.
                return Ok(());
            }
            state.held.apply(&edits);
            state.held.count += 1;
            edits.push(state.held.mark());
            // Also for the case that this future is dropped half-way.
            state.failed = Some(Error::new(ErrorKind::Io, "writing to it was interrupted"));
        }
        let written = self.write(edits).await;
        self.state().failed = written.as_ref().err().cloned();
        written
    }

    async fn close(&self) {
        let pair = self.state().pair.clone();
        for copy in pair.iter().flat_map(|pair| pair.iter()) {
            copy.close().await;
        }
        self.copies.former().close().await;
    }
}
