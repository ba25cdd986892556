//! Guards against any answer that differs from a plain ordered map: random operations, batches, reopenings, compactions
//! and read views over every storage.

use crate::support::block_on;
use crate::support::medium::Medium;
use proptest::collection::vec;
use proptest::prelude::*;
#[cfg(feature = "tokio")]
use pumice::AsyncDiskStorage;
use pumice::blocking::{Db, ReadView};
use pumice::pool::PooledStorage;
use pumice::{ChangeKind, Durability, Keys, MemoryStorage, Options, Storage, SyncDiskStorage};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

type Model = BTreeMap<(String, String), String>;

#[derive(Clone, Debug)]
enum Edit {
    Put(String, String, String),
    Delete(String, String),
    Drop(String),
}

#[derive(Clone, Debug)]
enum Step {
    Edit(Edit, bool),
    Batch(Vec<Edit>),
    Compact,
    Reopen,
    TakeView,
    CheckView(usize),
    DropView(usize),
    Scan { collection: String, from: String, to: String, reverse: bool, limit: u64 },
    Prefix(String, String),
}

fn collection() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a b", "ü"]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    let odd = vec!["k", "\u{0}", "k1\u{0}", "\"q\"", "é", "\u{10ffff}", "\n"];
    prop_oneof![
        8 => (0..24u8).prop_map(|n| format!("k{n}")),
        1 => prop::sample::select(odd).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let odd = vec!["null", "1.50e+01", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "[]", "\"ü\\n\""];
    prop_oneof![
        6 => (0..1000u32).prop_map(|n| format!("{{\"n\":{n},\"text\":\"value {n}\"}}")),
        1 => prop::sample::select(odd).prop_map(str::to_owned),
        1 => (0..200usize).prop_map(|n| format!("\"{}\"", "x".repeat(n * 37))),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        12 => (collection(), key(), value()).prop_map(|(c, k, v)| Edit::Put(c, k, v)),
        4 => (collection(), key()).prop_map(|(c, k)| Edit::Delete(c, k)),
        1 => collection().prop_map(Edit::Drop),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (edit(), any::<bool>()).prop_map(|(e, buffered)| Step::Edit(e, buffered)),
        4 => vec(edit(), 0..8).prop_map(Step::Batch),
        2 => Just(Step::Compact),
        2 => Just(Step::Reopen),
        2 => Just(Step::TakeView),
        3 => any::<usize>().prop_map(Step::CheckView),
        1 => any::<usize>().prop_map(Step::DropView),
        4 => (collection(), key(), key(), any::<bool>(), 0..30u64)
            .prop_map(|(collection, from, to, reverse, limit)| Step::Scan { collection, from, to, reverse, limit }),
        1 => (collection(), key()).prop_map(|(c, p)| Step::Prefix(c, p)),
    ]
}

fn edit_model(model: &mut Model, edit: &Edit) {
    match edit {
        Edit::Put(c, k, v) => {
            model.insert((c.clone(), k.clone()), v.clone());
        }
        Edit::Delete(c, k) => {
            model.remove(&(c.clone(), k.clone()));
        }
        Edit::Drop(c) => model.retain(|(collection, _), _| collection != c),
    }
}

fn contents<S: Storage>(view: &ReadView<S>) -> Model {
    let mut found = Model::new();
    let mut last: Option<(String, String)> = None;
    let visit = |c: &str, k: &str, v: &str| {
        let name = (c.to_owned(), k.to_owned());
        assert!(last.as_ref().is_none_or(|last| *last < name), "out of order: {last:?} before {name:?}");
        last = Some(name.clone());
        found.insert(name, v.to_owned());
        Ok(())
    };
    view.for_each_of_all_raw(visit).unwrap();
    found
}

/// A change as the feed should tell it.
type Told = (String, Option<String>, Option<String>);

struct Run<S: Storage, F: Fn() -> S> {
    open: F,
    options: Options,
    db: Option<Db<S>>,
    model: Model,
    views: Vec<(ReadView<S>, Model)>,
    told: Vec<(u64, Vec<Told>)>,
}

