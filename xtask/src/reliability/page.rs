//! The tables of docs/reliability.md, between its two marks.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};

const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- /figures -->";
const ENGINES: [(&str, &str); 5] = [
    ("pumice", "Pumice"),
    ("redb", "redb"),
    ("fjall", "fjall"),
    ("sqlite", "SQLite"),
    ("moltendb", "MoltenDB's algorithm"),
];
/// Each promise of the page that has figures, with their names; one that ends in `-` is a beginning of names.
const PROMISES: [(&str, &[&str]); 11] = [
    ("1, 2", &["crash-states"]),
    ("3", &["kills-command-line"]),
    ("4", &["power-cuts-ext4-pumice", "power-cuts-xfs-pumice"]),
    ("5", &["damage-", "bit-flips-pumice"]),
    ("6", &["io-errors-command-line", "short-writes", "faults-"]),
    ("7", &["failing-sync", "full-disk"]),
    ("8", &["crash-states-opfs", "crash-states-pool-contract", "pool-faults", "browser-"]),
    ("9", &["fuzz-"]),
    ("11", &["stress-"]),
    ("12", &["crash-states-of-commands"]),
    ("16", &["crash-states-encrypted"]),
];

type Figures = BTreeMap<String, Map<String, Value>>;

/// Puts `figures` between the marks of the page.
///
/// # Errors
/// When the page has no marks.
pub fn fill(page: &str, figures: &str) -> Result<String> {
    let missing = || format!("docs/reliability.md has no {BEGIN} and {END}");
    let (before, rest) = page.split_once(BEGIN).with_context(missing)?;
    let (_, after) = rest.split_once(END).with_context(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{figures}\n{END}{after}"))
}

/// The tables, from the files in `dir`, with the day and the machine.
///
/// # Errors
/// When a file is no JSON object.
pub fn figures(sh: &Shell, dir: &Path) -> Result<String> {
    let mut all = Figures::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name =
            path.file_stem().and_then(|name| name.to_str()).context("a file of figures without a name")?;
        let text = fs::read_to_string(&path)?;
        all.insert(name.to_owned(), serde_json::from_str(&text).with_context(|| path.display().to_string())?);
    }
    let date = cmd!(sh, "date -u +%Y-%m-%d").quiet().read()?;
    let kernel = cmd!(sh, "uname -sr").quiet().read()?;
    let cores = std::thread::available_parallelism()?;
    let mut text = format!(
        "Of {date}, on {kernel}, {cores} cores; databases in memory (tmpfs), power cuts on ext4 and xfs on loop \
         devices.\n\n"
    );
    promises(&mut text, &all)?;
    text.push('\n');
    engines(&mut text, &all)?;
    Ok(text)
}

fn promises(text: &mut String, all: &Figures) -> Result<()> {
    writeln!(text, "| promise | figures |\n|---|---|")?;
    for (promise, names) in PROMISES {
        let of_promise = |name: &&String| {
            names
                .iter()
                .any(|wanted| name.as_str() == *wanted || (wanted.ends_with('-') && name.starts_with(wanted)))
        };
        let mut cell = Vec::new();
        for name in all.keys().filter(of_promise) {
            cell.push(format!("`{name}`: {}", states(all.get(name))));
        }
        if promise == "11" {
            cell.extend(orders(all));
        }
        writeln!(text, "| {promise} | {} |", or_dash(cell.join("<br>")))?;
    }
    Ok(())
}

/// The orders of events of all scenarios together: those gone through wholly, and those picked by chance.
fn orders(all: &Figures) -> Option<String> {
    let scenarios = all.iter().filter(|(name, _)| name.starts_with("interleavings-"));
    let scenarios: Vec<_> = scenarios.map(|(_, figures)| figures).collect();
    let sum = |exhaustive: bool| -> u64 {
        let kind = scenarios.iter().filter(|figures| (number(figures, "preemptions") > 0) == exhaustive);
        kind.map(|figures| number(figures, "orders")).sum()
    };
    let count = scenarios.len();
    (count > 0).then(|| {
        format!(
            "`interleavings`: scenarios {count}, every order up to one or two preemptions {}, orders by chance {}",
            sum(true),
            sum(false)
        )
    })
}

