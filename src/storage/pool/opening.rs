//! Opening: what the slots and the journal say together.
//!
//! A slot with a whole header is what its header says. Of any other the journal decides: it holds the file that the journal
//! has for it, made anew from there, or none.

use super::entries::{self, Entry};
use super::header::{self, DATA, Found, Slots};
use super::parts::{Journal, SlotFiles};
use super::table::{Age, File, Slot, Table};
use crate::error::{Error, Result};
use crate::sorted_map::SortedMap;

/// Reads the slots and the journal.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) where they are not what a crash may leave, or the failure of one of the parts.
pub(super) async fn open(files: &impl SlotFiles, journal: &impl Journal, now: u64) -> Result<Table> {
    let there = files.list().await?;
    files.open_all(&there).await?;
    nothing_is_missing(files, &there)?;
    // As a rule a young slot holds what the journal has for it.
    let in_slot = |keys: &[String], place: usize| {
        let (slot, offset, len) = entries::extent(keys, place).filter(|(slot, ..)| there.contains(slot))?;
        files.read_at(slot, DATA + offset, len).ok().filter(|bytes| bytes.len() == len)
    };
    let mut journalled = entries::assemble(journal.read_with(&in_slot).await?)?;
    let mut numbers = SortedMap::default();
    for number in there.into_iter().chain(journalled.keys().copied()) {
        numbers.insert(number, ());
    }
    let mut table = Table::default();
    table.watch(now);
    let mut stale = Vec::new();
    for (number, ()) in numbers {
        files.open(number).await?;
        let entry = journalled.remove(&number);
        let found = header::choose(number, &files.read_at(number, 0, DATA as usize)?)?;
        let slot = match found {
            Found::Aged(header, newest) => {
                let age = Age::Aged { generation: header.generation, newest };
                stale.extend(entry.map(|_| entries::remove(number)));
                aged(files, number, header.name.as_deref(), age)?
            }
            Found::Young => young(files, number, entry, now)?,
            Found::Damaged => {
                let message = "no copy of the slot's header is whole; restore a backup";
                return Err(Error::corrupt(format!("slot {number}"), 0, message));
            }
        };
        if let Some(file) = &slot.file
            && let Some(other) = table.names.insert(file.name.clone(), number)
        {
            let message = format!("{} is in slot {other} too; restore a backup", file.name);
            return Err(Error::corrupt(format!("slot {number}"), 0, message));
        }
        table.slots.insert(number, slot);
    }
    if !stale.is_empty() {
        journal.commit(stale).await?;
    }
    Ok(table)
}

/// Refuses a pool of whose slots one has lost its header, or is gone: nothing but damage from outside does that. A power cut
/// leaves one of the two copies whole.
fn nothing_is_missing(files: &impl SlotFiles, there: &[u32]) -> Result<()> {
    let (mut found, mut noted) = (Slots::NONE, Slots::NONE);
    for &number in there {
        if let Found::Aged(header, _) = header::choose(number, &files.read_at(number, 0, DATA as usize)?)? {
            found.insert(number);
            noted.add(&header.others);
        }
    }
    let Some(missing) = noted.iter().find(|slot| !found.contains(*slot)) else { return Ok(()) };
    let message = "the slot's header is gone, and with it what the slot held; restore a backup";
    Err(Error::corrupt(format!("slot {missing}"), 0, message))
}

/// What was read may be in the page cache only, left there by a process that was killed: it is made durable before
/// anything is built on it.
fn aged(files: &impl SlotFiles, number: u32, name: Option<&str>, age: Age) -> Result<Slot> {
    files.flush(number)?;
    let len = files.len(number)?;
    // Only now: until it was durable that the slot is free, what it holds might have been a file.
    if name.is_none() && len != DATA {
        files.truncate(number, DATA)?;
        files.flush(number)?;
    }
    let file = name.map(|name| File { len: len.saturating_sub(DATA), ..File::new(name) });
    Ok(Slot { age, file, failed: None })
}

/// The journal is what counts until the slot gets its header: nothing needs to be durable here.
fn young(files: &impl SlotFiles, number: u32, entry: Option<Entry>, now: u64) -> Result<Slot> {
    let mut slot = Slot::young(now);
    let Some(Entry { name, content, pieces }) = entry else {
        if files.len(number)? > 0 {
            files.truncate(number, 0)?;
        }
        return Ok(slot);
    };
    // As a rule it is there, and is not written again: the disk may be full.
    if files.read_at(number, DATA, content.len().saturating_add(1))? != content {
        files.truncate(number, 0)?;
        files.write_at(number, DATA, &content)?;
    }
    slot.file = Some(File { len: content.len() as u64, pieces, ..File::new(&name) });
    Ok(slot)
}
