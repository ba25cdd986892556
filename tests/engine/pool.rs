//! Guards against a pooled storage that relies on what may be lost: files in slots whose names are not durable yet, and
//! parts that fail. What a power cut may leave is gone through in `tests/crash_opfs`.

use crate::support::block_on;
use crate::support::conformance::{all, kind, listed};
use crate::support::medium::{Change, Content, Medium};
use futures_util::future::join4;
use pumice::pool::{Journal, JournalEdit, PooledStorage};
use pumice::{Error, ErrorKind, Result, Storage};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

type Pool = PooledStorage<Medium, Medium>;

const MINUTE: u64 = 60_000;

/// Parts in memory, and the time that a session sees go by.
#[derive(Clone, Default)]
struct Place {
    medium: Medium,
    now: Arc<AtomicU64>,
}

impl Place {
    fn try_open(&self) -> Result<Pool> {
        let now = Arc::clone(&self.now);
        let clock = move || now.load(Ordering::Relaxed);
        block_on(PooledStorage::open(self.medium.clone(), self.medium.clone(), clock))
    }

    fn open(&self) -> Pool {
        self.try_open().unwrap()
    }

    fn wait(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    fn journalled(&self) -> usize {
        self.medium.parts().journal.len()
    }

    /// A pool whose slots have aged, and that holds the file `old.log`.
    fn aged() -> Self {
        let place = Self::default();
        let pool = place.open();
        place.wait(MINUTE);
        write(&pool, "old.log", b"old");
        assert_eq!(place.journalled(), 0);
        block_on(pool.close()).unwrap();
        place
    }
}

fn write(pool: &Pool, name: &str, bytes: &[u8]) {
    block_on(async {
        pool.create(name).await?;
        pool.append(name, bytes).await?;
        pool.sync(name).await
    })
    .unwrap();
}

#[test]
fn the_journal_keeps_files_until_their_slots_have_aged() {
    let place = Place::default();
    let pool = place.open();
    write(&pool, "a.log", b"one");
    block_on(pool.append("a.log", b" two")).unwrap();
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 3, "the name and two pieces");
    block_on(pool.truncate("a.log", 5)).unwrap();
    block_on(pool.append("a.log", b"!")).unwrap();
    place.wait(MINUTE - 1);
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 4);
    // Every slot is gone, as after a power cut.
    place.medium.parts().slots.clear();
    let pool = place.open();
    assert_eq!(block_on(all(&pool, "a.log")), b"one t!");
    place.wait(MINUTE);
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 0);
    block_on(pool.append("a.log", b"?")).unwrap();
    assert_eq!(block_on(all(&place.open(), "a.log")), b"one t!?");
}

#[test]
fn only_what_one_session_saw_go_by_counts_as_age() {
    let place = Place::default();
    for _ in 0..3 {
        let pool = place.open();
        place.wait(MINUTE - 1);
        if place.journalled() == 0 {
            write(&pool, "a.log", b"one");
        }
        block_on(pool.sync("a.log")).unwrap();
    }
    assert_eq!(place.journalled(), 2, "no session was a minute long");
    let pool = place.open();
    place.wait(MINUTE - 1);
    block_on(pool.sync("a.log")).unwrap();
    // Somebody has set the clock back.
    place.now.store(5, Ordering::Relaxed);
    block_on(pool.sync("a.log")).unwrap();
    place.wait(MINUTE - 1);
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 2);
    place.wait(1);
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 0);
}

