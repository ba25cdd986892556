//! `cargo xtask soak`: the same tests, many more cases.

use crate::fuzz::{self, Effort};
use crate::{reliability, test};
use anyhow::Result;
use xshell::{Shell, cmd};

pub fn run(sh: &Shell) -> Result<()> {
    let _soak = sh.push_env("PUMICE_SOAK", "1");
    cmd!(sh, "cargo test --workspace --all-features --release").run()?;
    test::interleavings(sh)?;
    test::wasm_in_a_browser(sh)?;
    fuzz::run(sh, Effort::Seconds(60))?;
    reliability::run_harness(sh)
}
