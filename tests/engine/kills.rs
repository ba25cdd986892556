//! Writers that are killed, again and again: nothing acknowledged goes, and nothing piles up.

use super::recovery::{documents, open, without_zeros};
use crate::support::image::{directory, image};
use crate::support::kill::{self, acknowledge, run_and_kill};
use pumice::blocking::Db;
use pumice::{Options, SyncDiskStorage};
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;

/// Does nothing of its own: the tests run it in a process that they kill.
#[test]
fn writes_until_it_is_killed() {
    let (Ok(dir), Ok(round)) = (std::env::var(kill::DIR), std::env::var(kill::ROUND)) else { return };
    let db = open(Path::new(&dir)).unwrap();
    if round == "idle" {
        acknowledge("open");
        std::thread::sleep(Duration::from_secs(60));
    }
    for n in 0_u64.. {
        let key = format!("{round}-{n}");
        if n % 3 == 0 {
            let twin = format!("{key}-twin");
            db.batch(|b| b.put("c", &key, &n)?.put("c", &twin, &n).map(drop)).unwrap();
        } else {
            db.collection("c").put(&key, &n).unwrap();
        }
        acknowledge(&key);
    }
}

#[test]
fn a_killed_writer_leaves_everything_acknowledged_and_no_growing_pile() {
    let dir = tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..6_u64 {
        let after = Duration::from_micros(1000 + 3700 * round);
        let said = run_and_kill("kills::writes_until_it_is_killed", dir.path(), &round.to_string(), after);
        acknowledged.extend(said);
        if round % 2 == 0 {
            // The next writer finds the tail as the kill left it; so do readers.
            continue;
        }
        let db = open(dir.path()).unwrap();
        let found = documents(&db);
        assert!(acknowledged.iter().all(|key| found.contains_key(key)));
        let batches = found.iter().filter(|(key, n)| *n % 3 == 0 && !key.ends_with("-twin"));
        assert!(batches.into_iter().all(|(key, _)| found.contains_key(&format!("{key}-twin"))));
    }
    run_and_kill("kills::writes_until_it_is_killed", dir.path(), "tail", Duration::from_millis(3));
    let db = Db::open_read_only(dir.path()).unwrap();
    let found = documents(&db);
    drop(db);
    // Killed right after each opening, before it could seal anything or after.
    let mut sizes = Vec::new();
    for round in 0..10 {
        run_and_kill(
            "kills::writes_until_it_is_killed",
            dir.path(),
            "idle",
            Duration::from_millis(round * 15),
        );
        let now = image(dir.path());
        sizes.push((now.len(), now.values().map(|bytes| without_zeros(bytes).len()).sum::<usize>()));
    }
    let (count, bytes) = sizes[0];
    assert!(sizes.iter().all(|(c, b)| *c <= count && *b <= bytes + 1000), "it grows: {sizes:?}");
    for _ in 0..20 {
        let db = open(dir.path()).unwrap();
        assert_eq!(documents(&db), found);
        db.close().unwrap();
    }
    let now = image(dir.path());
    let total = now.values().map(Vec::len).sum::<usize>();
    assert!(
        now.len() <= count && total <= bytes + 1000,
        "it grows: {sizes:?}, then {} of {total}",
        now.len()
    );
}

#[test]
fn the_segments_of_many_crashes_are_compacted_away() {
    let mut dir = tempdir().unwrap();
    for n in 0..40_u64 {
        let db = open(dir.path()).unwrap();
        db.collection("c").put(&n.to_string(), &n).unwrap();
        // As a kill at this moment leaves it.
        let left = directory(&image(dir.path()));
        drop(db);
        dir = left;
    }
    let segments = || image(dir.path()).keys().filter(|name| name.ends_with(".log")).count();
    assert!(segments() > 32, "{} segments", segments());
    let db = Db::open_with(SyncDiskStorage::open(dir.path()).unwrap(), Options::new()).unwrap();
    for _ in 0..600 {
        if db.stats().unwrap().compactions > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    db.close().unwrap();
    assert_eq!(segments(), 1);
    let db = open(dir.path()).unwrap();
    assert_eq!(documents(&db), (0..40).map(|n| (n.to_string(), n)).collect());
}