impl<S: Storage, F: Fn() -> S> Run<S, F> {
    fn new(open: F, options: Options) -> Self {
        let db = Db::open_with(open(), options.clone()).unwrap();
        Self { open, options, db: Some(db), model: Model::new(), views: Vec::new(), told: Vec::new() }
    }

    fn db(&self) -> &Db<S> {
        self.db.as_ref().unwrap()
    }

    fn edit(&mut self, edit: &Edit, buffered: bool) {
        let durability = if buffered { Durability::Buffered } else { Durability::Disk };
        let db = self.db().with_durability(durability);
        match edit {
            Edit::Put(c, k, v) => {
                let sequence = db.collection(c).put_raw(k, v).unwrap();
                self.told.push((sequence, vec![(c.clone(), Some(k.clone()), Some(v.clone()))]));
            }
            Edit::Delete(c, k) => {
                let there = self.model.contains_key(&(c.clone(), k.clone()));
                assert_eq!(db.collection(c).delete(k).unwrap(), there, "delete {c:?} {k:?}");
                if there {
                    self.told.push((db.sequence(), vec![(c.clone(), Some(k.clone()), None)]));
                }
            }
            Edit::Drop(c) => {
                let sequence = db.collection(c).drop_all().unwrap();
                self.told.push((sequence, vec![(c.clone(), None, None)]));
            }
        }
        edit_model(&mut self.model, edit);
    }

    fn batch(&mut self, edits: &[Edit]) {
        let sequence = self.db().batch(|batch| {
            for edit in edits {
                match edit {
                    Edit::Put(c, k, v) => batch.put_raw(c, k, v)?,
                    Edit::Delete(c, k) => batch.delete(c, k)?,
                    Edit::Drop(c) => batch.drop_collection(c)?,
                };
            }
            Ok(())
        });
        let told = edits.iter().map(|edit| match edit.clone() {
            Edit::Put(c, k, v) => (c, Some(k), Some(v)),
            Edit::Delete(c, k) => (c, Some(k), None),
            Edit::Drop(c) => (c, None, None),
        });
        self.told.push((sequence.unwrap(), told.collect()));
        for edit in edits {
            edit_model(&mut self.model, edit);
        }
    }