#[test]
fn a_bare_pool_makes_no_slot_that_nobody_needs_and_ages_with_its_spares() {
    let place = Place::default();
    let now = Arc::clone(&place.now);
    let clock = move || now.load(Ordering::Relaxed);
    let pool = block_on(Pool::open_bare(place.medium.clone(), place.medium.clone(), clock)).unwrap();
    assert!(place.medium.parts().slots.is_empty());
    write(&pool, "a.log", b"one");
    assert_eq!(place.medium.parts().slots.len(), 1);
    place.wait(MINUTE);
    block_on(pool.append("a.log", b" two")).unwrap();
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 3, "no other slot would witness the header of this one");
    block_on(pool.make_spares());
    assert_eq!(place.medium.parts().slots.len(), 7);
    place.wait(MINUTE);
    block_on(pool.sync("a.log")).unwrap();
    assert_eq!(place.journalled(), 0);
    block_on(pool.close()).unwrap();
    let mut cut = place.medium.parts().slots.clone();
    cut.insert(0, Content::Own(Vec::new()));
    place.medium.parts().slots = cut;
    assert_eq!(place.try_open().map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn new_files_go_to_aged_slots_while_there_are_any() {
    let place = Place::aged();
    let pool = place.open();
    let aged = place.medium.parts().slots.len() - 1;
    let mut written = 0;
    while place.journalled() == 0 {
        written += 1;
        write(&pool, &format!("{written}.log"), b"x");
    }
    assert_eq!(written, aged, "one of them was made since the pool had aged");
    for n in 1..=written {
        block_on(pool.remove(&format!("{n}.log"))).unwrap();
    }
    assert_eq!(place.journalled(), 0);
    let slots = place.medium.parts().slots.len();
    for n in 0..40 {
        write(&pool, &format!("again-{n}.log"), &[7; 5000]);
        block_on(pool.remove(&format!("again-{n}.log"))).unwrap();
    }
    let parts = place.medium.parts();
    assert_eq!(parts.slots.len(), slots, "slots are used again");
    assert!(parts.slots.values().all(|slot| slot.bytes().len() <= 8192 + 3), "freed slots hold nothing");
}

/// A write that fails half-way, for want of room, leaves the file as it was.
#[test]
fn a_short_write_leaves_the_last_good_end() {
    for place in [Place::default(), Place::aged()] {
        let pool = place.open();
        write(&pool, "a.log", b"first");
        place.medium.parts().half_writes = true;
        place.medium.watch(|change| match change {
            Change::Write(..) => Err(Error::new(ErrorKind::Full, "no room")),
            _ => Ok(()),
        });
        kind(block_on(pool.append("a.log", b"0123456789")), ErrorKind::Full);
        assert_eq!(block_on(all(&pool, "a.log")), b"first");
        place.medium.parts().watch = None;
        block_on(pool.append("a.log", b"x")).unwrap();
        block_on(pool.sync("a.log")).unwrap();
        assert_eq!(block_on(all(&pool, "a.log")), b"firstx");
        block_on(pool.close()).unwrap();
        assert_eq!(block_on(all(&place.open(), "a.log")), b"firstx");
        place.medium.watch(|change| match change {
            Change::Write(..) => Err(Error::new(ErrorKind::Full, "no room")),
            _ => Ok(()),
        });
        let pool = place.open();
        kind(block_on(pool.append("a.log", b"0123456789")), ErrorKind::Full);
        // A file whose writing failed can be removed, which makes room.
        place.medium.parts().watch = None;
        block_on(pool.remove("a.log")).unwrap();
        kind(block_on(place.open().len("a.log")), ErrorKind::NotFound);
    }
}

/// What the script was told is durable.
#[derive(Default)]
struct Told {
    files: BTreeMap<String, Vec<u8>>,
    /// What a failed call was about: it may be there or not.
    doubtful: Option<String>,
}

/// Creates, appends, syncs, cuts and removes until something fails.
async fn script(place: &Place, told: &mut Told) -> Result<()> {
    let pool = PooledStorage::open(place.medium.clone(), place.medium.clone(), {
        let now = Arc::clone(&place.now);
        move || now.load(Ordering::Relaxed)
    })
    .await?;
    for round in 0..9_u8 {
        let name = format!("{round}.log");
        told.doubtful = Some(name.clone());
        pool.create(&name).await?;
        told.files.insert(name.clone(), Vec::new());
        for piece in 0..3 {
            pool.append(&name, &[round * 3 + piece; 700]).await?;
            pool.sync(&name).await?;
            told.files.get_mut(&name).unwrap().extend([round * 3 + piece; 700]);
        }
        pool.truncate(&name, 1000).await?;
        told.files.get_mut(&name).unwrap().truncate(1000);
        if round % 3 == 2 {
            let gone = format!("{}.log", round - 1);
            told.doubtful = Some(gone.clone());
            pool.remove(&gone).await?;
            told.files.remove(&gone);
        }
        place.wait(8000);
    }
    told.doubtful = None;
    pool.close().await
}

fn counted(place: &Place) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    place.medium.watch(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    block_on(script(place, &mut Told::default())).unwrap();
    count.load(Ordering::Relaxed)
}

/// Fails changes of the parts from the `at`th on, `times` of them, and demands that nothing acknowledged suffers.
fn fail(place: &Place, at: usize, times: usize) {
    let mut seen = 0;
    place.medium.watch(move |_| {
        seen += 1;
        let fails = (at..at.saturating_add(times)).contains(&seen);
        if fails { Err(Error::new(ErrorKind::Io, "a fault")) } else { Ok(()) }
    });
    let mut told = Told::default();
    let outcome = block_on(script(place, &mut told));
    place.medium.parts().watch = None;
    let pool = place.open();
    let names = block_on(listed(&pool));
    for (name, wanted) in &told.files {
        if told.doubtful.as_ref() == Some(name) {
            continue;
        }
        assert_eq!(&block_on(all(&pool, name)), wanted, "{name}, fault {at}: {outcome:?}");
    }
    let known = |name: &String| told.files.contains_key(name) || told.doubtful.as_ref() == Some(name);
    assert!(names.iter().all(|name| known(name) || name == "old.log"), "{names:?}, fault {at}");
    // Of the file in doubt, what was synced is there, unless it was being removed or cut.
    if let Some(name) = told.doubtful.filter(|name| names.contains(name)) {
        let found = block_on(all(&pool, &name));
        let synced = told.files.get(&name).map_or(0, |bytes| bytes.len().min(1000));
        assert!(found.len() >= synced, "{name}: {} of {synced}, fault {at}", found.len());
        assert_eq!(found[..synced], told.files.get(&name).map_or(&[][..], |b| b)[..synced]);
    }
    write(&pool, "after.log", b"the fault");
    block_on(pool.close()).unwrap();
    assert_eq!(block_on(all(&place.open(), "after.log")), b"the fault");
}

fn each_fault(place: impl Fn() -> Place) -> usize {
    let changes = counted(&place());
    for at in 1..=changes {
        fail(&place(), at, 1);
        fail(&place(), at, usize::MAX);
    }
    changes
}

#[test]
fn each_change_of_the_parts_may_fail() {
    let changes = each_fault(Place::default) + each_fault(Place::aged);
    crate::support::figures::keep(
        "pool-faults",
        &[("changes", changes as u64), ("failures", 2 * changes as u64)],
    );
    assert!(changes > 200, "{changes}");
}

#[test]
fn nothing_is_acknowledged_behind_a_failed_flush() {
    let place = Place::aged();
    let pool = place.open();
    write(&pool, "a.log", b"one");
    place.medium.watch(|change| match change {
        Change::Flush(_) => Err(Error::new(ErrorKind::Io, "the disk is gone")),
        _ => Ok(()),
    });
    block_on(pool.append("a.log", b"two")).unwrap();
    kind(block_on(pool.sync("a.log")), ErrorKind::Io);
    place.medium.parts().watch = None;
    kind(block_on(pool.sync("a.log")), ErrorKind::Poisoned);
    kind(block_on(pool.append("a.log", b"x")), ErrorKind::Poisoned);
    assert_eq!(block_on(all(&pool, "a.log")), b"onetwo", "reading goes on");
    write(&pool, "b.log", b"other files too");
}

#[test]
fn what_no_crash_leaves_is_refused() {
    let headers = |place: &Place, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut parts = place.medium.parts();
        let slot = parts.slots.values_mut().find(|slot| slot.bytes().len() > 8192).unwrap();
        let mut bytes = slot.bytes().to_vec();
        edit(&mut bytes);
        *slot = Content::Own(bytes);
    };
    let one = Place::aged();
    headers(&one, &|bytes| bytes[30] ^= 1);
    assert_eq!(block_on(listed(&one.open())), ["old.log"], "one copy is enough");
    let both = Place::aged();
    headers(&both, &|bytes| {
        bytes[30] ^= 1;
        bytes[4096 + 30] ^= 1;
    });
    let error = both.try_open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(both.medium.parts().closed, 2, "what was opened is closed again");

    let place = Place::default();
    write(&place.open(), "a.log", b"one");
    place.medium.parts().journal.retain(|key, _| key.contains('/'));
    assert_eq!(place.try_open().err().unwrap().kind(), ErrorKind::Corrupt);

    // The same name in a slot and in the journal.
    let place = Place::aged();
    let other = Place::default();
    write(&other.open(), "old.log", b"new");
    let entries = std::mem::take(&mut other.medium.parts().journal);
    place.medium.parts().journal.extend(entries);
    let holder = place.medium.parts().slots.iter().find(|(_, s)| s.bytes().len() > 8192).map(|(n, _)| *n);
    if holder == Some(0) {
        assert_eq!(block_on(all(&place.open(), "old.log")), b"old", "a header overrules the journal");
        assert_eq!(place.journalled(), 0);
    } else {
        assert_eq!(place.try_open().err().unwrap().kind(), ErrorKind::Corrupt);
    }
}

