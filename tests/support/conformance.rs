//! What every storage must do. The suite asks for nothing but the trait: no threads, no files, no clock, so that it
//! runs in a browser too.
//!
//! `open` opens the place of that name. The first time it must be empty; after `close`, opening it again must find
//! what was there.

use super::pause::pause;
use pumice::{ErrorKind, Storage};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs the whole suite.
pub async fn check<S: Storage>(open: impl AsyncFn(&str) -> S) {
    makes_appends_and_reads(&open("files").await).await;
    reads_what_is_there(&open("reads").await).await;
    cuts_and_removes(&open("cuts").await).await;
    knows_what_is_missing(&open("missing").await).await;
    refuses_bad_names(&open("names").await).await;
    keeps_folders_apart(&open("folders").await).await;
    keeps_two_growing_files_apart(&open("two").await).await;
    shows_readers_a_prefix(&open("prefix").await).await;
    persists(&open).await;
    appends_after_a_cut_in_an_old_log(&open).await;
}

/// For storages with something to release: a closed handle refuses every call.
pub async fn check_closed<S: Storage>(open: impl AsyncFn(&str) -> S) {
    let s = open("closed").await;
    s.create("a.dat").await.unwrap();
    s.append("a.dat", b"x").await.unwrap();
    s.close().await.unwrap();
    s.close().await.expect("closing twice does nothing");
    kind(s.list().await, ErrorKind::Closed);
    kind(s.create("b.dat").await, ErrorKind::Closed);
    kind(s.len("a.dat").await, ErrorKind::Closed);
    kind(s.read_at("a.dat", 0, 1).await, ErrorKind::Closed);
    kind(s.append("a.dat", b"y").await, ErrorKind::Closed);
    kind(s.sync("a.dat").await, ErrorKind::Closed);
    kind(s.truncate("a.dat", 0).await, ErrorKind::Closed);
    kind(s.remove("a.dat").await, ErrorKind::Closed);
    let again = open("closed").await;
    assert_eq!(all(&again, "a.dat").await, b"x");
}

async fn makes_appends_and_reads<S: Storage>(s: &S) {
    assert!(s.list().await.unwrap().is_empty());
    for name in ["1.log", "1.snapshot"] {
        s.create(name).await.unwrap();
        assert_eq!(s.len(name).await.unwrap(), 0);
        assert!(all(s, name).await.is_empty());
        s.append(name, b"hello ").await.unwrap();
        s.append(name, b"").await.unwrap();
        s.append(name, b"world").await.unwrap();
        s.sync(name).await.unwrap();
        s.sync(name).await.unwrap();
        assert_eq!(s.len(name).await.unwrap(), 11, "the handle that appends knows the end of {name}");
        assert_eq!(all(s, name).await, b"hello world");
        let again = s.create(name).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Io);
        assert!(again.to_string().contains(name), "{again}");
        assert_eq!(all(s, name).await, b"hello world", "a refused create changes nothing");
    }
    assert_eq!(listed(s).await, ["1.log", "1.snapshot"]);
}

async fn reads_what_is_there<S: Storage>(s: &S) {
    s.create("r.snapshot").await.unwrap();
    let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
    s.append("r.snapshot", &content).await.unwrap();
    let mut buffer = b"in use".to_vec();
    for (offset, len) in
        [(0, 0), (0, 1), (7, 256), (4999, 1), (4990, 100), (5000, 1), (6000, 3), (u64::MAX, 9)]
    {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(len).min(content.len());
        assert_eq!(
            s.read_at("r.snapshot", offset, len).await.unwrap(),
            content[start..end],
            "{offset} {len}"
        );
        s.read_into("r.snapshot", offset, len, &mut buffer).await.unwrap();
        assert_eq!(buffer, content[start..end], "{offset} {len}");
    }
    s.read_into("r.snapshot", 0, usize::MAX, &mut buffer).await.unwrap();
    assert_eq!(buffer, content);
    // More than any machine has: a storage that took memory for the length asked for would die here.
    assert_eq!(s.read_at("r.snapshot", 0, usize::MAX).await.unwrap(), content);
    let tail = s.read_at("r.snapshot", 4999, usize::MAX).await.unwrap();
    assert!(tail.len() == 1 && tail.capacity() < 4096);
    assert!(s.read_at("r.snapshot", u64::MAX, usize::MAX).await.unwrap().is_empty());
}

