//! Workloads whose past is kept: after each crash every moment of it must be there.

use super::{SMALL, fill, some};
use crate::workload::{Driver, Edit, options, put};
use pumice::Retention;

pub fn kept(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    for n in 0..3 {
        fill(d, n, 2);
        d.batch(&some(n, 2));
        d.compact();
    }
    d.delete("c", 1);
}

pub fn kept_by_runs(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    d.reopen_with(options().compact_at(Some(SMALL)));
    for n in 0..5 {
        d.batch(&some(n * 2, 6));
        d.settle(SMALL);
    }
}

pub fn kept_around_reopening(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    for n in 0..3 {
        d.put("c", n, n);
        d.buffer(&put("c", "b", n));
        d.reopen();
        d.compact();
        d.buffer(&Edit::Drop("d"));
    }
}

pub fn kept_over_imports(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    fill(d, 0, 3);
    d.import(&some(4, 3));
    d.put("c", 5, "\"behind\"");
    d.compact();
    d.import(&some(1, 2));
    d.put("c", 6, 6);
}

pub fn kept_beside_views(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    fill(d, 0, 2);
    d.compact();
    d.hold_view();
    fill(d, 2, 2);
    d.compact();
    d.release_views();
    d.put("c", 9, 9);
    d.compact();
}

/// What must be there says the setting as it is found.
pub fn let_go(d: &mut Driver) {
    d.keep(Some(Retention::new()));
    fill(d, 0, 3);
    d.compact();
    d.keep(None);
    d.put("c", 1, 1);
    d.compact();
}
