//! What a handle knows of its slots and the files in them, and the changes of slots that need no waiting.

use super::entries::Pieces;
use super::header::{self, DATA, Header, Side, Slots};
use super::parts::SlotFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::sorted_map::SortedMap;

/// How long a new name is in danger: the kernel writes it out within this time.
pub(super) const DANGER_MILLIS: u64 = 60_000;
/// How many free slots are kept ahead, so that rotations, compactions and recoveries find aged ones.
pub(super) const SPARES: usize = 6;

#[derive(Default)]
pub(super) struct Table {
    pub(super) closed: bool,
    pub(super) slots: SortedMap<u32, Slot>,
    /// Which slot each file is in.
    pub(super) names: SortedMap<String, u32>,
    /// What the clock said last.
    clock: u64,
}

pub(super) struct Slot {
    pub(super) age: Age,
    pub(super) file: Option<File>,
    /// Why nobody knows what its header says by now. It is left alone then.
    pub(super) failed: Option<Error>,
}

pub(super) enum Age {
    /// Its name may be lost in a power cut; what its file holds is in the journal. Watched since then.
    Young { since: u64 },
    /// Its name is durable. Its header, in both copies or at least in this one, is too.
    Aged { generation: u64, newest: Side },
}

pub(super) struct File {
    pub(super) name: String,
    /// Where the next append goes.
    pub(super) len: u64,
    /// What the journal has of it, in a young slot.
    pub(super) pieces: Pieces,
    /// A failed append may have left bytes behind the end.
    pub(super) ragged: bool,
    /// Why nobody knows what of it is durable.
    pub(super) failed: Option<Error>,
}

impl File {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), len: 0, pieces: Pieces::default(), ragged: false, failed: None }
    }

    /// Cuts off what a failed append left.
    pub(super) fn straighten(&mut self, files: &impl SlotFiles, slot: u32) -> Result<()> {
        if self.ragged {
            files.truncate(slot, DATA + self.len)?;
            self.ragged = false;
        }
        Ok(())
    }
}

impl Slot {
    pub(super) fn young(since: u64) -> Self {
        Self { age: Age::Young { since }, file: None, failed: None }
    }

    pub(super) fn is_young(&self) -> bool {
        matches!(self.age, Age::Young { .. })
    }

    fn is_free(&self) -> bool {
        self.file.is_none() && self.failed.is_none()
    }

