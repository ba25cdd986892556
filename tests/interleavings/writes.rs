//! Writers, among each other and against a close.

use crate::explore::{Deadlines, every_order, exploring, many_orders};
use crate::world::{World, options};
use pumice::{Durability, ErrorKind};
use shuttle::{future, thread};

fn two_writers() {
    let world = World::new(options(), &[]);
    let other = world.clone();
    let writer = thread::spawn(move || other.put("b", 2));
    world.put("a", 1);
    writer.join().unwrap();
    world.cut_the_power();
    world.close_and_check();
}

#[test]
fn two_writers_share_the_log() {
    every_order("two-writers", 2, Deadlines::NeverCome, two_writers);
}

#[test]
fn two_writers_beside_a_clock() {
    every_order("two-writers-deadlines", 1, Deadlines::Come, two_writers);
}

/// Neither leads: the background task writes for both.
#[test]
fn two_asynchronous_callers() {
    every_order("two-async", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[]);
        let put = |world: World, key: &'static str| {
            let collection = world.db.as_async().collection("c");
            world.acknowledged(future::block_on(collection.put(key, &1)).unwrap());
        };
        let other = world.clone();
        let writer = thread::spawn(move || put(other, "b"));
        put(world.clone(), "a");
        writer.join().unwrap();
        world.close_and_check();
    });
}

fn three_writers_two_writes() {
    let world = World::new(options(), &[]);
    let writers: Vec<_> = (0..3)
        .map(|t| {
            let world = world.clone();
            thread::spawn(move || {
                world.put("shared", t);
                let batch =
                    world.db.batch(|b| b.put("c", &format!("{t}"), &t)?.delete("c", "shared").map(drop));
                world.acknowledged(batch.unwrap());
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    world.cut_the_power();
    world.close_and_check();
}

#[test]
fn three_writers() {
    many_orders("three-writers", 2000, Deadlines::NeverCome, three_writers_two_writes);
    many_orders("three-writers-deadlines", 2000, Deadlines::Come, three_writers_two_writes);
}

fn buffered_write_and_sync() {
    let world = World::new(options(), &[]);
    let other = world.clone();
    let writer = thread::spawn(move || {
        let sequence = other.put_buffered("b", 2);
        assert_eq!(other.db.collection("c").get::<u64>("b").unwrap(), Some(2), "a buffered write shows");
        other.db.sync().unwrap();
        other.acknowledged(sequence);
    });
    world.put("a", 1);
    writer.join().unwrap();
    world.cut_the_power();
    world.close_and_check();
}

/// A buffered write behind a durable one shows with it.
#[test]
fn a_buffered_write_beside_a_durable_one() {
    every_order("buffered-and-disk", 2, Deadlines::NeverCome, buffered_write_and_sync);
    many_orders("buffered-and-disk-deadlines", 2000, Deadlines::Come, buffered_write_and_sync);
}

/// Nobody asks for a sync: the deadline alone sees to it.
#[test]
fn a_buffered_write_is_synced_in_time() {
    many_orders("buffered-in-time", 1000, Deadlines::Come, || {
        let world = World::new(options(), &[]);
        let sequence = world.put_buffered("a", 1);
        while !world.disk.is_durable(sequence) {
            thread::yield_now();
        }
        world.close_and_check();
    });
}

/// A buffer of one byte has room for one write only when it is empty.
#[test]
fn writers_wait_for_room() {
    many_orders("full-buffer", 3000, Deadlines::NeverCome, || {
        let world = World::new(options().buffer_limit(1), &[]);
        let writers: Vec<_> = (0..3)
            .map(|t| {
                let world = world.clone();
                thread::spawn(move || {
                    for n in 0..3 {
                        let key = format!("{t} {n}");
                        match t {
                            0 => drop(world.put_buffered(&key, n)),
                            1 => drop(world.put(&key, n)),
                            _ => {
                                let db = world.db.as_async().with_durability(Durability::Buffered);
                                future::block_on(db.collection("c").put(&key, &n)).unwrap();
                            }
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(world.close_and_check().len(), 9);
    });
}

/// Closing beside a writer: the write is durable, or refused.
#[test]
fn a_writer_against_a_close() {
    every_order("writer-and-close", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[]);
        let other = world.clone();
        let writer = thread::spawn(move || match other.db.collection("c").put("a", &1) {
            Ok(sequence) => other.acknowledged(sequence),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        });
        world.db.close().unwrap();
        exploring(false);
        writer.join().unwrap();
        world.check_closed();
    });
}

/// Whoever is told that there is nothing to delete can rely on that after a power cut.
#[test]
fn a_delete_waits_for_the_one_before() {
    every_order("two-deletes", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("k", 1)]);
        let delete = |world: &World| {
            let deleted = world.db.collection("c").delete("k").unwrap();
            assert!(world.disk.is_durably("DELETE", "k"), "told {deleted} before the delete was durable");
        };
        let other = world.clone();
        let deleter = thread::spawn(move || delete(&other));
        delete(&world);
        deleter.join().unwrap();
        world.cut_the_power();
        world.close_and_check();
    });
}

/// Nobody sees a durable delete before it is one.
#[test]
fn a_read_beside_a_delete() {
    every_order("delete-and-read", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("k", 1)]);
        let other = world.clone();
        let deleter = thread::spawn(move || assert!(other.db.collection("c").delete("k").unwrap()));
        if world.db.collection("c").get::<u64>("k").unwrap().is_none() {
            assert!(world.disk.is_durably("DELETE", "k"), "seen before it was durable");
        }
        deleter.join().unwrap();
        world.close_and_check();
    });
}

/// Also where a buffered delete hides the document already.
#[test]
fn a_delete_waits_for_a_buffered_one() {
    every_order("buffered-delete", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("k", 1)]);
        let other = world.clone();
        let deleter = thread::spawn(move || {
            other.db.with_durability(Durability::Buffered).collection("c").delete("k").unwrap();
        });
        let deleted = world.db.collection("c").delete("k").unwrap();
        assert!(world.disk.is_durably("DELETE", "k"), "told {deleted} before the delete was durable");
        deleter.join().unwrap();
        world.close_and_check();
    });
}
