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
}

/// What is to become of a call.
pub enum Verdict {
    Go,
    /// It fails without having done anything.
    Fail(Error),
    /// It fails, and half of the bytes of an append are in the file all the same. Any other call does nothing.
    FailHalfDone(Error),
}

/// Sees every call before and after the storage beneath does. `bytes` are those of an append.
pub trait Hook: Send + Sync + 'static {
    fn before(&self, _op: Op, _name: &str, _bytes: &[u8]) -> Verdict {
        Verdict::Go
    }

    /// Only after calls that succeeded.
    fn after(&self, _op: Op, _name: &str, _bytes: &[u8]) {}
}

/// `S`, watched by `H`. Clones share both.
pub struct Hooked<S, H> {
    inner: Arc<S>,
    hook: Arc<H>,
}

impl<S, H> Hooked<S, H> {
    pub fn new(inner: S, hook: &Arc<H>) -> Self {
        Self { inner: Arc::new(inner), hook: Arc::clone(hook) }
    }
}

impl<S: Storage, H: Hook> Hooked<S, H> {
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
            Verdict::FailHalfDone(error) => {
                if op == Op::Append {
                    self.inner.append(name, &bytes[..bytes.len() / 2]).await?;
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

impl<S: Storage, H: Hook> Storage for Hooked<S, H> {
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
        self.inner.close().await
    }
}