fn engines(text: &mut String, all: &Figures) -> Result<()> {
    writeln!(text, "| | {} |", ENGINES.map(|(_, title)| title).join(" | "))?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for (title, beginning) in [
        ("kills", "kills-"),
        ("power cuts, ext4", "power-cuts-ext4-"),
        ("power cuts, xfs", "power-cuts-xfs-"),
    ] {
        row(text, title, |engine| losses(all.get(&format!("{beginning}{engine}"))))?;
    }
    row(text, "flipped bits", |engine| flips(all.get(&format!("bit-flips-{engine}"))))?;
    row(text, "crash states", |engine| match engine {
        "pumice" => states(all.get("crash-states")),
        "moltendb" => states(all.get("crash-states-moltendb")),
        _ => String::new(),
    })
}

fn row(text: &mut String, title: &str, cell: impl Fn(&str) -> String) -> Result<()> {
    let cells = ENGINES.map(|(engine, _)| or_dash(cell(engine)));
    Ok(writeln!(text, "| {title} | {} |", cells.join(" | "))?)
}

fn or_dash(cell: String) -> String {
    if cell.is_empty() { "-".to_owned() } else { cell }
}

fn number(figures: &Map<String, Value>, label: &str) -> u64 {
    figures.get(label).and_then(Value::as_u64).unwrap_or(0)
}

/// "0 of 20", or what went wrong how often.
fn losses(figures: Option<&Map<String, Value>>) -> String {
    let Some(figures) = figures else { return String::new() };
    let said = [
        ("lost", "lost acknowledged writes"),
        ("wrong", "wrong documents"),
        ("refused", "does not open"),
        ("crashed", "crashed"),
        ("unsound", "its own check complains"),
    ];
    told(figures, &said, number(figures, "cases"))
}

fn flips(figures: Option<&Map<String, Value>>) -> String {
    let Some(figures) = figures else { return String::new() };
    let said = [
        ("wrong", "wrong or missing, silently"),
        ("wrong_unless_checked", "wrong unless its own check is run"),
        ("crashed", "panicked, aborted or hung"),
    ];
    let rest = format!("; {} noticed, {} harmless", number(figures, "detected"), number(figures, "harmless"));
    told(figures, &said, number(figures, "flips")) + &rest
}

fn told(figures: &Map<String, Value>, said: &[(&str, &str)], cases: u64) -> String {
    let bad: Vec<_> = said
        .iter()
        .map(|(label, what)| (number(figures, label), what))
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if bad.is_empty() { format!("**0** of {cases}") } else { format!("of {cases}: {}", bad.join(", ")) }
}

/// As the test labels them.
fn states(figures: Option<&Map<String, Value>>) -> String {
    let figures = figures.into_iter().flatten();
    figures.map(|(label, n)| format!("{} {n}", label.replace('_', " "))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{engines, fill};
    use serde_json::json;

    #[test]
    fn fills_only_between_the_marks() {
        let page = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n";
        let filled = fill(page, "new\n").unwrap();
        assert_eq!(filled, "a\n<!-- figures -->\n\nnew\n\n<!-- /figures -->\nb\n");
        assert!(fill("no marks", "new").is_err());
    }

    #[test]
    fn says_what_was_lost_and_shows_a_dash_for_what_was_not_run() {
        let figures = json!({
            "kills-pumice": {"cases": 7, "lost": 0},
            "kills-redb": {"cases": 7, "lost": 2, "refused": 1},
        });
        let mut text = String::new();
        engines(&mut text, &serde_json::from_value(figures).unwrap()).unwrap();
        let row = "| kills | **0** of 7 | of 7: 2 lost acknowledged writes, 1 does not open | - | - | - |";
        assert!(text.contains(row), "{text}");
    }
}
