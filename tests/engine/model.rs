//! The database against a plain ordered map, over every native storage, for blocking and for asynchronous callers.

use crate::support::block_on;
use crate::support::effort::is_soak;
use crate::support::medium::Medium;
use crate::support::model::{Edited, Face, fill, run};
use crate::support::steps::{Edit, Step, steps};
use proptest::prelude::*;
#[cfg(feature = "tokio")]
use pumice::AsyncDiskStorage;
use pumice::blocking::Db;
use pumice::pool::PooledStorage;
use pumice::{Durability, MemoryStorage, Options, Result, Storage, SyncDiskStorage};
use std::sync::atomic::{AtomicU64, Ordering};

impl<S: Storage> Face<S> for Db<S> {
    async fn open(storage: S, options: Options) -> Result<Self> {
        Db::open_with(storage, options)
    }

    fn db(&self) -> &pumice::Db<S> {
        self.as_async()
    }

    async fn edit(&self, edit: &Edit, durability: Durability) -> Result<Edited> {
        let db = self.with_durability(durability);
        match edit {
            Edit::Put(c, k, v) => db.collection(c).put_raw(k, v).map(Edited::At),
            Edit::Delete(c, k) => db.collection(c).delete(k).map(Edited::Deleted),
            Edit::Drop(c) => db.collection(c).drop_all().map(Edited::At),
        }
    }

    async fn batch(&self, edits: &[Edit]) -> Result<u64> {
        Db::batch(self, |batch| fill(batch, edits))
    }

    async fn contents(&self) -> Result<Vec<(String, String, String)>> {
        let mut found = Vec::new();
        self.read_view().for_each_of_all_raw(|c, k, v| {
            found.push((c.to_owned(), k.to_owned(), v.to_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    async fn compact(&self) -> Result<()> {
        Db::compact(self)
    }

    async fn close(&self) -> Result<()> {
        Db::close(self)
    }
}

fn blocking<S: Storage>(open: impl Fn() -> S, steps: &[Step]) {
    block_on(run::<S, Db<S>>(async || open(), steps));
}

/// Ten times as many with `PUMICE_SOAK` set, or as many as `PROPTEST_CASES` says.
fn cases(count: u32) -> ProptestConfig {
    let factor = if is_soak() { 10 } else { 1 };
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(count * factor);
    ProptestConfig { cases, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2000))]
    #[test]
    fn memory_matches_the_model(steps in steps()) {
        let storage = MemoryStorage::new();
        blocking(|| storage.clone(), &steps);
    }
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn asynchronous_callers_match_the_model(steps in steps()) {
        let storage = MemoryStorage::new();
        block_on(run::<_, pumice::Db<_>>(async || storage.clone(), &steps));
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_pool_matches_the_model(steps in steps(), millis in prop::sample::select(vec![0, 700, 60_000])) {
        let parts = Medium::default();
        let open = || {
            let now = AtomicU64::new(0);
            let clock = move || now.fetch_add(millis, Ordering::Relaxed);
            block_on(PooledStorage::open(parts.clone(), parts.clone(), clock)).unwrap()
        };
        blocking(open, &steps);
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_directory_matches_the_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        blocking(|| SyncDiskStorage::open(dir.path()).unwrap(), &steps);
    }
}

#[cfg(feature = "encryption")]
proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn what_is_encrypted_matches_the_model(steps in steps()) {
        let storage = MemoryStorage::new();
        let key = pumice::Key::bytes([1; 32]);
        blocking(|| pumice::blocking::encrypted(storage.clone(), &key).unwrap(), &steps);
    }
}

#[cfg(feature = "tokio")]
proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_directory_on_its_own_threads_matches_the_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        blocking(|| runtime.block_on(AsyncDiskStorage::open(dir.path())).unwrap(), &steps);
    }
}
