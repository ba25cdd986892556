//! Writers that wait for room: the turn to write goes to someone who takes it, whoever is woken first.

use crate::disk::Fault;
use crate::explore::{Deadlines, many_orders};
use crate::world::{World, options};
use pumice::ErrorKind;
use shuttle::{future, thread};

/// Every write calls for a compaction, and while one runs there is no room.
fn writers_and_compactions(fault: Fault) {
    let world = World::new(options().compact_at(Some(1)), &[("a", 0)]);
    world.disk.fail(fault);
    let writers: Vec<_> = (0..4)
        .map(|t| {
            let world = world.clone();
            thread::spawn(move || {
                for n in 0..2 {
                    let key = format!("{t} {n}");
                    match t {
                        0 => drop(world.put_buffered(&key, n)),
                        1 | 2 => drop(world.put(&key, n)),
                        _ => {
                            let collection = world.db.as_async().collection("c");
                            world.acknowledged(future::block_on(collection.put(&key, &n)).unwrap());
                        }
                    }
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    world.close_and_check();
}

#[test]
fn writers_wait_for_compactions() {
    many_orders("room-and-compactions", 3000, Deadlines::NeverCome, || {
        writers_and_compactions(Fault::Nothing)
    });
    many_orders("room-and-failed-compactions", 3000, Deadlines::NeverCome, || {
        writers_and_compactions(Fault::Snapshots);
    });
}

/// Some of those who wait for room find that there is nothing to write when their turn comes.
#[test]
fn some_who_wait_for_room_need_it_no_more() {
    many_orders("room-and-nothing-to-write", 4000, Deadlines::NeverCome, || {
        let world = World::new(options().buffer_limit(1), &[("k", 1)]);
        let callers: Vec<_> = (0..4)
            .map(|t| {
                let world = world.clone();
                thread::spawn(move || match t {
                    0 => drop(world.put("a", 1)),
                    1 => drop(world.put_buffered("b", 1)),
                    _ => {
                        world.db.collection("c").delete("k").unwrap();
                        world.db.collection("c").delete("never there").unwrap();
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!(world.close_and_check().len(), 4);
    });
}

/// Some are refused by a close while others wait for the log.
#[test]
fn some_who_wait_for_room_are_refused() {
    many_orders("room-and-close", 3000, Deadlines::NeverCome, || {
        let world = World::new(options().buffer_limit(1).compact_at(Some(600)), &[]);
        let callers: Vec<_> = (0..3)
            .map(|t| {
                let world = world.clone();
                thread::spawn(move || {
                    let key = format!("{t}");
                    let told = match t {
                        0 => world.db.collection("c").put(&key, &1),
                        1 => world.db.batch(|b| b.put("c", &key, &1)?.delete("c", "a").map(drop)),
                        _ => future::block_on(world.db.as_async().collection("c").put(&key, &1)),
                    };
                    match told {
                        Ok(sequence) => world.acknowledged(sequence),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
                    }
                })
            })
            .collect();
        world.db.close().unwrap();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        world.check_closed();
    });
}
