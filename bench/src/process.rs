//! What the system tells of this process, and of the files of a database.

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Resident memory in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: u64,
    /// Of it, what is no page of a file: what the system cannot take back.
    pub anonymous: u64,
    /// The most that was resident at any time.
    pub peak: u64,
}

pub fn memory() -> Result<Memory> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name| Ok::<_, anyhow::Error>(field(&status, name)? << 10);
    Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")?, peak: field("VmHWM:")? })
}

/// Bytes that this process had written to files' pages, which the system writes to the disk or has written.
pub fn bytes_written() -> Result<u64> {
    field(&fs::read_to_string("/proc/self/io")?, "write_bytes:")
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().context("no number")?.parse()?)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
    }
    Ok(all)
}

/// Bytes that the files in `dir` take on the disk: holes are none, what is grown ahead counts.
pub fn disk(dir: &Path) -> Result<u64> {
    // Engines may remove a file between the listing and the look at it.
    let sizes = files(dir)?.into_iter().filter_map(|path| path.metadata().ok());
    Ok(sizes.map(|metadata| metadata.blocks() * 512).sum())
}

/// Brings the files into the page cache.
pub fn warm(dir: &Path) -> Result<()> {
    for path in files(dir)? {
        io::copy(&mut File::open(path)?, &mut io::sink())?;
    }
    Ok(())
}

/// Takes the files out of the page cache, and names of files too where this process may; returns whether it may.
pub fn cool(dir: &Path) -> Result<bool> {
    for path in files(dir)? {
        let file = File::open(path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    let may = fs::write("/proc/sys/vm/drop_caches", "3").is_ok();
    // The program itself is no part of the database: its pages come back before anything is measured.
    io::copy(&mut File::open("/proc/self/exe")?, &mut io::sink())?;
    Ok(may)
}
