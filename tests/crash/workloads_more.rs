//! Workloads of clients that send again what was not answered, and of imports.

use super::{SMALL, fill, several_runs, some};
use crate::workload::{Driver, Edit, options, put, text};

pub fn sent_by_a_client(d: &mut Driver) {
    for n in 0..8 {
        d.send(&[put("c", n % 3, n)]);
        d.send_delete("c", (n + 1) % 4);
        d.send_buffered(&some(n % 5, 2));
        d.send_buffered(&[put("c", "x", n)]);
    }
    d.send(&[Edit::Drop("c")]);
    d.send_delete("c", 1);
    d.send(&[put("c", 1, 1)]);
}

pub fn sent_and_compacted(d: &mut Driver) {
    for n in 0..4 {
        d.send(&[put("c", n, n)]);
        d.send_buffered(&some(n, 2));
        d.send_delete("c", n + 9);
        d.compact();
        d.send_delete("c", n);
        d.send_buffered(&[put("c", n + 9, n)]);
        d.compact();
    }
}

pub fn sent_around_reopening(d: &mut Driver) {
    for n in 0..4 {
        d.send_buffered(&[put("c", n, n)]);
        d.send_delete("c", n + 1);
        d.send_buffered(&some(n, 3));
        d.reopen();
        if n == 2 {
            d.compact();
        }
    }
    d.send(&[put("c", 1, 1)]);
}

pub fn sent_in_a_full_buffer(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(200));
    for n in 0..9 {
        d.send_buffered(&[put("c", n % 4, text(60))]);
        d.send_buffered(&some(n, 2));
        if n % 3 == 1 {
            d.compact();
        }
    }
}

pub fn sent_beside_runs(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for n in 0..10 {
        d.send(&some(n * 2, 5));
        d.send_buffered(&[put("c", "b", n)]);
        d.settle(SMALL);
    }
}

pub fn import_over_documents(d: &mut Driver) {
    fill(d, 0, 6);
    d.import(&some(4, 5));
    d.put("c", 5, "\"behind\"");
    d.import(&[put("d", 1, text(5000)), put("e", 2, 2)]);
    d.buffer(&put("c", 6, 6));
}

pub fn import_into_nothing(d: &mut Driver) {
    d.import(&some(0, 3));
    d.reopen();
    d.put("c", 1, 1);
    d.import(&some(0, 1));
    d.reopen();
}

pub fn import_nothing(d: &mut Driver) {
    d.import(&[]);
    fill(d, 0, 3);
    d.import(&[]);
    d.import(&[]);
    d.put("c", 1, 1);
    d.compact();
}

pub fn import_between_compactions(d: &mut Driver) {
    for n in 0..2 {
        fill(d, n, 4);
        d.compact();
        fill(d, n + 2, 3);
        d.import(&some(n, 6));
        d.put("c", n, "\"behind\"");
        d.delete("c", n + 1);
        d.compact();
    }
}

pub fn import_over_runs(d: &mut Driver) {
    several_runs(d);
    d.import(&some(0, 70));
    for count in [12, 4] {
        d.batch(&some(count, count));
        d.settle(SMALL);
    }
    d.import(&some(3, 2));
    d.put("c", 1, 1);
}

pub fn import_beside_views(d: &mut Driver) {
    fill(d, 0, 5);
    d.compact();
    d.hold_view();
    d.import(&some(2, 5));
    d.hold_view();
    d.put("c", 1, 1);
    d.compact();
    d.release_views();
    d.compact();
}

/// The name that the snapshot is to have is taken, so the old contents stay.
pub fn failed_import(d: &mut Driver) {
    fill(d, 0, 3);
    let taken = d.db().sequence() + 1;
    d.storage.plant(&format!("{taken:020}.snapshot"), b"");
    assert!(d.try_import(&some(0, 1)).is_err());
    d.put("c", 9, 9);
    d.import(&some(0, 4));
    d.put("c", 9, 9);
}
