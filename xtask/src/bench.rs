//! `cargo xtask bench`: the engine's benchmarks.

use anyhow::Result;
use xshell::{Shell, cmd};

pub fn run(sh: &Shell, args: &[String]) -> Result<()> {
    Ok(cmd!(sh, "cargo bench --bench engine --all-features -- {args...}").run()?)
}
