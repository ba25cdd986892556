//! `cargo xtask soak`: the same tests, many more cases.

use crate::fuzz;
use anyhow::Result;
use xshell::{Shell, cmd};

pub fn run(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo test --workspace --all-features --release").env("PUMICE_SOAK", "1").run()?;
    fuzz::run(sh, 60)
}
