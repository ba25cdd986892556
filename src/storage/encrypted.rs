//! Encryption at rest: any other storage, with everything in it sealed.
//!
//! Names, lengths and times of files stay visible; their content does not, and whoever has no key can change nothing that is not
//! noticed, but for taking whole files, or the ends of files, back to what they once were. What does not open reads as bytes that no
//! checksum of the engine's takes for its own, so that damage is told from a torn end in the one place that does it: recovery.

mod extents;
mod key;
mod opening;
mod scan;
mod sealer;
mod sealing;

use super::{Storage, validate_name};
use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::parse_key_file_name;
use crate::options::{Environment, Options};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use extents::{Extent, Extents, run};
use key::DataKey;
pub use key::Key;
use opening::{open_key, remove_all, write_next};
use scan::{go_on, scan};
pub use sealer::Sealer;
use sealing::{FileId, MAX_FRAME, OVERHEAD, Prefix, Sealing};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands for bytes that do not open. No text of the log and no checksum in a snapshot is made of it.
const FILLER: u8 = 0xFF;
/// How much of the storage below is read at once.
const READ: u64 = 1 << 20;
/// Listings that a reader beside a change of the key may find overtaken.
const ATTEMPTS: usize = 20;

/// A storage that seals what it is given, and keeps it in another one.
///
/// ```
/// use pumice::blocking::{self, Db};
/// use pumice::{Key, MemoryStorage, Options};
///
/// # fn main() -> pumice::Result<()> {
/// let place = MemoryStorage::new();
/// let key = Key::bytes([7; 32]); // From wherever keys are kept.
/// let storage = blocking::encrypted(place.clone(), &key)?;
/// let db = Db::open_with(storage, Options::new())?;
/// db.collection("notes").put("n1", "buy milk")?;
/// db.close()?;
///
/// assert!(blocking::encrypted(place, &Key::bytes([8; 32])).is_err());
/// # Ok(()) }
/// ```
pub struct EncryptedStorage<S> {
    inner: S,
    data: DataKey,
    /// The key file that counts.
    key_file: Mutex<Vec<u8>>,
    sealing: Sealing,
    random: Arc<dyn Environment>,
    files: Mutex<HashMap<String, Known>>,
    /// A call changes the key.
    changing: AtomicBool,
    closed: AtomicBool,
}

/// While it is there, no other call changes the key.
struct Changing<'a>(&'a AtomicBool);

