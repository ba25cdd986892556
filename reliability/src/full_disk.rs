//! Disks that are full, and files that may not grow: real refusals and real short writes, under the command line.

use crate::command_line::{Load, Pumice};
use crate::figures;
use crate::mount::{self, Mount};
use crate::parallel;
use crate::process;
use crate::scenarios;
use crate::scratch::Scratch;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

const LINES: usize = 5;

/// Fills a small file system in memory and a small ext4 with a load.
///
/// # Errors
/// When the load does not end with one clear line, anything acknowledged is missing, a reading command fails on the
/// full disk, or writing does not work again when there is room.
pub fn fill(pumice: &Pumice) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut acknowledged = 0;
    for megabytes in [2, 3, 5] {
        let mounted = Mount::memory(megabytes << 20, &scratch.join("memory"))?;
        acknowledged += fill_one(pumice, &mounted, &|| mounted.resize((megabytes + 4) << 20))
            .with_context(|| format!("{megabytes} MiB of tmpfs"))?;
        mounted.unmount()?;
    }
    let image = scratch.join("image");
    mount::make_image(&image, 16, "mkfs.ext4", &["-qF"])?;
    let mounted = Mount::image(&image, &scratch.join("mounted"))?;
    let ballast = mounted.path().join("ballast");
    fs::write(&ballast, vec![1; 4 << 20])?;
    File::open(&ballast)?.sync_all()?;
    acknowledged +=
        fill_one(pumice, &mounted, &|| Ok(fs::remove_file(&ballast)?)).context("16 MiB of ext4")?;
    mounted.unmount()?;
    figures::keep("full-disk", &[("disks", 4), ("batches_acknowledged", acknowledged as u64), ("lost", 0)]);
    Ok(())
}

fn fill_one(pumice: &Pumice, disk: &Mount, make_room: &dyn Fn() -> Result<()>) -> Result<usize> {
    let db = disk.path().join("db");
    // More than any of the disks holds.
    let batches = scenarios::input("load", 600, LINES, 8000);
    let mut command = pumice.command("load", &db, &["-", "--acks", "--batch", &LINES.to_string()]);
    let mut load = Load::start(&mut command, &batches, LINES)?;
    load.feed(batches.len(), std::time::Duration::from_secs(1))?;
    let loaded = load.finish()?;
    require_full(loaded.status.code(), &loaded.stderr).context("the load")?;
    ensure!(loaded.acknowledged > 10, "the disk was full before any work");

    let found = pumice.scan(&db)?;
    let there = whole_batches(&found, &batches)?;
    ensure!(there >= loaded.acknowledged, "LOST: {} acknowledged, {there} there", loaded.acknowledged);
    for name in ["stats", "verify", "log"] {
        pumice.run(name, &db, &[]).with_context(|| format!("{name} on the full disk"))?;
    }
    let first = pumice.run("get", &db, &["load", "00000-0"]).context("get on the full disk")?;
    ensure!(batches.first().is_some_and(|batch| batch.contains(first.trim_end())), "get printed {first}");
    ensure!(pumice.scan(&db)? == found, "reading changed what is there");

    // What is larger than any rest of room.
    let document = format!("\"{}\"", "x".repeat(100_000));
    let mut refusals = 0;
    while refusals < 3 {
        let put = process::run(&mut pumice.command("put", &db, &["zz", &refusals.to_string(), &document]))?;
        require_full(put.status.code(), &put.stderr).context("put on the full disk")?;
        refusals += 1;
    }
    pumice.run("verify", &db, &[]).context("verify after writes that the full disk refused")?;

    make_room()?;
    let found = pumice.scan(&db)?;
    pumice.run("put", &db, &["zz", "room", "1"]).context("put when there is room again")?;
    pumice.run("verify", &db, &[])?;
    let line = "{\"collection\":\"zz\",\"key\":\"room\",\"value\":1}\n";
    ensure!(pumice.scan(&db)? == found + line, "a write after it changed more than it should");
    Ok(loaded.acknowledged)
}

fn require_full(code: Option<i32>, stderr: &str) -> Result<()> {
    ensure!(code == Some(2), "exit code {code:?}, and not 2: {stderr}");
    ensure!(stderr.lines().count() == 1, "not one line of stderr: {stderr}");
    ensure!(stderr.contains("make room"), "it does not say what to do: {stderr}");
    Ok(())
}