/// A journal that lets others go on before and after each transaction, as one in a browser does.
struct Slow(Medium);

async fn step_aside() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Journal for Slow {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        self.0.read().await
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        step_aside().await;
        self.0.commit(edits).await?;
        step_aside().await;
        Ok(())
    }

    async fn close(&self) {}
}

impl Place {
    fn open_slow(&self) -> PooledStorage<Medium, Slow> {
        let now = Arc::clone(&self.now);
        let clock = move || now.load(Ordering::Relaxed);
        block_on(PooledStorage::open(self.medium.clone(), Slow(self.medium.clone()), clock)).unwrap()
    }

    /// Cuts the power: slots without a header are gone.
    fn lose_young_slots(&self) {
        self.medium.parts().slots.retain(|_, slot| slot.bytes().starts_with(b"PUMICESL"));
    }
}

#[test]
fn calls_that_wait_for_the_journal_do_not_mix() {
    let place = Place::default();
    let pool = place.open_slow();
    let work = async |name: &str, seed: usize| {
        let mut content = Vec::new();
        pool.create(name).await.unwrap();
        for n in 0..30 {
            let piece = vec![(seed + n) as u8; (seed * 7 + n * 13) % 300];
            pool.append(name, &piece).await.unwrap();
            content.extend(piece);
            if n % 7 == seed {
                content.truncate(content.len() / 2);
                pool.truncate(name, content.len() as u64).await.unwrap();
            } else {
                pool.sync(name).await.unwrap();
            }
            place.wait(700);
        }
        content
    };
    let one_for_many = async {
        for n in 0..20 {
            let name = format!("{n}.log");
            pool.create(&name).await.unwrap();
            pool.append(&name, b"passing").await.unwrap();
            pool.sync(&name).await.unwrap();
            pool.remove(&name).await.unwrap();
        }
    };
    // Two callers sync the same file.
    let again = async {
        for _ in 0..60 {
            let _ = pool.sync("a.log").await;
            step_aside().await;
        }
    };
    let (a, b, (), ()) = block_on(join4(work("a.log", 1), work("b.log", 2), one_for_many, again));
    place.lose_young_slots();
    let pool = place.open();
    assert_eq!(block_on(listed(&pool)), ["a.log", "b.log"]);
    assert!(block_on(all(&pool, "a.log")) == a && block_on(all(&pool, "b.log")) == b);
}

