//! The workloads whose crashes are gone through. Each shows another order of effects to the disk.

#[path = "workloads_more.rs"]
mod more;
#[path = "workloads_past.rs"]
mod past;

use crate::workload::{Driver, Edit, options, put, text};

type Workload = (&'static str, fn(&mut Driver));

pub const ALL: &[Workload] = &[
    ("single_puts", single_puts),
    ("overwrites_and_deletes", overwrites_and_deletes),
    ("batches", batches),
    ("large_batch", large_batch),
    ("large_values", large_values),
    ("buffered_writes", buffered_writes),
    ("buffered_batches", buffered_batches),
    ("written_without_sync", written_without_sync),
    ("clean_reopening", clean_reopening),
    ("reopening_between_buffered", reopening_between_buffered),
    ("compact_once", compact_once),
    ("compact_often", compact_often),
    ("compact_large", compact_large),
    ("compact_nothing", compact_nothing),
    ("compact_deletes", compact_deletes),
    ("compact_and_reopen", compact_and_reopen),
    ("buffered_around_compaction", buffered_around_compaction),
    ("batch_across_rotation", batch_across_rotation),
    ("drop_collections", drop_collections),
    ("drop_and_compact", drop_and_compact),
    ("runs_by_themselves", runs_by_themselves),
    ("runs_then_one", runs_then_one),
    ("runs_and_reopen", runs_and_reopen),
    ("views_during_compaction", views_during_compaction),
    ("views_over_runs", views_over_runs),
    ("everything_deleted", everything_deleted),
    ("odd_texts", odd_texts),
    ("two_collections_interleaved", two_collections_interleaved),
    ("close_empty", close_empty),
    ("compact_then_close_at_once", compact_then_close_at_once),
    ("stray_files", stray_files),
    ("one_document_for_ever", one_document_for_ever),
    ("one_batch_only", one_batch_only),
    ("buffered_only", buffered_only),
    ("buffered_large_values", buffered_large_values),
    ("deletes_in_batches", deletes_in_batches),
    ("drop_in_batch_then_runs", drop_in_batch_then_runs),
    ("runs_of_deletes", runs_of_deletes),
    ("runs_with_large_values", runs_with_large_values),
    ("runs_and_buffered", runs_and_buffered),
    ("runs_of_drops", runs_of_drops),
    ("runs_closed_each_time", runs_closed_each_time),
    ("full_buffer_and_compaction", full_buffer_and_compaction),
    ("full_buffer_and_reopening", full_buffer_and_reopening),
    ("failed_compaction", failed_compaction),
    ("views_and_full_buffer", views_and_full_buffer),
    ("many_pages", many_pages),
    ("long_keys", long_keys),
    ("compact_after_every_reopening", compact_after_every_reopening),
    ("block_aligned_appends", block_aligned_appends),
    ("mixed", mixed),
    ("sent_by_a_client", more::sent_by_a_client),
    ("sent_and_compacted", more::sent_and_compacted),
    ("sent_around_reopening", more::sent_around_reopening),
    ("sent_in_a_full_buffer", more::sent_in_a_full_buffer),
    ("sent_beside_runs", more::sent_beside_runs),
    ("past_kept", past::kept),
    ("past_kept_by_runs", past::kept_by_runs),
    ("past_kept_around_reopening", past::kept_around_reopening),
    ("past_kept_over_imports", past::kept_over_imports),
    ("past_kept_beside_views", past::kept_beside_views),
    ("past_let_go", past::let_go),
    ("import_over_documents", more::import_over_documents),
    ("import_into_nothing", more::import_into_nothing),
    ("import_nothing", more::import_nothing),
    ("import_between_compactions", more::import_between_compactions),
    ("import_over_runs", more::import_over_runs),
    ("import_beside_views", more::import_beside_views),
    ("failed_import", more::failed_import),
];

fn single_puts(d: &mut Driver) {
    for n in 0..12 {
        d.put("c", n, format!("{{\"n\":{n}}}"));
    }
}

fn overwrites_and_deletes(d: &mut Driver) {
    for n in 0..16 {
        d.put("c", n % 4, n);
        if n % 3 == 0 {
            d.delete("c", (n + 1) % 4);
        }
    }
}

fn some(from: u32, count: u32) -> Vec<Edit> {
    (from..from + count).map(|n| put("c", n, format!("[{n}]"))).collect()
}

fn batches(d: &mut Driver) {
    for n in 0..6 {
        d.batch(&some(n * 2, n + 1));
    }
    d.batch(&[put("c", 1, "0"), Edit::Delete("c", "1".into()), put("d", 1, "0")]);
}

fn large_batch(d: &mut Driver) {
    d.put("c", "before", 1);
    d.batch(&(0..120).map(|n| put("c", n, text(100 + n % 50))).collect::<Vec<_>>());
    d.put("c", "behind", 1);
}

fn large_values(d: &mut Driver) {
    for n in [1, 4096, 9000, 300, 20_000] {
        d.put("c", n, text(n));
    }
    d.delete("c", 4096);
    d.put("c", 1, text(5000));
}

fn buffered_writes(d: &mut Driver) {
    for n in 0..5 {
        for m in 0..=n {
            d.buffer(&put("c", n * 10 + m, m));
        }
        d.sync();
    }
    d.buffer(&put("c", "last", 0));
}

fn buffered_batches(d: &mut Driver) {
    for n in 0..4 {
        d.buffer_batch(&some(n * 3, 4));
        d.buffer(&put("c", n, "null"));
        d.buffer_batch(&some(n * 5, 2));
        if n % 2 == 1 {
            d.sync();
        }
    }
    d.put("c", "sync", 1);
}

/// A full buffer goes to the file, where nothing of it is durable yet: several appends are volatile at once.
fn written_without_sync(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(200));
    for n in 0..14 {
        d.buffer(&put("c", n, text(60)));
    }
    d.sync();
    for n in 0..9 {
        d.buffer_batch(&some(n, 3));
    }
    d.put("c", "sync", 1);
    for n in 0..6 {
        d.buffer(&put("d", n, text(900)));
    }
}

