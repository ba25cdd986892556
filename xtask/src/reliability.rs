//! `cargo xtask reliability`: everything that can break a database, for all engines, and the page with the figures.

mod page;

use crate::fuzz::{self, Effort};
use crate::{setup, test};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use xshell::{Shell, cmd};

const PAGE: &str = "docs/reliability.md";
pub fn run(sh: &Shell) -> Result<()> {
    let figures = figures_dir(sh)?;
    // Figures of another day must not pass for those of today.
    if figures.exists() {
        fs::remove_dir_all(&figures)?;
    }
    let _figures = sh.push_env("PUMICE_FIGURES", &figures);
    run_harness(sh)?;
    cmd!(
        sh,
        "cargo test --release --workspace --all-features --test crash --test crash_encrypted --test crash_opfs --test damage --test engine"
    )
    .run()?;
    test::browser::figures(sh)?;
    test::interleavings(sh)?;
    fuzz::run(sh, Effort::Seconds(60))?;
    write_page(sh)
}

/// Puts the figures that are there into the page.
pub fn write_page(sh: &Shell) -> Result<()> {
    let path = sh.current_dir().join(PAGE);
    let text = fs::read_to_string(&path).context(PAGE)?;
    fs::write(&path, page::fill(&text, &page::figures(sh, &figures_dir(sh)?)?)?)?;
    println!("The figures are in {PAGE}");
    Ok(())
}

fn figures_dir(sh: &Shell) -> Result<PathBuf> {
    Ok(setup::target_dir(sh)?.join("figures"))
}

/// All ways of breaking, for all engines, in release: what the others' engines check only in debug builds is not what
/// their users have.
pub fn run_harness(sh: &Shell) -> Result<()> {
    setup::system_tools(sh)?;
    let pumice = setup::binary(sh, "release", "pumice")?;
    let harness = setup::binary(sh, "release", "pumice-reliability")?;
    for name in ["kills", "crash-states", "io-errors", "full-disk"] {
        cmd!(sh, "{harness} {name} --pumice {pumice}").run()?;
    }
    for name in ["engine-kills", "power-cuts", "bit-flips"] {
        cmd!(sh, "{harness} {name}").run()?;
    }
    // The engine that promises more than the others has its power cut more often.
    Ok(cmd!(sh, "{harness} power-cuts --engine pumice --cuts 100").run()?)
}
