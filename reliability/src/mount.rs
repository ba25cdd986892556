//! File systems made for a moment: images on a loop device, and small ones in memory. Gone when dropped.

use crate::process;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// As `mount -t` knows it, and in the names of figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Makes an empty one in a new file, of the smallest size that the file system takes gladly.
    ///
    /// # Errors
    /// When its tools are missing.
    pub fn image(self, path: &Path) -> Result<()> {
        let (megabytes, make, quiet_and_force) = match self {
            Self::Ext4 => (128, "mkfs.ext4", "-qF"),
            Self::Xfs => (320, "mkfs.xfs", "-qf"),
        };
        make_image(path, megabytes, make, &[quiet_and_force])
    }
}

/// Makes a sparse file and runs a `mkfs` on it.
///
/// # Errors
/// When its tools are missing.
pub fn make_image(path: &Path, megabytes: u64, make: &str, args: &[&str]) -> Result<()> {
    File::create(path)?.set_len(megabytes << 20)?;
    process::succeed(Command::new(make).args(args).arg(path))?;
    Ok(())
}

/// Something mounted.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts an image on a loop device, which goes with the mount.
    ///
    /// # Errors
    /// When this machine or this user cannot.
    pub fn image(image: &Path, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        process::succeed(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at)).context(
            "cannot mount an image: that takes root, a loop device and its file system in the kernel",
        )?;
        Ok(Self(at.to_owned()))
    }

    /// Mounts so many bytes of memory.
    ///
    /// # Errors
    /// When this user cannot.
    pub fn memory(bytes: u64, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={bytes}");
        process::succeed(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at))
            .context("cannot mount a file system in memory: that takes root")?;
        Ok(Self(at.to_owned()))
    }

    /// Gives a file system in memory another size.
    ///
    /// # Errors
    /// The system's.
    pub fn resize(&self, bytes: u64) -> Result<()> {
        let size = format!("remount,size={bytes}");
        process::succeed(Command::new("mount").args(["-o", &size]).arg(&self.0))?;
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Unmounts, and says whether that worked, which dropping does not.
    ///
    /// # Errors
    /// When something still uses it.
    pub fn unmount(self) -> Result<()> {
        for _ in 0..50 {
            if process::run(Command::new("umount").arg(&self.0))?.status.success() {
                std::mem::forget(self);
                return Ok(());
            }
            // Whoever was killed may not have let go of its files yet.
            thread::sleep(Duration::from_millis(20));
        }
        bail!("cannot unmount {}", self.0.display())
    }

    /// Cuts the power: nothing that is not on the device by now gets there. The journal's pending part goes too,
    /// unless `flush_journal`.
    ///
    /// # Errors
    /// When the file system knows no shutdown.
    pub fn cut_power(&self, flush_journal: bool) -> Result<()> {
        let shutdown = if flush_journal { "shutdown -f" } else { "shutdown" };
        let cut = process::run(Command::new("xfs_io").args(["-x", "-c", shutdown]).arg(&self.0))?;
        ensure!(
            File::create(self.0.join("a probe")).is_err(),
            "`xfs_io -c {shutdown}` did not shut the file system down: {}",
            cut.stderr.trim()
        );
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whatever still holds a file must not keep the mount. What stays is removed by the next run.
        let _ = process::run(Command::new("umount").arg("-l").arg(&self.0));
    }
}
