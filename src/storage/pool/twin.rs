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
//! - A copy that the platform cannot open is as good as one that was thrown away, and is removed unread. But where nothing else is
//!   there, two of them are one too many.
//! - Nothing is added to a copy of an earlier session. What there is is carried over into new ones, and the old ones are
//!   removed only then, emptied before, for a removal is not durable. That takes long where there is much. Where both copies of
//!   a pair say the same, what they say is durable, and opening leaves it to a later moment: the first commit waits for it.

use super::parts::{Copies, Journal, JournalEdit, Known};
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;
use bytes::Bytes;
use futures_util::future::join;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Where the mark is, behind all entries.
const MARK: &str = "~";
/// How many bytes are carried over in one transaction.
const CARRIED: usize = 2 << 20;

/// A [`Journal`] in two of the [`Copies`] that a platform provides. They are made when there is something to keep.
///
/// After a commit that failed it refuses every other one: the copies may differ.
pub struct TwinJournal<C: Copies> {
    copies: C,
    state: Mutex<State<C::Copy>>,
    given_up: AtomicBool,
}

struct State<J> {
    pair: Option<Arc<[J; 2]>>,
    /// The number for a new copy: above all that there are.
    next: u64,
    held: Held,
    /// What is still to be carried over.
    earlier: Option<Earlier<J>>,
    failed: Option<Error>,
}

