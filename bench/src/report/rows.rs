//! The rows of the table of targets, and what each says about Pumice.

use super::unit::{Unit, three_digits};
use crate::engine::Kind;
use crate::results::{Results, Statistic};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// So many times the best of the others.
    TimesBestPeer(f64),
    /// So many times Pumice's own figure in another case.
    TimesOwn {
        case: &'static str,
        factor: f64,
        of: &'static str,
    },
    /// Only to be known.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub work: &'static str,
    /// `{documents}` stands for the size of the database.
    pub case: &'static str,
    pub measure: &'static str,
    pub unit: Unit,
    pub target: Target,
}

const fn row(
    work: &'static str,
    case: &'static str,
    measure: &'static str,
    unit: Unit,
    target: Target,
) -> Row {
    Row { work, case, measure, unit, target }
}

const SLOW: &str = "slow-flush/writers=1";
const MB: f64 = 1e6;

pub const ROWS: [Row; 21] = [
    row("durable put, 1 writer", "puts/writers=1", "per_second", Unit::PerSecond, Target::TimesBestPeer(1.0)),
    row(
        "durable put, 32 writers",
        "puts/writers=32",
        "per_second",
        Unit::PerSecond,
        Target::TimesBestPeer(1.2),
    ),
    row("durable put, flush + 1 ms, 1 writer", SLOW, "per_second", Unit::PerSecond, Target::Nothing),
    row(
        "durable put, flush + 1 ms, 8 writers",
        "slow-flush/writers=8",
        "per_second",
        Unit::PerSecond,
        Target::TimesOwn { case: SLOW, factor: 6.0, of: "one writer" },
    ),
    row(
        "durable put, flush + 1 ms, 32 writers",
        "slow-flush/writers=32",
        "per_second",
        Unit::PerSecond,
        Target::TimesOwn { case: SLOW, factor: 20.0, of: "one writer" },
    ),
    row("durable batches of 1,000", "batches/bytes=250", "per_second", Unit::PerSecond, Target::AtLeast(2e6)),
    row("buffered puts", "buffered", "per_second", Unit::PerSecond, Target::AtLeast(1.5e6)),
    row(
        "bytes written for one durable put",
        "puts/writers=1",
        "bytes_written_per_put",
        Unit::Bytes,
        Target::Nothing,
    ),
    row(
        "open to first get, clean, warm",
        "open-warm/{documents}",
        "first_get_seconds",
        Unit::Seconds,
        Target::AtMost(0.6e-3),
    ),
    row(
        "the same, cold cache",
        "open-cold/{documents}",
        "first_get_seconds",
        Unit::Seconds,
        Target::AtMost(2e-3),
    ),
    row(
        "the same, after a kill",
        "killed/{documents}",
        "first_get_seconds",
        Unit::Seconds,
        Target::AtMost(20e-3),
    ),
    row("open to first put", "first-put/{documents}", "first_put_seconds", Unit::Seconds, Target::Nothing),
    row("point get, 1 thread", "gets/{documents}", "per_second", Unit::PerSecond, Target::AtLeast(1e6)),
    row(
        "memory that those gets leave, without file pages",
        "gets/{documents}",
        "anonymous_bytes",
        Unit::Bytes,
        Target::AtMost(64.0 * MB),
    ),
    row("ordered scan", "scan/{documents}", "per_second", Unit::PerSecond, Target::AtLeast(12e6)),
    row(
        "memory after open",
        "open-warm/{documents}",
        "resident_bytes",
        Unit::Bytes,
        Target::AtMost(8.0 * MB),
    ),
    row("disk at rest", "load/{documents}", "disk_bytes", Unit::Bytes, Target::AtMost(150.0 * MB)),
    row("churn", "churn", "per_second", Unit::PerSecond, Target::AtLeast(1e6)),
    row(
        "longest put while a compaction runs",
        "churn",
        "beside_longest_seconds",
        Unit::Seconds,
        Target::AtMost(10e-3),
    ),
    row("disk after churn and compaction", "churn", "after_bytes", Unit::Bytes, Target::Nothing),
    row(
        "compaction of all documents",
        "load/{documents}",
        "compaction_seconds",
        Unit::Seconds,
        Target::AtMost(1.0),
    ),
];

/// A row with its figures.
pub struct Outcome {
    pub pumice: Statistic,
    pub best_peer: Option<(Kind, Statistic)>,
    pub limit: Option<Statistic>,
    /// How many times better than the best of the others; below 1, worse.
    pub ratio: Option<f64>,
    pub ratio_to_limit: Option<f64>,
    /// The figure to reach, if it could be measured.
    pub goal: Option<f64>,
}

impl Row {
    fn higher_is_better(self) -> bool {
        self.unit == Unit::PerSecond
    }

