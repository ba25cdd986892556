//! The scenarios of the command line: fresh, torn, compacted and large databases, and every command that writes.

use crate::command_line::{Load, Pumice};
use crate::files::Tree;
use crate::process::PATIENCE;
use crate::scenario::{Action, Scenario};
use crate::scratch::Scratch;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// A compaction of the large log ends with its removal.
const FIRST_SEGMENT: &str = "00000000000000000001.log";

/// How many batches the loads of small documents have.
#[derive(Clone, Copy)]
pub struct Size {
    pub batches: usize,
}

/// All scenarios.
///
/// # Errors
/// When a database to begin with cannot be made.
pub fn all(pumice: &Pumice, size: Size) -> Result<Vec<Scenario>> {
    let Size { batches } = size;
    let bases = Bases::make(pumice)?;
    let none = || (Tree::default(), String::new());
    let load = |name, (before, base): (Tree, String), batches: Vec<String>, lines_each| Scenario {
        name,
        before,
        base,
        action: Action::Load { batches, lines_each, attach_after: None, until_gone: None },
    };
    let closing = |name, (before, base): (Tree, String)| Scenario {
        name,
        before,
        base,
        action: Action::Load {
            batches: input("load", 3, 3, 80),
            lines_each: 3,
            attach_after: Some(3),
            until_gone: None,
        },
    };
    let compacting = |name, (before, base): (Tree, String)| Scenario {
        name,
        before,
        base,
        action: Action::Load {
            batches: input("load", 8, 2, 40_000),
            lines_each: 2,
            attach_after: None,
            until_gone: Some(FIRST_SEGMENT),
        },
    };
    let command = |name, called, (before, base): &(Tree, String), args: &[&str], after: String| Scenario {
        name,
        before: before.clone(),
        base: base.clone(),
        action: Action::Command { name: called, args: args.iter().map(|a| (*a).to_owned()).collect(), after },
    };
    let (several, torn) = (&bases.several, &bases.torn);
    let put = "{\"collection\":\"yy\",\"key\":\"k\",\"value\":{\"a\":1}}\n";
    let without_first = several.1.split_once('\n').map_or("", |(_, rest)| rest).to_owned();
    Ok(vec![
        load("load into nothing", none(), input("load", batches, 3, 80), 3),
        load("load behind a torn tail", bases.torn.clone(), input("load", batches * 2 / 3, 5, 200), 5),
        load("load onto segments and snapshots", bases.several.clone(), input("load", batches, 1, 150), 1),
        load("load of large documents", none(), input("load", 24, 2, 180_000), 2),
        compacting("load with a compaction inside", bases.full.clone()),
        closing("closing of a load into nothing", none()),
        closing("closing of a load onto segments and snapshots", bases.several.clone()),
        command("put into nothing", "put", &none(), &["yy", "k", "{\"a\":1}"], put.to_owned()),
        command("put behind a torn tail", "put", torn, &["yy", "k", "{\"a\":1}"], format!("{}{put}", torn.1)),
        command(
            "put onto segments and snapshots",
            "put",
            several,
            &["yy", "k", "{\"a\":1}"],
            several.1.clone() + put,
        ),
        command("del", "del", several, &["base", "00000-0"], without_first),
        command("drop", "drop", several, &["base"], String::new()),
        command("compact", "compact", several, &[], several.1.clone()),
        command("compact behind a torn tail", "compact", torn, &[], torn.1.clone()),
        command("compact of a large log", "compact", &bases.full, &[], bases.full.1.clone()),
        command("compact with a past that is kept", "compact", &bases.kept, &[], bases.kept.1.clone()),
        command("retention to be off", "retention", &bases.kept, &["--off"], bases.kept.1.clone()),
    ])
}

