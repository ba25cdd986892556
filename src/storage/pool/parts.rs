//! What a platform provides for a [`PooledStorage`](super::PooledStorage): slot files, a journal and a clock.

use crate::error::Result;
use crate::storage::platform::MaybeShared;
use bytes::Bytes;

/// Numbered files that are opened once and stay open. They are never renamed and never removed.
///
/// What is written is volatile until [`flush`](Self::flush). The *name* of a file that [`open`](Self::open) made may be
/// lost in a power cut for a minute, with everything in it, whatever is flushed.
///
/// All methods but `list`, `open` and `open_all` are called with the numbers of open files only.
///
/// # Errors
/// Every method fails when the platform does; a full medium is [`Full`](crate::ErrorKind::Full).
#[allow(async_fn_in_trait)] // As for `Storage`.
#[allow(clippy::len_without_is_empty)] // Of a file, not of the whole.
pub trait SlotFiles: MaybeShared + 'static {
    /// The numbers of the files that are there, in no particular order.
    ///
    /// # Errors
    /// When they cannot be listed.
    async fn list(&self) -> Result<Vec<u32>>;

    /// Opens the file; makes it, empty, when it is missing. Does nothing when this handle has it open.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another handle has it open.
    async fn open(&self, slot: u32) -> Result<()>;

    /// Opens several, as [`open`](Self::open) does each of them. A platform may do so at once.
    ///
    /// # Errors
    /// As for [`open`](Self::open). Some of them may be open then.
    async fn open_all(&self, slots: &[u32]) -> Result<()> {
        for slot in slots {
            self.open(*slot).await?;
        }
        Ok(())
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// When the platform fails.
    fn len(&self, slot: u32) -> Result<u64>;

    /// The bytes from `offset` on, `len` of them or as many as the file has.
    ///
    /// # Errors
    /// When the platform fails.
    fn read_at(&self, slot: u32, offset: u64, len: usize) -> Result<Vec<u8>>;

    /// Writes all of `bytes` at `offset`. Behind the end of the file the gap becomes zeros.
    ///
    /// # Errors
    /// When not everything could be written; part of it may have been.
    fn write_at(&self, slot: u32, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Cuts the file to `len` bytes, or fills it up to them with zeros.
    ///
    /// # Errors
    /// When the platform fails.
    fn truncate(&self, slot: u32, len: u64) -> Result<()>;

    /// Makes the file's bytes and length survive a power cut, as far as its name does.
    ///
    /// # Errors
    /// When the medium refused.
    fn flush(&self, slot: u32) -> Result<()>;

    /// Closes all files.
    fn close(&self);
}

/// A small ordered map of byte strings with durable transactions, its own name included: in a browser, an object store of
/// `IndexedDB` written with strict durability.
#[allow(async_fn_in_trait)] // As for `Storage`.
pub trait Journal: MaybeShared + 'static {
    /// All entries, in the order of their keys.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>>;

    /// The same. Whoever reads knows many of them from elsewhere, if nothing happened to those: `known` gives the one at a
    /// place among all keys. An implementation that can tell whether it holds the same spares reading its own.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    async fn read_with(&self, known: &impl Known) -> Result<Vec<(String, Bytes)>> {
        let _ = known;
        Ok(self.read().await?.into_iter().map(|(key, value)| (key, value.into())).collect())
    }

    /// The keys of all entries, in their order.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.read().await?.into_iter().map(|(key, _)| key).collect())
    }

    /// The entry of that key, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn entry(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let found = self.read().await?.into_iter().find(|(there, _)| there == key);
        Ok(found.map(|(_, value)| value))
    }

    /// Applies the edits in their order, all or none of them, durably. Doing so twice is the same as once, so an
    /// implementation whose connection broke may try again.
    ///
    /// # Errors
    /// When they were not applied, or nobody can tell.
    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()>;

    /// Does what [`read_with`](Self::read_with) put off, which every commit does first otherwise.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Ends a [`settle`](Self::settle) that is under way, which then fails and has lost nothing: the journal is to be closed.
    fn give_up(&self) {}

    /// Lets the journal go.
    async fn close(&self);
}

/// Tells from elsewhere what the entry at a place among all keys may be.
pub trait Known: Fn(&[String], usize) -> Option<Vec<u8>> + MaybeShared {}
impl<T: Fn(&[String], usize) -> Option<Vec<u8>> + MaybeShared> Known for T {}

/// Stores of which each may become a [`Journal`], for platforms where a power cut in the midst of a transaction may take the
/// whole store away. They have nothing in common, so what happens to one does not happen to another.
///
/// Which stores there are survives a power cut as soon as something was committed to them. A removed one may come back.
/// Dropping a copy lets it go as [`Journal::close`] does.
#[allow(async_fn_in_trait)] // As for `Storage`.
pub trait Copies: MaybeShared + 'static {
    /// One of them.
    type Copy: Journal;

    /// The numbers of those that there are.
    ///
    /// # Errors
    /// When the platform fails.
    async fn list(&self) -> Result<Vec<u64>>;

    /// Opens one, made empty if it is missing.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another handle has it open, [`Io`](crate::ErrorKind::Io) when the platform does
    /// not get at it any more.
    async fn open(&self, number: u64) -> Result<Self::Copy>;

    /// Removes one that is closed, or cannot be opened.
    ///
    /// # Errors
    /// When the platform fails.
    async fn remove(&self, number: u64) -> Result<()>;

    /// Called when the first entry of a session is durable.
    ///
    /// # Errors
    /// When the platform fails.
    async fn used(&self) -> Result<()>;

    /// The journal that is used where there are no such stores. What it holds is from before there were, and is carried over.
    /// `None` where the platform does not get at it any more.
    fn former(&self) -> Option<&Self::Copy>;
}

/// A change to a [`Journal`]. Keys are ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEdit {
    /// Sets the entry of that key.
    Put {
        /// The key.
        key: String,
        /// The entry.
        value: Vec<u8>,
    },
    /// Removes the entries whose keys are at or above `from` and below `to`.
    Remove {
        /// The lowest key to go.
        from: String,
        /// The lowest key above them to stay.
        to: String,
    },
}

/// Tells how much time has passed.
pub trait Clock: MaybeShared + 'static {
    /// Milliseconds since any moment. A session's clock must never run ahead of the time that really passes, so it may
    /// not be one that somebody sets: in a browser it is `performance.now()`.
    fn millis(&self) -> u64;
}

impl<T: Fn() -> u64 + MaybeShared + 'static> Clock for T {
    fn millis(&self) -> u64 {
        self()
    }
}
