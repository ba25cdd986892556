//! The table of what was done.

use super::pumice::Run;
use std::fmt;

#[derive(Default)]
pub struct Report {
    rows: Vec<[String; 5]>,
}

impl Report {
    pub fn add(&mut self, step: &str, documents: Option<usize>, bytes: u64, run: &Run) {
        let documents = documents.map_or_else(String::new, |count| count.to_string());
        let seconds = format!("{:.3}", run.seconds);
        println!("{step}: {seconds} s");
        self.rows.push([step.to_owned(), documents, bytes.to_string(), seconds, run.note.clone()]);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["step", "documents", "bytes on disk", "seconds", "what it said"].map(str::to_owned);
        let rows = || std::iter::once(&heading).chain(&self.rows);
        let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let [step, documents, bytes, seconds] = [width(0), width(1), width(2), width(3)];
        for [a, b, c, d, e] in rows() {
            let line = format!("{a:step$}  {b:>documents$}  {c:>bytes$}  {d:>seconds$}  {e}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
