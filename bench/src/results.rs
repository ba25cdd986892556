//! What was measured, as JSON lines: first the setting, then one line for each process.

use crate::engine::Kind;
use crate::machine::Machine;
use crate::workload::Measures;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    pub is_quick: bool,
    pub rounds: u32,
    /// In the database that the table of targets is about.
    pub documents: u64,
    pub tail: u64,
    pub engines: Vec<Kind>,
    pub machine: Machine,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub case: String,
    pub engine: Kind,
    pub round: u32,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Measured(Measures),
    Failed(String),
}

pub struct Results {
    pub setting: Setting,
    pub records: Vec<Record>,
}

/// Several rounds of one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Statistic {
    /// Nothing without values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = if values.len().is_multiple_of(2) { *values.get(middle - 1)? } else { upper };
        Some(Self { median: f64::midpoint(lower, upper), lowest, highest })
    }

    /// Half the distance between the lowest and the highest, in parts of the median.
    pub fn spread(self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.highest - self.lowest) / 2.0 / self.median.abs() }
    }
}

impl Results {
    /// # Errors
    /// When the file is not one that a run has written.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| format!("{} is no file of results", path.display()))
    }

    pub fn parse(text: &str) -> Result<Self> {
        let (setting, records) = text.split_once('\n').context("it ends early")?;
        Ok(Self {
            setting: serde_json::from_str(setting)?,
            records: records.lines().map(serde_json::from_str).collect::<Result<_, _>>()?,
        })
    }

    pub fn get(&self, engine: Kind, case: &str, measure: &str) -> Option<Statistic> {
        let values = self.of(engine, case).filter_map(|record| match &record.outcome {
            Outcome::Measured(measures) => measures.get(measure).copied(),
            Outcome::Failed(_) => None,
        });
        Statistic::of(values.collect())
    }

    pub fn median(&self, engine: Kind, case: &str, measure: &str) -> Option<f64> {
        self.get(engine, case, measure).map(|statistic| statistic.median)
    }

    /// Whether any round of it went wrong: the figures of the others are then not the whole truth.
    pub fn has_failed(&self, engine: Kind, case: &str) -> bool {
        self.of(engine, case).any(|record| matches!(record.outcome, Outcome::Failed(_)))
    }

    /// The cases that begin with this, such as `puts/writers=`, with the number behind it.
    pub fn numbered(&self, beginning: &str) -> Vec<u64> {
        let names = self.records.iter().filter_map(|record| record.case.strip_prefix(beginning));
        let mut numbers: Vec<u64> = names.filter_map(|rest| rest.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn of<'a>(&'a self, engine: Kind, case: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.engine == engine && record.case == case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread_of_odd_and_even_numbers_of_rounds() {
        let odd = Statistic::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(odd, Statistic { median: 2.0, lowest: 1.0, highest: 3.0 });
        assert_eq!(odd.spread().to_bits(), 0.5_f64.to_bits());
        assert_eq!(Statistic::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median.to_bits(), 2.5_f64.to_bits());
        assert_eq!(Statistic::of(vec![7.0]).unwrap().spread().to_bits(), 0.0_f64.to_bits());
        assert!(Statistic::of(vec![]).is_none());
    }
}