impl<'a> Changing<'a> {
    fn begin(changing: &'a AtomicBool) -> Result<Self> {
        if changing.swap(true, Ordering::AcqRel) {
            return Err(Error::new(
                ErrorKind::Busy,
                "another call changes the key; try again when it is done",
            ));
        }
        Ok(Self(changing))
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A file whose frames are known.
struct Known {
    extents: Extents,
    /// This handle writes it, so nobody else does.
    own: bool,
}

impl<S: Storage> EncryptedStorage<S> {
    /// Opens the encrypted database in `inner`, or makes one there if `inner` is empty.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the key is another one, or the database there is not encrypted,
    /// [`Corrupt`](ErrorKind::Corrupt) when its key file is damaged, and when `inner` cannot be read. In all these cases nothing has
    /// been written.
    pub async fn open(inner: S, key: &Key) -> Result<Self> {
        let random = Options::new().environment;
        let mut attempts = 0;
        let (data, key_file) = loop {
            attempts += 1;
            match open_key(&inner, key, &*random).await {
                // Another process changes the key.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
                opened => break opened?,
            }
        };
        Ok(Self::new(inner, data, key_file))
    }

    /// Opens what is in `inner` with a key file from elsewhere, which `from` has.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the key is another one, [`Corrupt`](ErrorKind::Corrupt) when the key
    /// file is damaged.
    pub(crate) fn with_key_file(inner: S, key_file: Vec<u8>, from: &str, key: &Key) -> Result<Self> {
        let data = key::unwrap(&key_file, from, key)?;
        Ok(Self::new(inner, data, key_file))
    }

    /// The storage that everything is kept in.
    #[allow(dead_code)] // Only a browser's has something to tell beside its files.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    fn new(inner: S, data: DataKey, key_file: Vec<u8>) -> Self {
        let sealing = Sealing::new(&data);
        let (key_file, random) = (Mutex::new(key_file), Options::new().environment);
        Self {
            inner,
            data,
            key_file,
            sealing,
            random,
            files: Mutex::default(),
            changing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Has `key` open the database from now on, and no other. Nothing else is written anew: it is the key of the database's own key.
    /// Backups that were made before go on to open with the old one, until the next is made in the same place.
    ///
    /// Killed in the midst of it, one of the two opens it.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) while another call changes it, and when the storage fails. Then the old key goes on to
    /// open the database, unless the message says otherwise.
    pub async fn change_key(&self, key: &Key) -> Result<()> {
        self.check_open()?;
        let _changing = Changing::begin(&self.changing)?;
        let content = key::wrap(&self.data, key, &*self.random)?;
        let old = key::generations(&self.inner).await?;
        write_next(&self.inner, &content, &old).await?;
        *self.key_file.lock().unwrap_or_else(PoisonError::into_inner) = content;
        remove_all(&self.inner, &old).await.map_err(|error| {
            let message = format!(
                "the new key opens the database, but the old key's file could not be removed: {error}; \
                 open it again to have that done"
            );
            Error::new(error.kind(), message)
        })
    }

    /// Whether any file is there that the key of the database opens.
    #[allow(dead_code)] // A browser makes no backups.
    async fn has_files(&self) -> Result<bool> {
        for name in self.list().await? {
            if self.learn(&name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the encrypted storage was closed"));
        }
        Ok(())
    }

    /// Refuses what the storage below would take, but must not.
    fn check(&self, name: &str) -> Result<()> {
        self.check_open()?;
        validate_name(name)?;
        if parse_key_file_name(name).is_some() {
            let message = format!("`{name}` is the name of a key file");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(())
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows the frames of `name` up to its end as it is now. Returns whether it has a header.
    async fn learn(&self, name: &str) -> Result<bool> {
        let known = match self.files().get(name) {
            Some(known) if known.own => return Ok(true),
            known => known.map(|known| known.extents.clone()),
        };
        let extents = match known {
            // One that has become shorter is another one.
            Some(mut extents) if self.inner.len(name).await? >= extents.position => {
                go_on(&self.inner, &self.sealing, name, &mut extents).await?;
                Some(extents)
            }
            _ => scan(&self.inner, &self.sealing, name).await?,
        };
        let there = extents.is_some();
        let mut files = self.files();
        match (extents, files.get(name)) {
            (_, Some(known)) if known.own => {}
            (Some(extents), _) => drop(files.insert(name.to_owned(), Known { extents, own: false })),
            (None, _) => drop(files.remove(name)),
        }
        Ok(there)
    }

    /// What `ask` says of the frames of `name` up to its end as it is now; `None` for a file without a header.
    async fn look<T>(&self, name: &str, ask: impl Fn(&Extents) -> T) -> Result<Option<T>> {
        while self.learn(name).await? {
            // Another call may have forgotten it again.
            if let Some(said) = self.ask(name, &ask) {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// What `ask` says of the frames of `name`, which are known.
    fn ask<T>(&self, name: &str, ask: impl FnOnce(&Extents) -> T) -> Option<T> {
        self.files().get(name).map(|known| ask(&known.extents))
    }

    /// Changes what is known of `name` as the file was changed, which failed or not.
    fn note(&self, name: &str, done: Result<()>, change: impl FnOnce(&mut Extents)) -> Result<()> {
        let mut files = self.files();
        match (&done, files.get_mut(name)) {
            (Ok(()), Some(known)) => {
                known.own = true;
                change(&mut known.extents);
            }
            // What there is now, only reading it anew tells.
            _ => drop(files.remove(name)),
        }
        done
    }

    /// Prepares an append to a file with a header: whose frames it has, where the next one is to stand, and at which offset of the content.
    async fn own(&self, name: &str) -> Result<(FileId, u64, u64)> {
        let place = |known: &Known| (known.extents.file, known.extents.position, known.extents.end());
        loop {
            if let Some(known) = self.files().get(name).filter(|known| known.own) {
                return Ok(place(known));
            }
            if !self.learn(name).await? {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no file {name}")));
            }
            // Behind what another handle left, whatever that is.
            let len = self.inner.len(name).await?;
            if let Some(known) = self.files().get_mut(name).filter(|known| known.extents.position <= len) {
                if len > known.extents.position {
                    known.extents.push_damage(len, known.extents.len());
                    known.extents.tail = 0;
                }
                known.own = true;
                return Ok(place(known));
            }
        }
    }

    /// Writes the header of a file that has nothing.
    async fn begin(&self, name: &str) -> Result<()> {
        let (file, header) = self.sealing.header(name, &*self.random)?;
        self.inner.append(name, &header).await?;
        // Before anything stands behind it: so a header that does not open is damage, or there is nothing but it.
        self.inner.sync(name).await?;
        self.files().insert(name.to_owned(), Known { extents: Extents::new(file), own: true });
        Ok(())
    }

    /// The content from `offset` to `end`, of the frames that are known. `None` when one of them does not open.
    async fn open_all(
        &self,
        name: &str,
        file: &Pieces,
        offset: u64,
        end: u64,
        lenient: bool,
    ) -> Result<Option<Vec<u8>>> {
        let mut content = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let mut rest = &file.extents[..];
        while let Some(first) = rest.first() {
            let (count, bytes) = run(rest, READ);
            let (now, later) = rest.split_at(count);
            let start = first.position();
            let sealed = match bytes {
                0 => Vec::new(),
                _ => self.inner.read_at(name, start, usize::try_from(bytes).unwrap_or(0)).await?,
            };
            rest = later;
            for extent in now {
                let at = usize::try_from(extent.position() - start).unwrap_or(usize::MAX);
                let opened =
                    self.sealing.open_frame(file.id, extent.position(), sealed.get(at..).unwrap_or_default());
                if opened.is_none() && !lenient {
                    return Ok(None);
                }
                let from = offset.saturating_sub(extent.offset).min(extent.len);
                let to = (end - extent.offset).min(extent.len);
                let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
                match opened.as_deref().and_then(|opened| opened.get(from..to)) {
                    Some(part) => content.extend_from_slice(part),
                    None => content.resize(content.len() + (to - from), FILLER),
                }
            }
        }
        let torn = end.saturating_sub(offset.max(file.end));
        content.resize(content.len() + usize::try_from(torn).unwrap_or(0), FILLER);
        Ok(Some(content))
    }

    /// The frames of `name` that have content from `offset` on, `len` bytes of it.
    fn pieces(&self, name: &str, offset: u64, len: usize) -> Option<(Pieces, u64, bool)> {
        let files = self.files();
        let Known { extents, own } = files.get(name)?;
        let end = offset.saturating_add(len as u64).min(extents.len());
        let pieces =
            Pieces { id: extents.file, extents: extents.within(offset, end).to_vec(), end: extents.end() };
        Some((pieces, end, *own))
    }
}

/// Frames to be opened.
struct Pieces {
    id: FileId,
    extents: Vec<Extent>,
    /// Where the content of all of the file's frames ends.
    end: u64,
}

impl<S> fmt::Debug for EncryptedStorage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedStorage")
    }
}

impl<S: Storage> Storage for EncryptedStorage<S> {
    async fn list(&self) -> Result<Vec<String>> {
        self.check_open()?;
        let mut names = self.inner.list().await?;
        names.retain(|name| parse_key_file_name(name).is_none());
        Ok(names)
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.check(name)?;
        self.inner.create(name).await?;
        let begun = self.begin(name).await;
        if begun.is_err() {
            // Left there, it would stand in the way of a second try.
            let _ = self.inner.remove(name).await;
        }
        begun
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.check(name)?;
        Ok(self.look(name, Extents::len).await?.unwrap_or(0))
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.check(name)?;
        let mut anew = false;
        loop {
            let reaches = self.ask(name, |extents| offset.saturating_add(len as u64) <= extents.end());
            if (anew || reaches != Some(true)) && !self.learn(name).await? {
                return Ok(Vec::new());
            }
            // Another call may have forgotten it again.
            let Some((pieces, end, own)) = self.pieces(name, offset, len) else { continue };
            // Another process may have written the file anew, from where it was cut.
            let lenient = own || anew;
            if let Some(content) = self.open_all(name, &pieces, offset, end, lenient).await? {
                return Ok(content);
            }
            self.files().remove(name);
            anew = true;
        }
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.check(name)?;
        if !self.learn(name).await? {
            self.inner.truncate(name, 0).await?;
            self.begin(name).await?;
        }
        let (file, start, mut offset) = self.own(name).await?;
        let mut sealed = Vec::with_capacity(bytes.len() + bytes.len().div_ceil(MAX_FRAME) * OVERHEAD);
        let mut frames = Vec::new();
        for content in bytes.chunks(MAX_FRAME) {
            let position = start + sealed.len() as u64;
            self.sealing.seal_frame(&mut sealed, file, position, offset, content, &*self.random)?;
            frames.push(Prefix { offset, len: content.len() as u32 });
            offset += content.len() as u64;
        }
        let done = self.inner.append(name, &sealed).await;
        self.note(name, done, |extents| frames.into_iter().for_each(|frame| extents.push(frame)))
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.check(name)?;
        self.inner.sync(name).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.check(name)?;
        let cut = self.look(name, |e| (e.len(), e.end(), e.position, e.file, e.cut_position(len))).await?;
        let Some((there, end, position, file, cut)) = cut else {
            // Without a header, and so without content.
            return match len {
                0 => self.inner.truncate(name, 0).await,
                _ => Err(cannot_cut(name, len)),
            };
        };
        if len > there {
            return Err(cannot_cut(name, len));
        }
        if len > end {
            let done = self.inner.truncate(name, position + (len - end)).await;
            return self.note(name, done, |extents| extents.tail = len - end);
        }
        if let Some(position) = cut {
            let done = self.inner.truncate(name, position).await;
            return self.note(name, done, |extents| {
                extents.cut(len);
                extents.position = position;
                extents.tail = 0;
            });
        }
        // In the midst of a frame: another one says where the content ends, and the bytes stay.
        let mut frame = Vec::new();
        self.sealing.seal_frame(&mut frame, file, position, len, &[], &*self.random)?;
        let done = async {
            self.inner.truncate(name, position).await?;
            self.inner.append(name, &frame).await?;
            self.inner.sync(name).await
        };
        let done = done.await;
        self.note(name, done, |extents| {
            extents.tail = 0;
            extents.push(Prefix { offset: len, len: 0 });
        })
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.check(name)?;
        self.files().remove(name);
        self.inner.remove(name).await
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.files().clear();
        self.inner.close().await
    }

    fn is_young(&self) -> bool {
        self.inner.is_young()
    }

    fn sealer(&self) -> Option<Sealer> {
        let key_file = self.key_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(Sealer::new(self.data.clone(), key_file))
    }
}

fn cannot_cut(name: &str, len: u64) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("cannot cut {name} to {len} bytes"))
}
