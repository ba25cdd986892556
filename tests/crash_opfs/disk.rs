//! What a browser's storage holds after a power cut, by what was measured of it (OPFS and `IndexedDB` in Chromium).
//!
//! A slot file whose name is less than a minute old may be gone, with everything in it, whatever was flushed. What was
//! written or cut since the last flush may be there or not, block by block and torn within one, and the length apart from it.
//! Transactions of the journal are durable when they return; one that has not may be there as a whole, or not at all.

use crate::chance::{Chance, Thoroughness};
use crate::recording::{Effect, Remains};
use crate::slot::Slot;
use crate::support::medium::{Change, Content, Parts, apply};
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

/// One state that a crash may leave: slots as `slot/{number}`, entries of the journal as `journal/{key}`.
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
            Change::Commit(_) | Change::Committed => self == Self::Journal,
            _ => false,
        }
    }
}

#[derive(Clone, Default)]
pub struct Disk {
    slots: BTreeMap<u32, Slot>,
    /// Names that were made at that time.
    made: BTreeMap<u32, u64>,
    journal: BTreeMap<String, Content>,
    /// A transaction that has not returned.
    committing: Option<Arc<[JournalEdit]>>,
    now: u64,
    /// Milliseconds that go by with each acknowledgement.
    pub pace: u64,
    pub faults: Faults,
}

/// The parts as a session finds them.
pub fn parts(state: &State) -> Parts {
    let mut parts = Parts::default();
    for (name, bytes) in state {
        let content = Content::Shared(Arc::clone(&bytes.bytes));
        match name.split_once('/') {
            Some(("slot", number)) => drop(parts.slots.insert(number.parse().unwrap(), content)),
            Some((_, key)) => drop(parts.journal.insert(key.replace(':', "/"), content)),
            None => unreachable!("{name}"),
        }
    }
    parts
}

impl Disk {
    /// A disk on which all of `state` is durable.
    pub fn settled(state: &State) -> Self {
        let parts = parts(state);
        let slot = |content: &Content| Slot::durable(content.bytes().to_vec().into());
        // Some recoveries see names age, some do not.
        let pace = [0, 16_000, 61_000][state.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() % 3];
        Self {
            slots: parts.slots.iter().map(|(number, content)| (*number, slot(content))).collect(),
            journal: parts.journal,
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
        slots.chain(entries(&self.journal)).collect()
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
            Effect::Changed(Change::Commit(edits)) => self.committing = Some(Arc::clone(edits)),
            Effect::Changed(Change::Committed) => {
                if let Some(edits) = self.committing.take() {
                    apply(&mut self.journal, &edits);
                }
            }
            Effect::Passed(millis) => {
                self.now += millis;
                if self.faults != Faults::Names {
                    self.made.retain(|_, made| self.now - *made < DANGER);
                }
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
        let after = self.committing.as_ref().map(|edits| {
            let mut journal = self.journal.clone();
            apply(&mut journal, edits);
            journal
        });
        for journal in [Some(&self.journal), after.as_ref()].into_iter().flatten() {
            let moment = Moment { fates: &fates, made: self.made.keys().copied().collect(), journal };
            moment.states(chance, visit);
        }
    }
}

/// What there is to choose from when the power is cut.
struct Moment<'a> {
    /// What each slot may hold; of one that was flushed, one thing only.
    fates: &'a [(u32, Vec<Bytes>)],
    /// The slots that may be gone.
    made: Vec<u32>,
    journal: &'a BTreeMap<String, Content>,
}

impl Moment<'_> {
    fn states(&self, chance: &mut Chance, visit: &mut impl FnMut(&State, &str)) {
        let mut state: State =
            self.fates.iter().map(|(number, _)| (slot_name(*number), Vec::new().into())).collect();
        state.extend(entries(self.journal));
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

fn entries(journal: &BTreeMap<String, Content>) -> impl Iterator<Item = (Arc<str>, Bytes)> + '_ {
    // No `/`, so that the entries of a failure can be kept as files.
    journal.iter().map(|(key, content)| {
        let bytes = match content {
            Content::Shared(bytes) => Arc::clone(bytes),
            Content::Own(bytes) => bytes.as_slice().into(),
        };
        (format!("journal/{}", key.replace('/', ":")).into(), bytes.into())
    })
}
