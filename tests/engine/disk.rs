//! Guards against what can go wrong only in a directory: two writers, other people's files, links, a reader that
//! writes, a lock that outlives its handle, an executor that stands still.

use crate::support::block_on;
use crate::support::conformance::{all, kind, listed, without_zeros};
use pumice::{ErrorKind, Storage, SyncDiskStorage};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;
use tempfile::tempdir;

/// Names the directory that a child process of these tests is to open.
const CHILD_DIR: &str = "PUMICE_TEST_CHILD_DIR";
const CHILD_FOUND_IT_BUSY: i32 = 42;

/// Every path below `dir` with its length and times of change.
fn state(dir: &Path) -> Vec<(String, u64, SystemTime)> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            entries.extend(state(&entry.path()));
        }
        entries.push((entry.path().display().to_string(), metadata.len(), metadata.modified().unwrap()));
    }
    entries.push((dir.display().to_string(), 0, fs::metadata(dir).unwrap().modified().unwrap()));
    entries.sort();
    entries
}

/// A database with one synced log, closed.
fn database(dir: &Path) {
    let s = SyncDiskStorage::open(dir).unwrap();
    block_on(async {
        s.create("1.log").await.unwrap();
        s.append("1.log", b"line").await.unwrap();
        s.sync("1.log").await.unwrap();
        s.close().await.unwrap();
    });
}

fn busy(opened: pumice::Result<SyncDiskStorage>) {
    let e = opened.err().expect("a second writer must be refused");
    assert_eq!(e.kind(), ErrorKind::Busy);
    assert!(e.message().contains("close it there, or open it read-only"), "{e}");
}

#[test]
fn one_handle_writes() {
    let dir = tempdir().unwrap();
    let s = SyncDiskStorage::open(dir.path()).unwrap();
    busy(SyncDiskStorage::open(dir.path()));
    drop(s);
    let s = SyncDiskStorage::open(dir.path()).expect("dropping gives the lock back");
    block_on(s.close()).unwrap();
    let _again = SyncDiskStorage::open(dir.path()).expect("so does closing, while the handle is still there");
    busy(SyncDiskStorage::open(dir.path()));
}

#[test]
fn one_process_writes() {
    let dir = tempdir().unwrap();
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "disk::opens_as_a_child_process"]).env(CHILD_DIR, dir.path());
        command.output().unwrap().status.code()
    };
    let s = SyncDiskStorage::open(dir.path()).unwrap();
    assert_eq!(child(), Some(CHILD_FOUND_IT_BUSY));
    drop(s);
    assert_eq!(child(), Some(0));
}

/// Does nothing of its own: `one_process_writes` runs it in a second process.
#[test]
fn opens_as_a_child_process() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    match SyncDiskStorage::open(dir) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::Busy => std::process::exit(CHILD_FOUND_IT_BUSY),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn makes_missing_directories() {
    let dir = tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    database(&deep);
    assert_eq!(block_on(listed(&SyncDiskStorage::open(&deep).unwrap())), ["1.log"]);
}

#[test]
fn leaves_a_foreign_directory_alone() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    fs::create_dir(dir.path().join("archive")).unwrap();
    fs::write(dir.path().join("archive/old.log"), "x").unwrap();
    let before = state(dir.path());
    let e = SyncDiskStorage::open(dir.path()).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    assert!(
        e.message().contains("is not empty and is not a Pumice database; choose another directory"),
        "{e}"
    );
    kind(SyncDiskStorage::open_read_only(dir.path()), ErrorKind::NotFound);
    assert_eq!(state(dir.path()), before);
}

