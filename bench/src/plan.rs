//! What is run: all cases, by name, at full size or at one that only shows that everything works.

use crate::workload::Work;

#[derive(Clone, Debug)]
pub struct Case {
    /// Such as `puts/writers=32`; the page finds its figures by it.
    pub name: String,
    pub work: Work,
    /// With syncs that take 1 ms longer.
    pub slow_flush: bool,
}

/// Cases that work on one loaded database, one after the other: the first makes it, the last kills and reopens it.
pub struct OnDatabase {
    pub documents: u64,
    pub cases: Vec<Case>,
}

pub struct Plan {
    /// Each with a new directory.
    pub alone: Vec<Case>,
    pub on_databases: Vec<OnDatabase>,
    /// The size of the database that the table of targets is about.
    pub documents: u64,
    /// Documents that a killed process has written behind those.
    pub tail: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Quick,
    Full,
    /// With ten million documents too.
    Large,
}

fn case(name: impl Into<String>, work: Work) -> Case {
    Case { name: name.into(), work, slow_flush: false }
}

impl Plan {
    pub fn new(size: Size) -> Self {
        let counts: &[u64] = match size {
            Size::Quick => &[2_000, 20_000],
            Size::Full => &[10_000, 100_000, 1_000_000],
            Size::Large => &[10_000, 100_000, 1_000_000, 10_000_000],
        };
        let is_quick = size == Size::Quick;
        // About 16 MB of Pumice's log, and not so much that it compacts.
        let (documents, tail) = if is_quick { (20_000, 2_000) } else { (1_000_000, 40_000) };
        let on_databases = counts.iter().map(|count| OnDatabase {
            documents: *count,
            cases: on_database(*count, tail.min(*count), if is_quick { 20_000 } else { 1_000_000 }),
        });
        Self { alone: alone(is_quick), on_databases: on_databases.collect(), documents, tail }
    }

    /// Keeps the case with this name, or else all whose names contain it, and what they need before them.
    pub fn keep(&mut self, part: &str) {
        let on_databases = self.on_databases.iter().flat_map(|group| &group.cases);
        let is_name = self.alone.iter().chain(on_databases).any(|case| case.name == part);
        let is_wanted = |case: &Case| if is_name { case.name == part } else { case.name.contains(part) };
        self.alone.retain(is_wanted);
        for group in &mut self.on_databases {
            let last = group.cases.iter().rposition(is_wanted).map_or(0, |last| last + 1);
            group.cases.truncate(last);
            let dies = |case: &Case| case.work.dies();
            let needs_kill = group.cases.last().is_some_and(|case| case.name.starts_with("killed"));
            group.cases.retain(|case| {
                is_wanted(case) || matches!(case.work, Work::Load { .. }) || (needs_kill && dies(case))
            });
        }
        self.on_databases.retain(|group| !group.cases.is_empty());
    }

    pub fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.on_databases.is_empty()
    }
}

fn alone(is_quick: bool) -> Vec<Case> {
    let scale = |full: u64, quick: u64| if is_quick { quick } else { full };
    let time = |full: f64, quick: f64| if is_quick { quick } else { full };
    let puts = |writers, document_bytes, seconds| Work::DurablePuts { writers, document_bytes, seconds };
    let mut all = Vec::new();
    let writers: &[u64] = if is_quick { &[1, 8, 32] } else { &[1, 2, 4, 8, 16, 32, 64] };
    for count in writers {
        // Those of the table of targets get more time than those that only make a line of a plot.
        let seconds = if [1, 32].contains(count) { time(2.0, 0.1) } else { time(1.0, 0.1) };
        all.push(case(format!("puts/writers={count}"), puts(*count, 250, seconds)));
    }
    for count in [1, 8, 32] {
        let work = puts(count, 250, time(1.5, 0.1));
        all.push(Case { name: format!("slow-flush/writers={count}"), work, slow_flush: true });
    }
    let sizes: &[usize] = if is_quick { &[100, 250, 2000] } else { &[100, 250, 2000, 50_000] };
    for bytes in sizes.iter().copied() {
        // The puts of 250 bytes are above.
        if bytes != 250 {
            all.push(case(format!("puts/bytes={bytes}"), puts(1, bytes, time(1.0, 0.1))));
        }
        // About 50 MB each, and a whole number of batches.
        let documents = (50_000_000 / bytes as u64).next_multiple_of(1000).clamp(2000, 200_000);
        let documents = scale(documents, documents.min(4000));
        let work = Work::Batches { documents, document_bytes: bytes };
        all.push(case(format!("batches/bytes={bytes}"), work));
    }
    let seconds = time(3.0, 0.2);
    let buffered = Work::BufferedPuts { documents: scale(500_000, 5_000), document_bytes: 250, seconds };
    all.push(case("buffered", buffered));
    let churn = Work::Churn { keys: scale(100_000, 5_000), rounds: scale(20, 4), seconds: time(8.0, 0.5) };
    all.push(case("churn", churn));
    all
}

fn on_database(documents: u64, tail: u64, gets: u64) -> Vec<Case> {
    let open = |cold| Work::Open { documents, cold };
    let cases = [
        ("load", Work::Load { documents }),
        ("open-warm", open(false)),
        ("open-cold", open(true)),
        ("gets", Work::Gets { documents, gets: gets.min(documents * 20) }),
        ("scan", Work::Scan { documents }),
        ("die", Work::DieAfterWriting { documents, more: tail }),
        ("killed", open(false)),
        ("first-put", Work::FirstPut),
    ];
    cases.into_iter().map(|(name, work)| case(format!("{name}/{documents}"), work)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(plan: &Plan) -> Vec<String> {
        let on_databases = plan.on_databases.iter().flat_map(|group| &group.cases);
        plan.alone.iter().chain(on_databases).map(|case| case.name.clone()).collect()
    }

    #[test]
    fn no_two_cases_have_one_name() {
        for size in [Size::Quick, Size::Full, Size::Large] {
            let all = names(&Plan::new(size));
            assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len());
        }
    }

    #[test]
    fn what_is_kept_keeps_what_it_needs() {
        let kept = |part| {
            let mut plan = Plan::new(Size::Quick);
            plan.keep(part);
            names(&plan)
        };
        assert_eq!(kept("churn"), ["churn"]);
        assert_eq!(kept("scan/2000"), ["load/2000", "scan/2000"]);
        assert_eq!(kept("scan"), ["load/2000", "scan/2000", "load/20000", "scan/20000"]);
        assert_eq!(kept("killed/20000"), ["load/20000", "die/20000", "killed/20000"]);
        assert!(kept("no such thing").is_empty());
    }
}
