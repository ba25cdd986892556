//! The day and the machine of a run.

use anyhow::{Context, Result};
use rustix::fs::statfs;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    pub file_system: String,
    /// Of the last minute, when the run began. Over 1, something else was at work.
    pub load: f64,
    /// One `fdatasync` of 4 KiB appended, in seconds.
    pub sync_seconds: f64,
    pub rustc: String,
}

impl Machine {
    /// The one that this runs on, with the file system of `dir`.
    ///
    /// # Errors
    /// On a system without `/proc`.
    pub fn this(dir: &Path) -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory = memory.split_whitespace().nth(1).context("/proc/meminfo")?.parse::<u64>()? << 10;
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            date: jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date().to_string(),
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: memory,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            file_system: file_system(dir)?,
            load: load.split_whitespace().next().context("/proc/loadavg")?.parse()?,
            sync_seconds: sync_seconds(dir)?,
            rustc: env!("BENCH_RUSTC").to_owned(),
        })
    }
}

/// By the magic numbers of statfs(2).
fn file_system(dir: &Path) -> Result<String> {
    let magic = statfs(dir)?.f_type;
    Ok(match magic {
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x0102_1994 => "tmpfs, where syncs do nothing".to_owned(),
        0x794c_7630 => "overlayfs".to_owned(),
        other => format!("{other:#x}"),
    })
}

fn sync_seconds(dir: &Path) -> Result<f64> {
    use std::io::Write;
    let path = dir.join("sync");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[1; 4096])?;
        let start = std::time::Instant::now();
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64());
    }
    fs::remove_file(path)?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