#[test]
fn refuses_a_file_in_place_of_the_directory() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for opened in [SyncDiskStorage::open(&file), SyncDiskStorage::open_read_only(&file)] {
        let e = opened.err().unwrap();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().contains(file.to_str().unwrap()), "{e}");
    }
    let below = SyncDiskStorage::open(file.join("db")).err().unwrap();
    assert_eq!(below.kind(), ErrorKind::Io, "{below}");
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[test]
fn reading_never_makes_a_database() {
    let dir = tempdir().unwrap();
    let missing = dir.path().join("none");
    for dir in [missing.as_path(), dir.path()] {
        let e = SyncDiskStorage::open_read_only(dir).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert!(e.message().starts_with("there is no database at "), "{e}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn refuses_links_inside() {
    use std::os::unix::fs::symlink;
    let outside = tempdir().unwrap();
    let target = outside.path().join("1.log");
    fs::write(&target, "precious").unwrap();
    for link in
        ["LOCK", "2.log", "2.snapshot", "archive", "quarantine", "archive/2.log", "quarantine/2.log.1"]
    {
        let dir = tempdir().unwrap();
        database(dir.path());
        let path = dir.path().join(link);
        let _ = fs::remove_file(&path);
        let to = if link.contains(['.', 'K']) { &target } else { outside.path() };
        if link.contains('/') {
            fs::create_dir(path.parent().unwrap()).unwrap();
        }
        symlink(to, &path).unwrap();
        for opened in [SyncDiskStorage::open(dir.path()), SyncDiskStorage::open_read_only(dir.path())] {
            let e = opened.err().expect(link);
            assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{e}");
            assert!(e.message().contains(path.to_str().unwrap()) && e.message().contains("link"), "{e}");
        }
    }
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[cfg(unix)]
#[test]
fn refuses_links_that_come_later() {
    use std::os::unix::fs::symlink;
    let outside = tempdir().unwrap();
    let target = outside.path().join("2.log");
    fs::write(&target, "precious").unwrap();
    let dir = tempdir().unwrap();
    let s = SyncDiskStorage::open(dir.path()).unwrap();
    symlink(&target, dir.path().join("2.log")).unwrap();
    symlink(outside.path(), dir.path().join("archive")).unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("3.log")).unwrap();
    block_on(async {
        kind(s.list().await, ErrorKind::InvalidArgument);
        for name in ["2.log", "archive/2.log"] {
            kind(s.len(name).await, ErrorKind::InvalidArgument);
            kind(s.read_at(name, 0, 9).await, ErrorKind::InvalidArgument);
            kind(s.append(name, b"x").await, ErrorKind::InvalidArgument);
            kind(s.truncate(name, 0).await, ErrorKind::InvalidArgument);
            kind(s.remove(name).await, ErrorKind::InvalidArgument);
        }
        kind(s.create("archive/3.log").await, ErrorKind::InvalidArgument);
        kind(s.create("3.log").await, ErrorKind::Io);
    });
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(!dir.path().join("nowhere").exists());
}

#[cfg(unix)]
#[test]
fn follows_a_link_to_the_directory() {
    let dir = tempdir().unwrap();
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    database(&link);
    let s = SyncDiskStorage::open(&real).unwrap();
    busy(SyncDiskStorage::open(&link));
    assert_eq!(block_on(listed(&s)), ["1.log"]);
    assert_eq!(block_on(listed(&SyncDiskStorage::open_read_only(&link).unwrap())), ["1.log"]);
}

#[test]
fn reads_beside_a_writer_and_writes_nothing() {
    let dir = tempdir().unwrap();
    let writer = SyncDiskStorage::open(dir.path()).unwrap();
    let reader = SyncDiskStorage::open_read_only(dir.path()).unwrap();
    block_on(async {
        for name in ["1.log", "2.snapshot", "3.snapshot"] {
            writer.create(name).await.unwrap();
        }
        let mut expected = Vec::new();
        for i in 1..50_u8 {
            writer.append("1.log", &[i; 100]).await.unwrap();
            expected.extend([i; 100]);
            assert_eq!(without_zeros(&all(&reader, "1.log").await), expected);
        }
        writer.sync("1.log").await.unwrap();
        writer.append("2.snapshot", b"table").await.unwrap();

        let before = state(dir.path());
        assert_eq!(listed(&reader).await, ["1.log", "2.snapshot", "3.snapshot"]);
        assert_eq!(reader.len("2.snapshot").await.unwrap(), 5);
        assert_eq!(all(&reader, "2.snapshot").await, b"table");
        kind(reader.create("4.log").await, ErrorKind::ReadOnly);
        kind(reader.append("1.log", b"x").await, ErrorKind::ReadOnly);
        kind(reader.sync("1.log").await, ErrorKind::ReadOnly);
        kind(reader.truncate("1.log", 0).await, ErrorKind::ReadOnly);
        kind(reader.remove("1.log").await, ErrorKind::ReadOnly);
        assert_eq!(state(dir.path()), before);

        writer.remove("2.snapshot").await.unwrap();
        writer.remove("3.snapshot").await.unwrap();
        assert_eq!(all(&reader, "2.snapshot").await, b"table", "what was opened before stays readable");
        kind(reader.len("3.snapshot").await, ErrorKind::NotFound);

        reader.close().await.unwrap();
        kind(reader.list().await, ErrorKind::Closed);
        busy(SyncDiskStorage::open(dir.path()));
    });
}

#[test]
fn ignores_what_is_not_its_own() {
    let dir = tempdir().unwrap();
    database(dir.path());
    for folder in ["notes", "quarantine", "quarantine/deep", "folder.log"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for stray in [
        "1.log~",
        ".1.log.swp",
        "1.log.tmp",
        "README",
        "my file.log",
        "ä.log",
        "quarantine/.hidden",
        "notes/2.log",
    ] {
        fs::write(dir.path().join(stray), "stray").unwrap();
    }
    fs::write(dir.path().join("quarantine/1.log.bad"), "kept").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/nowhere", dir.path().join("elsewhere")).unwrap();
    for s in
        [SyncDiskStorage::open(dir.path()).unwrap(), SyncDiskStorage::open_read_only(dir.path()).unwrap()]
    {
        assert_eq!(block_on(listed(&s)), ["1.log", "quarantine/1.log.bad"]);
        kind(block_on(s.read_at("folder.log", 0, 1)), ErrorKind::InvalidArgument);
    }
}

#[test]
fn keeps_zeros_behind_a_log_until_it_is_closed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("1.log");
    let on_disk = || fs::metadata(&path).unwrap().len();
    database(dir.path());
    assert_eq!(on_disk(), 4, "closing trims");
    block_on(async {
        let s = SyncDiskStorage::open(dir.path()).unwrap();
        s.append("1.log", b"+more").await.unwrap();
        s.sync("1.log").await.unwrap();
        assert!(on_disk() > 9);
        assert_eq!((s.len("1.log").await.unwrap(), all(&s, "1.log").await), (9, b"line+more".to_vec()));
        drop(s);

        let s = SyncDiskStorage::open(dir.path()).unwrap();
        assert_eq!(s.len("1.log").await.unwrap(), on_disk(), "who did not append cannot know the end");
        assert_eq!(without_zeros(&all(&s, "1.log").await), b"line+more");
        s.truncate("1.log", 9).await.unwrap();
        assert_eq!(on_disk(), 9);
        s.append("1.log", b"!").await.unwrap();
        s.close().await.unwrap();
        assert!(on_disk() > 10, "what was not synced is left as it is");
        assert_eq!(without_zeros(&fs::read(&path).unwrap()), b"line+more!");
    });
}

#[test]
fn holds_no_more_files_open_than_it_needs() {
    let dir = tempdir().unwrap();
    let s = SyncDiskStorage::open(dir.path()).unwrap();
    block_on(async {
        for i in 0..400 {
            let name = format!("{i}.snapshot");
            s.create(&name).await.unwrap();
            s.append(&name, name.as_bytes()).await.unwrap();
            s.sync(&name).await.unwrap();
        }
        for i in 0..400 {
            let name = format!("{i}.snapshot");
            assert_eq!(all(&s, &name).await, name.as_bytes());
        }
    });
    #[cfg(target_os = "linux")]
    {
        let ours =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        assert!(ours.filter(|path| path.starts_with(dir.path())).count() < 200);
    }
}

#[test]
fn shows_threads_a_prefix() {
    let dir = tempdir().unwrap();
    let s = SyncDiskStorage::open(dir.path()).unwrap();
    block_on(s.create("1.log")).unwrap();
    let expected: Vec<u8> = (0..200_000_u32).map(|i| (i % 250) as u8 + 1).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| expected.chunks(101).for_each(|piece| block_on(s.append("1.log", piece)).unwrap()));
        for _ in 0..2 {
            scope.spawn(|| {
                while block_on(s.len("1.log")).unwrap() < expected.len() as u64 {
                    assert!(expected.starts_with(&block_on(all(&s, "1.log"))));
                }
            });
        }
    });
    assert!(block_on(all(&s, "1.log")) == expected);
}