/// A call whose future is dropped may have been carried out or not, and harms nothing else.
#[test]
fn a_dropped_call_leaves_nothing_half_done() {
    for call in 0..4 {
        for polls in 0..6 {
            let place = Place::default();
            let pool = place.open_slow();
            block_on(async {
                pool.create("a.log").await.unwrap();
                pool.append("a.log", b"0123456789").await.unwrap();
                pool.sync("a.log").await.unwrap();
                pool.append("a.log", b"more").await.unwrap();
            });
            {
                let mut dropped: Pin<Box<dyn Future<Output = Result<()>>>> = match call {
                    0 => Box::pin(pool.create("b.log")),
                    1 => Box::pin(pool.sync("a.log")),
                    2 => Box::pin(pool.truncate("a.log", 5)),
                    _ => Box::pin(pool.remove("a.log")),
                };
                let mut context = Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if dropped.as_mut().poll(&mut context).is_ready() {
                        break;
                    }
                }
            }
            // Whatever became of it, what is acknowledged after it holds.
            let appended = block_on(async {
                pool.append("a.log", b"!").await?;
                pool.sync("a.log").await
            });
            block_on(async {
                pool.create("c.log").await.unwrap();
                pool.append("c.log", b"other").await.unwrap();
                pool.sync("c.log").await.unwrap();
            });
            let seen = block_on(pool.read_at("a.log", 0, usize::MAX));
            place.lose_young_slots();
            let pool = place.open();
            let names = block_on(listed(&pool));
            assert_eq!(block_on(all(&pool, "c.log")), b"other", "{names:?}");
            let there = names.contains(&"a.log".to_owned());
            assert!(there || call == 3, "call {call} after {polls} polls: {names:?}");
            if appended.is_ok() {
                assert_eq!(block_on(all(&pool, "a.log")), seen.unwrap(), "call {call} after {polls} polls");
            } else if there {
                let found = block_on(all(&pool, "a.log"));
                assert!(found == b"0123456789" || found == b"01234", "call {call} after {polls}: {found:?}");
            }
        }
    }
}

