//! Guards against any answer that differs from a plain ordered map: random operations, batches, reopenings, compactions
//! and read views. Nothing here is of one platform, so that it runs in a browser too.

use super::steps::{Edit, Model, Step, edit_model};
use pumice::{ChangeKind, Db, Durability, Keys, Options, ReadView, Result, Storage};
use std::marker::PhantomData;

/// A face of the database. What is not here is the same for all of them.
pub trait Face<S: Storage>: Sized {
    async fn open(storage: S, options: Options) -> Result<Self>;
    /// The handle below the face.
    fn db(&self) -> &Db<S>;
    /// Returns the sequence number, or for a deletion whether there was something to delete.
    async fn edit(&self, edit: &Edit, durability: Durability) -> Result<Edited>;
    async fn batch(&self, edits: &[Edit]) -> Result<u64>;
    async fn contents(&self) -> Result<Vec<(String, String, String)>>;
    async fn compact(&self) -> Result<()>;
    async fn close(&self) -> Result<()>;
}

#[derive(Debug, PartialEq)]
pub enum Edited {
    At(u64),
    Deleted(bool),
}

/// What every face puts into a batch.
pub fn fill(batch: &mut pumice::Batch, edits: &[Edit]) -> Result<()> {
    for edit in edits {
        match edit {
            Edit::Put(c, k, v) => batch.put_raw(c, k, v)?,
            Edit::Delete(c, k) => batch.delete(c, k)?,
            Edit::Drop(c) => batch.drop_collection(c)?,
        };
    }
    Ok(())
}

impl<S: Storage> Face<S> for Db<S> {
    async fn open(storage: S, options: Options) -> Result<Self> {
        Db::open_with(storage, options).await
    }

    fn db(&self) -> &Db<S> {
        self
    }

    async fn edit(&self, edit: &Edit, durability: Durability) -> Result<Edited> {
        let db = self.with_durability(durability);
        match edit {
            Edit::Put(c, k, v) => db.collection(c).put_raw(k, v).await.map(Edited::At),
            Edit::Delete(c, k) => db.collection(c).delete(k).await.map(Edited::Deleted),
            Edit::Drop(c) => db.collection(c).drop_all().await.map(Edited::At),
        }
    }

    async fn batch(&self, edits: &[Edit]) -> Result<u64> {
        Db::batch(self, |batch| fill(batch, edits)).await
    }

    async fn contents(&self) -> Result<Vec<(String, String, String)>> {
        walk(&self.read_view()).await
    }

    async fn compact(&self) -> Result<()> {
        Db::compact(self).await
    }

    async fn close(&self) -> Result<()> {
        Db::close(self).await
    }
}

async fn walk<S: Storage>(view: &ReadView<S>) -> Result<Vec<(String, String, String)>> {
    let mut found = Vec::new();
    for collection in view.collections().await? {
        let mut scan = view.scan::<serde_json::Value>(&collection, Keys::all())?;
        while let Some(entry) = scan.next_raw().await? {
            found.push((collection.clone(), entry.key, entry.document.to_string()));
        }
    }
    Ok(found)
}

/// Demands that the documents come in order, and are those of the model.
fn compare(found: Vec<(String, String, String)>, model: &Model) {
    assert!(found.is_sorted_by(|a, b| (&a.0, &a.1) < (&b.0, &b.1)), "out of order: {found:?}");
    assert_eq!(found.into_iter().map(|(c, k, v)| ((c, k), v)).collect::<Model>(), *model);
}

/// A change as the feed should tell it.
type Told = (String, Option<String>, Option<String>);

struct Run<S: Storage, D: Face<S>, F: AsyncFn() -> S> {
    open: F,
    options: Options,
    db: Option<D>,
    model: Model,
    views: Vec<(ReadView<S>, Model)>,
    told: Vec<(u64, Vec<Told>)>,
    storage: PhantomData<S>,
}

impl<S: Storage, D: Face<S>, F: AsyncFn() -> S> Run<S, D, F> {
    async fn new(open: F, options: Options) -> Self {
        let db = D::open(open().await, options.clone()).await.unwrap();
        let (model, views, told) = (Model::new(), Vec::new(), Vec::new());
        Self { open, options, db: Some(db), model, views, told, storage: PhantomData }
    }

    fn face(&self) -> &D {
        self.db.as_ref().unwrap()
    }

    fn db(&self) -> &Db<S> {
        self.face().db()
    }

    async fn edit(&mut self, edit: &Edit, buffered: bool) {
        let durability = if buffered { Durability::Buffered } else { Durability::Disk };
        let edited = self.face().edit(edit, durability).await.unwrap();
        let sequence = match (edit, edited) {
            (Edit::Delete(c, k), Edited::Deleted(there)) => {
                let expected = self.model.contains_key(&(c.clone(), k.clone()));
                assert_eq!(there, expected, "delete {c:?} {k:?}");
                there.then(|| self.db().sequence())
            }
            (_, Edited::At(sequence)) => Some(sequence),
            (_, Edited::Deleted(_)) => None,
        };
        self.told.extend(sequence.map(|sequence| (sequence, vec![told(edit)])));
        edit_model(&mut self.model, edit);
    }