fn clean_reopening(d: &mut Driver) {
    for n in 0..5 {
        d.put("c", n, n);
        d.reopen();
    }
    d.reopen();
    d.put("c", 0, "\"again\"");
}

fn reopening_between_buffered(d: &mut Driver) {
    for n in 0..4 {
        d.buffer(&put("c", n, n));
        d.buffer_batch(&some(10, 3));
        d.reopen();
    }
}

fn fill(d: &mut Driver, from: u32, count: u32) {
    d.batch(&some(from, count));
    d.put("c", from, "\"single\"");
}

fn compact_once(d: &mut Driver) {
    fill(d, 0, 10);
    d.compact();
    fill(d, 5, 10);
}

fn compact_often(d: &mut Driver) {
    for n in 0..5 {
        d.put("c", n, n);
        d.delete("c", n.max(1) - 1);
        d.compact();
    }
    d.put("c", "behind", 1);
}

fn compact_large(d: &mut Driver) {
    for n in 0..4 {
        d.batch(&(0..30).map(|m| put("c", n * 20 + m, text(200))).collect::<Vec<_>>());
    }
    d.compact();
    d.put("c", 3, 3);
    d.batch(&(0..10).map(|m| put("c", 30 + m, text(1000))).collect::<Vec<_>>());
    d.compact();
    d.put("c", 4, 4);
}

fn compact_nothing(d: &mut Driver) {
    d.compact();
    d.compact();
    d.put("c", 1, 1);
    d.compact();
    d.compact();
    d.reopen();
    d.compact();
}

fn compact_deletes(d: &mut Driver) {
    fill(d, 0, 8);
    d.compact();
    for n in 0..8 {
        d.delete("c", n);
    }
    d.compact();
    d.put("c", 3, "\"back\"");
    d.compact();
}

fn compact_and_reopen(d: &mut Driver) {
    for n in 0..3 {
        fill(d, n * 4, 6);
        d.compact();
        d.reopen();
        d.put("c", "x", n);
        d.reopen();
    }
}

fn buffered_around_compaction(d: &mut Driver) {
    for n in 0..3 {
        d.buffer_batch(&some(n, 4));
        d.buffer(&put("c", "b", n));
        d.compact();
        d.buffer(&put("c", "a", n));
    }
    d.sync();
    d.buffer(&put("c", "z", 1));
    d.compact();
}

fn batch_across_rotation(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(300));
    for n in 0..4 {
        d.buffer_batch(&some(n * 3, 5));
        d.buffer_batch(&some(n * 2, 5));
        d.compact();
        d.batch(&some(n * 3, 2));
    }
}

fn drop_collections(d: &mut Driver) {
    for n in 0..3 {
        d.put("a", n, n);
        d.put("b", n, n);
        d.drop_collection(if n % 2 == 0 { "a" } else { "b" });
        d.batch(&[put("a", "x", n), Edit::Drop("a"), put("a", "y", n)]);
    }
}

