//! `cargo xtask soak`: the same tests, many more cases.

use anyhow::Result;
use xshell::{Shell, cmd};

pub fn run(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo test --workspace --all-features --release").env("PUMICE_SOAK", "1").run()?)
}
