//! Guards against a feed that loses its part of the log while its consumer is slow, gone for a moment, or elsewhere by now.

use super::segments::header;
use crate::support::block_on;
use crate::support::image::{Image, held, memory};
use crate::support::log_file::lines;
use crate::support::watchdog::within;
use pumice::blocking::Db;
use pumice::{Chunk, ErrorKind, MemoryStorage, Options, Storage};
use std::time::Duration;

fn options() -> Options {
    Options::new().compact_at(None)
}

fn open(storage: &MemoryStorage, options: Options) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), options).unwrap()
}

fn put<S: Storage>(db: &Db<S>, key: &str, json: &str) -> u64 {
    db.collection("c").put_raw(key, json).unwrap()
}

fn chunk<S: Storage>(feed: &mut pumice::Feed<S>, bytes: usize) -> Chunk {
    block_on(feed.next_chunk(bytes)).unwrap().unwrap()
}

fn text(chunk: &Chunk) -> &str {
    std::str::from_utf8(&chunk.text).unwrap()
}

fn logs(storage: &MemoryStorage) -> usize {
    block_on(storage.list()).unwrap().iter().filter(|name| name.ends_with(".log")).count()
}

/// The background task removes what no pin needs any more.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within half a minute: {what}");
}

#[test]
fn a_chunk_is_json_with_documents_as_they_were_stored() {
    let db = open(&MemoryStorage::new(), options());
    put(&db, "a \"b\"\n", "{\"n\":1.50}");
    db.batch(|b| b.put_raw("d", "k", "[1e999]")?.delete("c", "é").map(drop)).unwrap();
    db.collection("c").drop_all().unwrap();
    let mut feed = db.as_async().feed(0, None).unwrap();
    let told = chunk(&mut feed, 1 << 20);
    assert_eq!(
        text(&told),
        concat!(
            r#"[{"sequence":1,"collection":"c","key":"a \"b\"\n","type":"put","document":{"n":1.50}},"#,
            r#"{"sequence":3,"collection":"d","key":"k","type":"put","document":[1e999]},"#,
            r#"{"sequence":5,"collection":"c","key":"é","type":"delete"},"#,
            r#"{"sequence":6,"collection":"c","key":null,"type":"drop"}]"#
        )
    );
    assert_eq!((told.count, told.through), (4, 6));
    let told = chunk(&mut db.as_async().feed(0, Some("d")).unwrap(), 1 << 20);
    assert_eq!((told.count, told.through), (1, 6));
    assert!(text(&told).contains(r#""collection":"d""#));
}

#[test]
fn chunks_go_on_where_the_last_one_ended_whatever_their_size() {
    let db = open(&MemoryStorage::new(), options());
    let long = format!("\"{}\"", "x".repeat(3 << 20));
    for n in 0..300 {
        put(&db, &n.to_string(), if n == 200 { &long } else { "{\"a\":[]}" });
        if n % 70 == 0 {
            db.compact().unwrap();
        }
    }
    for bytes in [1, 500, 4 << 20] {
        // From where the log still is.
        let mut feed = db.as_async().feed(281, None).unwrap();
        let mut seen = Vec::new();
        while seen.last() != Some(&300) {
            let told = chunk(&mut feed, bytes);
            let changes: Vec<serde_json::Value> = serde_json::from_slice(&told.text).unwrap();
            assert_eq!(changes.len(), told.count);
            seen.extend(changes.iter().map(|change| change["sequence"].as_u64().unwrap()));
            assert_eq!(seen.last(), Some(&told.through));
        }
        assert_eq!(seen, (282..=300).collect::<Vec<_>>());
    }
}

#[test]
fn the_log_stays_from_what_was_confirmed_on_and_goes_soon_after_it() {
    within(Duration::from_secs(60), "feeds", || {
        let storage = MemoryStorage::new();
        let db = open(&storage, options());
        let mut feed = db.as_async().feed(0, None).unwrap();
        for n in 1..=3 {
            put(&db, "k", &n.to_string());
            db.compact().unwrap();
        }
        assert_eq!(logs(&storage), 4);
        // Read, and not confirmed.
        let last = (0..3).map(|_| chunk(&mut feed, 1)).last().unwrap();
        assert_eq!(last.through, 3);
        db.compact().unwrap();
        assert_eq!(logs(&storage), 4);
        let confirmations = feed.confirmations();
        confirmations.confirm(1);
        until("one segment goes", || logs(&storage) == 3);
        // Others begin where this one's consumer may have to.
        let mut again = db.as_async().feed(1, None).unwrap();
        assert_eq!(chunk(&mut again, 1).through, 2);
        drop(again);
        assert_eq!(db.as_async().feed(0, None).err().unwrap().kind(), ErrorKind::NotFound);
        // Not more than it was told.
        put(&db, "k", "4");
        confirmations.confirm(u64::MAX);
        until("the others go", || logs(&storage) == 1);
        assert!(db.as_async().feed(3, None).is_ok());
        assert_eq!(chunk(&mut feed, 1).through, 4);
    });
}

/// Who waits for changes of one collection must hear how far the others have come, or would find the log gone.
#[test]
fn a_feed_of_one_collection_tells_when_a_segment_holds_nothing_for_it() {
    let storage = MemoryStorage::new();
    let db = open(&storage, options());
    let mut feed = db.as_async().feed(0, Some("other")).unwrap();
    put(&db, "k", "1");
    db.compact().unwrap();
    let told = chunk(&mut feed, 1 << 10);
    assert_eq!((text(&told), told.count, told.through), ("[]", 0, 1));
    feed.confirmations().confirm(1);
    until("the segment goes", || logs(&storage) == 1);
    db.collection("other").put_raw("k", "2").unwrap();
    assert_eq!(chunk(&mut feed, 1 << 10).count, 1);
}

/// The same for one that has read everything already and waits: the next write may be far away.
#[test]
fn a_feed_that_waits_tells_when_a_segment_ends() {
    within(Duration::from_secs(60), "feeds", || {
        let storage = MemoryStorage::new();
        let db = open(&storage, options());
        let mut feed = db.as_async().feed(0, Some("other")).unwrap();
        let confirmations = feed.confirmations();
        put(&db, "k", "1");
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            while let Some(chunk) = block_on(feed.next_chunk(1 << 10)).unwrap() {
                tell.send((text(&chunk).to_owned(), chunk.through)).unwrap();
            }
        });
        // It has read that by now, or reads it later, which comes to the same.
        std::thread::sleep(Duration::from_millis(50));
        db.compact().unwrap();
        assert_eq!(told.recv().unwrap(), ("[]".into(), 1));
        confirmations.confirm(1);
        until("the segment goes", || logs(&storage) == 1);
        assert!(told.try_recv().is_err(), "once is enough");
        db.close().unwrap();
        waiting.join().unwrap();
    });
}