/// Damage from outside: a slot is emptied, cut or removed. Only of one that never had a header nothing is missed.
#[test]
fn a_slot_that_lost_its_header_is_missed() {
    let place = Place::aged();
    let whole = place.medium.parts().slots.clone();
    assert!(whole.len() > 6);
    let mut young = 0;
    for (slot, content) in &whole {
        for left in [None, Some(0), Some(100), Some(4096), Some(8192)] {
            let mut damaged = whole.clone();
            match left {
                None => drop(damaged.remove(slot)),
                Some(len) => drop(damaged.insert(*slot, Content::Own(vec![0; len]))),
            }
            place.medium.parts().slots = damaged.clone();
            if content.bytes().is_empty() {
                young += 1;
                block_on(place.open().close()).unwrap();
                continue;
            }
            let error = place.try_open().map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(&format!("slot {slot}")), "{error}");
            let parts = place.medium.parts();
            assert!(parts.slots.keys().eq(damaged.keys()), "a refused opening makes nothing");
            assert!(parts.slots.values().zip(damaged.values()).all(|(is, was)| is.bytes() == was.bytes()));
        }
    }
    assert_eq!(young, 5, "one slot was made since the pool had aged");
    place.medium.parts().slots = whole;
    assert_eq!(block_on(all(&place.open(), "old.log")), b"old");
}

/// The keys and values that `docs/format.md` shows.
#[test]
fn the_documented_journal() {
    let place = Place::default();
    let commits = Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = Arc::clone(&commits);
    place.medium.watch(move |change| {
        if let Change::Commit(_, edits) = change {
            record.lock().unwrap().extend(edits.iter().cloned());
        }
        Ok(())
    });
    let pool = place.open();
    write(&pool, "a.log", b"hello");
    block_on(pool.append("a.log", b" world")).unwrap();
    block_on(pool.sync("a.log")).unwrap();
    let keys: Vec<String> = place.medium.parts().journal.keys().cloned().collect();
    assert_eq!(keys, ["0000000000", "0000000000/00000000000000000000", "0000000000/00000000000000000005"]);
    block_on(pool.remove("a.log")).unwrap();
    let last = commits.lock().unwrap().last().cloned();
    let whole = JournalEdit::Remove { from: "0000000000".into(), to: "0000000001".into() };
    assert_eq!(last, Some(whole));
}
