//! Backups: a directory of the files that a database, and its past, can be made of again.
//!
//! Files have names that say what they hold, so a second backup into the same directory adds what is new and replaces
//! nothing. A file gets its name when it is complete, durable and read back, so a backup that was interrupted leaves an
//! older one as it was.

use super::staging::failed;
use super::{Db, ReadView};
use crate::error::{Error, ErrorKind, Result};
use crate::log::files::Files;
use crate::options::Environment;
use crate::snapshot::BlockCache;
use crate::storage::history::{self, Archive, Catalog, Look, Retention, archived_name};
use crate::storage::platform::block_on;
use crate::storage::{Storage, SyncDiskStorage, sync_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that may go while they are copied before it is given up.
const ATTEMPTS: usize = 20;

/// What a backup has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The last record in it.
    pub sequence: u64,
    /// Files that were not there before.
    pub new_files: u64,
    /// Bytes of them.
    pub new_bytes: u64,
    /// Files in the directory now, earlier backups included.
    pub files: u64,
}

impl<S: Storage> Db<S> {
    /// Copies everything that is durable now, and the past that is kept, to the directory `dir`, and reads all of it back.
    /// Writers and readers go on. Made beside a writer, from a handle that only reads, it has what that handle can see.
    ///
    /// A directory takes any number of backups of one database; [`restore`](Db::restore) gives each moment that they reach.
    /// Nothing is replaced; what is older than the database's [retention](Self::retention) goes, if there is one.
    ///
    /// ```
    /// # fn main() -> pumice::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = |name| dir.path().join(name);
    /// use pumice::blocking::Db;
    ///
    /// let db = Db::open(path("app"))?;
    /// db.collection("notes").put("n1", "buy milk")?;
    /// assert_eq!(db.backup(path("backups"))?.sequence, 1);
    /// Db::restore(path("backups"), path("again"))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when `dir` holds something else, the backups of another database
    /// included, [`Busy`](ErrorKind::Busy) while another backup writes to it, and when files cannot be read or written.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<Backup> {
        let core = self.0.core();
        core.check_open()?;
        if !core.options.read_only {
            self.sync()?;
        }
        // Keeps the snapshots in place; what else goes meanwhile is looked for again.
        let view = self.read_view();
        let _archive = core.archive.begin_reading();
        let dir = dir.as_ref();
        #[cfg(feature = "encryption")]
        if let Some(sealer) = core.storage.sealer() {
            let target = Target::open(dir, core.store, |storage| sealer.seal(storage))?;
            block_on(sealer.put_key(&target.storage))?;
            return self.copy_to(&target, &view);
        }
        self.copy_to(&Target::open(dir, core.store, |storage| storage)?, &view)
    }

    fn copy_to<T: Storage>(&self, target: &Target<T>, view: &ReadView<S>) -> Result<Backup> {
        let core = self.0.core();
        let mut done = Backup::default();
        let mut attempts = 0;
        loop {
            let copied = target.copy_all(&core.storage, &mut done).and_then(|()| target.newest());
            attempts += 1;
            match copied {
                // A listing beside a compaction may show neither the old files nor the new one.
                Ok(sequence) if sequence < view.sequence() && attempts < ATTEMPTS => {}
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
                copied => {
                    done.sequence = copied?;
                    break;
                }
            }
        }
        if done.sequence < view.sequence() {
            let message = "the database changes faster than it can be copied; try again";
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        target.verify()?;
        done.files = target.keep_within(core.archive.retention(), &*core.options.environment)?;
        Ok(done)
    }
}

/// The directory that takes the backup.
struct Target<T: Storage> {
    storage: Arc<T>,
    /// What looks at the files that are there. A storage goes on reading what it has opened, also when another file has
    /// taken its name, so `storage` must not open one that may be replaced.
    before: T,
    dir: PathBuf,
    /// Where files are until they are complete, under the names that they are to have.
    staging: T,
    staging_dir: StagingDir,
}

/// A directory that goes when it is dropped.
struct StagingDir(PathBuf);