async fn cuts_and_removes<S: Storage>(s: &S) {
    for name in ["c.log", "c.snapshot"] {
        s.create(name).await.unwrap();
        s.append(name, b"0123456789").await.unwrap();
        s.truncate(name, 10).await.unwrap();
        s.truncate(name, 4).await.unwrap();
        assert_eq!((s.len(name).await.unwrap(), all(s, name).await), (4, b"0123".to_vec()));
        kind(s.truncate(name, 5).await, ErrorKind::InvalidArgument);
        assert_eq!(s.len(name).await.unwrap(), 4);
        s.append(name, b"ab").await.unwrap();
        assert_eq!(all(s, name).await, b"0123ab");
        s.truncate(name, 0).await.unwrap();
        assert!(all(s, name).await.is_empty());
        s.append(name, b"new").await.unwrap();
        s.remove(name).await.unwrap();
        kind(s.len(name).await, ErrorKind::NotFound);
        s.create(name).await.unwrap();
        assert!(all(s, name).await.is_empty(), "nothing of a removed file comes back");
        s.remove(name).await.unwrap();
    }
    assert!(s.list().await.unwrap().is_empty());
}

async fn knows_what_is_missing<S: Storage>(s: &S) {
    for name in ["none.log", "archive/none.log"] {
        kind(s.len(name).await, ErrorKind::NotFound);
        kind(s.read_at(name, 0, 1).await, ErrorKind::NotFound);
        kind(s.append(name, b"x").await, ErrorKind::NotFound);
        kind(s.sync(name).await, ErrorKind::NotFound);
        kind(s.truncate(name, 0).await, ErrorKind::NotFound);
        kind(s.remove(name).await, ErrorKind::NotFound);
    }
    assert!(s.list().await.unwrap().is_empty(), "asking for a file does not make it");
}

async fn refuses_bad_names<S: Storage>(s: &S) {
    let long = format!("{}.log", "a".repeat(252));
    let bad = [
        "",
        ".",
        "..",
        ".log",
        "../a.log",
        "a/../b.log",
        "/a.log",
        "a.log/",
        "a..log",
        "a\\b.log",
        "a b.log",
        "a\0.log",
        "ä.log",
        "a:b.log",
        "other/a.log",
        "archive/",
        "archive/.log",
        "archive/../a.log",
        "archive/archive/a.log",
        "archive//a.log",
        "Archive/a.log",
        &long,
    ];
    for name in bad {
        kind(s.create(name).await, ErrorKind::InvalidArgument);
        kind(s.len(name).await, ErrorKind::InvalidArgument);
        kind(s.read_at(name, 0, 1).await, ErrorKind::InvalidArgument);
        kind(s.append(name, b"x").await, ErrorKind::InvalidArgument);
        kind(s.sync(name).await, ErrorKind::InvalidArgument);
        kind(s.truncate(name, 0).await, ErrorKind::InvalidArgument);
        kind(s.remove(name).await, ErrorKind::InvalidArgument);
    }
    assert!(s.list().await.unwrap().is_empty());
}

async fn keeps_folders_apart<S: Storage>(s: &S) {
    let names = ["archive/x.log", "quarantine/x.log", "quarantine/x.log.2", "x.log"];
    for name in names {
        s.create(name).await.unwrap();
        s.append(name, name.as_bytes()).await.unwrap();
        s.sync(name).await.unwrap();
    }
    assert_eq!(listed(s).await, names);
    for name in names {
        assert_eq!(all(s, name).await, name.as_bytes());
    }
    s.remove("quarantine/x.log").await.unwrap();
    kind(s.len("quarantine/x.log").await, ErrorKind::NotFound);
    assert_eq!(all(s, "x.log").await, b"x.log");
}

async fn keeps_two_growing_files_apart<S: Storage>(s: &S) {
    let mut expected = [Vec::new(), Vec::new()];
    let names = ["left.log", "right.snapshot"];
    for name in names {
        s.create(name).await.unwrap();
    }
    for i in 0..600_usize {
        for (side, name) in names.iter().enumerate() {
            let piece = vec![(i * 2 + side) as u8; (i * 37 + side * 11) % 701];
            s.append(name, &piece).await.unwrap();
            expected[side].extend(piece);
        }
        if i % 97 == 0 {
            s.sync(names[i % 2]).await.unwrap();
        }
    }
    // More at once than any storage may grow by.
    let big = vec![7; 3_000_000];
    s.append("left.log", &big).await.unwrap();
    expected[0].extend(big);
    for (name, expected) in names.iter().zip(&expected) {
        assert_eq!(s.len(name).await.unwrap(), expected.len() as u64);
        assert!(all(s, name).await == *expected, "{name}");
    }
}