/// Batches of lines as `load` takes them, in the order in which a scan prints them.
pub fn input(collection: &str, batches: usize, lines: usize, bytes: usize) -> Vec<String> {
    let line = |batch: usize, line: usize| {
        let letter = char::from(b'a' + ((batch * 7 + line) % 26) as u8).to_string();
        // Not all of one length: the ends of lines and of blocks must not coincide.
        let text = letter.repeat(bytes + (batch * 13 + line) % 40);
        let value = format!("{{\"n\":{batch},\"text\":\"{text}\"}}");
        format!("{{\"collection\":\"{collection}\",\"key\":\"{batch:05}-{line}\",\"value\":{value}}}\n")
    };
    (0..batches).map(|batch| (0..lines).map(|l| line(batch, l)).collect()).collect()
}

/// The databases to begin with, each with what a scan prints.
struct Bases {
    /// Two segments, and a snapshot below them.
    several: (Tree, String),
    /// Killed in a load, and the last record cut.
    torn: (Tree, String),
    /// A log that a few more documents make long enough to compact itself.
    full: (Tree, String),
    /// With a past that is kept: an archive, a snapshot and two segments.
    kept: (Tree, String),
}

impl Bases {
    fn make(pumice: &Pumice) -> Result<Self> {
        let scratch = Scratch::new()?;
        let db = scratch.join("several");
        load(pumice, &db, &input("base", 10, 5, 100))?;
        pumice.run("compact", &db, &[])?;
        load_and_kill(pumice, &db, &input("base", 14, 5, 100))?;
        load(pumice, &db, &input("base", 20, 5, 100))?;
        let several = Tree::read(&db)?;

        let db = scratch.join("torn");
        load_and_kill(pumice, &db, &input("base", 20, 5, 100))?;
        let mut torn = Tree::read(&db)?;
        for stored in &mut torn.files {
            let length = stored.bytes.len();
            stored.bytes.truncate(length.saturating_sub(30));
        }

        let db = scratch.join("full");
        load(pumice, &db, &input("base", 160, 1, 104_000))?;
        let full = Tree::read(&db)?;
        let log_bytes: usize = full.files.iter().map(|stored| stored.bytes.len()).sum();
        ensure!((31 << 19..16 << 20).contains(&log_bytes), "the large log has {log_bytes} bytes");

        let db = scratch.join("kept");
        load(pumice, &db, &input("base", 6, 5, 100))?;
        pumice.run("retention", &db, &["--keep", "7d"])?;
        pumice.run("compact", &db, &[])?;
        load_and_kill(pumice, &db, &input("base", 9, 5, 100))?;
        load(pumice, &db, &input("base", 12, 5, 100))?;
        let kept = Tree::read(&db)?;

        let with_scan = |tree: Tree| -> Result<(Tree, String)> {
            let db = scratch.join("scanned");
            tree.write(&db)?;
            let text = pumice.scan(&db)?;
            ensure!(!text.is_empty(), "a database to begin with is empty");
            Ok((tree, text))
        };
        Ok(Self {
            several: with_scan(several)?,
            torn: with_scan(torn)?,
            full: with_scan(full)?,
            kept: with_scan(kept)?,
        })
    }
}

fn command(pumice: &Pumice, db: &Path, batches: &[String]) -> (Command, usize) {
    let lines = batches.first().map_or(1, |batch| batch.lines().count());
    (pumice.command("load", db, &["-", "--acks", "--batch", &lines.to_string()]), lines)
}

fn load(pumice: &Pumice, db: &Path, batches: &[String]) -> Result<()> {
    let (mut command, lines) = command(pumice, db, batches);
    let mut load = Load::start(&mut command, batches, lines)?;
    load.feed(batches.len(), PATIENCE)?;
    let loaded = load.finish()?;
    ensure!(loaded.status.success(), "load: {}: {}", loaded.status, loaded.stderr);
    Ok(())
}

fn load_and_kill(pumice: &Pumice, db: &Path, batches: &[String]) -> Result<()> {
    let (mut command, lines) = command(pumice, db, batches);
    let mut load = Load::start(&mut command, batches, lines)?;
    load.feed(batches.len(), PATIENCE)?;
    load.kill()
}
