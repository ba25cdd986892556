//! The tables of all engines, one for each kind of work.

use super::unit::Unit;
use crate::engine::Kind;
use crate::results::Results;
use std::fmt::Write;

struct Column {
    title: String,
    case: String,
    measure: &'static str,
    unit: Unit,
}

fn column(title: impl Into<String>, case: impl Into<String>, measure: &'static str, unit: Unit) -> Column {
    Column { title: title.into(), case: case.into(), measure, unit }
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub fn count(documents: u64) -> String {
    match documents {
        whole if whole >= 1_000_000 && whole % 1_000_000 == 0 => format!("{} M", whole / 1_000_000),
        whole if whole >= 1000 && whole % 1000 == 0 => format!("{} k", whole / 1000),
        other => other.to_string(),
    }
}

/// All of them, with their headings.
pub fn all(results: &Results) -> String {
    let mut text = String::new();
    let numbered = |beginning: &str, what: &str, measure, unit| -> Vec<_> {
        let numbers = results.numbered(beginning);
        numbers
            .into_iter()
            .map(|n| column(plural(n, what), format!("{beginning}{n}"), measure, unit))
            .collect()
    };
    let rate = Unit::PerSecond;
    table(&mut text, results, "Durable puts", &numbered("puts/writers=", "writer", "per_second", rate));
    let times = numbered("puts/writers=", "writer", "p99_seconds", Unit::Seconds);
    table(&mut text, results, "99 of 100 durable puts take at most", &times);
    let mut slow = numbered("slow-flush/writers=", "writer", "per_second", rate);
    for writers in results.numbered("slow-flush/writers=") {
        let case = format!("slow-flush/writers={writers}");
        let title = format!("syncs a put, {}", plural(writers, "writer"));
        slow.push(column(title, case, "syncs_per_put", Unit::Number));
    }
    table(&mut text, results, "Durable puts with a flush that costs 1 ms more", &slow);
    let sizes = numbered("puts/bytes=", "byte", "per_second", rate);
    table(&mut text, results, "Durable puts by the size of the document, one writer", &sizes);
    let sizes = numbered("batches/bytes=", "byte", "per_second", rate);
    table(&mut text, results, "Documents in durable batches of 1,000, by their size", &sizes);
    table(
        &mut text,
        results,
        "Bytes written for one document of 250 bytes, and buffered puts",
        &[
            column("durable puts, 1 writer", "puts/writers=1", "bytes_written_per_put", Unit::Bytes),
            column("durable puts, 32 writers", "puts/writers=32", "bytes_written_per_put", Unit::Bytes),
            column("durable batches", "batches/bytes=250", "bytes_written_per_put", Unit::Bytes),
            column("churn", "churn", "bytes_written_per_put", Unit::Bytes),
            column("buffered puts", "buffered", "per_second", rate),
            column("most memory in them", "buffered", "peak_bytes", Unit::Bytes),
        ],
    );
    table(
        &mut text,
        results,
        "Churn",
        &[
            column("puts", "churn", "per_second", rate),
            column("longest put", "churn", "longest_seconds", Unit::Seconds),
            column("most on disk", "churn", "most_bytes", Unit::Bytes),
            column("after compaction", "churn", "after_bytes", Unit::Bytes),
            column("compaction", "churn", "compaction_seconds", Unit::Seconds),
            column("median put beside it", "churn", "beside_median_seconds", Unit::Seconds),
            column("longest put beside it", "churn", "beside_longest_seconds", Unit::Seconds),
            column("most memory", "churn", "peak_bytes", Unit::Bytes),
        ],
    );
    for documents in results.numbered("load/") {
        let title = format!("A database of {} documents", count(documents));
        table(&mut text, results, &title, &on_database(documents));
    }
    text
}

fn on_database(documents: u64) -> Vec<Column> {
    let case = |name: &str| format!("{name}/{documents}");
    let (rate, time, bytes) = (Unit::PerSecond, Unit::Seconds, Unit::Bytes);
    vec![
        column("load", case("load"), "per_second", rate),
        column("disk when loaded", case("load"), "loaded_bytes", bytes),
        column("compaction", case("load"), "compaction_seconds", time),
        column("disk at rest", case("load"), "disk_bytes", bytes),
        column("first get, warm", case("open-warm"), "first_get_seconds", time),
        column("first get, cold", case("open-cold"), "first_get_seconds", time),
        column("first get, killed", case("killed"), "first_get_seconds", time),
        column("first put", case("first-put"), "first_put_seconds", time),
        column("memory after open", case("open-warm"), "resident_bytes", bytes),
        column("of it no file pages", case("open-warm"), "anonymous_bytes", bytes),
        column("gets", case("gets"), "per_second", rate),
        column("memory after them", case("gets"), "resident_bytes", bytes),
        column("of it no file pages", case("gets"), "anonymous_bytes", bytes),
        column("scan", case("scan"), "per_second", rate),
    ]
}

/// Nothing when nothing in it was measured.
fn table(text: &mut String, results: &Results, title: &str, columns: &[Column]) {
    let mut rows = String::new();
    for kind in Kind::ALL {
        let cells: Vec<_> = columns.iter().map(|column| cell(results, kind, column)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<_> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect();
            let _ = writeln!(rows, "| {} | {} |", kind.title(), cells.join(" | "));
        }
    }
    if !rows.is_empty() {
        let titles: Vec<_> = columns.iter().map(|column| column.title.as_str()).collect();
        let _ = write!(
            text,
            "\n### {title}\n\n| | {} |\n|{}\n{rows}",
            titles.join(" | "),
            "---|".repeat(columns.len() + 1)
        );
    }
}

/// The median and how far the rounds were from one another.
fn cell(results: &Results, kind: Kind, column: &Column) -> Option<String> {
    if results.has_failed(kind, &column.case) {
        return Some("failed".to_owned());
    }
    let statistic = results.get(kind, &column.case, column.measure)?;
    let spread = (statistic.spread() * 100.0).round();
    Some(format!("{} ±{spread} %", column.unit.text(statistic.median)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_data::results;

    #[test]
    fn a_table_has_the_engines_and_columns_that_were_measured() {
        let text = all(&results());
        let table = text.split("### ").find(|table| table.starts_with("Durable puts\n")).unwrap();
        assert!(table.contains("| | 1 writer |"), "{table}");
        assert!(table.contains("| Pumice | 30.0 k/s ±33 % |"), "{table}");
        assert!(table.contains("| SQLite | failed |"), "{table}");
        assert!(!table.contains("LMDB"), "{table}");
        assert!(!text.contains("### Churn"), "{text}");
    }

    #[test]
    fn documents_are_counted_in_short() {
        assert_eq!([2_000, 1_000_000, 1_500].map(count), ["2 k", "1 M", "1500"]);
    }
}
