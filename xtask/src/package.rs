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
    "--enable-simd",
];

/// What wasm-opt does, in this order: of what was tried, this is the smallest once brotli has packed it, 3 % below `-Oz` alone. What is
/// skipped makes the module smaller, and larger once packed.
const WASM_PASSES: &[&str] = &[
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--reorder-functions-by-name",
    "--skip-pass=inlining-optimizing",
    "--skip-pass=local-cse",
    "--skip-pass=simplify-locals",
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
    compile(sh, &modules, &pkg, "pumice_encrypted", "js,encryption")?;
    let limit = compile(sh, &modules, &pkg, "pumice", "js")?.to_string();
    bundle(sh, &modules, &pkg)?;
    cmd!(sh, "node xtask/package/manifest.js {pkg}").run()?;
    Ok(cmd!(sh, "node xtask/package/sizes.js {pkg} {limit}").run()?)
}

/// The standard library is compiled too, for size, and without what panics say and where, which would name folders of the machine
/// that compiles: that is a sixth of the module. All of it is
/// unstable in cargo and rustc, which take it from a stable toolchain only with `RUSTC_BOOTSTRAP`. A panic is a trap then,
/// which ends the worker; the page starts another one.
const SMALL_STD: [&str; 4] =
    ["-Z", "build-std=std,panic_abort", "-Z", "build-std-features=optimize_for_size"];
const WITHOUT_MESSAGES: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none";
/// For searching and checksums. Every browser that has OPFS has it.
const SIMD: &str = "-Ctarget-feature=+simd128";

/// How many kB, after brotli, `open` may load: what it does, and little more, to keep it from growing. The aim is 100.
const LIMIT: u32 = 190;
/// The same with the standard library as it comes.
const LIMIT_WITH_LARGE_STD: u32 = 217;

/// Makes `{name}.js` and `{name}_bg.wasm`, and returns the limit for what was compiled.
fn compile(sh: &Shell, modules: &Path, pkg: &Path, name: &str, features: &str) -> Result<u32> {
    let build = cmd!(sh, "wasm-pack --log-level warn build --target web --profile wasm --no-opt");
    let build = build.args(["--out-dir".as_ref(), pkg.as_os_str()]);
    let build = build.args(["--out-name", name, "--", "--features", features]);
    let limit = match setup::standard_library(sh) {
        Ok(()) => {
            build
                .args(SMALL_STD)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTFLAGS", format!("{WITHOUT_MESSAGES} {SIMD}"))
                .run()?;
            LIMIT
        }
        Err(error) => {
            println!("Compiling with the standard library as it comes, for {error:#}");
            build.env("RUSTFLAGS", SIMD).run()?;
            LIMIT_WITH_LARGE_STD
        }
    };
    let wasm = pkg.join(format!("{name}_bg.wasm"));
    let wasm_opt = modules.join(".bin/wasm-opt");
    cmd!(sh, "{wasm_opt} {WASM_PASSES...} {WASM_FEATURES...} {wasm} -o {wasm}").run().context(
        "wasm-opt refuses the module; if rustc emits a new feature, allow it in xtask/src/package.rs",
    )?;
    cmd!(sh, "node xtask/package/names.js {pkg} {name}").run()?;
    Ok(limit)
}

fn bundle(sh: &Shell, modules: &Path, pkg: &Path) -> Result<()> {
    let tsc = modules.join(".bin/tsc");
    let types = pkg.join("types");
    cmd!(sh, "{tsc} --project src/js --noEmit false --declaration --emitDeclarationOnly --outDir {types}")
        .run()?;
    cmd!(sh, "node xtask/package/types.js {pkg}").run()?;
    Ok(cmd!(sh, "node xtask/package/bundle.js {pkg}").run()?)
}