    fn reopen(&mut self) {
        self.check();
        self.views.clear();
        let db = self.db.take().unwrap();
        db.close().unwrap();
        drop(db);
        let db = Db::open_with((self.open)(), self.options.clone()).unwrap();
        assert_eq!((&db.recovery().torn, db.recovery().unclean), (&None, false));
        self.db = Some(db);
        self.check();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Edit(edit, buffered) => self.edit(edit, *buffered),
            Step::Batch(edits) => self.batch(edits),
            Step::Compact => self.db().compact().unwrap(),
            Step::Reopen => self.reopen(),
            Step::TakeView => self.views.push((self.db().read_view(), self.model.clone())),
            Step::CheckView(n) if !self.views.is_empty() => {
                let (view, model) = &self.views[n % self.views.len()];
                assert_eq!(contents(view), *model);
            }
            Step::DropView(n) if !self.views.is_empty() => drop(self.views.swap_remove(n % self.views.len())),
            Step::CheckView(_) | Step::DropView(_) => {}
            Step::Scan { collection, from, to, reverse, limit } => {
                let mut keys = Keys::from(from.as_str()..to.as_str()).limit(*limit);
                if *reverse {
                    keys = keys.reverse();
                }
                self.scan(collection, keys, *reverse, *limit, |k| k >= from && k < to);
            }
            Step::Prefix(collection, prefix) => {
                self.scan(collection, Keys::prefix(prefix), false, u64::MAX, |k| k.starts_with(prefix));
            }
        }
    }

    fn scan(
        &self,
        collection: &str,
        keys: Keys,
        reverse: bool,
        limit: u64,
        selects: impl Fn(&String) -> bool,
    ) {
        let selected = self.model.iter().filter(|((c, k), _)| c == collection && selects(k));
        let mut wanted: Vec<(String, String)> = selected.map(|((_, k), v)| (k.clone(), v.clone())).collect();
        if reverse {
            wanted.reverse();
        }
        wanted.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let collection = self.db().collection(collection);
        let entries = collection.scan::<serde_json::Value>(keys.clone()).unwrap().raw();
        let found: Vec<(String, String)> =
            entries.map(|entry| entry.map(|e| (e.key, e.document.to_string())).unwrap()).collect();
        assert_eq!(found, wanted);
        assert_eq!(collection.count(keys).unwrap(), wanted.len() as u64);
    }

    fn check(&self) {
        let db = self.db();
        assert_eq!(contents(&db.read_view()), self.model);
        for ((c, k), v) in &self.model {
            assert_eq!(db.collection(c).get_raw(k).unwrap().unwrap(), v.as_str());
        }
        assert!(db.collection("a").get_raw("never").unwrap().is_none());
        assert_eq!(db.stats().unwrap().documents, self.model.len() as u64);
        let mut collections: Vec<_> = self.model.keys().map(|(c, _)| c.clone()).collect();
        collections.dedup();
        assert_eq!(db.collections().unwrap(), collections);
        let verified = db.verify().unwrap();
        assert!(verified.is_sound(), "{:?}", verified.damage);
    }

    /// The feed tells what the log still holds, each write once and in order, the batch's last change with its number.
    fn check_feed(&self) {
        let db = self.db();
        db.sync().unwrap();
        let sequence = db.sequence();
        // The background compacts meanwhile; an open feed holds what it still has to read.
        let opened = (0..=sequence).find_map(|after| Some((after, db.changes(after).ok()?)));
        let (from, mut feed) = opened.unwrap();
        let mut found = Vec::new();
        while let Some(change) = feed.try_next().unwrap() {
            let document = change.document.as_ref().map(ToString::to_string);
            assert_eq!(change.kind == ChangeKind::Put, document.is_some());
            found.push((change.sequence, (change.collection, change.key, document)));
        }
        assert!(found.is_sorted_by(|a, b| a.0 < b.0));
        let told: Vec<_> = self.told.iter().filter(|(s, t)| *s > from && !t.is_empty()).collect();
        let wanted: Vec<&Told> = told.iter().flat_map(|(_, told)| told).collect();
        assert_eq!(found.iter().map(|(_, told)| told).collect::<Vec<_>>(), wanted);
        for (sequence, told) in told {
            let last = found.iter().rfind(|(s, _)| s == sequence).map(|(_, t)| t);
            assert_eq!(last, told.last());
        }
    }
}

fn run<S: Storage>(open: impl Fn() -> S, steps: &[Step]) {
    let options = Options::new().compact_at(Some(8 << 10));
    let mut run = Run::new(open, options);
    for step in steps {
        run.step(step);
    }
    run.check();
    run.check_feed();
    for (view, model) in &run.views {
        assert_eq!(contents(view), *model);
    }
    run.reopen();
    run.db().compact().unwrap();
    run.check();
    run.check_feed();
    run.reopen();
}

/// Ten times as many with `PUMICE_SOAK` set, or as many as `PROPTEST_CASES` says.
fn cases(count: u32) -> ProptestConfig {
    let factor = if std::env::var_os("PUMICE_SOAK").is_some() { 10 } else { 1 };
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = wanted.unwrap_or(count * factor);
    ProptestConfig { cases, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2000))]
    #[test]
    fn memory_matches_the_model(steps in vec(step(), 1..120)) {
        let storage = MemoryStorage::new();
        run(|| storage.clone(), &steps);
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_pool_matches_the_model(steps in vec(step(), 1..120), millis in prop::sample::select(vec![0, 700, 60_000])) {
        let parts = Medium::default();
        let open = || {
            let now = AtomicU64::new(0);
            let clock = move || now.fetch_add(millis, Ordering::Relaxed);
            block_on(PooledStorage::open(parts.clone(), parts.clone(), clock)).unwrap()
        };
        run(open, &steps);
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_directory_matches_the_model(steps in vec(step(), 1..120)) {
        let dir = tempfile::tempdir().unwrap();
        run(|| SyncDiskStorage::open(dir.path()).unwrap(), &steps);
    }
}

#[cfg(feature = "tokio")]
proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn a_directory_on_its_own_threads_matches_the_model(steps in vec(step(), 1..120)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        run(|| runtime.block_on(AsyncDiskStorage::open(dir.path())).unwrap(), &steps);
    }
}