#[test]
fn a_feed_that_was_ended_keeps_nothing_while_it_waits() {
    within(Duration::from_secs(60), "feeds", || {
        let storage = MemoryStorage::new();
        let db = open(&storage, options());
        let mut feed = db.as_async().feed(0, None).unwrap();
        let confirmations = feed.confirmations();
        put(&db, "k", "1");
        assert_eq!(chunk(&mut feed, 1).through, 1);
        let waiting = std::thread::spawn(move || block_on(feed.next_chunk(1)));
        db.compact().unwrap();
        assert_eq!(logs(&storage), 2);
        confirmations.end();
        until("the segment goes", || logs(&storage) == 1);
        confirmations.confirm(1);
        db.close().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), None);
    });
}

#[test]
fn pinned_segments_go_one_after_the_other_while_the_log_goes_on() {
    let storage = MemoryStorage::new();
    let db = open(&storage, options());
    let mut feed = db.as_async().feed(0, None).unwrap();
    for n in 1..=3 {
        put(&db, "k", &n.to_string());
        db.compact().unwrap();
    }
    put(&db, "k", "4");
    while chunk(&mut feed, 1 << 10).through < 4 {}
    for (confirmed, left) in [(1, 3), (2, 2), (3, 1)] {
        assert_eq!(logs(&storage), left + 1);
        feed.confirmations().confirm(confirmed);
        until("one more segment goes", || logs(&storage) == left);
    }
}

#[test]
fn a_feed_that_begins_now_is_told_what_comes() {
    let db = open(&MemoryStorage::new(), options());
    put(&db, "k", "1");
    let mut feed = db.as_async().feed(db.as_async().durable(), None).unwrap();
    put(&db, "k", "2");
    assert_eq!(chunk(&mut feed, 1).through, 2);
    db.close().unwrap();
    assert_eq!(block_on(feed.next_chunk(1)).unwrap(), None);
}

