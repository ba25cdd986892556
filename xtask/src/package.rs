//! `cargo xtask package`: the npm package, built into `pkg/`.
//!
//! wasm-pack compiles the engine, wasm-opt shrinks it, esbuild bundles the client and the worker, tsc writes the
//! types, and `pkg.json` completes the manifest. What ships is what `files` in `pkg.json` names.

use crate::setup;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};

/// What rustc emits for the target. wasm-opt takes a module only with what it uses allowed.
const WASM_FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// # Errors
/// A tool that is missing or fails, and a package that is larger than allowed.
pub fn run(sh: &Shell) -> Result<()> {
    setup::browser::wasm_tools(sh)?;
    let modules = setup::npm_packages(sh, "tests")?;
    let pkg = sh.current_dir().join("pkg");
    if pkg.exists() {
        fs::remove_dir_all(&pkg)?;
    }
    compile(sh, &modules, &pkg)?;
    bundle(sh, &modules, &pkg)?;
    cmd!(sh, "node xtask/package/manifest.js {pkg}").run()?;
    Ok(cmd!(sh, "node xtask/package/sizes.js {pkg}").run()?)
}

fn compile(sh: &Shell, modules: &Path, pkg: &Path) -> Result<()> {
    cmd!(sh, "wasm-pack --log-level warn build --target web --profile wasm --no-opt --out-dir {pkg} -- --features js").run()?;
    let wasm = pkg.join("pumice_bg.wasm");
    let wasm_opt = modules.join(".bin/wasm-opt");
    cmd!(sh, "{wasm_opt} -Oz --converge {WASM_FEATURES...} {wasm} -o {wasm}").run().context(
        "wasm-opt refuses the module; if rustc emits a new feature, allow it in xtask/src/package.rs",
    )
}

fn bundle(sh: &Shell, modules: &Path, pkg: &Path) -> Result<()> {
    let tsc = modules.join(".bin/tsc");
    let types = pkg.join("types");
    cmd!(sh, "{tsc} --project src/js --noEmit false --declaration --emitDeclarationOnly --outDir {types}")
        .run()?;
    cmd!(sh, "node xtask/package/types.js {pkg}").run()?;
    Ok(cmd!(sh, "node xtask/package/bundle.js {pkg}").run()?)
}
