//! What the commands need before they can start.
//!
//! Every function here looks first, acts only where something is missing, and says what to do where it cannot.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

const WASM: &str = "wasm32-unknown-unknown";

/// The standard library for the browser, from rustup unless the toolchain has it.
pub fn wasm_target(sh: &Shell) -> Result<()> {
    let libraries = cmd!(sh, "rustc --print target-libdir --target {WASM}").quiet().read()?;
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    println!("Adding the {WASM} target");
    cmd!(sh, "rustup target add {WASM}").run().with_context(|| {
        format!(
            "the toolchain has no {WASM} target and rustup could not add it; run `rustup target add {WASM}` where \
             the network allows it, or install your distribution's package of it"
        )
    })
}

/// Builds the `pumice` command for release and returns where it is.
pub fn release_binary(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --release --bin pumice --all-features").run()?;
    Ok(target_dir(sh)?.join("release").join(format!("pumice{EXE_SUFFIX}")))
}

/// Where cargo builds, wherever the environment put that.
pub fn target_dir(sh: &Shell) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1").quiet().read()?;
    Ok(serde_json::from_str::<Metadata>(&metadata)?.target_directory)
}