    async fn batch(&mut self, edits: &[Edit]) {
        let sequence = self.face().batch(edits).await.unwrap();
        self.told.push((sequence, edits.iter().map(told).collect()));
        for edit in edits {
            edit_model(&mut self.model, edit);
        }
    }

    async fn reopen(&mut self) {
        self.check().await;
        self.views.clear();
        let db = self.db.take().unwrap();
        db.close().await.unwrap();
        drop(db);
        let db = D::open((self.open)().await, self.options.clone()).await.unwrap();
        assert_eq!((&db.db().recovery().torn, db.db().recovery().unclean), (&None, false));
        self.db = Some(db);
        self.check().await;
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Edit(edit, buffered) => self.edit(edit, *buffered).await,
            Step::Batch(edits) => self.batch(edits).await,
            Step::Compact => self.face().compact().await.unwrap(),
            Step::Reopen => self.reopen().await,
            Step::TakeView => self.views.push((self.db().read_view(), self.model.clone())),
            Step::CheckView(n) if !self.views.is_empty() => {
                let (view, model) = &self.views[n % self.views.len()];
                compare(walk(view).await.unwrap(), model);
            }
            Step::DropView(n) if !self.views.is_empty() => drop(self.views.swap_remove(n % self.views.len())),
            Step::CheckView(_) | Step::DropView(_) => {}
            Step::Scan { collection, from, to, reverse, limit } => {
                let mut keys = Keys::from(from.as_str()..to.as_str()).limit(*limit);
                if *reverse {
                    keys = keys.reverse();
                }
                self.scan(collection, keys, *reverse, *limit, |k| k >= from && k < to).await;
            }
            Step::Prefix(collection, prefix) => {
                self.scan(collection, Keys::prefix(prefix), false, u64::MAX, |k| k.starts_with(prefix)).await;
            }
        }
    }

    async fn scan(
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
        let mut entries = collection.scan::<serde_json::Value>(keys.clone()).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = entries.next_raw().await.unwrap() {
            found.push((entry.key, entry.document.to_string()));
        }
        assert_eq!(found, wanted);
        assert_eq!(collection.count(keys).await.unwrap(), wanted.len() as u64);
    }

    async fn check(&self) {
        let db = self.db();
        compare(self.face().contents().await.unwrap(), &self.model);
        for ((c, k), v) in &self.model {
            assert_eq!(db.collection(c).get_raw(k).await.unwrap().unwrap(), v.as_str());
        }
        assert!(db.collection("a").get_raw("never").await.unwrap().is_none());
        assert_eq!(db.stats().await.unwrap().documents, self.model.len() as u64);
        let mut collections: Vec<_> = self.model.keys().map(|(c, _)| c.clone()).collect();
        collections.dedup();
        assert_eq!(db.collections().await.unwrap(), collections);
        let verified = db.verify().await.unwrap();
        assert!(verified.is_sound(), "{:?}", verified.damage);
    }

    /// The feed tells what the log still holds, each write once and in order, the batch's last change with its number.
    async fn check_feed(&self) {
        let db = self.db();
        db.sync().await.unwrap();
        let sequence = db.sequence();
        // The background compacts meanwhile; an open feed holds what it still has to read.
        let opened = (0..=sequence).find_map(|after| Some((after, db.changes(after).ok()?)));
        let (from, mut feed) = opened.unwrap();
        let mut found = Vec::new();
        while let Some(change) = feed.try_next().await.unwrap() {
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

fn told(edit: &Edit) -> Told {
    match edit.clone() {
        Edit::Put(c, k, v) => (c, Some(k), Some(v)),
        Edit::Delete(c, k) => (c, Some(k), None),
        Edit::Drop(c) => (c, None, None),
    }
}

/// Does the steps, on the storage that `open` opens again and again, and compares all the time.
pub async fn run<S: Storage, D: Face<S>>(open: impl AsyncFn() -> S, steps: &[Step]) {
    let options = Options::new().compact_at(Some(8 << 10)).pack_values(steps.len().is_multiple_of(2));
    let mut run = Run::<S, D, _>::new(open, options).await;
    for step in steps {
        run.step(step).await;
    }
    run.check().await;
    run.check_feed().await;
    for (view, model) in &run.views {
        compare(walk(view).await.unwrap(), model);
    }
    run.reopen().await;
    run.face().compact().await.unwrap();
    run.check().await;
    run.check_feed().await;
    run.reopen().await;
    run.face().close().await.unwrap();
}
