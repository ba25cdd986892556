//! How a database is opened, and what its caller may choose.

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{cache, platform};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// When a write is acknowledged, and so what it survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// After the sync: the write survives a crash of the process, of the system, and a power cut.
    #[default]
    Disk,
    /// Once accepted. The sync follows within the flush interval; a crash of the process or of the system, or a power
    /// cut, before it costs the write, and never one before it.
    Buffered,
}

/// What opening does about damage in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecoveryMode {
    /// Any damage refuses, even the torn tail that a crash leaves.
    Strict,
    /// A torn tail, which held nothing that was acknowledged, is set aside; any other damage refuses.
    #[default]
    TornTail,
    /// Everything from the first damage on is set aside, acknowledged or not. Choose it only to give that up.
    PointInTime,
    /// Read-only: shows whatever can still be read and reports what cannot.
    Salvage,
}

/// The largest things that may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one document's JSON text without white space. 16 MiB unless set.
    pub max_value_bytes: usize,
    /// Arrays and objects within each other. 128 unless set.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_value_bytes: 16 << 20, max_depth: 128 }
    }
}

/// Where times and random bytes come from, so that a test can replay them.
pub trait Environment: Send + Sync + 'static {
    /// Milliseconds since 1970 (UTC).
    fn unix_millis(&self) -> u64;

    /// Fills `bytes` with random ones.
    ///
    /// # Errors
    /// When the platform has none to give.
    fn random(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The platform's own clock and randomness.
struct Platform;

impl Environment for Platform {
    #[allow(clippy::disallowed_methods)] // This is where the real clock enters.
    fn unix_millis(&self) -> u64 {
        let since = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    #[allow(clippy::disallowed_methods)] // This is where real randomness enters.
    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes)
            .map_err(|e| Error::new(ErrorKind::Io, format!("the system gave no random bytes: {e}")))
    }
}

/// A snapshot that a compaction just published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The file's name in the database's storage.
    pub file: String,
    /// Every write up to this one is in the snapshots.
    pub sequence: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

pub(crate) type OnPublished = Arc<dyn Fn(&Published) + Send + Sync>;

/// How to open a database. Every setting has a sensible default.
///
/// ```
/// use pumice::{Durability, Options};
/// use std::time::Duration;
///
/// let options = Options::new().durability(Durability::Buffered).flush_interval(Duration::from_millis(20));
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) flush_interval: Duration,
    pub(crate) idle_seal: Duration,
    pub(crate) buffer_limit: usize,
    pub(crate) recovery: RecoveryMode,
    pub(crate) read_only: bool,
    pub(crate) compact_at: Option<u64>,
    pub(crate) compact_idle_at: Option<u64>,
    /// For how long after opening a compaction that can wait does not begin.
    pub(crate) rest_after_opening: Duration,
    pub(crate) pack_values: bool,
    pub(crate) feed_grace: Duration,
    pub(crate) cache_bytes: u64,
    pub(crate) limits: Limits,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) on_published: Option<OnPublished>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            flush_interval: Duration::from_millis(50),
            idle_seal: Duration::from_millis(100),
            buffer_limit: 8 << 20,
            recovery: RecoveryMode::TornTail,
            read_only: false,
            compact_at: Some(16 << 20),
            compact_idle_at: None,
            rest_after_opening: Duration::ZERO,
            pack_values: platform::PACKS_VALUES,
            feed_grace: Duration::ZERO,
            cache_bytes: cache::DEFAULT_BYTES,
            limits: Limits::default(),
            environment: Arc::new(Platform),
            on_published: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("durability", &self.durability)
            .field("flush_interval", &self.flush_interval)
            .field("buffer_limit", &self.buffer_limit)
            .field("recovery", &self.recovery)
            .field("read_only", &self.read_only)
            .field("compact_at", &self.compact_at)
            .field("compact_idle_at", &self.compact_idle_at)
            .field("pack_values", &self.pack_values)
            .field("feed_grace", &self.feed_grace)
            .field("cache_bytes", &self.cache_bytes)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// When writes are acknowledged, unless a write says otherwise. [`Durability::Disk`] unless set.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The longest time between accepting a buffered write and its sync. 50 ms unless set.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Bytes of accepted records that may wait to be written; over it, writes wait. 8 MiB unless set.
    #[must_use]
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }

    /// What opening does about damage. [`RecoveryMode::TornTail`] unless set.
    #[must_use]
    pub fn recovery(mut self, mode: RecoveryMode) -> Self {
        self.recovery = mode;
        self
    }

    /// Opens beside a writer, or on a full disk: takes no lock and writes nothing.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Compact by itself when the log passes so many bytes; `None` only on request. 16 MiB unless set. In OPFS it waits up to
    /// three times as long in a database's first minute, when new files go into a journal too.
    #[must_use]
    pub fn compact_at(mut self, log_bytes: Option<u64>) -> Self {
        self.compact_at = log_bytes;
        self
    }

    /// Compact by itself too once nothing was written for a second, if the log has so many bytes then: opening has less to
    /// read, for more that is written. `None`, which it is unless set, does not; [`compact_at(None)`](Self::compact_at)
    /// overrules it. The npm package sets 1 MiB.
    #[must_use]
    pub fn compact_when_idle_at(mut self, log_bytes: Option<u64>) -> Self {
        self.compact_idle_at = log_bytes;
        self
    }

    /// Write documents into snapshots in fewer bytes, less than half of them where they look alike, for scans and compactions that
    /// take nearly twice as long. Not unless set, but in a browser, where room is scarce. Files of either kind are read whatever
    /// is set here; [`compact`](crate::Db::compact) writes all of them anew.
    #[must_use]
    pub fn pack_values(mut self, pack: bool) -> Self {
        self.pack_values = pack;
        self
    }

    /// For how long after opening the parts of the log stay that snapshots have replaced and an earlier handle's change
    /// feeds still needed when it ended, so that [`Db::changes`](crate::Db::changes) can go on where those were. They go
    /// at once unless set.
    #[must_use]
    pub fn feed_grace(mut self, grace: Duration) -> Self {
        self.feed_grace = grace;
        self
    }

    /// The most bytes of snapshot index that are kept in memory. 32 MiB unless set, 16 MiB in a browser.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// The largest things that may be stored.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock and other randomness, for tests that replay.
    #[must_use]
    pub fn environment(mut self, environment: impl Environment) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// Called after each snapshot is published, on the thread that compacts. Failures and panics are the caller's.
    #[must_use]
    pub fn on_published(mut self, call: impl Fn(&Published) + Send + Sync + 'static) -> Self {
        self.on_published = Some(Arc::new(call));
        self
    }
}
