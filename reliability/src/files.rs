//! The files of a directory in memory, to be laid out again and again.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files and folders below a directory.
#[derive(Clone, Default)]
pub struct Tree {
    folders: Vec<PathBuf>,
    pub files: Vec<Stored>,
}

#[derive(Clone)]
pub struct Stored {
    /// Relative to the directory.
    pub path: PathBuf,
    /// Up to the last byte that is not zero.
    pub bytes: Vec<u8>,
    length: u64,
}

impl Tree {
    /// Reads everything in `dir`; nothing where there is no such directory.
    ///
    /// # Errors
    /// The system's.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut tree = Self::default();
        if dir.exists() {
            tree.add(dir, Path::new(""))?;
        }
        Ok(tree)
    }

    fn add(&mut self, dir: &Path, below: &Path) -> Result<()> {
        let mut names: Vec<_> =
            fs::read_dir(dir.join(below))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        names.sort();
        self.folders.push(below.to_owned());
        for name in names {
            let path = below.join(name);
            let full = dir.join(&path);
            if full.is_dir() {
                self.add(dir, &path)?;
                continue;
            }
            let mut bytes = fs::read(&full).with_context(|| full.display().to_string())?;
            let length = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            self.files.push(Stored { path, bytes, length });
        }
        Ok(())
    }

    /// Makes `dir` hold this and nothing else.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, dir: &Path) -> Result<()> {
        remove(dir)?;
        for folder in &self.folders {
            fs::create_dir_all(dir.join(folder))?;
        }
        for Stored { path, bytes, length } in &self.files {
            let mut file = File::create(dir.join(path))?;
            file.write_all(bytes)?;
            file.set_len(*length)?;
        }
        Ok(())
    }
}

/// Removes a directory with everything in it; it may be missing.
///
/// # Errors
/// The system's.
pub fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    Ok(())
}