    pub fn case(self, results: &Results) -> String {
        self.case.replace("{documents}", &results.setting.documents.to_string())
    }

    /// Nothing when Pumice was not measured.
    pub fn outcome(self, results: &Results) -> Option<Outcome> {
        let case = self.case(results);
        let of = |kind| results.get(kind, &case, self.measure);
        let pumice = of(Kind::Pumice)?;
        let peers = Kind::ALL.into_iter().filter(|kind| kind.is_peer());
        let better = |a: &Statistic, b: &Statistic| {
            let order = a.median.total_cmp(&b.median);
            if self.higher_is_better() { order } else { order.reverse() }
        };
        let best_peer =
            peers.filter_map(|kind| Some((kind, of(kind)?))).max_by(|(_, a), (_, b)| better(a, b));
        // The limit is one of writing and reading quickly; a log that is never compacted says nothing about sizes.
        let limits = Kind::ALL.into_iter().filter(|kind| kind.is_limit() && self.higher_is_better());
        let limit = limits.filter_map(of).max_by(better);
        let peer = best_peer.map(|(_, statistic)| statistic.median);
        Some(Outcome {
            pumice,
            best_peer,
            limit,
            ratio: peer.and_then(|peer| self.ratio(pumice.median, peer)),
            ratio_to_limit: limit.and_then(|limit| self.ratio(pumice.median, limit.median)),
            goal: self.goal(results, peer),
        })
    }

    fn ratio(self, ours: f64, theirs: f64) -> Option<f64> {
        let (over, under) = if self.higher_is_better() { (ours, theirs) } else { (theirs, ours) };
        (over > 0.0 && under > 0.0).then(|| over / under)
    }

    fn goal(self, results: &Results, peer: Option<f64>) -> Option<f64> {
        match self.target {
            Target::AtLeast(value) | Target::AtMost(value) => Some(value),
            Target::TimesBestPeer(factor) => Some(peer? * factor),
            Target::TimesOwn { case, factor, .. } => {
                Some(results.median(Kind::Pumice, case, self.measure)? * factor)
            }
            Target::Nothing => None,
        }
    }

    /// The target in words.
    pub fn target_text(self) -> String {
        match self.target {
            Target::AtLeast(value) => format!("≥ {}", self.unit.text(value)),
            Target::AtMost(value) => format!("≤ {}", self.unit.text(value)),
            Target::TimesBestPeer(factor) => format!("≥ {factor} × best other"),
            Target::TimesOwn { factor, of, .. } => format!("≥ {factor} × {of}"),
            Target::Nothing => "-".to_owned(),
        }
    }

    /// "met", or how far from it.
    pub fn verdict(self, outcome: &Outcome) -> String {
        let Some(goal) = outcome.goal else { return "-".to_owned() };
        let ours = outcome.pumice.median;
        let is_met = if self.higher_is_better() { ours >= goal } else { ours <= goal };
        match self.ratio(ours, goal) {
            _ if is_met => "met".to_owned(),
            Some(part) => format!("**missed**: {} of it", three_digits(part)),
            None => "**missed**".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests_data::results;

    fn find(case: &str, measure: &str) -> Row {
        *ROWS.iter().find(|row| row.case == case && row.measure == measure).unwrap()
    }

    #[test]
    fn a_ratio_over_one_is_good_for_rates_and_for_times() {
        let results = results();
        let puts = find("puts/writers=1", "per_second").outcome(&results).unwrap();
        // 30k against fjall's 40k; redb's 20k is no longer the best.
        assert_eq!(puts.best_peer.unwrap().0, Kind::Fjall);
        assert_eq!(three_digits(puts.ratio.unwrap()), "0.75");
        assert_eq!(three_digits(puts.ratio_to_limit.unwrap()), "0.50");
        let open = find("open-warm/{documents}", "first_get_seconds").outcome(&results).unwrap();
        assert_eq!(open.best_peer.unwrap().0, Kind::Redb);
        assert_eq!(three_digits(open.ratio.unwrap()), "2.00");
        assert!(open.limit.is_none());
    }

    #[test]
    fn a_target_is_met_or_missed_by_the_median() {
        let results = results();
        let verdict = |case, measure| {
            let row = find(case, measure);
            row.verdict(&row.outcome(&results).unwrap())
        };
        assert_eq!(verdict("puts/writers=1", "per_second"), "**missed**: 0.75 of it");
        assert_eq!(verdict("open-warm/{documents}", "first_get_seconds"), "met");
        assert_eq!(verdict("slow-flush/writers=8", "per_second"), "met");
        assert_eq!(verdict("puts/writers=1", "bytes_written_per_put"), "-");
    }

    #[test]
    fn a_row_without_figures_of_pumice_has_no_outcome() {
        assert!(find("churn", "per_second").outcome(&results()).is_none());
    }
}
