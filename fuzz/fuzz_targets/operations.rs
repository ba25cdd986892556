//! Sequences of operations against a model: writes, batches, drops, compactions, views, reopening, and crashes within
//! a write at every byte of it.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pumice::blocking::{Db, ReadView};
use pumice::{Durability, MemoryStorage, Options, Result};
use pumice_fuzz::files;
use std::collections::BTreeMap;

#[derive(Arbitrary, Clone, Debug)]
enum Write {
    Put { collection: u8, key: u8, size: u8 },
    Delete { collection: u8, key: u8 },
    Drop { collection: u8 },
}

#[derive(Arbitrary, Debug)]
enum Step {
    One {
        write: Write,
        buffered: bool,
    },
    Batch(Vec<Write>),
    Sync,
    Compact,
    TakeView,
    CheckViews,
    /// Closes and opens again; with `compact` the log is so long that it is compacted at once.
    Reopen {
        compact: bool,
    },
    /// The process ends within the write, of which so many bytes reach the file.
    Crash {
        write: Write,
        batch: bool,
        bytes: u16,
    },
}

type Model = BTreeMap<(String, String), String>;

struct Run {
    storage: MemoryStorage,
    db: Db<MemoryStorage>,
    model: Model,
    views: Vec<(ReadView<MemoryStorage>, Model)>,
    written: u32,
}

fuzz_target!(|steps: Vec<Step>| {
    let storage = MemoryStorage::new();
    let db = open(&storage, None);
    let mut run = Run { storage, db, model: Model::new(), views: Vec::new(), written: 0 };
    // Four bytes make a step: without a limit a long input takes seconds.
    for step in steps.into_iter().take(100) {
        run.step(step);
    }
    run.check();
    run.db.close().unwrap();
});

fn open(storage: &MemoryStorage, compact_at: Option<u64>) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), Options::new().compact_at(compact_at)).unwrap()
}

fn name(collection: u8) -> String {
    ["a", "ab", "b \u{fc}"][usize::from(collection) % 3].to_owned()
}

fn key(key: u8) -> String {
    format!("{}{}", ["k", "\"", "\u{0}", "z"][usize::from(key) % 4], key / 4 % 8)
}

impl Run {
    fn step(&mut self, step: Step) {
        match step {
            Step::One { write, buffered } => {
                let durability = if buffered { Durability::Buffered } else { Durability::Disk };
                self.one(&write, durability);
            }
            Step::Batch(writes) => self.batch(&writes[..writes.len().min(20)]),
            Step::Sync => self.db.sync().unwrap(),
            Step::Compact => self.db.compact().unwrap(),
            Step::TakeView => {
                if self.views.len() < 4 {
                    self.views.push((self.db.read_view(), self.model.clone()));
                }
            }
            Step::CheckViews => {
                self.check();
                for (view, model) in &self.views {
                    assert_eq!(&documents(view).unwrap(), model, "a view changed");
                }
            }
            Step::Reopen { compact } => {
                self.views.clear();
                self.db.close().unwrap();
                self.db = open(&self.storage, compact.then_some(1));
                assert!(!self.db.recovery().unclean && self.db.recovery().torn.is_none());
                self.check();
            }
            Step::Crash { write, batch, bytes } => self.crash(&write, batch, bytes),
        }
    }

    fn text(&mut self, size: u8) -> String {
        self.written += 1;
        format!("[{},\"{}\"]", self.written, "x".repeat(usize::from(size) * usize::from(size) / 32))
    }

    fn one(&mut self, write: &Write, durability: Durability) {
        let db = self.db.with_durability(durability);
        match *write {
            Write::Put { collection, key: number, size } => {
                let (name, key, text) = (name(collection), key(number), self.text(size));
                db.collection(&name).put_raw(&key, &text).unwrap();
                self.model.insert((name, key), text);
            }
            Write::Delete { collection, key: number } => {
                let (name, key) = (name(collection), key(number));
                let was_there = db.collection(&name).delete(&key).unwrap();
                assert_eq!(was_there, self.model.remove(&(name, key)).is_some());
            }
            Write::Drop { collection } => {
                let name = name(collection);
                db.collection(&name).drop_all().unwrap();
                self.model.retain(|(collection, _), _| *collection != name);
            }
        }
    }

    fn batch(&mut self, writes: &[Write]) {
        let mut model = self.model.clone();
        let texts: Vec<String> = writes.iter().map(|_| self.text(40)).collect();
        self.db
            .batch(|batch| {
                for (write, text) in writes.iter().zip(&texts) {
                    match *write {
                        Write::Put { collection, key: number, .. } => {
                            batch.put_raw(&name(collection), &key(number), text)?;
                            model.insert((name(collection), key(number)), text.clone());
                        }
                        Write::Delete { collection, key: number } => {
                            batch.delete(&name(collection), &key(number))?;
                            model.remove(&(name(collection), key(number)));
                        }
                        Write::Drop { collection } => {
                            batch.drop_collection(&name(collection))?;
                            model.retain(|(of, _), _| *of != name(collection));
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
        self.model = model;
    }

    fn crash(&mut self, write: &Write, batch: bool, bytes: u16) {
        self.views.clear();
        self.db.sync().unwrap();
        let (before, model_before) = (files::contents(&self.storage), self.model.clone());
        if batch {
            self.batch(&[write.clone(), Write::Put { collection: 1, key: 1, size: 1 }, write.clone()]);
        } else {
            self.one(write, Durability::Disk);
        }
        let after = files::contents(&self.storage);
        let storage = MemoryStorage::new();
        let mut all_kept = true;
        for (name, all) in &after {
            let old = before.iter().find(|(old, _)| old == name).map_or(0, |(_, bytes)| bytes.len());
            let kept = (old + usize::from(bytes)).min(all.len());
            all_kept &= kept == all.len();
            files::put(&storage, name, &all[..kept]);
        }
        let db = open(&storage, None);
        let found = documents(&db.read_view()).unwrap();
        let whole = found == self.model;
        assert!(whole || found == model_before, "half a write survived, or more than it was lost");
        assert!(whole || !all_kept, "an acknowledged write was lost");
        if !whole {
            self.model = model_before;
        }
        self.storage = storage;
        self.db = db;
    }

    fn check(&self) {
        let view = self.db.read_view();
        assert_eq!(documents(&view).unwrap(), self.model);
        for number in 0..8 {
            let (name, key) = (name(number), key(number * 3));
            let wanted = self.model.get(&(name.clone(), key.clone())).map(String::as_str);
            assert_eq!(view.get_raw(&name, &key).unwrap().as_deref(), wanted);
        }
        assert_eq!(self.db.stats().unwrap().documents, self.model.len() as u64);
        assert!(self.db.verify().unwrap().is_sound());
    }
}

fn documents(view: &ReadView<MemoryStorage>) -> Result<Model> {
    let mut model = Model::new();
    view.for_each_of_all_raw(|collection, key, text| {
        model.insert((collection.to_owned(), key.to_owned()), text.to_owned());
        Ok(())
    })?;
    Ok(model)
}
