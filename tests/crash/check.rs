//! What must hold of every state that a crash leaves.

use crate::disk::{Disk, State};
use crate::recording::{Effect, Remains, contents};
use crate::workload::{Driver, History, Model, options, put};
use pumice::blocking::{Db, ReadView};
use pumice::{ErrorKind, Moment, Storage};

/// Why a state is not what was promised.
pub type Verdict<T> = Result<T, String>;

/// Opens the state for reading. Returns which write it goes up to.
pub fn read(state: &State, history: &History, acknowledged: usize, thorough: bool) -> Verdict<usize> {
    let remains = Remains::open(state).map_err(|error| format!("the storage does not open: {error}"))?;
    let db = match Db::open_with(remains.clone(), options().read_only(true)) {
        // It was never made: nothing to read, and nothing to lose.
        Err(error)
            if error.kind() == ErrorKind::NotFound && !remains.names().iter().any(|n| of_the_database(n)) =>
        {
            return if acknowledged == 0 { Ok(0) } else { Err("the database is gone".into()) };
        }
        opened => opened.map_err(|error| format!("reading refused: {error}"))?,
    };
    let write = holds_a_prefix(&db, history, acknowledged)?;
    if thorough {
        is_sound(&db)?;
    }
    Ok(write)
}

/// Every write up to one of them and nothing of those behind it: that makes batches whole and forgets nothing.
fn holds_a_prefix<S: Storage>(db: &Db<S>, history: &History, acknowledged: usize) -> Verdict<usize> {
    let sequence = db.sequence();
    let write =
        history.at(sequence).ok_or_else(|| format!("it ends at record {sequence}, inside a write"))?;
    if write < acknowledged {
        return Err(format!("write {acknowledged} was acknowledged, but only {write} are there"));
    }
    holds(db, &history.writes[write].1)?;
    Ok(write)
}

fn holds<S: Storage>(db: &Db<S>, model: &Model) -> Verdict<()> {
    shows(&db.read_view(), model)?;
    let stats = db.stats().map_err(|error| format!("counting failed: {error}"))?;
    if stats.documents != model.len() as u64 {
        return Err(format!("{} documents counted, {} there", stats.documents, model.len()));
    }
    // A point read takes another way than a scan.
    for ((c, k), v) in model.iter().step_by(model.len() / 3 + 1) {
        match db.collection(c).get_raw(k) {
            Ok(Some(found)) if found == v.as_str() => {}
            other => return Err(format!("a point read of {c}/{k} gives {other:.80?}")),
        }
    }
    Ok(())
}

/// Where the past is kept, every moment of it is as it was.
fn has_its_past<S: Storage>(db: &Db<S>, history: &History) -> Verdict<()> {
    if db.retention().is_none() {
        return Ok(());
    }
    // Before the first write there is nothing to go back to.
    for (sequence, model) in history.writes.iter().skip(1) {
        let view = db.read_view_at(Moment::Sequence(*sequence));
        let view = view.map_err(|error| format!("the past after record {sequence}: {error}"))?;
        shows(&view, model).map_err(|wrong| format!("the past after record {sequence}: {wrong}"))?;
    }
    Ok(())
}

fn shows<S: Storage>(view: &ReadView<S>, model: &Model) -> Verdict<()> {
    let mut wanted = model.iter();
    let mut wrong = None;
    let walked = view.for_each_of_all_raw(|c, k, v| {
        let next = wanted.next();
        if wrong.is_none() && next.is_none_or(|((wc, wk), wv)| (&**wc, &**wk, &**wv) != (c, k, v)) {
            wrong = Some(format!("{c}/{k} = {v:.60}, but {next:.60?} was written"));
        }
        Ok(())
    });
    walked.map_err(|error| format!("a scan failed: {error}"))?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    match wanted.next() {
        Some(missing) => Err(format!("missing: {missing:.100?}")),
        None => Ok(()),
    }
}

fn is_sound<S: Storage>(db: &Db<S>) -> Verdict<()> {
    let verified = db.verify().map_err(|error| format!("verification failed: {error}"))?;
    if verified.is_sound() { Ok(()) } else { Err(format!("damage: {:?}", verified.damage)) }
}

/// When the recovered database is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compact {
    Never,
    AtOnce,
    AfterWrites,
}

/// What an opening for writing did, and what it left.
pub struct Recovered {
    pub effects: Vec<Effect>,
    pub history: History,
}

/// Opens what a process sees of `disk` for writing, goes on writing, closes and opens again. `acknowledged` is the write that
/// must be there, `answered` the last one of which a client that is told nothing again knows.
pub fn write(
    disk: &Disk,
    history: &History,
    acknowledged: usize,
    answered: usize,
    compact: Compact,
) -> Verdict<Recovered> {
    let mut driver =
        Driver::open(disk, History::new(), options()).map_err(|error| format!("writing refused: {error}"))?;
    let write = holds_a_prefix(driver.db(), history, acknowledged)?;
    driver.adopt(history.until(write));
    driver.acknowledge();
    driver.send_again(&history.sent, answered)?;
    is_sound(driver.db())?;
    has_its_past(driver.db(), driver.history())?;
    only_needed_files(&driver)?;
    keeps_what_it_set_aside(disk, &driver)?;
    if compact == Compact::AtOnce {
        driver.compact();
        only_needed_files(&driver)?;
    }
    driver.edit(&put("after", "the crash", write));
    driver.edit(&put("after", format!("the crash {write}"), "1"));
    if compact == Compact::AfterWrites {
        driver.compact();
        driver.edit(&put("after", "the compaction", write));
        only_needed_files(&driver)?;
    }
    holds(driver.db(), &driver.history().writes[driver.history().last()].1)?;
    driver.close();
    driver.start();
    let recovery = driver.db().recovery();
    if recovery.unclean || recovery.torn.is_some() {
        return Err(format!("unclean after a clean close: {recovery:?}"));
    }
    let last = driver.history().last();
    holds_a_prefix(driver.db(), driver.history(), last)?;
    is_sound(driver.db())?;
    has_its_past(driver.db(), driver.history())?;
    only_needed_files(&driver)?;
    driver.put("after", "reopening", write);
    let (effects, history) = driver.finish();
    Ok(Recovered { effects, history })
}

/// The bytes of a torn tail are there for whoever wants to look at them.
fn keeps_what_it_set_aside(disk: &Disk, driver: &Driver) -> Verdict<()> {
    let Some(torn) = &driver.db().recovery().torn else { return Ok(()) };
    let kept = torn.quarantined.as_ref().map(|name| driver.storage.contents(name));
    let behind = contents(disk, &torn.file).map(|bytes| {
        let start = torn.offset as usize;
        bytes[start..start + torn.bytes as usize].to_vec()
    });
    if kept == behind { Ok(()) } else { Err(format!("the torn tail was not kept: {torn:?}")) }
}

/// Recovery leaves no file behind that nothing will ever remove.
fn only_needed_files(driver: &Driver) -> Verdict<()> {
    let stats = driver.db().stats().map_err(|error| format!("counting failed: {error}"))?;
    let names = driver.storage.names();
    let count =
        |suffix: &str| names.iter().filter(|n| of_the_database(n) && n.ends_with(suffix)).count() as u64;
    if (count(".log"), count(".snapshot")) == (stats.segments, stats.snapshots) {
        return Ok(());
    }
    Err(format!(
        "{} segments and {} snapshots count, but there are {names:?}",
        stats.segments, stats.snapshots
    ))
}

fn of_the_database(name: &str) -> bool {
    name.bytes().take_while(u8::is_ascii_digit).count() == 20
}
