//! Files in a pool of slots, for platforms that cannot make a file's *name* durable: the file system of a browser (OPFS).
//!
//! There, a file that was just made may be gone after a power cut, with everything in it, whatever was flushed, until the
//! kernel has written its name out by itself. So files are never made when they are needed, and never renamed or removed:
//!
//! - A database owns numbered *slots*: files made ahead. A header at the beginning of each says which file of the database is
//!   in it. Creating and removing is writing that header.
//! - A slot is *young* until one session has watched it for a minute, by a clock that nobody sets. Then its name is durable,
//!   its content is flushed, and only then it gets its first header. So a slot with a header is one to rely on.
//! - What is in a young slot counts for nothing. Its file is kept in a *journal* whose transactions are durable from the
//!   first one on: creating, cutting, removing and each sync is a transaction. At opening, the file is made anew from there.
//!
//! So at any time a file is either in the journal or in a slot with a header, which overrules the journal. Spare slots are
//! made ahead, so that after the first minute of a database new files usually find aged ones and the journal stays empty.
//!
//! There is no background work here: whether slots have aged is looked at when something is written.

mod entries;
mod header;
mod opening;
mod parts;
mod table;
mod turn;
mod twin;

pub use parts::{Clock, Copies, Journal, JournalEdit, Known, SlotFiles};

use super::{Storage, validate_name};
use crate::error::{Error, ErrorKind, Result};
use header::DATA;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
pub(super) use table::check as certain;
use table::{SPARES, Slot, Table};
pub(super) use turn::Turn;
pub use twin::TwinJournal;

/// A [`Storage`] in a pool of slot files, with a journal beside it.
pub struct PooledStorage<F: SlotFiles, J: Journal> {
    files: F,
    journal: J,
    clock: Box<dyn Clock>,
    table: Mutex<Table>,
    /// Held by whoever changes the journal, or which slots there are.
    turn: Turn,
    keeps_spares: AtomicBool,
}

impl<F: SlotFiles, J: Journal> PooledStorage<F, J> {
    /// Opens the pool, or makes one if there are no slots. Nobody else may have it open.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when the slots and the journal are not what a crash may leave,
    /// [`Version`](ErrorKind::Version) when a newer version wrote them, or the failure of one of the parts, which are closed
    /// then.
    pub async fn open(files: F, journal: J, clock: impl Clock) -> Result<Self> {
        let pool = Self::open_bare(files, journal, clock).await?;
        pool.make_spares().await;
        Ok(pool)
    }

