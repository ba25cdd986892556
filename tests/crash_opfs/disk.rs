//! What a browser's storage holds after a power cut, by what was measured of it (OPFS and `IndexedDB` in Chromium).
//!
//! A slot file whose name is less than a minute old may be gone, with everything in it, whatever was flushed. What was
//! written or cut since the last flush may be there or not, block by block and torn within one, and the length apart from it.
//! Transactions of the journal are durable when they return; one that has not may be there as a whole, or not at all, and
//! of a journal in two copies it may have cost all of the copy that it went to (Chromium throws a store away whose log was torn), or
//! have left one that does not open any more until it is removed. A copy that was there when the power was cut before may be lost
//! like that whenever something was written to it since, or that alone. The removal of a copy may be undone for a minute.

use crate::chance::{Chance, Thoroughness};
use crate::recording::{Effect, Remains};
use crate::slot::Slot;
use crate::support::medium::{Change, Content, LOCKED, Parts, apply};
use pumice::pool::JournalEdit;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that many states share, and their digest, which is not worked out anew for each.
#[derive(Clone)]
pub struct Bytes {
    bytes: Arc<[u8]>,
    digest: u64,
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self { digest: xxh3_64(&bytes), bytes }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// What tells the contents of files apart.
pub fn digest(bytes: &Bytes) -> u64 {
    bytes.digest
}

/// One state that a crash may leave: slots as `slot/{number}`, entries of the journal as `journal/{key}`, those of its copies as
/// `copy-{number}/{key}`, each copy as `copy-{number}/.` too, and that there are to be copies as `copies`.
pub type State = Vec<(Arc<str>, Bytes)>;

/// How long a name is in danger.
const DANGER: u64 = 60_000;

/// What the parts promise and do not keep, to show that the states find it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    #[default]
    None,
    /// Flushes do nothing.
    Flush,
    /// The journal's transactions do nothing.
    Journal,
    /// Names stay in danger for ever: as if the storage had not waited.
    Names,
}

impl Faults {
    pub fn hides(self, change: &Change) -> bool {
        match change {
            Change::Flush(_) => self == Self::Flush,
            Change::Commit(..) | Change::Committed(_) => self == Self::Journal,
            _ => false,
        }
    }
}

#[derive(Clone, Default)]
pub struct Disk {
    slots: BTreeMap<u32, Slot>,
    /// Names that were made at that time.
    made: BTreeMap<u32, u64>,
    journals: Journals,
    /// A transaction that has not returned, and on what.
    committing: Option<(Option<u64>, Arc<[JournalEdit]>)>,
    /// Copies as the last power cut left them, to which something was written since.
    rewritten: BTreeMap<u64, Entries>,
    /// Copies as the last power cut left them.
    left: BTreeMap<u64, Entries>,
    /// Removed copies, and when that was.
    removed: BTreeMap<u64, (u64, Entries)>,
    now: u64,
    /// Milliseconds that go by with each acknowledgement.
    pub pace: u64,
    pub faults: Faults,
}

type Entries = BTreeMap<String, Content>;

/// What the journals hold.
#[derive(Clone, Default)]
struct Journals {
    /// Whether there are to be copies.
    twin: bool,
    one: Entries,
    copies: BTreeMap<u64, Entries>,
}

impl Journals {
    fn of(&mut self, copy: Option<u64>) -> &mut Entries {
        copy.map_or(&mut self.one, |copy| self.copies.entry(copy).or_default())
    }
}

/// The parts as a session finds them.
pub fn parts(state: &State) -> Parts {
    let mut parts = Parts::default();
    for (name, bytes) in state {
        let content = Content::Shared(Arc::clone(&bytes.bytes));
        match name.split_once('/') {
            Some(("slot", number)) => drop(parts.slots.insert(number.parse().unwrap(), content)),
            Some(("journal", key)) => drop(parts.journal.insert(key.replace(':', "/"), content)),
            Some((copy, key)) => {
                let copy = copy.strip_prefix("copy-").unwrap().parse().unwrap();
                let entries: &mut Entries = parts.copies.entry(copy).or_default();
                if key != "." {
                    entries.insert(key.replace(':', "/"), content);
                }
            }
            None => parts.twin = true,
        }
    }
    parts
}

impl Disk {
    /// An empty disk for a storage whose journal is in two copies, or not.
    pub fn empty(twin: bool) -> Self {
        Self { journals: Journals { twin, ..Journals::default() }, ..Self::default() }
    }