    /// Writes both copies of the header, each durable before the next is begun. `others` have headers.
    fn write_header(
        &mut self,
        files: &impl SlotFiles,
        slot: u32,
        name: Option<&str>,
        others: &Slots,
    ) -> Result<()> {
        let (generation, first) = match self.age {
            Age::Young { .. } => (1, Side::First),
            Age::Aged { generation, newest } => (generation + 1, newest.other()),
        };
        let header = Header { generation, name: name.map(str::to_owned), others: *others };
        let copy = header::encode(slot, &header);
        for side in [first, first.other()] {
            let written = files.write_at(slot, side.offset(), &copy).and_then(|()| files.flush(slot));
            if let Err(error) = written {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        self.age = Age::Aged { generation, newest: first };
        Ok(())
    }

    /// Puts the header on a slot whose name is durable by now. What its file holds is made durable first, for from
    /// then on the journal's word does not count.
    fn mature(&mut self, files: &impl SlotFiles, slot: u32, others: &Slots) -> Result<()> {
        let name = self.file.as_ref().map(|file| file.name.clone());
        let settled = match &mut self.file {
            Some(file) => file.straighten(files, slot),
            None => files.truncate(slot, DATA),
        };
        if let Err(error) = settled.and_then(|()| files.flush(slot)) {
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.write_header(files, slot, name.as_deref(), others)?;
        if let Some(file) = &mut self.file {
            file.pieces = Pieces::default();
        }
        Ok(())
    }

    /// Takes the content of a slot away that holds no file any more, so that none of it can show up in the next file.
    fn clear(&mut self, files: &impl SlotFiles, slot: u32) -> Result<()> {
        let cleared = files.truncate(slot, DATA).and_then(|()| files.flush(slot));
        cleared.inspect_err(|error| self.failed = Some(error.clone()))
    }
}

impl Table {
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "the storage was closed"));
        }
        Ok(())
    }

    /// The slot of a file, and what is in it.
    pub(super) fn find(&mut self, name: &str) -> Result<(u32, &mut Slot)> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no file {name}"));
        let slot = *self.names.get(name).ok_or_else(missing)?;
        self.slots.get_mut(&slot).map(|found| (slot, found)).ok_or_else(missing)
    }

    /// The file and its slot's number, for reading.
    pub(super) fn file(&self, name: &str) -> Result<(u32, &File)> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no file {name}"));
        let slot = *self.names.get(name).ok_or_else(missing)?;
        let file = self.slots.get(&slot).and_then(|slot| slot.file.as_ref());
        file.map(|file| (slot, file)).ok_or_else(missing)
    }

    /// The file, its slot's number and whether that is young, for writing.
    pub(super) fn file_to_write(&mut self, name: &str) -> Result<(u32, bool, &mut File)> {
        let (number, slot) = self.find(name)?;
        let young = slot.is_young();
        check(name, slot.failed.as_ref())?;
        let Some(file) = &mut slot.file else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no file {name}")));
        };
        check(name, file.failed.as_ref())?;
        Ok((number, young, file))
    }

    /// The files that the journal keeps.
    pub(super) fn young_files(&self) -> Vec<String> {
        let young = self.slots.values().filter(|slot| slot.is_young());
        young.filter_map(|slot| slot.file.as_ref().map(|file| file.name.clone())).collect()
    }

    /// Nobody knows any more what of the file is durable.
    pub(super) fn doubt(&mut self, name: &str, error: &Error) {
        if let Ok((_, Slot { file: Some(file), .. })) = self.find(name) {
            file.failed = Some(error.clone());
        }
    }

    pub(super) fn free_slots(&self) -> usize {
        self.slots.values().filter(|slot| slot.is_free()).count()
    }

    /// The free slot to take next: an aged one, else the one that is watched longest.
    pub(super) fn free_slot(&self) -> Option<(u32, bool)> {
        let free = self.slots.iter().filter(|(_, slot)| slot.is_free());
        let rank = |slot: &Slot| match slot.age {
            Age::Aged { .. } => (0, 0),
            Age::Young { since } => (1, since),
        };
        let (number, slot) = free.min_by_key(|(number, slot)| (rank(slot), **number))?;
        Some((*number, slot.is_young()))
    }

    /// Whether the next file goes into a slot to rely on, if the clock says `now`.
    pub(super) fn has_aged_spare(&self, now: u64) -> bool {
        let mut free = self.slots.values().filter(|slot| slot.is_free());
        free.any(|slot| !slot.is_young() || is_due(slot, now))
    }

    /// The number for a new slot.
    pub(super) fn next_number(&self) -> Result<u32> {
        let next = self.slots.last().map_or(Some(0), |(last, _)| last.checked_add(1));
        next.ok_or_else(|| Error::new(ErrorKind::Full, "there are no numbers left for slots"))
    }

    pub(super) fn insert(&mut self, slot: u32, name: &str) {
        if let Some(free) = self.slots.get_mut(&slot) {
            free.file = Some(File::new(name));
            self.names.insert(name.to_owned(), slot);
        }
    }

    /// Makes the file in a free, aged slot. Where that fails, the name may be there at the next opening, so it is here.
    pub(super) fn create_aged(&mut self, files: &impl SlotFiles, slot: u32, name: &str) -> Result<()> {
        self.insert(slot, name);
        let others = self.with_headers();
        let found = self.slots.get_mut(&slot);
        found.map_or(Ok(()), |found| found.write_header(files, slot, Some(name), &others))
    }

    /// Frees an aged slot.
    pub(super) fn remove_aged(&mut self, files: &impl SlotFiles, name: &str) -> Result<()> {
        let others = self.with_headers();
        let (number, slot) = self.find(name)?;
        check(name, slot.failed.as_ref())?;
        slot.write_header(files, number, None, &others)?;
        slot.file = None;
        let cleared = slot.clear(files, number);
        self.names.remove(name);
        cleared
    }

    /// Frees a young slot of which the journal knows nothing any more.
    pub(super) fn remove_young(&mut self, files: &impl SlotFiles, name: &str) -> Result<()> {
        let (number, slot) = self.find(name)?;
        slot.file = None;
        let cleared = files.truncate(number, 0);
        let cleared = cleared.inspect_err(|error| slot.failed = Some(error.clone()));
        self.names.remove(name);
        cleared
    }

    /// Whether slots have been watched long enough, of which each has another to witness its header. A clock that went back has
    /// proven nothing: all begins anew.
    pub(super) fn watch(&mut self, now: u64) -> bool {
        if now < self.clock {
            for slot in self.slots.values_mut() {
                if let Age::Young { since } = &mut slot.age {
                    *since = now;
                }
            }
        }
        self.clock = now;
        let due = self.slots.values().filter(|slot| is_due(slot, now)).count();
        let aged = self.slots.values().filter(|slot| !slot.is_young()).count();
        due > 0 && due + aged > 1
    }

    /// Puts headers on the slots that were watched long enough. Returns those that held files until now journalled.
    pub(super) fn mature(&mut self, files: &impl SlotFiles, now: u64) -> Vec<u32> {
        let (mut journalled, mut last) = (Vec::new(), None);
        let mut others = self.with_headers();
        for (number, slot) in self.slots.iter_mut() {
            if !is_due(slot, now) {
                continue;
            }
            match slot.mature(files, *number, &others) {
                Ok(()) => {
                    others.insert(*number);
                    last = Some(*number);
                    if slot.file.is_some() {
                        journalled.push(*number);
                    }
                }
                // What was acknowledged is in the journal or in the slot. Whoever writes to its file will be told.
                Err(error) => tracing::warn!(%error, slot = number, "a slot of the pool fails"),
            }
        }
        if let Some(last) = last
            && let Err(error) = self.note(files, last, &others)
        {
            tracing::warn!(%error, "a slot of the pool fails");
        }
        journalled
    }

    /// The slots that have headers.
    fn with_headers(&self) -> Slots {
        let mut found = Slots::NONE;
        for (number, _) in self.slots.iter().filter(|(_, slot)| !slot.is_young()) {
            found.insert(*number);
        }
        found
    }

    /// Has another slot's header say that `slot` has one too: a free slot's, if there is any.
    fn note(&mut self, files: &impl SlotFiles, slot: u32, others: &Slots) -> Result<()> {
        let sound = |slot: &Slot| slot.failed.is_none() && !slot.is_young();
        let witnesses = self.slots.iter_mut().filter(|(number, found)| **number != slot && sound(found));
        let witness = witnesses.min_by_key(|(_, found)| found.file.is_some());
        let Some((number, witness)) = witness else { return Ok(()) };
        let name = witness.file.as_ref().map(|file| file.name.clone());
        witness.write_header(files, *number, name.as_deref(), others)
    }
}

fn is_due(slot: &Slot, now: u64) -> bool {
    let certain = slot.failed.is_none() && slot.file.as_ref().is_none_or(|file| file.failed.is_none());
    let watched = |since: u64| now.saturating_sub(since) >= DANGER_MILLIS;
    certain && matches!(slot.age, Age::Young { since } if watched(since))
}

/// Refuses to go on with what an earlier failure left in doubt.
pub(in crate::storage) fn check(name: &str, failed: Option<&Error>) -> Result<()> {
    match failed {
        None => Ok(()),
        Some(cause) => {
            let message =
                format!("an earlier failure left {name} in doubt: {cause}; open the database again");
            Err(Error::new(ErrorKind::Poisoned, message))
        }
    }
}