    /// The same without spare slots, for which [`make_spares`](Self::make_spares) is to be called soon: for a new database
    /// whose first document somebody waits for.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_bare(files: F, journal: J, clock: impl Clock) -> Result<Self> {
        let opened = opening::open(&files, &journal, clock.millis()).await;
        let table = match opened {
            Ok(table) => table,
            Err(error) => {
                files.close();
                journal.close().await;
                return Err(error);
            }
        };
        let (table, clock) = (Mutex::new(table), Box::new(clock));
        Ok(Self { files, journal, clock, table, turn: Turn::default(), keeps_spares: AtomicBool::new(false) })
    }

    /// Makes the spare slots that are missing, now and whenever one was taken.
    pub async fn make_spares(&self) {
        let _turn = self.turn.take().await;
        self.keeps_spares.store(true, Ordering::Relaxed);
        self.fill_up().await;
    }

    /// Does what opening put off, which the first change of the journal does otherwise, and takes longer for it.
    ///
    /// # Errors
    /// When the journal fails. Then it refuses every later change.
    pub async fn settle(&self) -> Result<()> {
        let _turn = self.turn.take().await;
        drop(self.table()?);
        self.journal.settle().await
    }

    fn table(&self) -> Result<MutexGuard<'_, Table>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.check_open()?;
        Ok(table)
    }

    /// Has slots relied on that were watched long enough.
    async fn age(&self) -> Result<()> {
        let now = {
            let mut table = self.table()?;
            // Asked for under the lock, so that no other call's later answer comes first.
            let now = self.clock.millis();
            if !table.watch(now) {
                return Ok(());
            }
            now
        };
        let _turn = self.turn.take().await;
        let journalled = self.table()?.mature(&self.files, now);
        if journalled.is_empty() {
            return Ok(());
        }
        let edits = journalled.into_iter().map(entries::remove).collect();
        if let Err(error) = self.journal.commit(edits).await {
            // Their headers overrule it; it goes at the next opening.
            tracing::warn!(%error, "the journal keeps what is no longer needed");
        }
        Ok(())
    }

    /// Makes one more slot.
    async fn grow(&self) -> Result<u32> {
        let number = self.table()?.next_number()?;
        self.files.open(number).await?;
        self.table()?.slots.insert(number, Slot::young(self.clock.millis()));
        Ok(number)
    }

    /// Makes spare slots, which age until they are needed.
    async fn fill_up(&self) {
        if !self.keeps_spares.load(Ordering::Relaxed) {
            return;
        }
        let Ok(first) = self.table().and_then(|table| table.next_number()) else { return };
        let lacking = self.table().map_or(0, |table| SPARES.saturating_sub(table.free_slots()));
        let numbers: Vec<u32> = (first..=u32::MAX).take(lacking).collect();
        if let Err(error) = self.files.open_all(&numbers).await {
            // Whoever needs a slot and finds none will be told.
            tracing::warn!(%error, "the pool cannot grow");
            return;
        }
        let Ok(mut table) = self.table() else { return };
        for number in numbers {
            table.slots.insert(number, Slot::young(self.clock.millis()));
        }
    }

    async fn create_young(&self, name: &str, slot: u32) -> Result<()> {
        let committed = self.journal.commit(entries::create(slot, name)).await;
        let mut table = self.table()?;
        table.insert(slot, name);
        // Where that failed, the name may be there at the next opening, so it is here.
        committed.inspect_err(|error| table.doubt(name, error))
    }

    /// Puts what was appended since the last time into the journal.
    async fn journal_tail(&self, name: &str) -> Result<()> {
        let (slot, start, end, bytes) = {
            let mut table = self.table()?;
            let (slot, _, file) = table.file_to_write(name)?;
            let (start, end) = (file.pieces.end(), file.len);
            if start == end {
                return Ok(());
            }
            (slot, start, end, self.files.read_at(slot, DATA + start, (end - start) as usize)?)
        };
        if bytes.len() as u64 != end - start {
            let message = format!("slot {slot} does not hold what was written to {name}; check the disk");
            return Err(Error::new(ErrorKind::Io, message));
        }
        let committed = self.journal.commit(vec![entries::append(slot, start, bytes)]).await;
        let mut table = self.table()?;
        match &committed {
            Ok(()) => table.file_to_write(name)?.2.pieces.extend(end),
            Err(error) => table.doubt(name, error),
        }
        committed
    }

    async fn truncate_young(&self, name: &str, len: u64) -> Result<()> {
        let edits = {
            let mut table = self.table()?;
            let (slot, _, file) = table.file_to_write(name)?;
            let mut edits = vec![entries::cut(slot, len)];
            let mut pieces = file.pieces.clone();
            if let Some(start) = pieces.cut(len) {
                let kept = self.files.read_at(slot, DATA + start, (len - start) as usize)?;
                edits.push(entries::append(slot, start, kept));
            }
            file.pieces = pieces;
            // Also for the case that this future is dropped before it is known what became of the journal.
            table.doubt(name, &Error::new(ErrorKind::Io, "cutting it was interrupted"));
            edits
        };
        let committed = self.journal.commit(edits).await;
        let mut table = self.table()?;
        let (slot, found) = table.find(name)?;
        let Some(file) = &mut found.file else { return committed };
        let cut = committed.and_then(|()| self.files.truncate(slot, DATA + len));
        if cut.is_ok() {
            file.len = len;
            file.ragged = false;
        }
        file.failed = cut.as_ref().err().cloned();
        cut
    }

    async fn remove_young(&self, name: &str) -> Result<()> {
        let slot = {
            let mut table = self.table()?;
            let (slot, found) = table.find(name)?;
            certain(name, found.failed.as_ref())?;
            table.doubt(name, &Error::new(ErrorKind::Io, "removing it was interrupted"));
            slot
        };
        self.journal.commit(vec![entries::remove(slot)]).await?;
        self.table()?.remove_young(&self.files, name)
    }
}

