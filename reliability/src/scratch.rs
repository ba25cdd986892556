//! Folders and mounts of this program, all below `/dev/shm/pumice-reliability-PROCESS`, and gone when it ends.

use crate::files;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// In memory, so that the spawning of processes is all that takes time.
const ROOT: &str = "/dev/shm";
const PREFIX: &str = "pumice-reliability-";

/// A folder that goes when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = Path::new(ROOT).join(format!("{PREFIX}{}", std::process::id())).join(number.to_string());
        fs::create_dir_all(&dir).with_context(|| {
            format!("cannot make {}; the harness needs {ROOT}, a file system in memory", dir.display())
        })?;
        Ok(Self(dir))
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = files::remove(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// Unmounts and removes what earlier runs that were killed have left.
///
/// # Errors
/// When it cannot be removed.
pub fn clean_up() -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    for entry in fs::read_dir(ROOT)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(process) = name.strip_prefix(PREFIX) else { continue };
        if Path::new("/proc").join(process).exists() {
            continue;
        }
        let below = path.join("").display().to_string();
        let mut points: Vec<_> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|p| p.starts_with(&below))
            .collect();
        // A loop's image may stand on another mount: the last first.
        points.reverse();
        for point in points {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
        files::remove(&path)?;
    }
    Ok(())
}
