//! `cargo xtask instructions`: how many instructions the engine's hot paths take, against what they took.
//!
//! Instructions and not time, for they come out the same on a busy machine. Between machines they differ a little: with
//! the compiler, the C library, valgrind, and what the processor can do. The baseline says which it is of; on others a
//! smaller loss cannot be told from the difference, so there the check is coarser. It says so, and never passes without
//! counting.

use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

const BASELINE: &str = "benches/instructions/baseline.json";
const RENEW: &str = "cargo xtask instructions --renew";
/// So many per cent more than in the baseline are a failure, where everything that counts is the same.
const TOLERANCE: u64 = 5;
/// And where it is not.
const TOLERANCE_ELSEWHERE: u64 = 25;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Baseline {
    /// What the counts depend on beside the source.
    made_with: BTreeMap<String, String>,
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares with the baseline or writes it anew.
///
/// # Errors
/// When a path takes more than it may, or cannot be counted.
pub fn run(sh: &Shell, renew: bool) -> Result<()> {
    setup::valgrind(sh)?;
    cmd!(sh, "cargo build --release --package pumice-instructions").run()?;
    let target = setup::target_dir(sh)?;
    let program = target.join("release").join(format!("pumice-instructions{EXE_SUFFIX}"));
    let profiles = target.join("instructions");
    sh.create_dir(&profiles)?;
    let mut counted = Baseline { made_with: made_with(sh, &program)?, instructions: BTreeMap::new() };
    for path in cmd!(sh, "{program} --list").quiet().read()?.lines() {
        let setup = count(sh, &program, &profiles, path, "setup")?;
        let all = count(sh, &program, &profiles, path, "measured")?;
        let of_path =
            all.checked_sub(setup).with_context(|| format!("{path} takes less than what is before it"))?;
        counted.instructions.insert(path.to_owned(), of_path);
    }
    ensure!(!counted.instructions.is_empty(), "there is no path to count");
    if renew {
        sh.write_file(BASELINE, serde_json::to_string_pretty(&counted)? + "\n")?;
        println!("The counts are in {BASELINE}");
        return Ok(());
    }
    let text = sh.read_file(BASELINE).with_context(|| format!("no baseline; `{RENEW}` makes one"))?;
    let baseline = serde_json::from_str(&text).context(BASELINE)?;
    let (said, losses) = compare(&baseline, &counted);
    println!("{said}");
    if losses.is_empty() {
        return Ok(());
    }
    bail!(
        "{}; callgrind_annotate shows where, of the files in {}. If it must be so, `{RENEW}` takes the new counts over",
        losses.join("; "),
        profiles.display()
    )
}

/// Instructions of one process, on all threads.
fn count(sh: &Shell, program: &Path, profiles: &Path, path: &str, mode: &str) -> Result<u64> {
    let profile = profiles.join(format!("{path}.{mode}"));
    let options = ["--tool=callgrind".to_owned(), format!("--callgrind-out-file={}", profile.display())];
    let output =
        cmd!(sh, "valgrind {options...} {program} {path} {mode}").quiet().ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{path} failed under valgrind:\n{said}");
    collected(&said).with_context(|| format!("callgrind told no count for {path}:\n{said}"))
}

/// From callgrind's last words.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.split_whitespace().next()?.parse().ok())
}

fn made_with(sh: &Shell, program: &PathBuf) -> Result<BTreeMap<String, String>> {
    // What the processor can do, as valgrind shows it to programs.
    let processor = cmd!(sh, "valgrind --quiet --tool=none {program} --about").quiet().read()?;
    let all = [
        ("rustc", cmd!(sh, "rustc --version").quiet().read()?),
        ("libc", cmd!(sh, "getconf GNU_LIBC_VERSION").quiet().read()?),
        ("valgrind", cmd!(sh, "valgrind --version").quiet().read()?),
        ("processor", processor),
    ];
    Ok(all.map(|(name, value)| (name.to_owned(), value)).into())
}

/// What there is to say, and each loss.
fn compare(baseline: &Baseline, counted: &Baseline) -> (String, Vec<String>) {
    let is_same = baseline.made_with == counted.made_with;
    let tolerance = if is_same { TOLERANCE } else { TOLERANCE_ELSEWHERE };
    let mut said = Vec::new();
    if !is_same {
        said.push(format!(
            "The baseline is of another set-up, so only losses of more than {tolerance} % fail here, and not those of \
             more than {TOLERANCE} %:"
        ));
        for (name, here) in &counted.made_with {
            let there = baseline.made_with.get(name).map_or("unknown", String::as_str);
            if there != here {
                said.push(format!("  {name}: {there} there, {here} here"));
            }
        }
        said.push(format!(
            "`{RENEW}` makes one for this set-up, from a state of the source that is known to be good."
        ));
    }
    let mut losses = Vec::new();
    for (path, now) in &counted.instructions {
        let Some(then) = baseline.instructions.get(path) else {
            losses.push(format!("{path} is not in the baseline"));
            continue;
        };
        let change = percent(*now, *then);
        said.push(format!("{path}: {now} instructions, {change:+.1} %"));
        if now * 100 > then * (100 + tolerance) {
            losses.push(format!("{path} takes {change:.1} % more instructions than it did"));
        }
        if now * 100 < then * (100 - TOLERANCE) && is_same {
            said.push(format!("  `{RENEW}` keeps what was won"));
        }
    }
    let gone = baseline.instructions.keys().filter(|path| !counted.instructions.contains_key(*path));
    losses.extend(gone.map(|path| format!("{path} is in the baseline and was not counted")));
    (said.join("\n"), losses)
}

#[allow(clippy::cast_precision_loss)] // Counts are far below 2^52.
fn percent(now: u64, then: u64) -> f64 {
    (now as f64 / then.max(1) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rustc: &str, instructions: &[(&str, u64)]) -> Baseline {
        let instructions = instructions.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        Baseline { made_with: [("rustc".to_owned(), rustc.to_owned())].into(), instructions }
    }

    fn losses(baseline: &Baseline, counted: &Baseline) -> Vec<String> {
        compare(baseline, counted).1
    }

    #[test]
    fn a_loss_of_more_than_five_percent_fails_and_a_gain_does_not() {
        let baseline = counts("1", &[("put", 1000)]);
        assert!(losses(&baseline, &counts("1", &[("put", 1050)])).is_empty());
        assert_eq!(
            losses(&baseline, &counts("1", &[("put", 1051)])),
            ["put takes 5.1 % more instructions than it did"]
        );
        let (said, losses) = compare(&baseline, &counts("1", &[("put", 500)]));
        assert!(losses.is_empty() && said.contains("--renew"), "{said}");
    }

    #[test]
    fn another_set_up_is_told_and_still_fails_on_a_great_loss() {
        let baseline = counts("1", &[("put", 1000)]);
        let (said, none) = compare(&baseline, &counts("2", &[("put", 1200)]));
        assert!(none.is_empty() && said.contains("rustc: 1 there, 2 here"), "{said}");
        assert_eq!(losses(&baseline, &counts("2", &[("put", 1300)])).len(), 1);
    }

    #[test]
    fn a_path_on_one_side_only_fails() {
        let (one, two) = (counts("1", &[("put", 1)]), counts("1", &[("put", 1), ("get", 1)]));
        assert_eq!(losses(&one, &two), ["get is not in the baseline"]);
        assert_eq!(losses(&two, &one), ["get is in the baseline and was not counted"]);
    }

    #[test]
    fn reads_callgrinds_count() {
        assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 2165104\n==1==\n"), Some(2_165_104));
        assert_eq!(collected("==1== a failure\n"), None);
    }
}
