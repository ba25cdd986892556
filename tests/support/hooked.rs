//! A storage around another one that lets a test watch, delay or fail every call.

use pumice::{Error, Result, Storage};
use std::sync::Arc;

/// A method of [`Storage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    List,
    Create,
    Len,
    ReadAt,
    Append,
    Sync,
    Truncate,
    Remove,
    Close,
}

/// What is to become of a call.
pub enum Verdict {
    Go,
    /// It fails without having done anything.
    Fail(Error),
    /// It fails, and did a part of its work all the same.
    FailPartDone(Error, Part),
}

/// How much of its work a failing call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An append leaves one byte. Any other call does nothing.
    OneByte,
    /// An append leaves half of its bytes. Any other call does nothing.
    Half,
    /// An append leaves all bytes but the last one. Any other call does nothing.
    AllButOne,
    /// The call does everything, and says that it failed.
    All,
}

impl Part {
    fn of(self, bytes: &[u8]) -> &[u8] {
        let len = match self {
            Self::OneByte => 1,
            Self::Half => bytes.len() / 2,
            Self::AllButOne => bytes.len().saturating_sub(1),
            Self::All => bytes.len(),
        };
        &bytes[..len.min(bytes.len())]
    }
}

/// Sees every call before and after the storage beneath does. `bytes` are those of an append.
pub trait Hook: Send + Sync + 'static {
    fn before(&self, _op: Op, _name: &str, _bytes: &[u8]) -> Verdict {
        Verdict::Go
    }

    /// Only after calls that succeeded.
    fn after(&self, _op: Op, _name: &str, _bytes: &[u8]) {}

    /// As for a storage.
    fn is_young(&self) -> bool {
        false
    }
}

/// `S`, watched by a hook of any kind: with one type for all of them the engine is compiled once for them all.
pub struct Hooked<S> {
    inner: S,
    hook: Arc<dyn Hook>,
}

impl<S> Hooked<S> {
    pub fn new<H: Hook>(inner: S, hook: &Arc<H>) -> Self {
        let hook = Arc::<H>::clone(hook);
        Self { inner, hook }
    }
}

impl<S: Storage> Hooked<S> {
    async fn call<T>(
        &self,
        op: Op,
        name: &str,
        bytes: &[u8],
        run: impl AsyncFnOnce(&S) -> Result<T>,
    ) -> Result<T> {
        match self.hook.before(op, name, bytes) {
            Verdict::Go => {}
            Verdict::Fail(error) => return Err(error),
            Verdict::FailPartDone(error, part) => {
                if op == Op::Append {
                    self.inner.append(name, part.of(bytes)).await?;
                } else if part == Part::All {
                    run(&self.inner).await?;
                }
                return Err(error);
            }
        }
        let result = run(&self.inner).await;
        if result.is_ok() {
            self.hook.after(op, name, bytes);
        }
        result
    }
}

impl<S: Storage> Storage for Hooked<S> {
    async fn list(&self) -> Result<Vec<String>> {
        self.call(Op::List, "", &[], async |s: &S| s.list().await).await
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.call(Op::Create, name, &[], async |s: &S| s.create(name).await).await
    }

    async fn len(&self, name: &str) -> Result<u64> {
        self.call(Op::Len, name, &[], async |s: &S| s.len(name).await).await
    }

    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.call(Op::ReadAt, name, &[], async |s: &S| s.read_at(name, offset, len).await).await
    }

    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.call(Op::Append, name, bytes, async |s: &S| s.append(name, bytes).await).await
    }

    async fn sync(&self, name: &str) -> Result<()> {
        self.call(Op::Sync, name, &[], async |s: &S| s.sync(name).await).await
    }

    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.call(Op::Truncate, name, &[], async |s: &S| s.truncate(name, len).await).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.call(Op::Remove, name, &[], async |s: &S| s.remove(name).await).await
    }

    async fn close(&self) -> Result<()> {
        self.call(Op::Close, "", &[], async |s: &S| s.close().await).await
    }

    fn is_young(&self) -> bool {
        self.hook.is_young() || self.inner.is_young()
    }
}
