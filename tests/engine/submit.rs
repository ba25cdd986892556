//! Guards against writes that overtake each other, and against one that is done twice because it was sent twice.

use crate::support::block_on;
use crate::support::watchdog::within;
use pumice::{Answer, Batch, Db, Durability, ErrorKind, MemoryStorage, Options, Origin, Storage, Submission};
use std::time::Duration;
use tokio::runtime::Builder;

const LIMIT: Duration = Duration::from_secs(60);

async fn open(storage: &MemoryStorage) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), Options::new().compact_at(None)).await.unwrap()
}

fn origin(client: &str, number: u64, done: u64) -> impl Into<Option<Origin>> {
    Origin { client: client.into(), number, done }
}

fn put<S: Storage>(db: &Db<S>, key: &str, json: &str, origin: impl Into<Option<Origin>>) -> Submission<S> {
    let mut batch = db.new_batch();
    batch.put_raw("c", key, json).unwrap();
    db.submit(batch, origin.into()).unwrap()
}

fn run(test: impl Future<Output = ()> + Send + 'static) {
    within(LIMIT, "submitting", || {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
    });
}

/// Also when there is room for one at a time, and a compaction makes all of them wait.
#[test]
fn writes_are_accepted_in_the_order_of_submitting_however_they_are_polled() {
    for (limit, durability) in [
        (1, Durability::Disk),
        (1, Durability::Buffered),
        (400, Durability::Buffered),
        (8 << 20, Durability::Disk),
    ] {
        run(async move {
            let options = Options::new().buffer_limit(limit).compact_at(Some(2000)).durability(durability);
            let db = Db::open_with(MemoryStorage::new(), options).await.unwrap();
            let submitted: Vec<_> = (0..300).map(|n| put(&db, "k", &n.to_string(), None)).collect();
            // The last ones first.
            let tasks: Vec<_> = submitted.into_iter().rev().map(|s| tokio::spawn(s.settled())).collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap().unwrap());
            }
            let expected: Vec<_> = (1..=300).rev().map(Answer::Written).collect();
            assert_eq!(answers, expected);
            assert_eq!(db.collection("c").get_raw("k").await.unwrap().unwrap(), "299");
            db.close().await.unwrap();
        });
    }
}

#[test]
fn a_submission_that_is_dropped_holds_nobody_up_and_writes_nothing() {
    run(async {
        let db = open(&MemoryStorage::new()).await;
        let (first, second) = (put(&db, "k", "1", None), put(&db, "k", "2", None));
        let waiting = tokio::spawn(second.settled());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        drop(first);
        assert_eq!(waiting.await.unwrap().unwrap(), Answer::Written(1));
    });
}

#[test]
fn a_deletion_sees_what_was_submitted_before_it_and_nothing_behind() {
    run(async {
        let db = open(&MemoryStorage::new()).await;
        let submitted = [
            db.submit_delete("c", "k", None).unwrap(),
            put(&db, "k", "1", None),
            db.submit_delete("c", "k", None).unwrap(),
            db.submit_delete("c", "k", None).unwrap(),
            put(&db, "k", "2", None),
        ];
        let tasks: Vec<_> = submitted.into_iter().map(|s| tokio::spawn(s.settled())).collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap());
        }
        let deleted = Answer::Deleted;
        assert_eq!(
            answers,
            [deleted(false), Answer::Written(1), deleted(true), deleted(false), Answer::Written(3)]
        );
    });
}

/// What a tab sends, by its numbers: a put, a deletion that finds nothing, a batch, a deletion, a dropped collection.
async fn send(db: &Db<MemoryStorage>, client: &str, done: u64) -> Vec<Answer> {
    let mut batch: Batch = db.new_batch();
    batch.put_raw("c", "a", "1").unwrap().put_raw("c", "b", "2").unwrap();
    let mut dropped = db.new_batch();
    dropped.drop_collection("d").unwrap();
    let submissions = [
        put(db, client, "1", origin(client, 1, done)),
        db.submit_delete("c", "a", origin(client, 2, done).into()).unwrap(),
        db.submit(batch, origin(client, 3, done).into()).unwrap(),
        db.submit_delete("c", client, origin(client, 4, done).into()).unwrap(),
        db.submit(dropped, origin(client, 5, done).into()).unwrap(),
    ];
    let mut answers = Vec::new();
    for submission in submissions {
        answers.push(submission.settled().await.unwrap());
    }
    answers
}

#[test]
fn a_repeated_write_is_answered_as_before_and_written_once() {
    block_on(async {
        let storage = MemoryStorage::new();
        let mut db = open(&storage).await;
        let first = send(&db, "tab", 0).await;
        let deleted = Answer::Deleted;
        assert_eq!(
            first,
            [Answer::Written(1), deleted(false), Answer::Written(5), deleted(true), Answer::Written(7)]
        );
        for round in 0..4 {
            // The deletion that found nothing finds nothing again, though the document is there now.
            assert_eq!(send(&db, "tab", 0).await, first, "round {round}");
            assert_eq!(db.sequence(), 7);
            assert!(db.collection("c").get_raw("a").await.unwrap().is_some());
            match round {
                0 => db.compact().await.unwrap(),
                1 => db = reopened(db, &storage).await,
                _ => {
                    db.compact().await.unwrap();
                    db = reopened(db, &storage).await;
                }
            }
        }
    });
}

async fn reopened(db: Db<MemoryStorage>, storage: &MemoryStorage) -> Db<MemoryStorage> {
    db.close().await.unwrap();
    open(storage).await
}

#[test]
fn what_the_client_has_answers_to_is_forgotten() {
    block_on(async {
        let db = open(&MemoryStorage::new()).await;
        let written = put(&db, "a", "1", origin("tab", 1, 0)).settled().await.unwrap();
        assert_eq!(put(&db, "a", "1", origin("tab", 1, 0)).settled().await.unwrap(), written);
        put(&db, "a", "2", origin("tab", 2, 2)).settled().await.unwrap();
        let late = put(&db, "a", "1", origin("tab", 1, 0)).settled().await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert_eq!(db.collection("c").get_raw("a").await.unwrap().unwrap(), "2");
    });
}

#[test]
fn clients_are_told_apart_and_checked() {
    block_on(async {
        let db = open(&MemoryStorage::new()).await;
        for (at, client) in ["a", "b", "\"a\" é"].iter().enumerate() {
            let answer = put(&db, client, "1", origin(client, 1, 0)).settled().await.unwrap();
            assert_eq!(answer, Answer::Written(at as u64 + 1));
        }
        let long = "x".repeat(65);
        for (client, number) in [("", 1), ("a\n", 1), (&*long, 1), ("a", u64::MAX)] {
            let refused = db.submit_delete("c", "k", origin(client, number, 0).into()).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{client:?}");
        }
        assert_eq!(db.submit_delete("c", "", None).err().unwrap().kind(), ErrorKind::InvalidArgument);
        assert_eq!(db.submit(db.new_batch(), None).unwrap().settled().await.unwrap(), Answer::Written(3));
    });
}

#[test]
fn nobody_in_the_line_waits_for_ever_when_the_database_closes() {
    run(async {
        let db = open(&MemoryStorage::new()).await;
        let submitted: Vec<_> = (0..50).map(|n| put(&db, "k", &n.to_string(), None)).collect();
        let tasks: Vec<_> = submitted.into_iter().map(|s| tokio::spawn(s.settled())).collect();
        db.close().await.unwrap();
        for task in tasks {
            if let Err(error) = task.await.unwrap() {
                assert_eq!(error.kind(), ErrorKind::Closed);
            }
        }
    });
}