impl Drop for StagingDir {
    fn drop(&mut self) {
        // The next backup tries again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl<T: Storage> Target<T> {
    /// `dress` makes storages of directories.
    fn open(dir: &Path, store: [u8; 16], dress: impl Fn(SyncDiskStorage) -> T) -> Result<Self> {
        let storage = SyncDiskStorage::open(dir)?;
        let dir = storage.dir().to_owned();
        let storage = dress(storage);
        let refused = |why: &str| {
            let message = format!("{} {why}; choose another directory", dir.display());
            Err(Error::new(ErrorKind::InvalidArgument, message))
        };
        let before = dress(SyncDiskStorage::open_read_only(&dir)?);
        let there = block_on(Catalog::read(&before))?;
        if there.is_live() {
            return refused("is a database");
        }
        if there.stores().any(|other| other != store) {
            return refused("holds the backups of another database");
        }
        let archive = dir.join("archive");
        if !archive.is_dir() {
            fs::create_dir(&archive).map_err(|e| failed("create the directory", &archive, e))?;
            sync_dir(&dir)?;
        }
        // Of a backup that was killed: whoever is at work has the directory locked.
        let staging_dir = StagingDir(dir.join(".copying"));
        if staging_dir.0.exists() {
            fs::remove_dir_all(&staging_dir.0).map_err(|e| failed("remove", &staging_dir.0, e))?;
        }
        let staging = dress(SyncDiskStorage::open(&staging_dir.0)?);
        Ok(Self { storage: Arc::new(storage), before, dir, staging, staging_dir })
    }

    fn copy_all<S: Storage>(&self, from: &Arc<S>, done: &mut Backup) -> Result<()> {
        let catalog = block_on(Catalog::read(&**from))?;
        let pieces = catalog.pieces.iter().map(|piece| (&piece.name, piece.live));
        for (name, live) in pieces.chain(catalog.bases.iter().map(|base| (&base.name, base.live))) {
            let copy = if live {
                block_on(archived_name(from, name))?
            } else {
                Some((name.clone(), block_on(from.len(name))?))
            };
            let Some((copy, len)) = copy else { continue };
            if self.copy(&**from, name, len, &copy)? {
                done.new_files += 1;
                done.new_bytes += len;
            }
        }
        sync_dir(&self.dir.join("archive"))
    }

    /// Copies the first `len` bytes of a file, unless they are there. Returns whether they were not.
    fn copy<S: Storage>(&self, from: &S, name: &str, len: u64, copy: &str) -> Result<bool> {
        let path = self.dir.join(copy);
        if path.is_file() {
            match block_on(history::same(from, name, len, &self.before, copy)) {
                Ok(true) => return Ok(false),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt && error.file() == Some(copy) => {}
                Err(error) => return Err(error),
            }
        }
        block_on(history::copy_file(from, name, len, &self.staging, copy))?;
        // Storages grow logs ahead.
        block_on(self.staging.truncate(copy, len))?;
        let staged = self.staging_dir.0.join(copy);
        fs::rename(staged, &path).map_err(|e| failed("rename to", &path, e))?;
        Ok(true)
    }

    /// The last record that the files lead to.
    fn newest(&self) -> Result<u64> {
        let cache = Arc::new(BlockCache::new(1 << 20));
        Ok(block_on(history::past(&self.storage, &cache, &[], None, Look::Open))?.view.sequence)
    }

    /// Reads everything in the directory.
    fn verify(&self) -> Result<()> {
        let mut damage = None;
        block_on(history::check(&self.storage, &block_on(Files::list(&*self.storage))?, &mut |error| {
            damage.get_or_insert(error);
        }))?;
        damage.map_or(Ok(()), Err)
    }

    /// Takes over the database's setting, and lets go what is beyond it. Returns how many files there are.
    fn keep_within(&self, retention: Option<Retention>, clock: &dyn Environment) -> Result<u64> {
        let archive = Archive::new(&block_on(Files::list(&*self.storage))?);
        if archive.retention() != retention {
            block_on(archive.set(&*self.storage, retention))?;
        }
        if retention.is_some() {
            block_on(archive.let_go(&*self.storage, clock))?;
        }
        let files = block_on(Files::list(&*self.storage))?;
        Ok(files.archived.iter().filter(|name| !name.ends_with(".retention")).count() as u64)
    }
}
