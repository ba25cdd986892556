//! The programs in `fuzz/`: every target over its corpus, and then for a while with inputs of its own making.

use crate::setup;
use anyhow::{Context, Result};
use xshell::{Shell, cmd};

const TARGETS: [&str; 7] = ["line", "segment", "snapshot", "document", "names", "database", "operations"];

/// Runs every target for so many seconds, after its corpus.
pub fn run(sh: &Shell, seconds: u32) -> Result<()> {
    setup::cargo_fuzz(sh)?;
    cmd!(sh, "cargo fmt --manifest-path fuzz/Cargo.toml --check").run()?;
    // The engine has no unsafe code, so without the address sanitizer, which needs a nightly compiler.
    cmd!(sh, "cargo fuzz build --fuzz-dir fuzz --sanitizer none --release").run()?;
    let found = setup::target_dir(sh)?.join("fuzz-corpus");
    for target in TARGETS {
        // The first folder takes what is found, the second is only read.
        let own = found.join(target);
        sh.remove_path(&own)?;
        sh.create_dir(&own)?;
        let corpus = format!("fuzz/corpus/{target}");
        let limits =
            [format!("-max_total_time={seconds}"), "-rss_limit_mb=1024".into(), "-timeout=20".into()];
        let build = ["--fuzz-dir", "fuzz", "--sanitizer", "none", "--release"];
        cmd!(sh, "cargo fuzz run {build...} {target} {own} {corpus} -- {limits...} -print_final_stats=1")
            .run()
            .with_context(|| {
                format!(
                    "the fuzz target `{target}` found a failure; `cargo fuzz run --sanitizer none {target} FILE` \
                     shows it again, with the file that it named"
                )
            })?;
    }
    Ok(())
}
