//! A snapshot file from outside: read in place, wherever it is, and verified before any of it is believed.

use crate::document::{check_collection, check_key, minify, split_sort_key};
use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::KEY_MAGIC;
use crate::format::snapshot::HEADER_MAGIC;
use crate::options::Limits;
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::storage::{Storage, platform};
use std::sync::Arc;

/// Where a snapshot file is read from.
#[allow(async_fn_in_trait, clippy::len_without_is_empty)] // As for `Storage`; and nobody asks for no bytes.
pub trait SnapshotSource: platform::MaybeShared + 'static {
    /// What messages call it.
    fn name(&self) -> String {
        "the snapshot file".to_owned()
    }

    /// Its length in bytes.
    ///
    /// # Errors
    /// When it cannot be told.
    async fn len(&self) -> Result<u64>;

    /// The bytes from `offset` on, `len` of them or as many as there are.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>>;
}

impl<R: SnapshotSource> SnapshotSource for Arc<R> {
    fn name(&self) -> String {
        R::name(self)
    }

    async fn len(&self) -> Result<u64> {
        R::len(self).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        R::read_at(self, offset, len).await
    }
}

/// The source as a storage of one file, for what reads tables.
pub(crate) struct Outside<R>(pub(crate) R);

impl<R: SnapshotSource> Outside<R> {
    fn refuse<T>() -> Result<T> {
        Err(Error::new(ErrorKind::ReadOnly, "a snapshot file from outside is only read"))
    }
}

impl<R: SnapshotSource> Storage for Outside<R> {
    async fn list(&self) -> Result<Vec<String>> {
        Ok(vec![self.0.name()])
    }

    async fn len(&self, _name: &str) -> Result<u64> {
        self.0.len().await
    }

    async fn read_at(&self, _name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.0.read_at(offset, len).await
    }

    async fn create(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }

    async fn append(&self, _name: &str, _bytes: &[u8]) -> Result<()> {
        Self::refuse()
    }

    async fn sync(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }

    async fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        Self::refuse()
    }

    async fn remove(&self, _name: &str) -> Result<()> {
        Self::refuse()
    }
}

/// Opens the snapshot `name` in a storage of its own and reads all of it.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is no full snapshot of Pumice,
/// [`Version`](ErrorKind::Version) when a newer one wrote it, [`Corrupt`](ErrorKind::Corrupt) when it is damaged or holds
/// what no database does, [`TooLarge`](ErrorKind::TooLarge) when a document is over `limits`.
pub(crate) async fn open_verified<R: Storage>(
    source: R,
    name: &str,
    limits: &Limits,
) -> Result<Arc<Table<R>>> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidArgument, format!("{name} {why}")));
    let beginning = source.read_at(name, 0, KEY_MAGIC.len()).await?;
    if beginning == KEY_MAGIC {
        return refuse("is encrypted; only a database under the same key takes it");
    }
    if !beginning.starts_with(HEADER_MAGIC) {
        return refuse("is no snapshot of Pumice");
    }
    let cache = Arc::new(BlockCache::new(1 << 20));
    let table = match Table::open(Arc::new(source), name, cache).await? {
        OpenOutcome::Table(table) => Arc::new(*table),
        OpenOutcome::NoFooter(error) => return Err(error),
    };
    if table.base() != 0 {
        return refuse("holds only what changed after an earlier snapshot; a full one is needed");
    }
    let (mut refused, mut damage) = (None, None);
    let mut check = |key: &[u8], _: u64, value: Option<&[u8]>| {
        if refused.is_none() {
            refused = check_entry(name, key, value, limits).err();
        }
    };
    let mut keep = |problem: Error| {
        damage.get_or_insert(problem);
    };
    table.salvage(&mut check, &mut keep).await;
    damage.or(refused).map_or(Ok(table), Err)
}

/// Refuses an entry that no database would have stored.
fn check_entry(name: &str, key: &[u8], value: Option<&[u8]>, limits: &Limits) -> Result<()> {
    let wrong = || Error::new(ErrorKind::Corrupt, format!("{name} holds a document that is none"));
    let (collection, key) = split_sort_key(key).ok_or_else(wrong)?;
    let named = check_collection(collection).and_then(|()| check_key(key));
    named.map_err(|_| wrong())?;
    let Some(value) = value else { return Ok(()) };
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    match minify(text, limits) {
        Ok(minified) if minified.len() == text.len() => Ok(()),
        Err(error) if error.kind() == ErrorKind::TooLarge => Err(error),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{SnapshotBuilder, SnapshotHeader};
    use crate::storage::platform::block_on;

    struct Bytes(Vec<u8>);

    impl SnapshotSource for Bytes {
        async fn len(&self) -> Result<u64> {
            Ok(self.0.len() as u64)
        }

        async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
            Ok(self.0.iter().skip(offset as usize).take(len).copied().collect())
        }
    }

    struct Named(Bytes);

    impl SnapshotSource for Named {
        fn name(&self) -> String {
            "mine.snapshot".to_owned()
        }

        async fn len(&self) -> Result<u64> {
            self.0.len().await
        }

        async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
            self.0.read_at(offset, len).await
        }
    }

    /// A full snapshot of one entry.
    fn file(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut builder =
            SnapshotBuilder::new(SnapshotHeader { store_id: [7; 16], epoch: 1, base: 0, sequence: 5 }, false);
        builder.push(key, 5, Some(value)).unwrap();
        let built = builder.finish(&[]).unwrap();
        [built.tail, built.footer].concat()
    }

    fn opened(source: impl SnapshotSource) -> Result<()> {
        let name = source.name();
        let limits = Limits { max_depth: 3, ..Limits::default() };
        block_on(open_verified(Outside(source), &name, &limits)).map(drop)
    }

    #[test]
    fn a_document_that_no_database_stores_is_refused() {
        let kind = |key: &[u8], value: &[u8]| opened(Bytes(file(key, value))).map_err(|error| error.kind());
        assert_eq!(kind(b"c\0k", b"{\"a\":[1]}"), Ok(()));
        for value in [&b"{\"a\": [1]}"[..], b"{\"a\":[1]} ", b"{", b"", b"\"\xff\""] {
            assert_eq!(kind(b"c\0k", value), Err(ErrorKind::Corrupt), "{value:?}");
        }
        assert_eq!(kind(&[b"c\0", &[b'k'; 1025][..]].concat(), b"1"), Err(ErrorKind::Corrupt));
        assert_eq!(kind(b"c\0\xff", b"1"), Err(ErrorKind::Corrupt));
        assert_eq!(kind(b"c\0k", b"[[[[]]]]"), Err(ErrorKind::TooLarge));
    }

    #[test]
    fn messages_name_the_file() {
        let unnamed = opened(Bytes(Vec::new())).unwrap_err();
        assert_eq!(unnamed.message(), "the snapshot file is no snapshot of Pumice");
        let named = opened(Arc::new(Named(Bytes(Vec::new())))).unwrap_err();
        assert_eq!(named.message(), "mine.snapshot is no snapshot of Pumice");
    }

    #[test]
    fn a_file_from_outside_is_only_read() {
        let outside = Outside(Named(Bytes(b"bytes".to_vec())));
        block_on(async {
            assert_eq!(outside.list().await.unwrap(), ["mine.snapshot"]);
            let refused = [
                outside.create("x").await,
                outside.append("x", b"").await,
                outside.sync("x").await,
                outside.truncate("x", 0).await,
                outside.remove("x").await,
            ];
            for refused in refused {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnly);
            }
        });
    }
}
