//! docs/benchmarks.md.

use super::behind;
use super::rows::{ROWS, Row};
use super::{plots, tables, unit::Unit, unit::three_digits};
use crate::results::Results;
use anyhow::Result;
use std::fmt::Write;

/// # Errors
/// When a plot cannot be drawn.
pub fn page(results: &Results) -> Result<String> {
    let mut text = String::from(
        "# Benchmarks\n\n<!-- `cargo xtask bench` writes this page and its plots anew; a change made \
         by hand would be lost. -->\n\nPumice beside other embedded databases, and beside the limit: \
         an append-only file with a checksum for each record \
         and no index. All get the same documents, the same threads and the same durability, in one run on one \
         machine. [benchmarks-browser.md](benchmarks-browser.md) has the figures of the browser.\n\n",
    );
    warnings(&mut text, results)?;
    setting(&mut text, results)?;
    targets(&mut text, results)?;
    reasons(&mut text, results)?;
    text.push_str("\n## Plots\n");
    for plot in plots(results)? {
        write!(text, "\n**{}**\n\n![{}](benchmarks/{})\n", plot.title, plot.title, plot.file)?;
    }
    text.push_str(
        "\n## All figures\n\nThe median of all rounds, and half the distance between the lowest and the \
         highest of them.\n",
    );
    text.push_str(&tables::all(results));
    text.push('\n');
    text.push_str(METHOD);
    Ok(text)
}

fn warnings(text: &mut String, results: &Results) -> Result<()> {
    if results.setting.is_quick {
        writeln!(
            text,
            "> **A quick run.** Small databases and short times show only that everything works. The figures say \
             little, the targets are for larger databases and so not judged, and no conclusion should be drawn.\n"
        )?;
    }
    let load = results.setting.machine.load;
    if load > 1.0 {
        writeln!(
            text,
            "> **The machine was busy.** Its load was {load} when the run began, so something else ran beside it and \
             is in the figures.\n"
        )?;
    }
    let cold = format!("open-cold/{}", results.setting.documents);
    let kinds = &results.setting.engines;
    if kinds.iter().any(|kind| results.median(*kind, &cold, "dropped_caches") == Some(0.0)) {
        writeln!(
            text,
            "> **Not wholly cold.** The run was not allowed to drop the system's caches, so only the contents of files \
             were taken out of them for the cold openings, and what the system knows of directories stayed.\n"
        )?;
    }
    Ok(())
}

fn setting(text: &mut String, results: &Results) -> Result<()> {
    let setting = &results.setting;
    let machine = &setting.machine;
    let engines: Vec<_> = setting.engines.iter().map(|kind| kind.title()).collect();
    writeln!(
        text,
        "Of {}, on {} ({} cores, {} of memory), Linux {}, {}, where an `fdatasync` takes {}; built with {}. \
         Rounds: {}. Engines: {}. 250-byte JSON documents unless said otherwise.\n",
        machine.date,
        machine.processor,
        machine.cores,
        Unit::Bytes.text(machine.memory_bytes as f64),
        machine.kernel,
        machine.file_system,
        Unit::Seconds.text(machine.sync_seconds),
        machine.rustc,
        setting.rounds,
        engines.join(", "),
    )?;
    Ok(())
}

fn targets(text: &mut String, results: &Results) -> Result<()> {
    let documents = tables::count(results.setting.documents);
    writeln!(
        text,
        "## Targets\n\nA ratio above 1 is good for Pumice, for rates and for times alike. Only ratios within one run \
         mean something, and one between 0.8 and 1.2 is a tie. The database has {documents} documents; the killed \
         process had written {} more.\n",
        tables::count(results.setting.tail),
    )?;
    writeln!(
        text,
        "| work | Pumice | best other | ratio | limit | ratio to it | target | |\n|---|---|---|---|---|---|---|---|"
    )?;
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    for row in &ROWS {
        let Some(outcome) = row.outcome(results) else { continue };
        let verdict = if results.setting.is_quick { "not judged".to_owned() } else { row.verdict(&outcome) };
        let spread = (outcome.pumice.spread() * 100.0).round();
        writeln!(
            text,
            "| {} | {} ±{spread} % | {} | {} | {} | {} | {} | {verdict} |",
            row.work,
            row.unit.text(outcome.pumice.median),
            or_dash(outcome.best_peer.map(|(kind, at)| format!(
                "{} {}",
                kind.title(),
                row.unit.text(at.median)
            ))),
            or_dash(outcome.ratio.map(three_digits)),
            or_dash(outcome.limit.map(|limit| row.unit.text(limit.median))),
            or_dash(outcome.ratio_to_limit.map(three_digits)),
            row.target_text(),
        )?;
    }
    Ok(())
}

/// Of each row in which another one is ahead, or the target was missed.
fn reasons(text: &mut String, results: &Results) -> Result<()> {
    let is_behind = |row: &&Row| {
        row.outcome(results).is_some_and(|outcome| {
            let is_missed = !results.setting.is_quick && row.verdict(&outcome).contains("missed");
            is_missed || outcome.ratio.is_some_and(|ratio| ratio < 1.0)
        })
    };
    writeln!(
        text,
        "\n## Where Pumice is not first\n\nOr misses its target, in this run: why, as far as profiles tell, and what is to be \
         tried next.\n\n| work | why | next |\n|---|---|---|"
    )?;
    for row in ROWS.iter().filter(is_behind) {
        let (reason, next) =
            behind::of(row.work).map_or(("not looked into", "a profile"), |at| (at.reason, at.next));
        writeln!(text, "| {} | {reason} | {next} |", row.work)?;
    }
    Ok(())
}

const METHOD: &str = include_str!("method.md");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_data::results;

    #[test]
    fn the_page_has_its_day_its_machine_its_targets_and_its_plots() {
        let text = page(&results()).unwrap();
        for part in [
            "Of 2026-01-02, on P (2 cores, 8.00 GB of memory)",
            "| durable put, 1 writer | 30.0 k/s ±33 % | fjall 40.0 k/s | 0.75 | 60.0 k/s | 0.50 | ≥ 1 × best other |",
            "| **missed**: 0.75 of it |",
            "![Pumice against the best of the others](benchmarks/ratios.svg)",
            "## How it is measured",
            "| durable put, 1 writer | each put waits for a sync of its own",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("quick run.") && !text.contains("was busy"));
    }

    #[test]
    fn a_quick_run_and_a_busy_machine_say_so_and_judge_nothing() {
        let mut results = results();
        results.setting.is_quick = true;
        results.setting.machine.load = 3.5;
        let text = page(&results).unwrap();
        assert!(text.contains("**A quick run.**") && text.contains("Its load was 3.5"));
        assert!(text.contains("| not judged |") && !text.contains("missed"));
    }
}
