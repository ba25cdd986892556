//! A directory of files for asynchronous programs: [`SyncDiskStorage`] on threads of its own.
//!
//! One thread writes, in the order of the calls, and two read. Each is fed through a bounded queue, so a caller waits
//! when the disk is slower. Works on any executor, with or without a tokio runtime, and never blocks it.

use super::platform::block_on;
use super::{Storage, SyncDiskStorage};
use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// How many calls each queue holds before callers wait to be let in.
const QUEUE: usize = 64;
const READERS: usize = 2;

type Job = Box<dyn FnOnce(&SyncDiskStorage) + Send>;

/// A database's directory on a local file system, read and written by threads of its own.
///
/// A call whose future is dropped before it is ready may still be carried out. Dropping the storage returns at once;
/// its threads finish what is queued, and only then the directory can be opened for writing again. To open it again
/// at once, [`close`](Storage::close) it first.
///
/// ```no_run
/// # async fn run() -> pumice::Result<()> {
/// use pumice::Storage;
///
/// let storage = pumice::AsyncDiskStorage::open("data/app").await?;
/// storage.close().await
/// # }
/// ```
pub struct AsyncDiskStorage {
    dir: PathBuf,
    writer: mpsc::Sender<Job>,
    readers: mpsc::Sender<Job>,
}

impl AsyncDiskStorage {
    /// Opens the directory for writing, as [`SyncDiskStorage::open`] does.
    ///
    /// # Errors
    /// Those of [`SyncDiskStorage::open`], or [`Io`](ErrorKind::Io) when the system gives no more threads.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        Self::start(move || SyncDiskStorage::open(dir)).await
    }

    /// Opens the directory for reading, as [`SyncDiskStorage::open_read_only`] does.
    ///
    /// # Errors
    /// Those of [`SyncDiskStorage::open_read_only`], or [`Io`](ErrorKind::Io) when the system gives no more threads.
    pub async fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        Self::start(move || SyncDiskStorage::open_read_only(dir)).await
    }

    /// The directory, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    async fn start(open: impl FnOnce() -> Result<SyncDiskStorage> + Send + 'static) -> Result<Self> {
        let (writer, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let (opened, reply) = oneshot::channel();
        spawn("pumice-writer", move || {
            let disk = match open() {
                Ok(disk) => Arc::new(disk),
                Err(e) => return drop(opened.send(Err(e))),
            };
            // Nobody waits any more: give the lock back.
            if opened.send(Ok(Arc::clone(&disk))).is_err() {
                return;
            }
            while let Some(job) = jobs.blocking_recv() {
                job(&disk);
            }
        })?;
        let disk = reply.await.map_err(|_| gone())??;
        let (readers, jobs) = mpsc::channel::<Job>(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..READERS {
            let (disk, jobs) = (Arc::clone(&disk), Arc::clone(&jobs));
            spawn("pumice-reader", move || {
                while let Some(job) = next(&jobs) {
                    job(&disk);
                }
            })?;
        }
        Ok(Self { dir: disk.dir().to_owned(), writer, readers })
    }
}

/// The next job for one of the threads that share a queue. It waits with the lock held, and works without.
fn next(jobs: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|e| Error::io("start a thread", name, e))
}

fn gone() -> Error {
    Error::new(ErrorKind::Io, "the storage's thread has ended; open the database again")
}

/// Has the job done by the threads behind `queue` and waits for its result.
async fn run<T, F>(queue: &mpsc::Sender<Job>, job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&SyncDiskStorage) -> Result<T> + Send + 'static,
{
    let (done, reply) = oneshot::channel();
    let job: Job = Box::new(move |disk| drop(done.send(job(disk))));
    queue.send(job).await.map_err(|_| gone())?;
    reply.await.map_err(|_| gone())?
}

impl Storage for AsyncDiskStorage {
    async fn list(&self) -> Result<Vec<String>> {
        run(&self.readers, |disk| block_on(disk.list())).await
    }

    async fn create(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        run(&self.writer, move |disk| block_on(disk.create(&name))).await
    }

    async fn len(&self, name: &str) -> Result<u64> {
        let name = name.to_owned();
        run(&self.readers, move |disk| block_on(disk.len(&name))).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let name = name.to_owned();
        run(&self.readers, move |disk| block_on(disk.read_at(&name, offset, len))).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (name, bytes) = (name.to_owned(), bytes.to_owned());
        run(&self.writer, move |disk| block_on(disk.append(&name, &bytes))).await
    }

    async fn sync(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        run(&self.writer, move |disk| block_on(disk.sync(&name))).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let name = name.to_owned();
        run(&self.writer, move |disk| block_on(disk.truncate(&name, len))).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        run(&self.writer, move |disk| block_on(disk.remove(&name))).await
    }

    async fn close(&self) -> Result<()> {
        run(&self.writer, |disk| block_on(disk.close())).await
    }
}