fn drop_and_compact(d: &mut Driver) {
    for n in 0..3 {
        d.batch(&[put("a", n, n), put("b", n, n), put("b", n + 1, n)]);
        d.compact();
        d.drop_collection("a");
        d.put("a", "x", n);
        d.compact();
    }
}

const SMALL: u64 = 900;

fn runs_by_themselves(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for n in 0..12 {
        d.batch(&some(n * 2, 5));
        d.settle(SMALL);
    }
}

/// Leaves runs of shrinking size, so that they stay apart.
fn several_runs(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for count in [200, 60, 15, 5] {
        d.batch(&some(count, count));
        d.settle(SMALL);
    }
}

fn runs_then_one(d: &mut Driver) {
    several_runs(d);
    d.put("c", 1, 1);
    d.drop_collection("c");
    d.put("c", 2, 2);
    d.compact();
    d.put("c", 3, 3);
}

fn runs_and_reopen(d: &mut Driver) {
    several_runs(d);
    d.reopen_with(options());
    d.put("c", 1, 1);
    d.compact();
    d.reopen();
    d.put("c", 2, 2);
}

fn views_during_compaction(d: &mut Driver) {
    for n in 0..3 {
        fill(d, n, 5);
        d.hold_view();
        d.delete("c", n);
        d.compact();
    }
    d.release_views();
    d.put("c", 9, 9);
    d.compact();
    d.put("c", 10, 9);
}

fn views_over_runs(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for n in 0..6 {
        d.batch(&some(n * 2, 6));
        d.hold_view();
        d.settle(SMALL);
    }
    d.compact();
    d.release_views();
    d.put("c", 1, 1);
    d.compact();
}

fn everything_deleted(d: &mut Driver) {
    fill(d, 0, 4);
    d.compact();
    d.batch(&(0..4).map(|n| Edit::Delete("c", n.to_string())).collect::<Vec<_>>());
    d.compact();
    d.reopen();
    d.put("c", 0, 0);
    d.delete("c", 0);
    d.compact();
}

fn odd_texts(d: &mut Driver) {
    for (n, key) in
        ["\u{0}", "{\"_s\":1,\"_p\":\"00000000\"", "\n", "é\"", "\",\"_x\":\"00000000\"}"].iter().enumerate()
    {
        d.put("c", key, format!("{{\"_w\":99,\"_s\":{n},\"_x\":\"00000000\"}}"));
    }
    d.batch(&[put("ü", "\\", "\"{\\\"_s\\\":3}\""), put("ü", "", "null")][..1]);
    d.compact();
    d.put("ü", "\u{10ffff}", "1.50e+01");
}

fn two_collections_interleaved(d: &mut Driver) {
    for n in 0..8 {
        d.put(if n % 2 == 0 { "a" } else { "b" }, n / 2, n);
        if n == 4 {
            d.compact();
        }
    }
}

fn close_empty(d: &mut Driver) {
    d.reopen();
    d.reopen();
    d.put("c", 1, 1);
}

fn compact_then_close_at_once(d: &mut Driver) {
    fill(d, 0, 5);
    d.compact();
    d.reopen();
    d.reopen();
    d.put("c", 1, 1);
}

fn stray_files(d: &mut Driver) {
    for name in ["notes.txt", "1.log", "00000000000000000003.log.tmp", "quarantine/x", "archive/y"] {
        d.storage.plant(name, b"{\"_s\":9}\n");
        d.put("c", name, 1);
    }
    d.compact();
    d.reopen();
    d.put("c", 1, 1);
}

fn one_document_for_ever(d: &mut Driver) {
    for n in 0..10 {
        d.put("c", "k", n);
        if n % 4 == 3 {
            d.compact();
        }
    }
}

fn one_batch_only(d: &mut Driver) {
    d.batch(&(0..40).map(|n| put("c", n, text(300))).collect::<Vec<_>>());
}

fn buffered_only(d: &mut Driver) {
    for n in 0..12 {
        d.buffer(&put("c", n, n));
    }
}

fn buffered_large_values(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(4000));
    for n in 0..10 {
        d.buffer(&put("c", n, text(n * 700)));
    }
    d.sync();
    for n in 0..6 {
        d.buffer(&put("c", n, text(3000)));
    }
}

