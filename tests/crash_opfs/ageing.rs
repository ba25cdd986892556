//! Workloads in which the age of slots matters. They begin, as all do, in a new database and in an aged one.

use crate::workload::{Driver, options, put, text};

pub const ALL: &[(&str, fn(&mut Driver))] = &[
    ("a_few_seconds_old", a_few_seconds_old),
    ("ageing_between_writes", ageing_between_writes),
    ("ageing_with_unsynced_bytes", ageing_with_unsynced_bytes),
    ("ageing_of_an_empty_segment", ageing_of_an_empty_segment),
    ("compactions_while_young", compactions_while_young),
    ("ageing_between_compactions", ageing_between_compactions),
    ("spares_used_up", spares_used_up),
    ("growth_that_ages", growth_that_ages),
    ("slots_reused_often", slots_reused_often),
    ("short_sessions", short_sessions),
    ("sessions_of_a_minute", sessions_of_a_minute),
    ("large_files_while_young", large_files_while_young),
    ("young_and_aged_mixed", young_and_aged_mixed),
];

const MINUTE: u64 = 60_000;

fn a_few_seconds_old(d: &mut Driver) {
    for n in 0..10 {
        d.put("c", n, text(n * 30));
        d.storage.wait(1000);
    }
    d.delete("c", 3);
}

fn ageing_between_writes(d: &mut Driver) {
    d.put("c", 1, 1);
    d.storage.wait(MINUTE - 1);
    d.put("c", 2, 2);
    d.storage.wait(MINUTE);
    d.put("c", 3, 3);
    assert_eq!(d.storage.journalled(), 0);
    d.put("c", 4, 4);
}

/// Bytes that are in the slot when it ages, and not in the journal.
fn ageing_with_unsynced_bytes(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(150));
    for n in 0..4 {
        d.buffer(&put("c", n, text(80)));
    }
    d.storage.wait(MINUTE);
    for n in 4..8 {
        d.buffer(&put("c", n, text(80)));
    }
    d.sync();
    d.put("c", 1, 1);
}

fn ageing_of_an_empty_segment(d: &mut Driver) {
    d.storage.wait(MINUTE);
    d.reopen();
    d.storage.wait(MINUTE);
    d.put("c", 1, 1);
}

fn compactions_while_young(d: &mut Driver) {
    for n in 0..4 {
        d.batch(&(0..6).map(|m| put("c", n * 3 + m, text(40))).collect::<Vec<_>>());
        d.compact();
        d.put("c", n, n);
    }
}

fn ageing_between_compactions(d: &mut Driver) {
    for n in 0..4 {
        d.put("c", n, text(300));
        d.compact();
        d.storage.wait(MINUTE / 2 + 1000);
        d.put("c", n, n);
    }
}

/// Files of others fill the spare slots, so that rotation and compaction find young ones only.
fn spares_used_up(d: &mut Driver) {
    for n in 0..8 {
        d.storage.plant(&format!("other-{n}.dat"), b"not a document");
    }
    for n in 0..3 {
        d.put("c", n, text(200));
        d.compact();
    }
    d.put("c", 9, 9);
}

fn growth_that_ages(d: &mut Driver) {
    for n in 0..8 {
        d.storage.plant(&format!("archive/{n}.dat"), b"not a document");
        d.storage.wait(10_000);
    }
    d.put("c", 1, text(600));
    d.compact();
    d.storage.wait(MINUTE);
    d.put("c", 2, text(600));
    d.compact();
    d.put("c", 3, 3);
}

fn slots_reused_often(d: &mut Driver) {
    for n in 0..9 {
        d.put("c", n % 3, text(900 - n * 90));
        d.compact();
    }
    d.put("c", 1, 1);
}

fn short_sessions(d: &mut Driver) {
    for n in 0..5 {
        d.put("c", n, n);
        d.storage.wait(MINUTE - 1);
        d.buffer(&put("c", "buffered", n));
        d.reopen();
    }
    d.compact();
    d.reopen();
    d.put("c", 1, 1);
}

fn sessions_of_a_minute(d: &mut Driver) {
    for n in 0..4 {
        d.put("c", n, n);
        d.storage.wait(MINUTE);
        d.put("c", "aged", n);
        d.reopen();
        if n % 2 == 1 {
            d.compact();
        }
    }
}

fn large_files_while_young(d: &mut Driver) {
    for n in [5000, 200, 9000] {
        d.put("c", n, text(n));
    }
    d.compact();
    d.put("c", 200, text(4096));
    d.storage.wait(MINUTE);
    d.put("c", 1, text(4096));
    d.compact();
}

fn young_and_aged_mixed(d: &mut Driver) {
    d.put("c", 0, 0);
    for n in 0..3 {
        for m in 0..3 {
            d.storage.plant(&format!("other-{n}-{m}.dat"), b"");
        }
        d.compact();
        d.put("c", n, text(100));
        d.storage.wait(MINUTE / 2);
        d.reopen();
        d.put("c", n, "null");
        d.storage.wait(MINUTE / 2 + 1);
    }
}
