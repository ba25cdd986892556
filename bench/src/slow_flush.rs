//! A library in C that is preloaded into a process and makes each of its syncs 1 ms longer, the same for every engine.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("../slow_flush.c");
const MICROS: &str = "1000";

pub struct SlowFlush {
    library: PathBuf,
    count: PathBuf,
}

impl SlowFlush {
    /// Compiles it into `dir`.
    ///
    /// # Errors
    /// When there is no C compiler, which some of the engines need too.
    pub fn compile(dir: &Path) -> Result<Self> {
        let (source, library) = (dir.join("slow_flush.c"), dir.join("slow_flush.so"));
        fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
        let status = compiler.status().context("`cc` does not run; install a C compiler")?;
        ensure!(status.success(), "cc could not compile {}", source.display());
        Ok(Self { library, count: dir.join("syncs") })
    }

    pub fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("SLOW_FLUSH_MICROS", MICROS)
            .env("SLOW_FLUSH_COUNT", &self.count);
    }

    /// How many syncs there were in the process that ended last. An engine that syncs past it would show none.
    ///
    /// # Errors
    /// When that process did not tell.
    pub fn take_count(&self) -> Result<f64> {
        let text =
            fs::read_to_string(&self.count).context("the preloaded library told no number of syncs")?;
        fs::remove_file(&self.count)?;
        Ok(text.trim().parse()?)
    }
}