fn deletes_in_batches(d: &mut Driver) {
    d.batch(&some(0, 12));
    for n in 0..4 {
        d.batch(&[
            Edit::Delete("c", (n * 3).to_string()),
            Edit::Delete("c", "none".into()),
            put("c", n, "0"),
        ]);
        if n == 1 {
            d.compact();
        }
    }
}

fn drop_in_batch_then_runs(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for n in 0..6 {
        d.batch(&some(n, 8));
        d.batch(&[Edit::Drop("c"), put("c", n, n), put("d", n, n)]);
        d.settle(SMALL);
    }
}

fn runs_of_deletes(d: &mut Driver) {
    several_runs(d);
    d.batch(&(60..90).map(|n| Edit::Delete("c", n.to_string())).collect::<Vec<_>>());
    d.settle(SMALL);
    d.delete("c", 200);
    d.compact();
}

fn runs_with_large_values(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(20_000)));
    for n in [9, 3, 2, 7] {
        for m in 0..n {
            d.put("c", m, text(3000 + m));
        }
        d.settle(20_000);
    }
}

fn runs_and_buffered(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)).buffer_limit(500));
    for n in 0..8 {
        d.buffer_batch(&some(n * 2, 5));
        d.buffer(&put("c", "b", n));
        d.settle(SMALL);
    }
    d.sync();
}

fn runs_of_drops(d: &mut Driver) {
    several_runs(d);
    for n in 0..3 {
        d.drop_collection("c");
        d.batch(&some(n, 8));
        d.settle(SMALL);
    }
    d.reopen();
    d.put("c", 1, 1);
}

fn runs_closed_each_time(d: &mut Driver) {
    d.reopen_with(options().compact_at(Some(SMALL)));
    for count in [80, 20, 9, 9, 3] {
        d.batch(&some(count, count));
        d.reopen();
    }
}

fn full_buffer_and_compaction(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(150));
    for n in 0..12 {
        d.buffer(&put("c", n % 5, text(50)));
        if n % 4 == 2 {
            d.compact();
        }
    }
}

fn full_buffer_and_reopening(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(150));
    for n in 0..9 {
        d.buffer_batch(&some(n, 2));
        if n % 4 == 2 {
            d.reopen();
        }
    }
}

/// The name of the next snapshot is taken, so the log goes on without it.
fn failed_compaction(d: &mut Driver) {
    fill(d, 0, 3);
    let sequence = d.db().sequence();
    d.storage.plant(&format!("{sequence:020}.snapshot"), b"");
    assert!(d.db().compact().is_err());
    d.put("c", 1, 1);
    d.reopen();
    d.compact();
    d.put("c", 2, 2);
}

fn views_and_full_buffer(d: &mut Driver) {
    d.reopen_with(options().buffer_limit(150));
    for n in 0..4 {
        d.buffer_batch(&some(n, 3));
        d.hold_view();
        d.compact();
        d.buffer(&put("c", n, text(100)));
    }
}

fn many_pages(d: &mut Driver) {
    d.reopen_with(options().pack_values(true));
    d.batch(&(0..500).map(|n| put("c", n, text(n % 90))).collect::<Vec<_>>());
    d.compact();
    d.batch(&(0..40).map(|n| put("c", n * 7, "null")).collect::<Vec<_>>());
    d.compact();
    d.put("c", 1, 1);
}

fn long_keys(d: &mut Driver) {
    for n in 0..5 {
        d.put("c", format!("{n}{}", "k".repeat(1000)), n);
        if n == 2 {
            d.compact();
        }
    }
    d.compact();
}

fn compact_after_every_reopening(d: &mut Driver) {
    for n in 0..5 {
        d.buffer(&put("c", n, n));
        d.reopen();
        d.compact();
    }
}

/// Lines that end just before, at and just behind the end of a block.
fn block_aligned_appends(d: &mut Driver) {
    for len in [230, 380, 379, 381, 383, 385, 890, 896, 897] {
        d.buffer(&put("c", len, text(len)));
        d.buffer(&put("c", "x", 1));
        d.sync();
    }
}

fn mixed(d: &mut Driver) {
    for n in 0..4_u32 {
        d.put("a", n, n);
        d.buffer(&put("b", n, text(n as usize * 100)));
        d.batch(&some(n, 3));
        d.buffer_batch(&[Edit::Drop("b"), put("b", "x", n)]);
        if n % 2 == 0 {
            d.hold_view();
            d.compact();
        } else {
            d.reopen();
        }
        d.delete("a", n);
    }
}