async fn shows_readers_a_prefix<S: Storage>(s: &S) {
    let expected: Vec<u8> = (0..20_000_u32).map(|i| (i % 250) as u8 + 1).collect();
    s.create("p.log").await.unwrap();
    let write = async {
        for piece in expected.chunks(97) {
            s.append("p.log", piece).await.unwrap();
            s.sync("p.log").await.unwrap();
            pause().await;
        }
    };
    let read = async {
        let mut seen = 0;
        while seen < expected.len() {
            let bytes = all(s, "p.log").await;
            let content = without_zeros(&bytes);
            assert!(content.len() >= seen, "what was read once stays");
            assert!(expected.starts_with(content));
            seen = content.len();
            pause().await;
        }
    };
    both(write, read).await;
}

async fn persists<S: Storage>(open: &impl AsyncFn(&str) -> S) {
    let s = open("persists").await;
    for name in ["a.log", "b.snapshot", "quarantine/c.log", "gone.log"] {
        s.create(name).await.unwrap();
        s.append(name, name.as_bytes()).await.unwrap();
        s.sync(name).await.unwrap();
    }
    s.remove("gone.log").await.unwrap();
    s.close().await.unwrap();
    drop(s);

    let s = open("persists").await;
    assert_eq!(listed(&s).await, ["a.log", "b.snapshot", "quarantine/c.log"]);
    assert_eq!(all(&s, "b.snapshot").await, b"b.snapshot");
    assert_eq!(without_zeros(&all(&s, "a.log").await), b"a.log");
    s.append("b.snapshot", b" and more").await.unwrap();
    s.close().await.unwrap();

    let s = open("persists").await;
    assert_eq!(all(&s, "b.snapshot").await, b"b.snapshot and more");
    s.close().await.unwrap();
}

/// A log may have zeros behind its content when it is opened again; after a cut they must be gone for good.
async fn appends_after_a_cut_in_an_old_log<S: Storage>(open: &impl AsyncFn(&str) -> S) {
    let s = open("old").await;
    s.create("o.log").await.unwrap();
    s.append("o.log", b"first").await.unwrap();
    s.close().await.unwrap();
    for round in 1..4_u64 {
        let s = open("old").await;
        let end = 5 * round;
        let bytes = all(&s, "o.log").await;
        assert_eq!(bytes.len() as u64, s.len("o.log").await.unwrap());
        assert_eq!(without_zeros(&bytes).len() as u64, end);
        s.truncate("o.log", end).await.unwrap();
        assert_eq!(s.len("o.log").await.unwrap(), end);
        s.append("o.log", b"again").await.unwrap();
        s.sync("o.log").await.unwrap();
        let bytes = all(&s, "o.log").await;
        assert!(without_zeros(&bytes).ends_with(b"again") && without_zeros(&bytes).len() as u64 == end + 5);
        s.close().await.unwrap();
    }
}

/// The whole file, as a reader gets it.
pub async fn all<S: Storage>(s: &S, name: &str) -> Vec<u8> {
    s.read_at(name, 0, usize::MAX).await.unwrap()
}

/// The content of a log, whose last byte is never zero.
pub fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)]
}

/// The names of all files, sorted.
pub async fn listed<S: Storage>(s: &S) -> Vec<String> {
    let mut names = s.list().await.unwrap();
    names.sort();
    names
}

/// Demands a failure of this kind.
#[track_caller]
pub fn kind<T>(result: pumice::Result<T>, expected: ErrorKind) {
    match result {
        Ok(_) => panic!("succeeded, but {expected:?} was due"),
        Err(e) => assert_eq!(e.kind(), expected, "{e}"),
    }
}

/// Drives two futures in turns on one task.
async fn both(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_done, mut b_done) = (false, false);
    poll_fn(|cx| {
        a_done = a_done || a.as_mut().poll(cx).is_ready();
        b_done = b_done || b.as_mut().poll(cx).is_ready();
        if a_done && b_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
