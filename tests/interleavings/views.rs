//! Views, counts and feeds, against writers and compactions.

use crate::explore::{Deadlines, every_order, exploring, many_orders};
use crate::world::{Documents, World, documents, model, options};
use pumice::ErrorKind;
use shuttle::thread;

/// A view sees exactly its prefix, also when it is looked at later.
#[test]
fn a_view_beside_a_writer() {
    every_order("view-and-writer", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("a", 0), ("b", 0)]);
        let other = world.clone();
        let writer = thread::spawn(move || {
            let batch = other.db.batch(|b| b.put("c", "a", &1)?.delete("c", "b").map(drop));
            other.acknowledged(batch.unwrap());
        });
        let view = world.db.read_view();
        let first = documents(&view);
        writer.join().unwrap();
        assert_eq!(documents(&view), first, "the view moved");
        let history = world.close_and_check();
        assert_eq!(first, model(&history, view.sequence()));
    });
}

/// The tables behind a view are exchanged while it is made and looked at.
#[test]
fn a_view_beside_a_compaction() {
    every_order("view-and-compaction", 1, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("a", 0), ("b", 0)]);
        let other = world.clone();
        let compactor = thread::spawn(move || other.db.compact().unwrap());
        world.put("a", 1);
        let view = world.db.read_view();
        assert_eq!(documents(&view), [("a".to_owned(), 1), ("b".to_owned(), 0)].into());
        compactor.join().unwrap();
        assert_eq!(documents(&view).len(), 2);
        drop(view);
        world.close_and_check();
    });
}

fn everything_at_once() {
    let world = World::new(options().compact_at(Some(900)), &[("shared", 9)]);
    let writers: Vec<_> = (0..3)
        .map(|t| {
            let world = world.clone();
            thread::spawn(move || {
                let written = world.db.collection("c").put("shared", &t);
                let batch = world
                    .db
                    .batch(|b| b.put("c", &format!("{t} x"), &t)?.put("c", &format!("{t} y"), &t).map(drop));
                for told in [written, batch] {
                    match told {
                        Ok(sequence) => world.acknowledged(sequence),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
                    }
                }
            })
        })
        .collect();
    let reader = {
        let world = world.clone();
        thread::spawn(move || {
            let mut seen = Vec::new();
            for _ in 0..2 {
                let view = world.db.read_view();
                let look = || -> pumice::Result<Documents> {
                    view.scan::<u64>("c", ..)?.map(|e| e.map(|e| (e.key, e.document))).collect()
                };
                match (look(), look()) {
                    (Ok(first), Ok(again)) => {
                        assert_eq!(first, again, "the view moved");
                        seen.push((view.sequence(), first));
                    }
                    (first, again) => {
                        let error = first.and(again).unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                    }
                }
            }
            seen
        })
    };
    let compactor = {
        let world = world.clone();
        thread::spawn(move || {
            if let Err(error) = world.db.compact() {
                assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            }
        })
    };
    let mut writers = writers.into_iter();
    writers.next().unwrap().join().unwrap();
    world.db.close().unwrap();
    exploring(false);
    writers.for_each(|writer| writer.join().unwrap());
    compactor.join().unwrap();
    let seen = reader.join().unwrap();
    let history = world.check_closed();
    for (sequence, documents) in seen {
        assert_eq!(documents, model(&history, sequence), "as of {sequence}");
    }
}

#[test]
fn writers_views_compactions_and_a_close() {
    many_orders("everything", 1500, Deadlines::NeverCome, everything_at_once);
    many_orders("everything-deadlines", 1500, Deadlines::Come, everything_at_once);
}

/// Two who ask for a compaction, one after the other or together, and a writer.
#[test]
fn two_compactions_and_a_writer() {
    many_orders("two-compactions", 1500, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("a", 0)]);
        let compactors: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || world.db.compact().unwrap())
            })
            .collect();
        world.put("b", 1);
        world.put("a", 1);
        compactors.into_iter().for_each(|compactor| compactor.join().unwrap());
        world.cut_the_power();
        world.close_and_check();
    });
}

/// A feed tells every durable change once and in order, and ends with the database.
#[test]
fn a_feed_beside_writers_and_a_compaction() {
    many_orders("feed", 1500, Deadlines::NeverCome, || {
        let world = World::new(options(), &[]);
        let feed = {
            let (changes, disk) = (world.db.changes(0).unwrap(), world.disk.clone());
            thread::spawn(move || {
                let mut told = Vec::new();
                for change in changes.map(std::result::Result::unwrap) {
                    assert!(disk.is_durable(change.sequence), "told before it was durable");
                    told.push((change.sequence, change.key.unwrap()));
                    if told.len() == 4 {
                        break;
                    }
                }
                told
            })
        };
        let other = world.clone();
        let writer = thread::spawn(move || {
            other.put_buffered("b", 1);
            other.put("c", 2);
        });
        world.put("a", 1);
        world.db.compact().unwrap();
        world.put("d", 1);
        writer.join().unwrap();
        let told = feed.join().unwrap();
        let history = world.close_and_check();
        let written: Vec<_> = history.into_iter().map(|(sequence, record)| (sequence, record.key)).collect();
        assert_eq!(told, written);
    });
}

/// A feed that waits for the next change is woken by the close.
#[test]
fn a_waiting_feed_ends_with_the_database() {
    every_order("feed-and-close", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[]);
        let changes = world.db.changes(0).unwrap();
        let feed = thread::spawn(move || changes.map(std::result::Result::unwrap).count());
        world.db.close().unwrap();
        exploring(false);
        assert_eq!(feed.join().unwrap(), 0);
        world.check_closed();
    });
}
