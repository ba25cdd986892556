//! What `cargo xtask test` does, step by step.

use super::{browser, platform_table};
use crate::fuzz::{self, Effort};
use crate::{bench, instructions, package, setup};
use anyhow::Result;
use std::path::PathBuf;
use xshell::{Shell, cmd};

pub struct Step {
    pub name: &'static str,
    /// The name by which a user may leave it out: only what needs root, strace or valgrind has one.
    pub optional: Option<&'static str>,
    /// The step whose results it needs.
    pub after: Option<&'static str>,
    /// It takes what processor it gets. The other step at that time goes first, for a browser that gets none for too long fails.
    pub is_patient: bool,
    pub run: fn(&Shell) -> Result<()>,
}

const fn step(name: &'static str, run: fn(&Shell) -> Result<()>) -> Step {
    Step { name, optional: None, after: None, is_patient: false, run }
}

const fn optional(name: &'static str, short: &'static str, run: fn(&Shell) -> Result<()>) -> Step {
    Step { name, optional: Some(short), after: None, is_patient: false, run }
}

impl Step {
    const fn after(mut self, name: &'static str) -> Self {
        self.after = Some(name);
        self
    }

    const fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }
}

const NPM_PACKAGE: &str = "npm package, in applications of three bundlers";

/// Cheap ones first. What computes all the time stands beside what waits for a browser or for kills.
pub const STEPS: &[Step] = &[
    step("formatting", |sh| Ok(cmd!(sh, "cargo fmt --all --check").run()?)),
    step("one table of platforms", |sh| platform_table::check(&sh.current_dir().join("src"))),
    step("lints", |sh| {
        Ok(cmd!(sh, "cargo clippy --workspace --all-targets --all-features -- -D warnings").run()?)
    })
    .patient(),
    step("wasm in a real browser", wasm_in_a_browser),
    step("lints, default features", |sh| {
        let packages = ["--package", "pumice", "--package", "pumice-engine-tests"];
        Ok(cmd!(sh, "cargo clippy {packages...} --tests -- -D warnings").run()?)
    })
    .patient(),
    step("lints, no clock and no randomness in the library", |sh| {
        Ok(cmd!(
            sh,
            "cargo clippy --package pumice --lib --all-features -- -D warnings -D clippy::disallowed_methods"
        )
        .run()?)
    }),
    step("tests, all features", tests).patient(),
    step(NPM_PACKAGE, npm_package),
    step("browser: API", |sh| browser::run(sh, &["api"])).after(NPM_PACKAGE),
    step("browser: tabs", |sh| browser::run(sh, &["units", "tabs", "tabs_change", "tabs_life"]))
        .after(NPM_PACKAGE),
    step("browser: kills and failures", |sh| {
        browser::run(sh, &["durability", "torn_list", "failures", "damage"])
    })
    .after(NPM_PACKAGE),
    optional("power cuts under Chromium", "power-cuts", browser::power_cuts).after(NPM_PACKAGE),
    step("orders of events, with the model checker", interleavings).patient(),
    step("browser: snapshots", |sh| browser::interchange(sh, "test")).after(NPM_PACKAGE),
    step("browser: demo page", |sh| browser::run(sh, &["demo"])).after(NPM_PACKAGE),
    step("fuzzing, for a moment", |sh| fuzz::run(sh, Effort::Fixed)).patient(),
    optional("kills at every call", "kills", |sh| harness(sh, &["kills"])),
    step("the real MoltenDB", real_moltendb),
    optional("I/O errors at every call", "io-errors", |sh| harness(sh, &["io-errors"])),
    step("the benchmark's harness", benchmark),
    optional("crash states of backups, restores, imports and repairs", "kills", |sh| {
        harness(sh, &["crash-states"])
    }),
    optional("power cuts", "power-cuts", |sh| harness(sh, &["power-cuts", "--engine", "pumice"])),
    step("documentation", |sh| {
        Ok(cmd!(sh, "cargo doc --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    optional("instructions of the hot paths", "instructions", |sh| instructions::run(sh, false)),
    optional("full disk and failing syncs", "full-disk", |sh| harness(sh, &["full-disk"])),
    step("compiles for the browser", |sh| {
        setup::wasm_target(sh)?;
        let lint = ["clippy", "--lib", "--target", "wasm32-unknown-unknown"];
        for features in ["", "js", "encryption", "js,encryption"] {
            cmd!(sh, "cargo {lint...} --features {features} -- -D warnings").run()?;
        }
        Ok(())
    }),
    step("package", |sh| Ok(cmd!(sh, "cargo package --package pumice --allow-dirty").run()?)),
];

/// Without the examples, which the lints have compiled.
fn tests(sh: &Shell) -> Result<()> {
    let _brief = sh.push_env("PUMICE_BRIEF", "1");
    cmd!(sh, "cargo test --workspace --all-features --lib --bins --tests").run()?;
    Ok(cmd!(sh, "cargo test --workspace --all-features --doc").run()?)
}

/// What runs in a browser's worker, in a worker of a real browser. `webdriver.json` says how it is started.
///
/// As `wasm-pack test --headless --chrome` does, but for this one program, and without compiling everything twice.
pub fn wasm_in_a_browser(sh: &Shell) -> Result<()> {
    setup::browser::wasm_tools(sh)?;
    let driver = setup::browser::chromium(sh)?;
    Ok(cmd!(
        sh,
        "cargo test --package pumice --features encryption --target wasm32-unknown-unknown --test wasm"
    )
    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
    .env("CHROMEDRIVER", driver)
    // Seconds for all of them; a soak takes longer.
    .env("WASM_BINDGEN_TEST_TIMEOUT", "3600")
    .run()?)
}

/// All of the crate is compiled in another way for it, so apart from everything else.
pub fn interleavings(sh: &Shell) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let target = target.join("shuttle");
    Ok(cmd!(sh, "cargo test --package pumice --test interleavings --target-dir {target}")
        .env("RUSTFLAGS", "--cfg shuttle")
        .run()?)
}

/// Imports what the real MoltenDB wrote, and has it open what was exported. Its lock file is its own, as is its license, and so
/// is the folder that it is built into: a library that is also a `cdylib` has one name there, whatever its features are, and
/// who builds it beside this would get the wrong one.
fn real_moltendb(sh: &Shell) -> Result<()> {
    let manifest = "tests/moltendb/Cargo.toml";
    let target = setup::target_dir(sh)?.join("moltendb");
    cmd!(sh, "cargo fmt --manifest-path {manifest} --check").run()?;
    let clippy = ["clippy", "--manifest-path", manifest, "--tests", "--target-dir"];
    cmd!(sh, "cargo {clippy...} {target} -- -D warnings").run()?;
    Ok(cmd!(sh, "cargo test --manifest-path {manifest} --target-dir {target}").run()?)
}

/// The harness that measures has a lock file and a folder of its own, for its many engines. The one for browsers is JavaScript.
fn benchmark(sh: &Shell) -> Result<()> {
    let manifest = "bench/Cargo.toml";
    let target = setup::target_dir(sh)?.join("bench-harness");
    cmd!(sh, "cargo fmt --manifest-path {manifest} --check").run()?;
    let clippy = ["clippy", "--locked", "--manifest-path", manifest, "--all-targets", "--target-dir"];
    cmd!(sh, "cargo {clippy...} {target} -- -D warnings").run()?;
    cmd!(sh, "cargo test --locked --manifest-path {manifest} --target-dir {target}").run()?;
    bench::browser::test(sh)
}

/// Builds it, installs it into applications and runs those in Chromium.
fn npm_package(sh: &Shell) -> Result<()> {
    setup::browser::chromium(sh)?;
    package::run(sh)?;
    let target = setup::target_dir(sh)?;
    let limit = browser::limit(sh);
    Ok(cmd!(sh, "node --test {limit} tests/package/package.test.js").env("PUMICE_TARGET", target).run()?)
}

/// Runs the harness, and lets it break a `pumice` that is built like the tests, which compiles nothing anew.
/// `cargo xtask reliability` breaks those that are built for release.
fn harness(sh: &Shell, args: &[&str]) -> Result<()> {
    setup::system_tools(sh)?;
    let harness = setup::binary(sh, "test", "pumice-reliability")?;
    let (name, rest) = args.split_first().map_or(("", args), |(name, rest)| (*name, rest));
    let binary = match name {
        "power-cuts" => vec![],
        _ => vec!["--pumice".into(), setup::binary(sh, "test", "pumice")?.into_os_string()],
    };
    Ok(cmd!(sh, "{harness} {name} {rest...} {binary...}").run()?)
}
