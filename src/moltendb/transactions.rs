//! Which records of a log count. A record between a `TX_BEGIN` and its `TX_COMMIT` counts with the commit.
//!
//! A record does not say to which transaction it belongs, and the transactions of several threads stand interleaved. What
//! is known is which transactions were open where it stands, and the collection that each of them is about. A
//! transaction that failed, or that a crash interrupted, stays open to the end of the log.
//!
//! So a log is read twice. First for the transactions that were never committed ([`Survey`]); then, when it is known at each
//! `TX_BEGIN` whether a commit follows, for the records ([`Decider`]). No record has to be held back for that, and all
//! that count stay in the order of the log, which is the order in which they were made.

use super::line::{Command, Entry};
use std::collections::HashMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Finds the transactions that were never committed.
#[derive(Default)]
pub(crate) struct Survey {
    begun: u64,
    /// The open transactions by their hashed names, with the number of their `TX_BEGIN`: a log can have many that were
    /// never committed.
    open: HashMap<u128, u64>,
    unfinished: Vec<u64>,
}

impl Survey {
    pub(crate) fn see(&mut self, entry: &Entry<'_>) {
        match entry.command {
            Command::Begin => {
                // A name that is used again begins another one.
                self.unfinished.extend(self.open.insert(hash(&entry.key), self.begun));
                self.begun += 1;
            }
            Command::Commit => {
                self.open.remove(&hash(&entry.key));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(self) -> Decider {
        let mut unfinished = self.unfinished;
        unfinished.extend(self.open.into_values());
        // From the end, so that the next one is taken off the end.
        unfinished.sort_unstable_by(|a, b| b.cmp(a));
        Decider {
            begun: 0,
            unfinished,
            open: HashMap::new(),
            about: Counts::default(),
            abandoned: Counts::default(),
        }
    }
}

/// How many transactions there are about each collection, by its hashed name.
#[derive(Default)]
struct Counts {
    by_collection: HashMap<u64, u64>,
    all: u64,
}

impl Counts {
    fn add(&mut self, collection: u64) {
        *self.by_collection.entry(collection).or_default() += 1;
        self.all += 1;
    }

    fn remove(&mut self, collection: u64) {
        if let Some(count) = self.by_collection.get_mut(&collection) {
            *count -= 1;
            self.all -= 1;
            if *count == 0 {
                self.by_collection.remove(&collection);
            }
        }
    }

    fn covers(&self, collection: u64) -> bool {
        self.by_collection.contains_key(&collection)
    }
}

/// Tells of each record whether it counts, in the same order in which the survey saw them.
pub(crate) struct Decider {
    begun: u64,
    /// The numbers of the `TX_BEGIN`s without commit that are still to come, the next one last.
    unfinished: Vec<u64>,
    /// The open transactions that will be committed, with their collections.
    open: HashMap<u128, u64>,
    about: Counts,
    /// Those that never are.
    abandoned: Counts,
}

impl Decider {
    /// Whether the record, which is no `TX_BEGIN` and no `TX_COMMIT`, counts; false for those two.
    ///
    /// It does if it may belong to a transaction that was committed. One about its own collection, or that names none, comes
    /// first, then one that was not committed about its own collection, then any.
    pub(crate) fn counts(&mut self, entry: &Entry<'_>) -> bool {
        let collection = xxh3_64(entry.collection.as_bytes());
        match entry.command {
            Command::Begin => {
                if self.unfinished.pop_if(|next| *next == self.begun).is_some() {
                    self.abandoned.add(collection);
                } else {
                    self.open.insert(hash(&entry.key), collection);
                    self.about.add(collection);
                }
                self.begun += 1;
                false
            }
            Command::Commit => {
                if let Some(collection) = self.open.remove(&hash(&entry.key)) {
                    self.about.remove(collection);
                }
                false
            }
            _ if self.about.covers(collection) || self.about.covers(xxh3_64(b"")) => true,
            _ if self.abandoned.covers(collection) => false,
            _ => self.about.all > 0 || self.abandoned.all == 0,
        }
    }
}

fn hash(name: &str) -> u128 {
    xxh3_128(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    /// `B`egin, `C`ommit or a `R`ecord, with a name and a collection.
    fn counted(log: &[(char, &'static str, &'static str)]) -> Vec<&'static str> {
        let entries: Vec<_> = log
            .iter()
            .map(|(kind, name, collection)| Entry {
                command: match kind {
                    'B' => Command::Begin,
                    'C' => Command::Commit,
                    _ => Command::Insert,
                },
                collection: Cow::Borrowed(*collection),
                key: Cow::Borrowed(*name),
                value: Some("1"),
            })
            .collect();
        let mut survey = Survey::default();
        entries.iter().for_each(|entry| survey.see(entry));
        let mut decider = survey.finish();
        let names = log.iter().map(|(_, name, _)| *name);
        let counted = entries.iter().zip(names).filter(|(entry, _)| decider.counts(entry));
        counted.map(|(_, name)| name).collect()
    }

    #[test]
    fn a_transaction_counts_with_its_commit() {
        assert_eq!(
            counted(&[('R', "a", "u"), ('B', "1", "u"), ('R', "b", "u"), ('C', "1", "u")]),
            ["a", "b"]
        );
        assert_eq!(counted(&[('B', "1", "u"), ('R', "a", "u"), ('C', "2", "u")]), [""; 0]);
        // A commit of nothing changes nothing.
        assert_eq!(counted(&[('C', "1", "u"), ('R', "a", "u")]), ["a"]);
    }

    #[test]
    fn a_log_that_ends_in_a_transaction_drops_it_and_nothing_else() {
        let log = [('B', "1", "u"), ('R', "a", "u"), ('C', "1", "u"), ('B', "2", "u"), ('R', "b", "u")];
        assert_eq!(counted(&log), ["a"]);
    }

    #[test]
    fn one_that_a_crash_interrupted_stays_dropped_when_the_log_goes_on() {
        let log = [
            ('B', "1", "u"),
            ('R', "lost", "u"),
            ('B', "2", "u"),
            ('R', "a", "u"),
            ('C', "2", "u"),
            ('B', "3", "v"),
            ('R', "b", "v"),
            ('C', "3", "v"),
        ];
        assert_eq!(counted(&log), ["a", "b"]);
    }

    #[test]
    fn interleaved_transactions_all_count_in_the_order_of_the_log() {
        let log = [
            ('B', "1", "u"),
            ('B', "2", "v"),
            ('R', "a", "u"),
            ('R', "b", "v"),
            ('C', "2", "v"),
            ('B', "3", "v"),
            ('R', "c", "u"),
            ('C', "1", "u"),
            ('R', "d", "v"),
            ('C', "3", "v"),
        ];
        assert_eq!(counted(&log), ["a", "b", "c", "d"]);
    }

    #[test]
    fn of_interleaved_ones_the_unfinished_is_told_by_its_collection() {
        let log = [
            ('B', "1", "u"),
            ('B', "2", "v"),
            ('R', "a", "u"),
            ('R', "lost", "v"),
            ('R', "other", "w"),
            ('C', "1", "u"),
        ];
        // A transaction may be about more than the collection that it names, so `other` may be of the first one.
        assert_eq!(counted(&log), ["a", "other"]);
    }

    #[test]
    fn one_that_names_no_collection_is_about_any() {
        assert_eq!(counted(&[('B', "1", ""), ('R', "lost", "u"), ('R', "lost too", "v")]), [""; 0]);
        let log = [('B', "1", "u"), ('R', "lost", "u"), ('B', "2", ""), ('R', "a", "u"), ('C', "2", "")];
        assert_eq!(counted(&log), ["a"]);
    }

    #[test]
    fn a_name_that_is_used_again_is_another_transaction() {
        let log = [
            ('B', "1", "u"),
            ('R', "a", "u"),
            ('C', "1", "u"),
            ('B', "1", "v"),
            ('R', "b", "v"),
            ('C', "1", "v"),
            ('B', "1", "u"),
            ('R', "lost", "u"),
            ('B', "1", "v"),
            ('R', "c", "v"),
            ('C', "1", "v"),
        ];
        assert_eq!(counted(&log), ["a", "b", "c"]);
    }
}
