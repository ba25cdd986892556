//! Asynchronous callers whose futures are dropped while they wait.

use crate::explore::{Deadlines, every_order, many_orders};
use crate::world::{World, options};
use pumice::Durability;
use shuttle::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls a future `polls` times, with others going on between, and drops it. What it gave, if it was ready.
fn begin<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

/// The one that is gone must not swallow the wake-up of the one that waits.
#[test]
fn a_dropped_caller_and_a_writer() {
    every_order("dropped-and-writer", 2, Deadlines::NeverCome, || {
        let world = World::new(options(), &[]);
        let other = world.clone();
        let dropped = thread::spawn(move || {
            let collection = other.db.as_async().collection("c");
            if let Some(sequence) = begin(collection.put("b", &2), 1) {
                other.acknowledged(sequence.unwrap());
            }
        });
        world.put("a", 1);
        dropped.join().unwrap();
        // Half-way or not: the number that it took is in the log.
        assert_eq!(world.close_and_check().len(), 2);
    });
}

fn many_dropped() {
    let world = World::new(options().buffer_limit(300), &[]);
    let callers: Vec<_> = (0..3)
        .map(|t| {
            let world = world.clone();
            thread::spawn(move || {
                for n in 0..2 {
                    let durability = if (t + n) % 2 == 0 { Durability::Disk } else { Durability::Buffered };
                    let db = world.db.as_async().with_durability(durability);
                    let key = format!("{t} {n}");
                    let batch =
                        db.batch(|b| b.put("c", &key, &1)?.put("c", &format!("{key} too"), &1).map(drop));
                    if let Some(sequence) = begin(batch, 1 + n) {
                        let sequence = sequence.unwrap();
                        if durability == Durability::Disk {
                            world.acknowledged(sequence);
                        }
                    }
                    begin(db.sync(), 1);
                }
            })
        })
        .collect();
    world.put("a", 1);
    world.put("b", 1);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    world.cut_the_power();
    world.close_and_check();
}

#[test]
fn dropped_callers_and_a_full_buffer() {
    many_orders("dropped-callers", 2000, Deadlines::NeverCome, many_dropped);
    many_orders("dropped-callers-deadlines", 2000, Deadlines::Come, many_dropped);
}

/// The compaction that nobody waits for any more goes on, and the next one waits for it.
#[test]
fn a_dropped_compaction() {
    many_orders("dropped-compaction", 1500, Deadlines::NeverCome, || {
        let world = World::new(options(), &[("a", 0)]);
        let other = world.clone();
        let dropped = thread::spawn(move || drop(begin(other.db.as_async().compact(), 2)));
        world.put("a", 1);
        world.db.compact().unwrap();
        dropped.join().unwrap();
        world.close_and_check();
    });
}