/// The copies of earlier sessions.
struct Earlier<J> {
    copies: Vec<(u64, J)>,
    /// Those that cannot be opened.
    unreadable: Vec<u64>,
    /// The one that counts.
    number: Option<u64>,
    /// What it holds, and how many commits led to that.
    entries: Entries,
    count: u64,
    /// Whether there is something in the former journal.
    former: bool,
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
    fn of(count: u64, entries: &[(String, Bytes)]) -> Self {
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

type Entries = Vec<(String, Bytes)>;

/// The copy that counts.
struct Found {
    number: u64,
    count: u64,
    entries: Entries,
    /// The second copy of the same pair was written too, so the first one was durable before. Otherwise what was read may be
    /// in the page cache only, left there by a process that was killed.
    is_durable: bool,
}

async fn all_of(journal: &impl Journal) -> Result<Entries> {
    Ok(journal.read().await?.into_iter().map(|(key, value)| (key, value.into())).collect())
}

/// The entries of a copy, if they add up to what its mark says.
async fn read_copy(copy: &impl Journal, sum: u64, known: &impl Known) -> Result<Option<Entries>> {
    let adds_up = |entries: &Entries| Held::of(0, entries).sum == sum;
    let mut keys = copy.keys().await?;
    keys.retain(|key| key != MARK);
    let mut entries = Entries::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        let value = match known(&keys, place) {
            Some(value) => value,
            None => copy.entry(key).await?.unwrap_or_default(),
        };
        entries.push((key.clone(), value.into()));
    }
    if adds_up(&entries) {
        return Ok(Some(entries));
    }
    // Then what is known is not what it holds.
    entries = all_of(copy).await?;
    entries.retain(|(key, _)| key != MARK);
    Ok(adds_up(&entries).then_some(entries))
}

impl<C: Copies> TwinJournal<C> {
    /// A journal in `copies`. [`read`](Journal::read) it before anything is committed.
    pub fn new(copies: C) -> Self {
        let state = State { pair: None, next: 0, held: Held::default(), earlier: None, failed: None };
        Self { copies, state: Mutex::new(state), given_up: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State<C::Copy>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the copies of those numbers. Some may be out of reach.
    async fn open_all(&self, numbers: &[u64]) -> Result<(Vec<(u64, C::Copy)>, Vec<(u64, Error)>)> {
        let (mut copies, mut unreadable) = (Vec::new(), Vec::new());
        for number in numbers {
            // One after the other: opening may write.
            match self.copies.open(*number).await {
                Ok(copy) => copies.push((*number, copy)),
                Err(error) if error.kind() == ErrorKind::Io => {
                    tracing::warn!(number, %error, "a copy of the journal cannot be opened");
                    unreadable.push((*number, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((copies, unreadable))
    }

    /// Chooses what counts: the whole copy with the highest count.
    async fn find(&self, copies: &[(u64, C::Copy)], known: &impl Known) -> Result<Option<Found>> {
        // Copies are large and marks are small, so only that of the highest count is read, where it is whole.
        let (mut marked, mut damaged) = (Vec::new(), None);
        for (number, copy) in copies {
            // Without a mark it was thrown away, or never finished.
            let Some(mark) = copy.entry(MARK).await? else { continue };
            match decode(&mark) {
                Some(mark) => marked.push((mark, *number, copy)),
                None => damaged = Some((u64::MAX, *number)),
            }
        }
        marked.sort_unstable_by_key(|(mark, number, _)| (*mark, *number));
        let highest = marked.last().map(|(mark, ..)| *mark);
        let says_so = |number: u64| marked.iter().any(|(mark, n, _)| *n == number && Some(*mark) == highest);
        let is_durable = marked.iter().any(|(_, number, _)| says_so(*number) && says_so(number ^ 1));
        for ((count, sum), number, copy) in marked.into_iter().rev() {
            // What a copy of a higher count lacks, this one would lack too.
            if damaged.is_some_and(|(highest, _)| count < highest) {
                break;
            }
            match read_copy(copy, sum, known).await? {
                Some(entries) => return Ok(Some(Found { number, count, entries, is_durable })),
                None => damaged = damaged.or(Some((count, number))),
            }
        }
        let Some((_, number)) = damaged else { return Ok(None) };
        let message = "it lacks entries, and no other copy has them; restore a backup";
        Err(Error::corrupt(format!("copy {number} of the journal"), 0, message))
    }

    /// Makes a copy that holds these entries.
    async fn fill(&self, side: u64, entries: &[(String, Bytes)], held: &Held) -> Result<C::Copy> {
        let copy = self.make(side).await?;
        let (mut edits, mut bytes) = (Vec::new(), 0);
        for (key, value) in entries {
            edits.push(JournalEdit::Put { key: key.clone(), value: value.to_vec() });
            bytes += value.len();
            if bytes > CARRIED {
                if self.given_up.load(Ordering::Acquire) {
                    return Err(Error::new(ErrorKind::Closed, "the journal is to be closed"));
                }
                copy.commit(std::mem::take(&mut edits)).await?;
                bytes = 0;
            }
        }
        edits.push(held.mark());
        copy.commit(edits).await?;
        Ok(copy)
    }

    /// Makes one copy of a pair. The first one has an even number, and the second one the next.
    async fn make(&self, side: u64) -> Result<C::Copy> {
        let number = {
            let mut state = self.state();
            let number = if state.next % 2 == side { state.next } else { state.next + 1 };
            state.next = number + 1;
            number
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
    async fn carry_over(&self, earlier: Earlier<C::Copy>) -> Result<()> {
        let Earlier { copies: mut old, unreadable, number, entries, count, former } = earlier;
        // What nobody could read may have got a commit that the others lack, and a removal may be undone.
        let held = Held::of(if unreadable.is_empty() { count } else { count + 2 }, &entries);
        let mut first = None;
        if !entries.is_empty() {
            first = Some(self.fill(0, &entries, &held).await?);
        }
        // What counts is the last to go.
        old.sort_by_key(|(other, _)| (Some(*other) == number, *other));
        let kept = number.and_then(|_| old.pop());
        for (number, copy) in old {
            self.discard(number, copy).await?;
        }
        for number in unreadable {
            self.copies.remove(number).await?;
        }
        if let Some(first) = first {
            let second = self.fill(1, &entries, &held).await?;
            self.state().pair = Some(Arc::new([first, second]));
        }
        if let Some(former) = self.copies.former().filter(|_| former) {
            former.commit(vec![remove_all()]).await?;
        }
        if let Some((number, copy)) = kept {
            self.discard(number, copy).await?;
        }
        self.state().held = held;
        Ok(())
    }

    /// Refuses where an earlier failure left the copies in doubt.
    fn check(&self) -> Result<()> {
        match &self.state().failed {
            None => Ok(()),
            Some(cause) => {
                let message =
                    format!("an earlier failure left the journal in doubt: {cause}; open the database again");
                Err(Error::new(ErrorKind::Poisoned, message))
            }
        }
    }

    /// Marks the journal as failed until [`end`](Self::end), also for the case that a future is dropped half-way.
    fn begin(&self) {
        self.state().failed = Some(Error::new(ErrorKind::Io, "writing to it was interrupted"));
    }

    fn end<T>(&self, done: Result<T>) -> Result<T> {
        self.state().failed = done.as_ref().err().cloned();
        done
    }

    /// The copies to write, made where there are none yet.
    async fn pair(&self) -> Result<Arc<[C::Copy; 2]>> {
        if let Some(pair) = &self.state().pair {
            return Ok(Arc::clone(pair));
        }
        // Nothing is in either, so both may be written at once.
        let (first, second) = join(self.make(0), self.make(1)).await;
        let pair = Arc::new([first?, second?]);
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
        let entries = self.read_with(&|_: &[String], _| None).await?;
        Ok(entries.into_iter().map(|(key, value)| (key, value.to_vec())).collect())
    }

    async fn read_with(&self, known: &impl Known) -> Result<Entries> {
        let mut numbers = self.copies.list().await?;
        numbers.sort_unstable();
        self.state().next = numbers.last().map_or(0, |last| last + 1);
        let (copies, unreadable) = self.open_all(&numbers).await?;
        let found = self.find(&copies, known).await?;
        if let [(_, error), _, ..] = &unreadable[..]
            && found.is_none()
        {
            return Err(error.clone());
        }
        let unreadable: Vec<u64> = unreadable.into_iter().map(|(number, _)| number).collect();
        let former = match self.copies.former() {
            Some(former) => all_of(former).await?,
            None => Entries::new(),
        };
        let is_former = !former.is_empty();
        let is_durable = found.as_ref().is_none_or(|found| found.is_durable);
        let (number, count, entries) = match found {
            Some(Found { number, count, entries, .. }) => (Some(number), count, entries),
            None => (None, 0, former),
        };
        if is_former || !unreadable.is_empty() || !copies.is_empty() {
            let entries = entries.clone();
            self.state().earlier =
                Some(Earlier { copies, unreadable, number, entries, count, former: is_former });
        }
        if !is_durable {
            self.settle().await?;
        }
        Ok(entries)
    }

    async fn commit(&self, mut edits: Vec<JournalEdit>) -> Result<()> {
        self.settle().await?;
        {
            let mut state = self.state();
            let puts = edits.iter().any(|edit| matches!(edit, JournalEdit::Put { .. }));
            if state.pair.is_none() && !puts {
                // There is nothing to remove.
                return Ok(());
            }
            state.held.apply(&edits);
            state.held.count += 1;
            edits.push(state.held.mark());
        }
        self.begin();
        self.end(self.write(edits).await)
    }

    async fn settle(&self) -> Result<()> {
        self.check()?;
        let Some(earlier) = self.state().earlier.take() else { return Ok(()) };
        self.begin();
        self.end(self.carry_over(earlier).await)
    }

    fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    async fn close(&self) {
        let pair = self.state().pair.clone();
        let earlier = self.state().earlier.take().map_or(Vec::new(), |earlier| earlier.copies);
        for copy in pair.iter().flat_map(|pair| pair.iter()).chain(earlier.iter().map(|(_, copy)| copy)) {
            copy.close().await;
        }
        if let Some(former) = self.copies.former() {
            former.close().await;
        }
    }
}
