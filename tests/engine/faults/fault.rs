//! The hook that makes calls fail.

use crate::support::hooked::{Hook, Op, Part, Verdict};
use crate::support::page_cache::PageCache;
use pumice::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// One call fails.
    Once,
    /// This call fails, and every one that follows.
    FromThenOn,
}

/// How calls fail.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub how: How,
    pub kind: ErrorKind,
    /// What a failing call does all the same; `None` is nothing.
    pub part: Option<Part>,
}

/// Every way in which a call can fail.
pub fn manners() -> impl Iterator<Item = Manner> {
    let parts = [None, Some(Part::OneByte), Some(Part::Half), Some(Part::AllButOne), Some(Part::All)];
    let of = |how, kind| parts.into_iter().map(move |part| Manner { how, kind, part });
    // What the error is called makes no difference to what happens, so not each of them with each part.
    of(How::Once, ErrorKind::Io).chain(of(How::FromThenOn, ErrorKind::Full))
}

pub struct Fault {
    at: usize,
    pub manner: Manner,
    /// Only these calls are counted and fail.
    counts: fn(Op, &str) -> bool,
    /// Forgets what a failed sync should have written.
    cache: Option<PageCache>,
    calls: AtomicUsize,
    hit: AtomicBool,
    hit_log: AtomicBool,
    /// Writes to the log after one had failed.
    retries: AtomicUsize,
    /// The first call that failed, in words.
    met: OnceLock<String>,
}

impl Fault {
    /// Fails the call number `at` of those that count.
    pub fn new(
        at: usize,
        manner: Manner,
        counts: fn(Op, &str) -> bool,
        cache: Option<PageCache>,
    ) -> Arc<Self> {
        let (calls, retries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (hit, hit_log) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { at, manner, counts, cache, calls, hit, hit_log, retries, met: OnceLock::new() })
    }

    /// Whether a call was made to fail.
    pub fn hit(&self) -> bool {
        self.hit.load(Ordering::SeqCst)
    }

    /// Whether that was a call that the log depends on.
    pub fn hit_log(&self) -> bool {
        self.hit_log.load(Ordering::SeqCst)
    }

    /// The first call that failed.
    pub fn met(&self) -> &str {
        self.met.get().map_or("nothing failed", String::as_str)
    }

    pub fn retries(&self) -> usize {
        self.retries.load(Ordering::SeqCst)
    }

    pub fn kind(&self) -> ErrorKind {
        self.manner.kind
    }
}

impl Hook for Fault {
    fn before(&self, op: Op, name: &str, _: &[u8]) -> Verdict {
        let writes_log =
            matches!(op, Op::Create | Op::Append | Op::Sync | Op::Truncate) && name.ends_with(".log");
        if writes_log && self.hit_log() {
            self.retries.fetch_add(1, Ordering::SeqCst);
        }
        if !(self.counts)(op, name) {
            return Verdict::Go;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call < self.at || self.manner.how == How::Once && call > self.at {
            return Verdict::Go;
        }
        self.hit_log.fetch_or(writes_log, Ordering::SeqCst);
        self.hit.store(true, Ordering::SeqCst);
        if let (Op::Sync, Some(cache)) = (op, &self.cache) {
            cache.fail_sync(name);
        }
        let message = format!("call {call}, {op:?} of {name}, was made to fail");
        self.met.get_or_init(|| message.clone());
        let error = Error::new(self.manner.kind, message);
        match self.manner.part {
            None => Verdict::Fail(error),
            Some(part) => Verdict::FailPartDone(error, part),
        }
    }
}