impl<F: SlotFiles, J: Journal> Storage for PooledStorage<F, J> {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.table()?.names.keys().cloned().collect())
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.age().await?;
        validate_name(name)?;
        let _turn = self.turn.take().await;
        let free = {
            let mut table = self.table()?;
            if table.names.contains_key(name) {
                return Err(Error::new(ErrorKind::Io, format!("cannot create {name}: it exists already")));
            }
            match table.free_slot() {
                Some((slot, false)) => {
                    table.create_aged(&self.files, slot, name)?;
                    None
                }
                young => Some(young.map(|(slot, _)| slot)),
            }
        };
        match free {
            None => {}
            Some(Some(slot)) => self.create_young(name, slot).await?,
            Some(None) => self.create_young(name, self.grow().await?).await?,
        }
        self.fill_up().await;
        Ok(())
    }

    async fn len(&self, name: &str) -> Result<u64> {
        let table = self.table()?;
        validate_name(name)?;
        Ok(table.file(name)?.1.len)
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let table = self.table()?;
        validate_name(name)?;
        let (slot, file) = table.file(name)?;
        let there = usize::try_from(file.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        if there == 0 {
            return Ok(Vec::new());
        }
        self.files.read_at(slot, DATA + offset, len.min(there))
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut table = self.table()?;
        validate_name(name)?;
        let (slot, _, file) = table.file_to_write(name)?;
        if bytes.is_empty() {
            return Ok(());
        }
        file.straighten(&self.files, slot)?;
        self.files.write_at(slot, DATA + file.len, bytes).inspect_err(|_| file.ragged = true)?;
        file.len += bytes.len() as u64;
        Ok(())
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.age().await?;
        validate_name(name)?;
        let flush = || -> Result<bool> {
            let mut table = self.table()?;
            let (slot, young, file) = table.file_to_write(name)?;
            if young {
                return Ok(false);
            }
            self.files.flush(slot).inspect_err(|error| file.failed = Some(error.clone()))?;
            Ok(true)
        };
        if flush()? {
            return Ok(());
        }
        let _turn = self.turn.take().await;
        // It may have aged meanwhile.
        if flush()? { Ok(()) } else { self.journal_tail(name).await }
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.age().await?;
        validate_name(name)?;
        let _turn = self.turn.take().await;
        {
            let mut table = self.table()?;
            let (slot, young, file) = table.file_to_write(name)?;
            if len > file.len {
                let message = format!("cannot cut {name} to {len} bytes, it is shorter");
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            if young && len == file.len && len == file.pieces.end() && !file.ragged {
                // The journal has it so.
                return Ok(());
            }
            if !young {
                let cut = self.files.truncate(slot, DATA + len).and_then(|()| self.files.flush(slot));
                cut.inspect_err(|error| file.failed = Some(error.clone()))?;
                file.len = len;
                file.ragged = false;
                return Ok(());
            }
        }
        self.truncate_young(name, len).await?;
        self.journal_tail(name).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.age().await?;
        validate_name(name)?;
        let _turn = self.turn.take().await;
        {
            let mut table = self.table()?;
            if !table.find(name)?.1.is_young() {
                return table.remove_aged(&self.files, name);
            }
        }
        self.remove_young(name).await
    }

    async fn close(&self) -> Result<()> {
        self.journal.give_up();
        let _turn = self.turn.take().await;
        let Ok(young) = self.table().map(|table| table.young_files()) else { return Ok(()) };
        for name in young {
            // What was never synced may go, but where nothing fails it stays, as it does in an aged slot.
            let _ = self.journal_tail(&name).await;
        }
        if let Ok(mut table) = self.table() {
            table.closed = true;
            self.files.close();
        }
        self.journal.close().await;
        Ok(())
    }

    /// Until there is a spare slot to rely on, what is written to a new file goes into the journal too.
    fn is_young(&self) -> bool {
        self.table().is_ok_and(|table| !table.has_aged_spare(self.clock.millis()))
    }
}
