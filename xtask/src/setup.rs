//! What the commands need before they can start.
//!
//! Every function here looks first, acts only where something is missing, and says what to do where it cannot.

pub mod browser;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::env::{self, consts::EXE_SUFFIX};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

const WASM: &str = "wasm32-unknown-unknown";

/// Keeps other steps, which are processes of their own, from setting up the same beside this one.
fn alone(sh: &Shell) -> Result<File> {
    let dir = target_dir(sh)?;
    fs::create_dir_all(&dir)?;
    let lock = File::create(dir.join("setup.lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// The standard library for the browser, from rustup unless the toolchain has it.
pub fn wasm_target(sh: &Shell) -> Result<()> {
    let _alone = alone(sh)?;
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

/// The source of the standard library, from rustup unless the toolchain has it.
pub fn standard_library(sh: &Shell) -> Result<()> {
    let _alone = alone(sh)?;
    let sysroot = cmd!(sh, "rustc --print sysroot").quiet().read()?;
    if Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.toml").is_file() {
        return Ok(());
    }
    println!("Adding the source of the standard library");
    cmd!(sh, "rustup component add rust-src").run().context(
        "the toolchain has no source of the standard library and rustup could not add it; run \
         `rustup component add rust-src` where the network allows it",
    )
}

/// Node.js and npm, which only the user can install.
pub fn npm(sh: &Shell) -> Result<()> {
    for tool in ["node", "npm"] {
        cmd!(sh, "{tool} --version").quiet().ignore_stderr().read().with_context(|| {
            format!(
                "`{tool}` does not run; install Node.js 20 or later, which brings npm, and put it on PATH"
            )
        })?;
    }
    Ok(())
}

/// The packages that the lock file in `dir` names, installed exactly; returns the folder that has them.
pub fn npm_packages(sh: &Shell, dir: &str) -> Result<PathBuf> {
    npm(sh)?;
    let _alone = alone(sh)?;
    let dir = sh.current_dir().join(dir);
    let modules = dir.join("node_modules");
    let installed = fs::metadata(modules.join(".package-lock.json")).and_then(|m| m.modified());
    let locked = fs::metadata(dir.join("package-lock.json")).and_then(|m| m.modified())?;
    if !installed.is_ok_and(|installed| installed >= locked) {
        println!("Installing the npm packages of {}", dir.display());
        cmd!(sh, "npm ci --prefix {dir} --no-audit --no-fund").run().with_context(|| {
            format!("npm could not install the packages of {}; it needs the registry once", dir.display())
        })?;
    }
    Ok(modules)
}

/// What the harness runs: each tool, and Debian's package of it.
const SYSTEM_TOOLS: &[(&str, &str)] = &[
    ("strace", "strace"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("losetup", "mount"),
    ("mount", "mount"),
    ("prlimit", "util-linux"),
];

/// The system's tools for kills, faults and file systems.
pub fn system_tools(sh: &Shell) -> Result<()> {
    debian_packages(sh, SYSTEM_TOOLS)
}

/// What counts instructions.
pub fn valgrind(sh: &Shell) -> Result<()> {
    debian_packages(sh, &[("valgrind", "valgrind")])
}

/// Programs, each with Debian's package of it, from apt unless they are there.
fn debian_packages(sh: &Shell, tools: &[(&str, &str)]) -> Result<()> {
    let _alone = alone(sh)?;
    let missing: Vec<_> = tools.iter().filter(|(tool, _)| !is_on_path(tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|(tool, _)| *tool).collect::<Vec<_>>().join(", ");
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let advice = format!("{names} missing; install the packages {}", packages.join(", "));
    if !is_on_path("apt-get") || cmd!(sh, "id -u").quiet().read()? != "0" {
        bail!("{advice}");
    }
    println!("Installing {}", packages.join(", "));
    cmd!(sh, "apt-get update -qq").run().with_context(|| advice.clone())?;
    cmd!(sh, "apt-get install -y -qq --no-install-recommends {packages...}").run().context(advice)
}

fn find(tool: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|dir| dir.join(tool))
        .find(|file| file.is_file())
}

fn is_on_path(tool: &str) -> bool {
    find(tool).is_some()
}

/// cargo-fuzz, which runs the programs in `fuzz/`.
pub fn cargo_fuzz(sh: &Shell) -> Result<()> {
    subcommand(sh, "fuzz", "it needs the registry once and a C++ compiler")
}

/// cargo-mutants, which changes the engine.
pub fn cargo_mutants(sh: &Shell) -> Result<()> {
    subcommand(sh, "mutants", "it needs the registry once")
}

/// Installs a program from the registry. It is not optimised, for it takes longer to compile than it will ever run.
/// What the programs have in common is compiled once.
fn cargo_install(sh: &Shell, args: &[&str]) -> Result<()> {
    let target = target_dir(sh)?.join("tools");
    let install = cmd!(sh, "cargo install --target-dir {target} {args...}");
    let quickly = [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16"), ("STRIP", "debuginfo")];
    let quickly = quickly.map(|(setting, value)| (format!("CARGO_PROFILE_RELEASE_{setting}"), value));
    Ok(install.envs(quickly).run()?)
}

/// Installs `cargo NAME` where it is missing.
fn subcommand(sh: &Shell, name: &str, needs: &str) -> Result<()> {
    let _alone = alone(sh)?;
    if cmd!(sh, "cargo {name} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        return Ok(());
    }
    println!("Installing cargo-{name}");
    cargo_install(sh, &[&format!("cargo-{name}"), "--locked"]).with_context(|| {
        format!("cargo-{name} could not be installed; {needs}: run `cargo install cargo-{name} --locked` where that is")
    })
}

/// Builds the program `name` in `profile`, `release` or `test`, and returns where it is. It shares what it needs with all
/// else that is built in that profile.
pub fn binary(sh: &Shell, profile: &str, name: &str) -> Result<PathBuf> {
    cmd!(sh, "cargo build --profile {profile} --workspace --all-features --bin {name}").run()?;
    let folder = if profile == "release" { "release" } else { "debug" };
    Ok(target_dir(sh)?.join(folder).join(format!("{name}{EXE_SUFFIX}")))
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