    /// A disk on which all of `state` is durable.
    pub fn settled(state: &State) -> Self {
        let parts = parts(state);
        let slot = |content: &Content| Slot::durable(content.bytes().to_vec().into());
        // Some recoveries see names age, some do not.
        let pace = [0, 16_000, 61_000][state.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() % 3];
        Self {
            slots: parts.slots.iter().map(|(number, content)| (*number, slot(content))).collect(),
            left: parts.copies.clone(),
            journals: Journals { twin: parts.twin, one: parts.journal, copies: parts.copies },
            pace,
            ..Self::default()
        }
    }

    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        Remains::open(&self.all()).ok()?.contents(name).ok()
    }

    /// Whether a killed process leaves more than a power cut would. In the midst of a transaction it may leave two states,
    /// neither of which is this one's alone. Of young slots, which do not count, only now and then.
    pub fn is_volatile(&self) -> bool {
        let mut volatile = self.slots.iter().filter(|(_, slot)| slot.is_volatile());
        let sometimes = |slot: &Slot| slot.visible().len().is_multiple_of(16);
        let matters = |(number, slot)| !self.made.contains_key(number) || sometimes(slot);
        self.committing.is_none() && volatile.any(matters)
    }

    /// The state that a killed process leaves.
    pub fn all(&self) -> State {
        let slots = self.slots.iter().map(|(number, slot)| (slot_name(*number), slot.visible()));
        slots.chain(entries(&self.journals)).collect()
    }

    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Changed(Change::Open(slot)) => {
                if !self.slots.contains_key(slot) {
                    self.slots.insert(*slot, Slot::durable(Vec::new().into()));
                    self.made.insert(*slot, self.now);
                }
            }
            Effect::Changed(Change::Write(slot, offset, bytes)) => {
                self.slot(*slot).write(*offset as usize, bytes);
            }
            Effect::Changed(Change::Truncate(slot, len)) => self.slot(*slot).truncate(*len as usize),
            Effect::Changed(Change::Flush(slot)) => self.slot(*slot).flush(),
            Effect::Changed(Change::Commit(copy, edits)) => {
                if let Some(copy) = copy
                    && let Some(left) = self.left.remove(copy)
                {
                    self.rewritten.insert(*copy, left);
                }
                self.committing = Some((*copy, Arc::clone(edits)));
            }
            Effect::Changed(Change::Committed(copy)) => {
                if let Some((_, edits)) = self.committing.take() {
                    apply(self.journals.of(*copy), &edits);
                }
            }
            Effect::Changed(Change::OpenCopy(copy)) => drop(self.journals.of(Some(*copy))),
            Effect::Changed(Change::RemoveCopy(copy)) => {
                let entries = self.journals.copies.remove(copy).unwrap_or_default();
                self.removed.insert(*copy, (self.now, entries));
                self.rewritten.remove(copy);
            }
            Effect::Passed(millis) => {
                self.now += millis;
                if self.faults != Faults::Names {
                    self.made.retain(|_, made| self.now - *made < DANGER);
                }
                self.removed.retain(|_, (removed, _)| self.now - *removed < DANGER);
            }
            Effect::Acknowledged(_) => {}
        }
    }

    fn slot(&mut self, slot: u32) -> &mut Slot {
        self.slots.get_mut(&slot).unwrap()
    }

    /// Calls `visit` with the states that a power cut may leave now. `last` was done to the parts just before.
    pub fn states(
        &self,
        last: Option<&Effect>,
        thoroughness: Thoroughness,
        chance: &mut Chance,
        visit: &mut impl FnMut(&State, &str),
    ) {
        let dense = match last {
            Some(Effect::Changed(Change::Write(slot, ..) | Change::Truncate(slot, _)))
                if thoroughness == Thoroughness::Dense && !self.made.contains_key(slot) =>
            {
                Some(*slot)
            }
            _ => None,
        };
        let fates: Vec<(u32, Vec<Bytes>)> = self
            .slots
            .iter()
            .map(|(number, slot)| {
                let fates = if dense == Some(*number) { slot.fates(chance) } else { slot.few_fates(chance) };
                (*number, fates)
            })
            .collect();
        for journals in &self.fates_of_journals(chance) {
            let moment = Moment { fates: &fates, made: self.made.keys().copied().collect(), journals };
            moment.states(chance, visit);
        }
    }

    /// What the journals may hold.
    fn fates_of_journals(&self, chance: &mut Chance) -> Vec<Journals> {
        let mut fates = vec![self.journals.clone()];
        if let Some((copy, edits)) = &self.committing {
            let mut after = self.journals.clone();
            apply(after.of(*copy), edits);
            fates.push(after);
            if copy.is_some() {
                let mut lost = self.journals.clone();
                lost.of(*copy).clear();
                let mut locked = self.journals.clone();
                lock(locked.of(*copy));
                fates.extend([lost, locked]);
            }
        }
        if self.rewritten.is_empty() && self.removed.is_empty() {
            return fates;
        }
        let mut odd = fates[chance.below(fates.len())].clone();
        // One at most does not open any more.
        let mut locks = !odd.copies.values().any(|copy| copy.contains_key(LOCKED));
        for (copy, left) in &self.rewritten {
            match chance.below(4) {
                0 => drop(odd.copies.insert(*copy, Entries::new())),
                1 => drop(odd.copies.insert(*copy, left.clone())),
                2 if std::mem::take(&mut locks) => lock(odd.of(Some(*copy))),
                _ => {}
            }
        }
        for (copy, (_, entries)) in &self.removed {
            if chance.below(2) == 0 {
                odd.copies.insert(*copy, entries.clone());
            }
        }
        fates.push(odd);
        fates
    }
}

