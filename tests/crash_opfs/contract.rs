//! The contract of the storage itself, without a database that could make up for it: random calls, and what each crash in
//! the midst of them may take away.

use crate::chance::{Chance, Thoroughness};
use crate::check::Verdict;
use crate::disk::{Disk, State};
use crate::explore::hash;
use crate::recording::{Effect, Opened, RecordingStorage, Remains};
use crate::support::{block_on, effort, figures};
use pumice::Storage;
use std::collections::{BTreeMap, HashSet};

const NAMES: [&str; 4] = ["a.log", "b.snapshot", "quarantine/c.log", "d.log"];

#[derive(Clone, Default)]
struct File {
    content: Vec<u8>,
    /// How much of it is promised to be durable.
    synced: usize,
}

type Files = BTreeMap<&'static str, File>;

/// Calls on a storage, and what is promised after each.
struct Script {
    storage: RecordingStorage,
    opened: Opened,
    promised: Vec<Files>,
}

impl Script {
    fn new(disk: &Disk, files: Files) -> Self {
        let storage = RecordingStorage::new(disk);
        let opened = storage.open().unwrap();
        Self { storage, opened, promised: vec![files] }
    }

    fn call(&mut self, chance: &mut Chance) {
        let name = NAMES[chance.below(NAMES.len())];
        let mut files = self.promised.last().unwrap().clone();
        let there = files.get(name).map(|file| file.content.len());
        block_on(async {
            match (there, chance.below(12)) {
                (None, _) => {
                    self.opened.create(name).await?;
                    files.insert(name, File::default());
                }
                (Some(_), 0) => {
                    self.opened.remove(name).await?;
                    files.remove(name);
                }
                (Some(len), 1) => {
                    let len = chance.below(len + 1);
                    self.opened.truncate(name, len as u64).await?;
                    let content = files[name].content[..len].to_vec();
                    files.insert(name, File { content, synced: len });
                }
                (Some(len), 2..7) => {
                    self.opened.sync(name).await?;
                    files.get_mut(name).unwrap().synced = len;
                }
                (Some(_), _) => {
                    let piece = vec![chance.next() as u8 | 1; chance.below(900)];
                    // What is in flight may be there in part.
                    files.get_mut(name).unwrap().content.extend(&piece);
                    self.opened.append(name, &piece).await?;
                }
            }
            pumice::Result::Ok(())
        })
        .unwrap();
        self.promised.push(files);
        self.storage.acknowledge(self.promised.len() - 1);
        match chance.below(16) {
            0 => self.storage.wait(60_000),
            1..5 => self.storage.wait(9_000),
            5 => {
                block_on(self.opened.close()).unwrap();
                self.opened = self.storage.open().unwrap();
            }
            _ => {}
        }
    }
}

/// What must hold after a crash in the midst of the call that leads from `before` to `next`.
fn check(state: &State, before: &Files, next: &Files) -> Verdict<()> {
    let found = Remains::open(state).map_err(|error| error.to_string())?;
    let names = found.names();
    if let Some(stray) =
        names.iter().find(|n| !before.contains_key(n.as_str()) && !next.contains_key(n.as_str()))
    {
        return Err(format!("{stray} was removed, or never there"));
    }
    for (name, file) in before {
        if !names.iter().any(|n| n == name) {
            if next.contains_key(name) {
                return Err(format!("{name} is gone"));
            }
            continue;
        }
        let after = next.get(name).unwrap_or(file);
        let content = found.contents(name).map_err(|error| error.to_string())?;
        let least = file.synced.min(after.content.len());
        let most = file.content.len().max(after.content.len());
        if !(least..=most).contains(&content.len()) {
            return Err(format!("{name} has {} bytes, not {least} to {most}", content.len()));
        }
        if content[..least] != file.content[..least] {
            return Err(format!("{name} does not hold what was synced"));
        }
    }
    Ok(())
}

/// Goes through the crashes of `effects` on `disk`, which are those of calls with these promises.
fn explore(
    mut disk: Disk,
    effects: &[Effect],
    promised: &[Files],
    chance: &mut Chance,
    met: &mut HashSet<u64>,
    path: &str,
) {
    let mut done = 0;
    for effect in effects {
        disk.apply(effect);
        if let Effect::Acknowledged(call) = effect {
            done = *call;
        }
        let (before, next) = (&promised[done], promised.get(done + 1).unwrap_or(&promised[done]));
        let mut states = chance.clone();
        disk.states(Some(effect), Thoroughness::Dense, &mut states, &mut |state, label| {
            if met.insert(hash(state, done))
                && let Err(why) = check(state, before, next)
            {
                panic!("{why}, after {done} calls{path} and {effect}: {label}");
            }
        });
        *chance = states;
        // The process is killed, and the next one writes before the power is cut.
        if path.is_empty() && disk.is_volatile() && chance.below(12) == 0 {
            let killed = format!("{path}, killed after {done} calls and {effect}");
            after_a_kill(&disk, before, next, chance, met, &killed);
        }
    }
}

fn after_a_kill(
    disk: &Disk,
    before: &Files,
    next: &Files,
    chance: &mut Chance,
    met: &mut HashSet<u64>,
    path: &str,
) {
    check(&disk.all(), before, next).unwrap_or_else(|why| panic!("{why}{path}"));
    // What was promised before is still promised; what is there besides is as good as appended.
    let mut files = Files::new();
    let opened = RecordingStorage::new(disk).open().unwrap();
    for name in NAMES.into_iter().filter(|name| opened.names().iter().any(|n| n == name)) {
        let content = opened.contents(name).unwrap();
        let synced = before.get(name).map_or(0, |file| file.synced).min(content.len());
        files.insert(name, File { content, synced });
    }
    let mut script = Script::new(disk, files);
    // What was in flight is there for certain only when opening is done.
    let opening = script.storage.effects();
    explore(disk.clone(), &opening, &[before.clone(), next.clone()], chance, met, path);
    let mut disk = disk.clone();
    opening.iter().for_each(|effect| disk.apply(effect));
    for _ in 0..6 {
        script.call(chance);
    }
    let effects = script.storage.effects();
    explore(disk, &effects, &script.promised, chance, met, path);
}

#[test]
fn what_the_storage_promised_survives_every_crash() {
    let scripts = if effort::is_soak() { 400 } else { 24 };
    let mut states = 0;
    for seed in 0..scripts {
        let mut chance = Chance::new(seed);
        let mut met = HashSet::new();
        let disk = Disk::empty(seed % 2 == 0);
        let mut script = Script::new(&disk, Files::new());
        for _ in 0..50 {
            script.call(&mut chance);
        }
        let effects = script.storage.effects();
        explore(disk, &effects, &script.promised, &mut chance, &mut met, "");
        states += met.len() as u64;
    }
    figures::keep(
        "crash-states-pool-contract",
        &[("scripts", scripts), ("different", states), ("failures", 0)],
    );
    assert!(states > scripts * 1000, "{states} states");
}
