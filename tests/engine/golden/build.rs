//! Builds the golden databases, the same bytes every time: a fixed clock and fixed randomness, in memory.
//!
//! The one thing left to the machine is when a quiet log is sealed. So a step waits for the seal before the next
//! begins, and a build that took so long that a seal may have come early is thrown away.

use crate::support::block_on;
use pumice::blocking::Db;
use pumice::{Environment, MemoryStorage, Options, Published, Storage};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A database's files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A clock that moves on by a millisecond each time it is read, and random bytes that count up.
pub struct Fixed(AtomicU64);

impl Environment for Fixed {
    fn unix_millis(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn random(&self, bytes: &mut [u8]) -> pumice::Result<()> {
        bytes.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        Ok(())
    }
}

fn options(start: u64) -> Options {
    Options::new().compact_at(None).pack_values(false).environment(Fixed(AtomicU64::new(start)))
}

/// When the first record of every golden database was written.
const START: u64 = 1_790_000_000_000;
/// Half of what the engine waits before it seals a quiet log.
const IN_TIME: Duration = Duration::from_millis(50);

pub fn files_of(storage: &MemoryStorage) -> Files {
    let names = block_on(storage.list()).unwrap();
    names.into_iter().map(|name| (name.clone(), read(storage, &name))).collect()
}

fn read(storage: &MemoryStorage, name: &str) -> Vec<u8> {
    block_on(storage.read_at(name, 0, usize::MAX)).unwrap()
}

/// One session with a database, step by step.
struct Session {
    storage: MemoryStorage,
    db: Db<MemoryStorage>,
    in_time: bool,
}

impl Session {
    fn open(storage: &MemoryStorage, options: Options) -> Self {
        let db = Db::open_with(storage.clone(), options).unwrap();
        let mut session = Self { storage: storage.clone(), db, in_time: true };
        session.wait_for_seal();
        session
    }

    /// Opens a database whose log calls for a compaction, and waits for its end.
    fn open_and_compact(storage: &MemoryStorage, options: Options) -> Self {
        let (published, next) = mpsc::channel();
        let tell = move |file: &Published| drop(published.send(file.clone()));
        let db = Db::open_with(storage.clone(), options.on_published(tell)).unwrap();
        next.recv_timeout(Duration::from_secs(60)).expect("a compaction");
        let mut session = Self { storage: storage.clone(), db, in_time: true };
        session.wait_for_seal();
        session
    }

    /// Does `work` and waits until the log is quiet and sealed.
    fn step(&mut self, work: impl FnOnce(&Db<MemoryStorage>) -> pumice::Result<()>) {
        self.step_without_seal(work);
        self.wait_for_seal();
    }

    fn step_without_seal(&mut self, work: impl FnOnce(&Db<MemoryStorage>) -> pumice::Result<()>) {
        let start = Instant::now();
        work(&self.db).unwrap();
        self.in_time &= start.elapsed() < IN_TIME;
    }