/// What it holds, nobody gets at.
fn lock(copy: &mut Entries) {
    copy.insert(LOCKED.to_owned(), Content::Own(Vec::new()));
}

/// What there is to choose from when the power is cut.
struct Moment<'a> {
    /// What each slot may hold; of one that was flushed, one thing only.
    fates: &'a [(u32, Vec<Bytes>)],
    /// The slots that may be gone.
    made: Vec<u32>,
    journals: &'a Journals,
}

impl Moment<'_> {
    fn states(&self, chance: &mut Chance, visit: &mut impl FnMut(&State, &str)) {
        let mut state: State =
            self.fates.iter().map(|(number, _)| (slot_name(*number), Vec::new().into())).collect();
        state.extend(entries(self.journals));
        let mut choice = vec![0; self.fates.len()];
        let mut emit = |choice: &[usize], gone: &BTreeSet<u32>, label: &str| {
            for (place, ((_, fates), chosen)) in self.fates.iter().zip(choice).enumerate() {
                state[place].1 = fates[*chosen].clone();
            }
            if gone.is_empty() {
                return visit(&state, label);
            }
            let here = self.fates.iter().map(|(number, _)| !gone.contains(number));
            let here = here.chain(std::iter::repeat(true));
            visit(
                &state.iter().zip(here).filter(|(_, here)| *here).map(|(file, _)| file.clone()).collect(),
                label,
            );
        };
        let none = BTreeSet::new();
        let all: BTreeSet<u32> = self.made.iter().copied().collect();
        emit(&choice, &none, "everything volatile lost");
        // Every fate of each slot, while the others are kept whole, lost, or either at random.
        let volatile: Vec<usize> = (0..choice.len()).filter(|place| self.fates[*place].1.len() > 1).collect();
        for &focus in &volatile {
            for fate in 0..self.fates[focus].1.len() {
                for others in 0..if volatile.len() > 1 { 3 } else { 1 } {
                    for &place in &volatile {
                        choice[place] = match others {
                            _ if place == focus => fate,
                            0 => 0,
                            1 => 1,
                            _ => chance.below(self.fates[place].1.len()),
                        };
                    }
                    let gone = match chance.below(3) {
                        0 => self.some(chance),
                        _ => none.clone(),
                    };
                    emit(&choice, &gone, "volatile bytes lost in part");
                }
            }
        }
        // Lost names: all, each, all but each, and others.
        let each = self.made.iter().flat_map(|one| {
            [BTreeSet::from([*one]), all.iter().copied().filter(|other| other != one).collect()]
        });
        let sets: Vec<BTreeSet<u32>> = [all.clone()].into_iter().chain(each).collect();
        for gone in sets.into_iter().filter(|gone| !gone.is_empty()) {
            for kind in 0..3 {
                for &place in &volatile {
                    choice[place] = if kind < 2 { kind } else { chance.below(self.fates[place].1.len()) };
                }
                emit(&choice, &gone, "names lost");
            }
        }
    }

    fn some(&self, chance: &mut Chance) -> BTreeSet<u32> {
        self.made.iter().copied().filter(|_| chance.below(2) == 0).collect()
    }
}

fn slot_name(number: u32) -> Arc<str> {
    format!("slot/{number:03}").into()
}

fn entries(journals: &Journals) -> impl Iterator<Item = (Arc<str>, Bytes)> + '_ {
    let one = journals.one.iter().map(|(key, content)| entry("journal", key, content));
    let copies = journals.copies.iter().flat_map(|(number, entries)| {
        let folder = format!("copy-{number:03}");
        let itself = (format!("{folder}/.").into(), Vec::new().into());
        std::iter::once(itself).chain(entries.iter().map(move |(key, content)| entry(&folder, key, content)))
    });
    one.chain(copies).chain(journals.twin.then(|| ("copies".into(), Vec::new().into())))
}

/// No `/` in the key, so that the entries of a failure can be kept as files.
fn entry(folder: &str, key: &str, content: &Content) -> (Arc<str>, Bytes) {
    let bytes = match content {
        Content::Shared(bytes) => Arc::clone(bytes),
        Content::Own(bytes) => bytes.as_slice().into(),
    };
    (format!("{folder}/{}", key.replace('/', ":")).into(), bytes.into())
}