/// The handle that the feed was of ends, in order or not. The next one has what the consumer lacks.
#[test]
fn feeds_are_resumed_after_reopening_within_the_grace() {
    within(Duration::from_secs(60), "feeds", || {
        for in_order in [true, false] {
            let storage = MemoryStorage::new();
            let db = open(&storage, options());
            put(&db, "k", "0");
            db.compact().unwrap();
            let feed = db.as_async().feed(1, None).unwrap();
            for n in 2..=4 {
                put(&db, "k", &n.to_string());
                db.compact().unwrap();
            }
            // What a killed process leaves.
            let left = if in_order { storage.clone() } else { memory(&held(&storage)) };
            db.close().unwrap();
            drop(feed);
            drop(db);
            let graceful = |seconds| options().feed_grace(Duration::from_secs(seconds));
            let db = open(&left, graceful(60));
            let mut feed = db.as_async().feed(1, None).unwrap();
            assert_eq!((2..=4).map(|_| chunk(&mut feed, 1).through).last(), Some(4));
            assert_eq!(db.collection("c").get_raw("k").unwrap().unwrap(), "4");
            assert!(db.verify().unwrap().is_sound());
            db.compact().unwrap();
            // Again, with a feed that was resumed and has not confirmed anything.
            db.close().unwrap();
            drop((feed, db));
            let db = open(&left, graceful(3));
            let mut feed = db.as_async().feed(1, None).unwrap();
            assert_eq!(chunk(&mut feed, 1).through, 2);
            drop(feed);
            until("nobody came, so they go", || logs(&left) == 1);
            assert_eq!(db.as_async().feed(3, None).err().unwrap().kind(), ErrorKind::NotFound);
            assert_eq!(db.collection("c").get_raw("k").unwrap().unwrap(), "4");
            db.close().unwrap();
        }
    });
}

#[test]
fn without_grace_an_opening_removes_what_snapshots_have_replaced() {
    let storage = MemoryStorage::new();
    let db = open(&storage, options());
    put(&db, "k", "0");
    db.compact().unwrap();
    put(&db, "k", "1");
    let feed = db.as_async().feed(1, None).unwrap();
    db.compact().unwrap();
    let left = memory(&held(&storage));
    assert_eq!(logs(&left), 2);
    drop(feed);
    // With it the one that stands before the log stays.
    let kept = memory(&held(&left));
    let db = open(&kept, options().feed_grace(Duration::from_secs(60)));
    let mut feed = db.as_async().feed(1, None).unwrap();
    assert_eq!((chunk(&mut feed, 1).through, logs(&kept)), (2, 2));
    drop((feed, db));
    let db = open(&left, options());
    assert_eq!(logs(&left), 1);
    assert_eq!(db.as_async().feed(1, None).err().unwrap().kind(), ErrorKind::NotFound);
}

/// A replaced segment of two records, kept for a feed, and the active one behind it, as a kill leaves them.
fn kept(text: &str) -> Image {
    let storage = MemoryStorage::new();
    let db = open(&storage, options());
    put(&db, "k", "0");
    let _feed = db.as_async().feed(0, None).unwrap();
    put(&db, "k", text);
    db.compact().unwrap();
    put(&db, "k", "2");
    held(&storage)
}

#[test]
fn a_replaced_segment_is_kept_for_feeds_only_when_it_leads_to_the_next_one() {
    const FIRST: &str = "00000000000000000001.log";
    const NEXT: &str = "00000000000000000003.log";
    let told = |files: &Image| {
        let db = open(&memory(files), options().feed_grace(Duration::from_secs(60)));
        assert_eq!(db.collection("c").get_raw("k").unwrap().unwrap(), "2");
        db.as_async().feed(0, None).map(|mut feed| chunk(&mut feed, 1).through).map_err(|error| error.kind())
    };
    let whole = kept("1");
    assert_eq!(told(&whole), Ok(2));
    // Of another history, as long as the right one.
    let mut files = whole.clone();
    files.insert(FIRST.to_owned(), kept("7")[FIRST].clone());
    assert_eq!(told(&files), Err(ErrorKind::NotFound));
    // Zeros stand where the next one says that something does.
    let mut files = whole.clone();
    let next = &lines(&whole[NEXT])[0];
    let len = next.json()["previous_bytes"].as_u64().unwrap();
    let longer = header(next, &[("previous_bytes", (len + 9).into())]);
    files.insert(NEXT.to_owned(), [longer.as_bytes(), &whole[NEXT][next.end()..]].concat());
    files.get_mut(FIRST).unwrap().truncate(usize::try_from(len).unwrap());
    files.get_mut(FIRST).unwrap().extend([0; 9]);
    assert_eq!(told(&files), Err(ErrorKind::NotFound));
}
