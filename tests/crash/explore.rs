//! Goes through the crash states of a workload, and through those of the recoveries from them.

use crate::chance::{Chance, Thoroughness};
use crate::check::{self, Compact};
use crate::disk::{Disk, State, digest};
use crate::recording::Effect;
use crate::workload::History;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use xxhash_rust::xxh3::xxh3_64;

/// Recoveries from recoveries from recoveries.
const MAX_DEPTH: usize = 3;
/// A workload that fails so often is not gone through to its end.
const ENOUGH_FAILURES: usize = 4;

/// What was gone through.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// States built, those that were met before included.
    pub states: u64,
    /// Different ones, each of which was opened for reading.
    pub read: u64,
    /// Of these, opened for writing and written to.
    pub written: u64,
    /// Different states left by a crash of a recovery.
    pub recoveries: u64,
    pub failures: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.read += other.read;
        self.written += other.written;
        self.recoveries += other.recoveries;
        self.failures.extend(other.failures.iter().cloned());
    }
}

/// How much of all there is to go through.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// One in so many states is opened for writing.
    pub write_one_in: u64,
    /// One in so many of those has its recovery's own crashes gone through.
    pub recover_one_in: u64,
}

pub struct Explorer {
    pub effort: Effort,
    /// No more different states than that.
    pub enough: u64,
    chance: Chance,
    met: HashSet<u64>,
    pub tally: Tally,
}

/// A run whose crashes are gone through.
struct Run<'a> {
    disk: Disk,
    effects: &'a [Effect],
    history: &'a History,
    acknowledged: usize,
    depth: usize,
    path: String,
}

impl Explorer {
    pub fn new(effort: Effort, seed: u64) -> Self {
        let (chance, met, tally) = (Chance::new(seed), HashSet::new(), Tally::default());
        Self { effort, enough: u64::MAX, chance, met, tally }
    }

    /// Goes through the crashes of what was done to an empty disk.
    pub fn explore(&mut self, effects: &[Effect], history: &History) {
        self.explore_from(Disk::default(), effects, history);
    }

    /// Goes through the crashes of what was done to `disk`.
    pub fn explore_from(&mut self, disk: Disk, effects: &[Effect], history: &History) {
        self.run(Run { disk, effects, history, acknowledged: 0, depth: 1, path: String::new() });
    }

    /// Whether it is not worth going on.
    pub fn has_enough(&self) -> bool {
        self.tally.failures.len() >= ENOUGH_FAILURES || self.tally.read >= self.enough
    }

    fn run(&mut self, mut run: Run<'_>) {
        self.moment(&run, 0, None);
        for (index, effect) in run.effects.iter().enumerate() {
            if self.has_enough() {
                return;
            }
            run.disk.apply(effect);
            if let Effect::Acknowledged(write) = effect {
                run.acknowledged = run.acknowledged.max(*write);
            }
            self.moment(&run, index + 1, Some(effect));
        }
    }

    /// The crashes that may happen after so many effects.
    fn moment(&mut self, run: &Run<'_>, done: usize, last: Option<&Effect>) {
        let thoroughness = if run.depth == 1 || self.chance.below(4) == 0 {
            Thoroughness::Dense
        } else {
            Thoroughness::Sparse
        };
        let mut chance = self.chance.clone();
        let path = format!("{} after {done} effects, the last {}", run.path, describe(last));
        run.disk.states(last, thoroughness, &mut chance, &mut |state, label| {
            self.state(run, state, &format!("{path}: {label}"));
        });
        self.chance = chance;
        // A killed process leaves everything; a power cut may still take it away from under the recovery.
        if run.disk.is_volatile() && self.chance.next().is_multiple_of(self.effort.recover_one_in.div_ceil(4))
        {
            self.recover(run, &run.disk, &format!("{path}: killed"), None);
        }
    }

    fn state(&mut self, run: &Run<'_>, state: &State, path: &str) {
        self.tally.states += 1;
        let hash = hash(state, run.acknowledged);
        if self.has_enough() || !self.met.insert(hash) {
            return;
        }
        self.tally.read += 1;
        if run.depth > 1 {
            self.tally.recoveries += 1;
        }
        let write =
            match guarded(|| check::read(state, run.history, run.acknowledged, hash.is_multiple_of(8))) {
                Ok(write) => write,
                Err(why) => return self.fail(path, state, &why),
            };
        if (hash / 8).is_multiple_of(self.effort.write_one_in) {
            self.recover(run, &Disk::settled(state), path, Some(write));
        }
    }

    /// Opens for writing, and goes through the crashes of that. `settled` is the write that a reader found last.
    fn recover(&mut self, run: &Run<'_>, disk: &Disk, path: &str, settled: Option<usize>) {
        self.tally.written += 1;
        let acknowledged = settled.unwrap_or(run.acknowledged);
        let compact = [Compact::Never, Compact::AtOnce, Compact::AfterWrites][self.chance.below(3)];
        let recovered =
            match guarded(|| check::write(disk, run.history, acknowledged, run.acknowledged, compact)) {
                Ok(recovered) => recovered,
                Err(why) => return self.fail(path, &disk.all(), &why),
            };
        let deeper = settled.is_none() || self.chance.next().is_multiple_of(self.effort.recover_one_in);
        if run.depth < MAX_DEPTH && deeper {
            let path = format!("{path}; recovery");
            let (effects, history) = (&*recovered.effects, &recovered.history);
            self.run(Run { disk: disk.clone(), effects, history, acknowledged, depth: run.depth + 1, path });
        }
    }

    fn fail(&mut self, path: &str, state: &State, why: &str) {
        let files: Vec<String> =
            state.iter().map(|(name, bytes)| format!("{name} {}", bytes.len())).collect();
        self.tally.failures.push(format!("{why}\n    {path}\n    {}", files.join(", ")));
        if let Some(dir) = std::env::var_os("PUMICE_KEEP_FAILURES") {
            let dir = std::path::Path::new(&dir).join(format!("{:x}", hash(state, 0)));
            for (name, bytes) in state {
                let file = dir.join(&**name);
                let _ = std::fs::create_dir_all(file.parent().unwrap_or(&dir));
                let _ = std::fs::write(file, bytes);
            }
        }
    }
}

fn describe(effect: Option<&Effect>) -> String {
    effect.map_or("none".into(), ToString::to_string)
}

fn guarded<T>(check: impl FnOnce() -> check::Verdict<T>) -> check::Verdict<T> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
    })
}

/// What tells a state apart from others, and from itself with other promises.
pub fn hash(state: &State, acknowledged: usize) -> u64 {
    state.iter().fold(acknowledged as u64, |hash, (name, bytes)| {
        let file = xxh3_64(name.as_bytes()) ^ digest(bytes).rotate_left(21);
        hash.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ file
    })
}