    fn wait_for_seal(&mut self) {
        for _ in 0..2000 {
            let log =
                files_of(&self.storage).into_iter().rfind(|(name, _)| name.strip_suffix(".log").is_some());
            let last = log.map(|(_, bytes)| last_line(&bytes).1.to_vec()).unwrap_or_default();
            if String::from_utf8_lossy(&last).contains(r#""cmd":"SEAL""#) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.in_time = false;
    }

    /// Closes; false when a seal may stand where it should not.
    fn close(self) -> bool {
        self.db.close().unwrap();
        self.in_time
    }
}

/// Where the last line begins, and the line without its end.
fn last_line(bytes: &[u8]) -> (usize, &[u8]) {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let start = body.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    (start, &body[start..])
}

/// Makes a database's files; nothing when it was not in time.
pub type Build = fn() -> Option<Files>;

/// Repeats `build` until it was in time.
pub fn build(build: Build) -> Files {
    (0..100).find_map(|_| build()).expect("the machine was busy in every one of 100 builds")
}

/// A log only, of two sessions, both closed.
pub fn closed() -> Option<Files> {
    let storage = MemoryStorage::new();
    let mut first = Session::open(&storage, options(START));
    first.step(everyday);
    first.step(odd);
    let in_time = first.close();
    let mut second = Session::open(&storage, options(START + 60_000));
    second.step(|db| db.collection("users").put_raw("ada", r#"{"name":"Ada","born":1815}"#).map(drop));
    (second.close() && in_time).then(|| files_of(&storage))
}

/// A log whose writer was killed within a write: the last line is cut, and zeros follow, as a directory leaves them.
pub fn torn() -> Option<Files> {
    let storage = MemoryStorage::new();
    let mut session = Session::open(&storage, options(START));
    session.step(everyday);
    session.step_without_seal(|db| {
        for number in 1..=3 {
            db.collection("late").put_raw(&format!("k{number}"), &format!(r#"{{"number":{number}}}"#))?;
        }
        Ok(())
    });
    let in_time = session.close();
    let mut files = files_of(&storage);
    files.retain(|name, _| name.ends_with(".log"));
    for bytes in files.values_mut() {
        bytes.truncate(last_line(bytes).0);
        bytes.truncate(bytes.len() - 40);
        bytes.extend_from_slice(&[0; 64]);
    }
    in_time.then_some(files)
}

/// A full snapshot, an incremental one with tombstones and a drop on top of it, and a log behind both.
pub fn compacted() -> Option<Files> {
    snapshots(options)
}

/// The same with packed values.
pub fn packed() -> Option<Files> {
    snapshots(|start| options(start).pack_values(true))
}

fn snapshots(options: fn(u64) -> Options) -> Option<Files> {
    let storage = MemoryStorage::new();
    let mut first = Session::open(&storage, options(START));
    first.step(everyday);
    first.step(|db| {
        for number in 0..60 {
            let text = format!(r#"{{"number":{number},"text":"{}"}}"#, "abcdefgh".repeat(40));
            db.collection("bulk").put_raw(&format!("key-{number:03}"), &text)?;
        }
        Ok(())
    });
    first.step(Db::compact);
    let in_time = first.close();

    let mut second = Session::open(&storage, options(START + 60_000));
    second.step(|db| {
        db.collection("bulk").delete("key-007")?;
        db.collection("bulk").put_raw("key-008", "8.00")?;
        db.collection("pets").drop_all()?;
        db.collection("pets").put_raw("rex", r#""dog""#)?;
        let long = format!("\"{}\"", "long ".repeat(1600));
        db.collection("users").put_raw("long", &long).map(drop)
    });
    let in_time = second.close() && in_time;

    // The log is long enough to be compacted at once.
    let mut third = Session::open_and_compact(&storage, options(START + 120_000).compact_at(Some(8 << 10)));
    third.step(odd);
    third.step(|db| {
        db.batch(|b| {
            b.put_raw("users", "eve", "[]")?.delete("bulk", "key-009")?.drop_collection("things")?;
            b.put_raw("things", "after the drop", "true")?;
            Ok(())
        })
        .map(drop)
    });
    (third.close() && in_time).then(|| files_of(&storage))
}

/// The log of the format's documentation.
pub fn example() -> Option<Files> {
    let storage = MemoryStorage::new();
    let mut session = Session::open(&storage, options(START));
    session.step_without_seal(|db| {
        db.collection("users").put_raw("ada", r#"{"n":1}"#)?;
        db.batch(|b| b.put_raw("users", "bob", "2.50")?.delete("users", "ada").map(drop)).map(drop)
    });
    session.close().then(|| files_of(&storage))
}

fn everyday(db: &Db<MemoryStorage>) -> pumice::Result<()> {
    let users = db.collection("users");
    users.put_raw("ada", r#"{"name":"Ada"}"#)?;
    users.put_raw("bob", r#"{ "name" : "Bob", "tags" : [ 1, 2.50, -0.0, 1e999, null ] }"#)?;
    users.put_raw("cyd", r#"{"name":"Cyd"}"#)?;
    users.delete("cyd")?;
    let things = db.collection("things");
    things.put_raw("dropped", "1")?;
    things.drop_all()?;
    things.put_raw("kept", "2")?;
    db.batch(|b| {
        b.put_raw("pets", "tom", r#"{"kind":"cat"}"#)?.put_raw("pets", "rex", r#"{"kind":"dog"}"#)?;
        b.delete("users", "nobody")?.delete("users", "bob")?;
        Ok(())
    })?;
    Ok(())
}

/// Names, keys and values at the edges of what may be stored.
fn odd(db: &Db<MemoryStorage>) -> pumice::Result<()> {
    let odd = db.collection("odd: \"\\/ é 日本 \u{1f600}");
    for key in ["\"", "\\", "/", "\n\r\t", "\u{0}", "\u{7f}", "é", "日本", "\u{1f600}", " ", "{\"_s\":1"] {
        odd.put_raw(key, "null")?;
    }
    odd.put_raw(&"k".repeat(1024), r#""the longest key""#)?;
    odd.put_raw("digits", "[123456789012345678901234567890,0.1000,-0,1E+2,1e-999999]")?;
    odd.put_raw("members", r#"{"b":1,"a":2,"b":3,"":4}"#)?;
    odd.put_raw("escapes", r#""\u00e9 \/ \ud83d\ude00 \ud800 \" \\ \n""#)?;
    odd.put_raw("deep", &format!("{}{}", "[".repeat(128), "]".repeat(128)))?;
    db.collection(&"c".repeat(255)).put_raw("k", r#""the longest name""#)?;
    Ok(())
}