#[cfg(target_os = "linux")]
#[test]
fn names_the_path_that_cannot_be_written() {
    // Nobody, not even the superuser, makes a directory there.
    let e = SyncDiskStorage::open("/proc/pumice").err().unwrap();
    assert!(matches!(e.kind(), ErrorKind::Io | ErrorKind::NotFound), "{e}");
    assert!(e.to_string().contains("/proc/pumice"), "{e}");
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use super::*;
    use pumice::AsyncDiskStorage;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::runtime::Builder;

    fn assert_send<T: Send>(value: T) -> T {
        value
    }

    #[test]
    fn opens_again_right_after_closing() {
        let dir = tempdir().unwrap();
        block_on(async {
            for _ in 0..50 {
                let s = AsyncDiskStorage::open(dir.path()).await.unwrap();
                kind(AsyncDiskStorage::open(dir.path()).await, ErrorKind::Busy);
                s.close().await.unwrap();
                SyncDiskStorage::open(dir.path()).unwrap();
            }
        });
    }

    #[test]
    fn closing_waits_for_what_is_queued() {
        let dir = tempdir().unwrap();
        block_on(async {
            let s = AsyncDiskStorage::open(dir.path()).await.unwrap();
            s.create("1.log").await.unwrap();
            for _ in 0..200 {
                // Polled once, so it is in the queue, then dropped.
                let mut append = Box::pin(s.append("1.log", b"line"));
                let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(append.as_mut().poll(cx))).await;
                drop(append);
                s.sync("1.log").await.unwrap();
            }
            s.close().await.unwrap();
        });
        assert_eq!(fs::read(dir.path().join("1.log")).unwrap(), b"line".repeat(200));
    }

    #[test]
    fn passes_on_why_it_cannot_open() {
        let dir = tempdir().unwrap();
        block_on(async {
            kind(AsyncDiskStorage::open_read_only(dir.path()).await, ErrorKind::NotFound);
            let s = AsyncDiskStorage::open(dir.path()).await.unwrap();
            s.create("1.log").await.unwrap();
            let reader = AsyncDiskStorage::open_read_only(dir.path()).await.unwrap();
            assert!(reader.dir().is_absolute());
            assert_eq!(listed(&reader).await, ["1.log"]);
            kind(reader.append("1.log", b"x").await, ErrorKind::ReadOnly);
        });
    }

    #[test]
    fn never_blocks_the_executor() {
        let dir = tempdir().unwrap();
        let ticks = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&ticks);
        Builder::new_current_thread().build().unwrap().block_on(async {
            tokio::spawn(async move {
                loop {
                    counter.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            });
            let s = AsyncDiskStorage::open(dir.path()).await.unwrap();
            s.create("1.log").await.unwrap();
            let before = ticks.load(Ordering::Relaxed);
            for _ in 0..1000 {
                s.append("1.log", b"line").await.unwrap();
                s.sync("1.log").await.unwrap();
            }
            let during = ticks.load(Ordering::Relaxed) - before;
            assert!(during >= 1000, "the other task went on only {during} times");
            s.close().await.unwrap();
        });
    }

    #[test]
    fn its_futures_move_between_threads() {
        let dir = tempdir().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let path = dir.path().to_owned();
        runtime.block_on(async move {
            let s = Arc::new(assert_send(AsyncDiskStorage::open(path)).await.unwrap());
            s.create("1.log").await.unwrap();
            let mut tasks = Vec::new();
            for _ in 0..100 {
                let s = Arc::clone(&s);
                tasks.push(tokio::spawn(async move {
                    s.append("1.log", b"line").await.unwrap();
                    s.sync("1.log").await.unwrap();
                    s.read_at("1.log", 0, 4).await.unwrap()
                }));
            }
            for task in tasks {
                assert_eq!(task.await.unwrap(), b"line");
            }
            assert_eq!(s.len("1.log").await.unwrap(), 400);
            assert_send(s.list()).await.unwrap();
            assert_send(s.truncate("1.log", 0)).await.unwrap();
            assert_send(s.remove("1.log")).await.unwrap();
            assert_send(s.close()).await.unwrap();
        });
    }

    #[test]
    fn drops_anywhere() {
        let dir = tempdir().unwrap();
        let open = || AsyncDiskStorage::open(dir.path().join("db"));
        let runtime = Builder::new_current_thread().build().unwrap();
        let s = runtime.block_on(open()).unwrap();
        drop(runtime);
        block_on(s.create("1.log")).expect("works on when the runtime that opened it is gone");
        drop(s);
        // Dropping does not wait for the threads, so the lock goes soon, not at once.
        let s = loop {
            match block_on(open()) {
                Ok(s) => break s,
                Err(e) => assert_eq!(e.kind(), ErrorKind::Busy, "{e}"),
            }
        };
        Builder::new_current_thread().build().unwrap().block_on(async { drop(s) });
        drop(open());
    }
}
