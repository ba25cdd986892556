//! What became of an engine's databases, counted.

use crate::figures;
use crate::worker::Verdict;
use anyhow::{Result, bail};

#[derive(Default)]
pub struct Losses {
    pub cases: u64,
    /// Nothing is lost, but the engine's own check complains.
    pub unsound: u64,
    pub lost: u64,
    pub wrong: u64,
    pub refused: u64,
    pub crashed: u64,
    /// Of all of these the first few.
    pub examples: Vec<String>,
}

impl Losses {
    /// Counts one case, which `place` names.
    pub fn add(&mut self, place: &str, verdict: &Verdict) {
        self.cases += 1;
        match verdict {
            Verdict::Intact(_) => return,
            Verdict::Unsound(_) => self.unsound += 1,
            Verdict::Lost(_) => self.lost += 1,
            Verdict::Wrong(_) => self.wrong += 1,
            Verdict::Refused(_) => self.refused += 1,
            Verdict::Crashed(_) => self.crashed += 1,
        }
        if self.examples.len() < 5 {
            self.examples.push(format!("{place}: {verdict}"));
        }
    }

    /// Prints and keeps the figures.
    pub fn keep(&self, name: &str) {
        figures::keep(
            name,
            &[
                ("cases", self.cases),
                ("lost", self.lost),
                ("wrong", self.wrong),
                ("refused", self.refused),
                ("crashed", self.crashed),
                ("unsound", self.unsound),
            ],
        );
        self.examples.iter().for_each(|example| println!("  {example}"));
    }

    /// # Errors
    /// When anything at all was not as it should be.
    pub fn require_none(&self, name: &str) -> Result<()> {
        if self.lost + self.wrong + self.refused + self.crashed + self.unsound > 0 {
            bail!("{name}: {}", self.examples.join("; "));
        }
        Ok(())
    }
}