fn whole_batches(found: &str, batches: &[String]) -> Result<usize> {
    let mut rest = found;
    let mut there = 0;
    while let Some(behind) = batches.get(there).and_then(|batch| rest.strip_prefix(batch.as_str())) {
        rest = behind;
        there += 1;
    }
    ensure!(rest.is_empty(), "after {there} whole batches there is something else, or half of one");
    Ok(there)
}

/// Sweeps the largest size that a file may have (`RLIMIT_FSIZE`) under a load and under a compaction. The write that
/// crosses it is cut short by the system, the next one fails.
///
/// # Errors
/// As for [`fill`].
pub fn limit_files(pumice: &Pumice, sizes: u64) -> Result<()> {
    let scratch = Scratch::new()?;
    let before = scratch.join("before");
    let batches = scenarios::input("load", 30, LINES, 20_000);
    let input = scratch.join("input");
    fs::write(&input, batches.concat())?;
    let input = input.to_str().context("no UTF-8")?;
    pumice.run("load", &before, &[input, "--batch", &LINES.to_string()])?;
    let (tree, base) = (crate::files::Tree::read(&before)?, pumice.scan(&before)?);
    ensure!(whole_batches(&base, &batches)? == batches.len(), "the load without a limit");

    // From nothing to beyond the size of the log and of the snapshot, all of which is within 4 MiB.
    let cases: Vec<(u64, &str)> = (0..sizes)
        .flat_map(|n| ["load", "compact"].map(|name| (n * (4 << 20) / sizes + n % 7, name)))
        .collect();
    let (told, done) = (AtomicU64::new(0), AtomicU64::new(0));
    parallel::for_each(&cases, |(limit, name), scratch| {
        let what = || format!("{name} with files of {limit} bytes at most");
        let db = scratch.join("db");
        let code = if *name == "load" {
            crate::files::remove(&db)?;
            limited_load(pumice, &db, *limit, &batches).with_context(what)?
        } else {
            tree.write(&db)?;
            let code = limited_compact(pumice, &db, *limit).with_context(what)?;
            ensure!(pumice.scan(&db)? == base, "{}: the documents are not as they were", what());
            code
        };
        if code == Some(0) { &done } else { &told }.fetch_add(1, Ordering::Relaxed);
        pumice.run("put", &db, &["zz", "after", "1"]).with_context(what)?;
        pumice.run("verify", &db, &[]).with_context(what)?;
        Ok(())
    })?;
    let (told, done) = (told.into_inner(), done.into_inner());
    figures::keep(
        "short-writes",
        &[("limits", cases.len() as u64), ("told", told), ("not_reached", done), ("lost", 0)],
    );
    ensure!(told > 0 && done > 0, "the limits were all too small or all too large");
    Ok(())
}

fn limited(pumice: &Command, limit: u64) -> Command {
    let mut command = Command::new("env");
    // Without the signal the writes fail, as they do on a full disk.
    command.args(["--ignore-signal=XFSZ", "prlimit", &format!("--fsize={limit}")]);
    command.arg(pumice.get_program()).args(pumice.get_args());
    command
}

fn limited_load(pumice: &Pumice, db: &Path, limit: u64, batches: &[String]) -> Result<Option<i32>> {
    let command = pumice.command("load", db, &["-", "--acks", "--batch", &LINES.to_string()]);
    let mut load = Load::start(&mut limited(&command, limit), batches, LINES)?;
    load.feed(batches.len(), std::time::Duration::from_millis(40))?;
    let loaded = load.finish()?;
    match loaded.status.code() {
        Some(0) => ensure!(loaded.acknowledged == batches.len(), "done, and not all acknowledged"),
        code => require_full(code, &loaded.stderr)?,
    }
    let there = whole_batches(&pumice.scan(db)?, batches)?;
    ensure!(there >= loaded.acknowledged, "LOST: {} acknowledged, {there} there", loaded.acknowledged);
    Ok(loaded.status.code())
}

fn limited_compact(pumice: &Pumice, db: &Path, limit: u64) -> Result<Option<i32>> {
    let ended = process::run(&mut limited(&pumice.command("compact", db, &[]), limit))?;
    match ended.status.code() {
        Some(0) => {}
        Some(2) => require_full(Some(2), &ended.stderr)?,
        _ => bail!("{}: {}", ended.status, ended.stderr),
    }
    pumice.run("verify", db, &[])?;
    Ok(ended.status.code())
}
