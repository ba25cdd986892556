//! Power cuts at every moment of a backup, a restore, an import or a repair, as the command line does it: strace tells what it
//! does, the states that a disk may hold then are laid out one by one, and each is opened, used and done again.

use crate::chance::Chance;
use crate::command_line::Pumice;
use crate::posix::{Disk, State, digest};
use crate::process::PATIENCE;
use crate::scratch::Scratch;
use crate::{figures, files, parallel, trace};
use anyhow::{Context, Result, ensure};
use pumice::blocking::Db;
use pumice::{ErrorKind, Moment, Options, Published, Retention, SyncDiskStorage};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

/// Fewer states than this are no proof.
const LEAST: usize = 3000;

const KEYS: u64 = 5;
/// The last record of every database here.
const LAST: u64 = 11;
/// The last record of an older backup.
const OLDER: u64 = 6;

/// A command, and what must hold whenever it ends.
struct Scenario {
    name: &'static str,
    /// What lies in the folder before.
    before: State,
    /// The command with its arguments. Those that begin with `@` are paths in the folder.
    command: Vec<&'static str>,
    /// Looks at the folder, and is told whether the command had ended.
    check: Box<Check>,
}

type Check = dyn Fn(&Path, bool) -> Result<()> + Sync;

/// Goes through the crash states of all of them.
///
/// # Errors
/// When something is lost, half there, or cannot be done again.
pub fn run(pumice: &Pumice) -> Result<()> {
    let start = Instant::now();
    let (mut all, mut effects) = (0, 0);
    let scenarios = scenarios()?;
    for scenario in &scenarios {
        let scratch = Scratch::new()?;
        let root = scratch.join("root");
        lay_out(&scenario.before, &root)?;
        let args = scenario.command.iter().map(|arg| match arg.strip_prefix('@') {
            Some(name) => root.join(name).display().to_string(),
            None => (*arg).to_owned(),
        });
        let args = args.collect::<Vec<_>>();
        let done = trace::record(&pumice.with_args(&args), &root, &scratch.join("calls"))?;
        ensure!(done.len() > 5, "{}: only {} effects", scenario.name, done.len());
        let cases = states(&scenario.before, &done).with_context(|| scenario.name)?;
        parallel::for_each(&cases, |(state, moment), scratch| {
            let root = scratch.join("root");
            files::remove(&root)?;
            lay_out(state, &root)?;
            let told =
                || format!("{} after {moment} of {} effects: {}", scenario.name, done.len(), listed(state));
            (scenario.check)(&root, *moment == done.len()).with_context(told)
        })?;
        println!("{}: {} effects, {} different states", scenario.name, done.len(), cases.len());
        all += cases.len();
        effects += done.len();
    }
    figures::keep(
        "crash-states-of-commands",
        &[
            ("scenarios", scenarios.len() as u64),
            ("effects", effects as u64),
            ("states", all as u64),
            ("failures", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    ensure!(all >= LEAST, "only {all} states, {LEAST} are the least");
    Ok(())
}

/// The different states that a crash may leave, each with how many effects there were before it.
fn states(before: &State, effects: &[trace::Effect]) -> Result<Vec<(State, usize)>> {
    let mut disk = Disk::new(before);
    let mut chance = Chance::new(1);
    let mut met = HashSet::new();
    let mut states = Vec::new();
    for moment in 0..=effects.len() {
        if let Some(effect) = moment.checked_sub(1).map(|last| &effects[last]) {
            disk.apply(effect).with_context(|| format!("{effect:?}"))?;
        }
        for state in disk.states(|bound| chance.below(bound)) {
            // What has ended promises more than what has not.
            if met.insert((digest(&state), moment == effects.len())) {
                states.push((state, moment));
            }
        }
    }
    Ok(states)
}

fn lay_out(state: &State, root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    for (path, bytes) in state {
        match bytes {
            None => fs::create_dir(root.join(path))?,
            Some(bytes) => fs::write(root.join(path), bytes)?,
        }
    }
    Ok(())
}

/// What is in a folder, and in those in it.
fn take_up(root: &Path) -> Result<State> {
    let mut state = State::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_folder = path.is_dir();
            let bytes = if is_folder { None } else { Some(fs::read(&path)?) };
            state.insert(path.strip_prefix(root)?.to_owned(), bytes);
            if is_folder {
                folders.push(path);
            }
        }
    }
    Ok(state)
}

fn listed(state: &State) -> String {
    let one = |(path, bytes): (&PathBuf, &Option<Vec<u8>>)| match bytes {
        Some(bytes) => format!("{} {}", path.display(), bytes.len()),
        None => format!("{}/", path.display()),
    };
    state.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Writes the records up to number `to`, one at a time.
fn write(db: &Db, to: u64) -> Result<()> {
    for n in db.sequence() + 1..=to {
        db.collection("c").put_raw(&format!("k{}", n % KEYS), &document(n))?;
    }
    Ok(())
}

/// The first ones are large, so that what is compacted later becomes a run on top of their snapshot.
fn document(n: u64) -> String {
    format!("\"{n}{}\"", "-".repeat(if n <= 4 { 2000 } else { 5 }))
}

/// What must be there after record `sequence`.
fn model(sequence: u64) -> BTreeMap<String, String> {
    (1..=sequence).map(|n| (format!("k{}", n % KEYS), document(n))).collect()
}

/// Reads and verifies everything; returns the last record.
fn read(dir: &Path) -> Result<u64> {
    let db = Db::open_read_only(dir)?;
    let mut found = BTreeMap::new();
    db.collection("c").for_each_raw(.., |key, json| {
        found.insert(key.to_owned(), json.to_owned());
        Ok(())
    })?;
    let sequence = db.sequence();
    ensure!(found == model(sequence), "after record {sequence} there is {found:?}");
    let damage = db.verify()?.damage;
    ensure!(damage.is_empty(), "damaged: {damage:?}");
    Ok(sequence)
}

fn is_at(dir: &Path, sequence: u64) -> Result<()> {
    let found = read(dir)?;
    ensure!(found == sequence, "it ends at record {found} instead of {sequence}");
    Ok(())
}

/// Reads everything, and writes.
fn is_usable(dir: &Path, sequence: u64) -> Result<()> {
    is_at(dir, sequence)?;
    let db = Db::open(dir)?;
    write(&db, sequence + 1)?;
    db.close()?;
    is_at(dir, sequence + 1)
}

/// The bytes are in some file below the folder.
fn are_kept(root: &Path, bytes: &[u8]) -> Result<()> {
    let kept = take_up(root)?
        .into_values()
        .flatten()
        .any(|file| file.windows(bytes.len()).any(|part| part == bytes));
    ensure!(kept, "the damaged bytes are gone");
    Ok(())
}

/// Makes what a scenario begins with, in a folder.
fn made(make: impl FnOnce(&Path) -> Result<()>) -> Result<State> {
    let scratch = Scratch::new()?;
    let root = scratch.join("root");
    fs::create_dir_all(&root)?;
    make(&root)?;
    take_up(&root)
}

/// A database with a snapshot and a log behind it, and its past where it is kept.
fn database(dir: &Path, retention: Option<Retention>) -> Result<Db> {
    let db = Db::open(dir)?;
    db.set_retention(retention)?;
    write(&db, 4)?;
    db.compact()?;
    write(&db, LAST)?;
    Ok(db)
}

fn scenarios() -> Result<Vec<Scenario>> {
    let kept = Some(Retention::new());
    let mut all = vec![
        Scenario {
            name: "backup",
            before: made(|root| Ok(database(&root.join("db"), None)?.close()?))?,
            command: vec!["backup", "@db", "@backups"],
            check: Box::new(|root, ended| check_backup(root, ended, Unfinished::Nothing)),
        },
        Scenario {
            name: "backup of a past, onto an older one",
            before: made(|root| {
                let db = Db::open(root.join("db"))?;
                db.set_retention(kept)?;
                write(&db, OLDER)?;
                db.compact()?;
                db.backup(root.join("backups"))?;
                write(&db, LAST)?;
                Ok(db.close()?)
            })?,
            command: vec!["backup", "@db", "@backups"],
            check: Box::new(|root, ended| check_backup(root, ended, Unfinished::Older)),
        },
        Scenario {
            name: "backup onto one with a damaged file",
            before: made(|root| {
                let db = database(&root.join("db"), kept)?;
                db.backup(root.join("backups"))?;
                flip(&largest(&root.join("backups/archive"), ".snapshot")?)?;
                Ok(db.close()?)
            })?,
            command: vec!["backup", "@db", "@backups"],
            check: Box::new(|root, ended| check_backup(root, ended, Unfinished::Damaged)),
        },
    ];
    let backed_up = made(|root| {
        let db = database(&root.join("db"), kept)?;
        db.backup(root.join("backups"))?;
        db.export_snapshot(root.join("all.snapshot"))?;
        db.close()?;
        Ok(fs::remove_dir_all(root.join("db"))?)
    })?;
    let restoring: [(_, &[&str], _); 3] = [
        ("restore", &["restore", "@backups", "@db"], LAST),
        ("restore to an earlier moment", &["restore", "@backups", "@db", "--at", "6"], OLDER),
        ("restore of a snapshot file", &["restore", "@all.snapshot", "@db"], LAST),
    ];
    all.extend(restoring.map(|(name, command, sequence)| Scenario {
        name,
        before: backed_up.clone(),
        command: command.to_vec(),
        check: Box::new(move |root, ended| check_restore(root, ended, command[1], sequence)),
    }));
    all.push(Scenario {
        name: "import of a log of MoltenDB",
        before: made(|root| {
            let line = |n: u64| {
                let (key, value) = (n % KEYS, document(n));
                format!("{{\"cmd\":\"INSERT\",\"collection\":\"c\",\"key\":\"k{key}\",\"value\":{value},\"_t\":{n}}}\n")
            };
            Ok(fs::write(root.join("molten.log"), (1..=LAST).map(line).collect::<String>())?)
        })?,
        command: vec!["import", "moltendb", "@molten.log", "@db"],
        check: Box::new(check_import),
    });
    all.extend(repairs(kept)?);
    Ok(all)
}

/// What the backup's directory may give until the backup has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    /// Nothing, or the new state.
    Nothing,
    /// The state of the backup before, or the new one.
    Older,
    /// A refusal that tells of the damage, or the new state.
    Damaged,
}

fn check_backup(root: &Path, ended: bool, unfinished: Unfinished) -> Result<()> {
    let (db, backups) = (root.join("db"), root.join("backups"));
    is_at(&db, LAST).context("the database")?;
    let restored = root.join("restored");
    match Db::restore(&backups, &restored) {
        Ok(_) => {
            let sequence = read(&restored)?;
            let least = if unfinished == Unfinished::Older && !ended { OLDER } else { LAST };
            ensure!(sequence >= least, "the backup ends at record {sequence}");
            fs::remove_dir_all(&restored)?;
        }
        Err(error) => {
            let kind = error.kind();
            let may_be = match unfinished {
                // There may be no directory yet, or nothing in it.
                Unfinished::Nothing => matches!(kind, ErrorKind::NotFound | ErrorKind::InvalidArgument),
                Unfinished::Older => false,
                Unfinished::Damaged => kind == ErrorKind::Corrupt,
            };
            if ended || !may_be {
                return Err(error).context("restoring the backup");
            }
        }
    }
    let open = Db::open(&db)?;
    let again = open.backup(&backups).context("backing up again")?;
    open.close()?;
    ensure!(again.sequence == LAST, "the next backup ends at record {}", again.sequence);
    Db::restore(&backups, &restored).context("restoring the next backup")?;
    is_usable(&restored, LAST)?;
    if unfinished == Unfinished::Older {
        let restored = root.join("restored earlier");
        Db::restore_at(&backups, &restored, Moment::Sequence(OLDER))?;
        is_at(&restored, OLDER)?;
    }
    Ok(())
}

/// All or nothing, and nothing can be made all.
fn check_restore(root: &Path, ended: bool, source: &str, sequence: u64) -> Result<()> {
    let (db, source) = (root.join("db"), root.join(&source[1..]));
    if !is_there(&db)? {
        ensure!(!ended, "it is gone");
        if source.is_dir() {
            Db::restore_at(&source, &db, Moment::Sequence(sequence)).context("restoring again")?;
        } else {
            Db::restore(&source, &db).context("restoring again")?;
        }
    }
    is_usable(&db, sequence)
}

fn check_import(root: &Path, ended: bool) -> Result<()> {
    let db = root.join("db");
    if !is_there(&db)? {
        ensure!(!ended, "it is gone");
        pumice::moltendb::import(root.join("molten.log"), &db, pumice::moltendb::ImportOptions::new())
            .context("importing again")?;
    }
    let db = Db::open(&db)?;
    let mut found = BTreeMap::new();
    db.collection("c").for_each_raw(.., |key, json| {
        found.insert(key.to_owned(), json.to_owned());
        Ok(())
    })?;
    ensure!(found == model(LAST), "there is {found:?}");
    db.collection("c").put("after", &true)?;
    Ok(db.close()?)
}

/// An empty folder is as good as none.
fn is_there(dir: &Path) -> Result<bool> {
    Ok(dir.exists() && fs::read_dir(dir)?.next().is_some())
}

/// Has the records behind the snapshot compacted into a run on top of it.
fn compact_tail(dir: &Path) -> Result<()> {
    let (published, next) = mpsc::channel();
    let tell = move |file: &Published| drop(published.send(file.clone()));
    // The log is so long that opening compacts it at once.
    let options = Options::new().compact_at(Some(256)).on_published(tell);
    let db = Db::open_with(SyncDiskStorage::open(dir)?, options)?;
    let run = next.recv_timeout(PATIENCE).context("no compaction")?;
    ensure!(run.file.contains('-'), "{} is no run", run.file);
    Ok(db.close()?)
}

type Repair = fn(&Path) -> pumice::Result<pumice::blocking::Repair>;

fn repairs(kept: Option<Retention>) -> Result<Vec<Scenario>> {
    let torn = b"{\"s\":12,\"c\":\"c\",\"k\":\"k2\",\"v\":";
    let before = made(|root| {
        let dir = root.join("made");
        let db = database(&dir, None)?;
        // As a process that was killed leaves it.
        let state = take_up(&dir)?;
        db.close()?;
        fs::remove_dir_all(&dir)?;
        lay_out(&state, &root.join("db"))?;
        let log = newest(&root.join("db"), ".log")?;
        let mut bytes = fs::read(&log)?;
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes.extend(torn);
        Ok(fs::write(log, bytes)?)
    })?;
    let mut all = vec![repair(
        "repair of a torn tail",
        before,
        "torn-tail",
        |dir| Db::repair_torn_tail(dir),
        torn.to_vec(),
        LAST,
    )];
    for (name, past, folder, ending) in [
        ("repair of a damaged log", None, "db", ".log"),
        ("repair of a damaged log whose past is kept", kept, "db", ".log"),
        ("repair of a damaged snapshot", None, "db", ".snapshot"),
        ("repair of a damaged archive", kept, "db/archive", ".log"),
    ] {
        let mut damaged = Vec::new();
        let mut left = LAST;
        let before = made(|root| {
            let dir = root.join("db");
            let options = Options::new().compact_at(None);
            let db = Db::open_with(SyncDiskStorage::open(&dir)?, options)?;
            db.set_retention(past)?;
            write(&db, 4)?;
            if ending == ".snapshot" || past.is_some() {
                db.compact()?;
            }
            write(&db, LAST)?;
            db.close()?;
            if ending == ".snapshot" {
                compact_tail(&dir)?;
            }
            damaged = flip(&newest(&root.join(folder), ending)?)?;
            // What the repair leaves is what it leaves where nothing breaks it off.
            let copy = root.join("repaired");
            lay_out(&take_up(&dir)?, &copy)?;
            left = Db::repair_to_point_in_time(&copy)?.kept;
            Ok(fs::remove_dir_all(copy)?)
        })?;
        all.push(repair(
            name,
            before,
            "point-in-time",
            |dir| Db::repair_to_point_in_time(dir),
            damaged,
            left,
        ));
    }
    Ok(all)
}

fn repair(
    name: &'static str,
    before: State,
    mode: &'static str,
    again: Repair,
    damaged: Vec<u8>,
    left: u64,
) -> Scenario {
    let check = move |root: &Path, ended: bool| {
        let db = root.join("db");
        are_kept(root, &damaged)?;
        if ended {
            is_at(&db, left)?;
        }
        again(&db).context("repairing again")?;
        are_kept(root, &damaged)?;
        is_usable(&db, left)
    };
    Scenario { name, before, command: vec!["repair", "@db", "--mode", mode], check: Box::new(check) }
}

/// Flips a bit in the middle of a file, and returns what stands around it.
fn flip(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = fs::read(file)?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[end / 2] ^= 1;
    fs::write(file, &bytes)?;
    Ok(bytes[end / 2..(end / 2 + 40).min(end)].to_vec())
}

fn all_with(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.to_string_lossy().ends_with(ending)).collect())
}

fn newest(dir: &Path, ending: &str) -> Result<PathBuf> {
    all_with(dir, ending)?.into_iter().max().context("no such file")
}

fn largest(dir: &Path, ending: &str) -> Result<PathBuf> {
    let len = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    all_with(dir, ending)?.into_iter().max_by_key(len).context("no such file")
}
