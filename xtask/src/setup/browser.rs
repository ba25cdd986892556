//! What compiles for a browser, and a real browser to test in.

use super::{alone, cargo_install, debian_packages, find, wasm_target};
use anyhow::{Context, Result};
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// The browser and what drives it: each program, and Debian's package of it.
const CHROMIUM: &[(&str, &str)] = &[("chromium", "chromium"), ("chromedriver", "chromium-driver")];

/// A real Chromium and its driver; returns where the driver is.
pub fn chromium(sh: &Shell) -> Result<PathBuf> {
    debian_packages(sh, CHROMIUM)?;
    find("chromedriver").context("chromedriver was installed and is not on PATH")
}

/// The compiler's target, `wasm-pack`, and `wasm-bindgen` of the very version that the crate is compiled with.
pub fn wasm_tools(sh: &Shell) -> Result<()> {
    wasm_target(sh)?;
    let _alone = alone(sh)?;
    wasm_bindgen(sh)?;
    if cmd!(sh, "wasm-pack --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        return Ok(());
    }
    println!("Installing wasm-pack");
    let advice = "wasm-pack could not be installed; run `cargo install wasm-pack --locked` where the registry is within reach";
    cargo_install(sh, &["wasm-pack", "--locked"]).context(advice)
}

/// Code and tool must agree to the last digit: what is between them changes with every version.
fn wasm_bindgen(sh: &Shell) -> Result<()> {
    let package = cmd!(sh, "cargo pkgid wasm-bindgen").quiet().read()?;
    let version = package.rsplit('@').next().context("`cargo pkgid` names no version")?;
    let installed = cmd!(sh, "wasm-bindgen --version").quiet().ignore_stderr().read();
    if installed.is_ok_and(|text| text.split_whitespace().nth(1) == Some(version)) {
        return Ok(());
    }
    println!("Installing wasm-bindgen-cli {version}");
    let install = ["wasm-bindgen-cli", "--version", version, "--force"];
    // Its own lock file may name versions that a registry's mirror lacks.
    if cargo_install(sh, &[&install[..], &["--locked"]].concat()).is_ok() {
        return Ok(());
    }
    cargo_install(sh, &install).with_context(|| {
        format!(
            "wasm-bindgen-cli {version} could not be installed; run `cargo install wasm-bindgen-cli --version {version}` \
             where the registry is within reach"
        )
    })
}
