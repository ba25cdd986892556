//! What a disk holds after a power cut, by the promises of [`pumice::Storage`] and no more.
//!
//! Names are durable when `create` returns, lengths when `truncate` does. Appended bytes are volatile until
//! their file is synced: any of them may be missing or zero, whatever became of others, of this file or another one.
//! Removed files may come back.

use crate::chance::{Chance, Thoroughness};
use crate::recording::Effect;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The smallest unit that a disk keeps or loses as a whole, and the unit of a page cache.
const BLOCKS: [usize; 2] = [512, 4096];
/// An append of up to so many bytes is cut at every byte.
const EVERY_BYTE: usize = 700;

/// So many removed files may come back.
const REMEMBERED: usize = 4;

type Bytes = Arc<[u8]>;

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// Bytes that survive for certain.
    synced: usize,
    /// Where each append behind them begins.
    appends: Vec<usize>,
    /// Whether the storage may have grown the file ahead, leaving zeros behind its end.
    grown: bool,
}

/// The files, and how much of each is durable.
#[derive(Clone, Default)]
pub struct Disk {
    files: BTreeMap<Arc<str>, File>,
    /// What was removed last, as it was: not every platform can promise that it stays away.
    removed: Vec<(Arc<str>, Bytes)>,
}

/// One state that a crash may leave, by name.
pub type State = Vec<(Arc<str>, Bytes)>;

/// What tells the contents of files apart.
pub fn digest(bytes: &Bytes) -> u64 {
    xxh3_64(bytes)
}

impl Disk {
    /// A disk on which all of `state` is durable.
    pub fn settled(state: &State) -> Self {
        let file = |bytes: &Bytes| File {
            bytes: bytes.to_vec(),
            synced: bytes.len(),
            appends: Vec::new(),
            grown: false,
        };
        let files = state.iter().map(|(name, bytes)| (Arc::clone(name), file(bytes))).collect();
        Self { files, removed: Vec::new() }
    }

    pub fn visible(&self) -> impl Iterator<Item = (&Arc<str>, &[u8])> {
        self.files.iter().map(|(name, file)| (name, &*file.bytes))
    }

    /// What a process reads in the file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        self.files.get(name).map(|file| file.bytes.clone())
    }

    /// Whether a killed process leaves more than a power cut would.
    pub fn is_volatile(&self) -> bool {
        self.files.values().any(|file| file.synced < file.bytes.len())
    }

    /// The state that a killed process leaves.
    pub fn all(&self) -> State {
        self.visible().map(|(name, bytes)| (Arc::clone(name), bytes.into())).collect()
    }

    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Create(name) => {
                self.removed.retain(|(gone, _)| gone != name);
                self.files.insert(Arc::clone(name), File::default());
            }
            Effect::Append(name, bytes) => {
                let file = self.files.entry(Arc::clone(name)).or_default();
                if !bytes.is_empty() {
                    file.appends.push(file.bytes.len());
                    file.bytes.extend_from_slice(bytes);
                    file.grown = name.ends_with(".log") && !name.contains('/');
                }
            }
            Effect::Sync(name) => {
                let file = self.files.entry(Arc::clone(name)).or_default();
                file.synced = file.bytes.len();
                file.appends.clear();
            }
            Effect::Truncate(name, len) => {
                let file = self.files.entry(Arc::clone(name)).or_default();
                file.bytes.truncate(*len);
                file.synced = file.synced.min(*len);
                file.appends.retain(|start| start < len);
                file.grown = false;
            }
            Effect::Remove(name) => {
                if let Some(file) = self.files.remove(name) {
                    self.removed.push((Arc::clone(name), file.cut(file.synced)));
                    self.removed.drain(..self.removed.len().saturating_sub(REMEMBERED));
                }
            }
            Effect::Acknowledged(_) => {}
        }
    }

    /// Calls `visit` with the states that a power cut may leave now. `last` was done to the disk just before.
    pub fn states(
        &self,
        last: Option<&Effect>,
        thoroughness: Thoroughness,
        chance: &mut Chance,
        visit: &mut impl FnMut(&State, &str),
    ) {
        let volatile: Vec<&Arc<str>> =
            self.files.iter().filter(|(_, f)| f.synced < f.bytes.len()).map(|(name, _)| name).collect();
        let appended = match last {
            Some(Effect::Append(name, _)) if thoroughness == Thoroughness::Dense => Some(name),
            _ => None,
        };
        let fates: Vec<Vec<Bytes>> = volatile
            .iter()
            .map(|name| {
                if Some(*name) == appended {
                    self.files[*name].fates(chance)
                } else {
                    self.files[*name].few_fates(chance)
                }
            })
            .collect();
        let mut state: State = self
            .files
            .iter()
            .map(|(name, f)| {
                (Arc::clone(name), if f.synced < f.bytes.len() { [].into() } else { (&*f.bytes).into() })
            })
            .collect();
        let place = |name: &Arc<str>| self.files.keys().position(|n| n == name).unwrap_or_default();
        let places: Vec<usize> = volatile.iter().map(|name| place(name)).collect();
        let mut emit = |state: &mut State, choice: &[usize], label: &str| {
            for ((place, fates), chosen) in places.iter().zip(&fates).zip(choice) {
                state[*place].1 = Arc::clone(&fates[*chosen]);
            }
            visit(state, label);
        };
        // Every fate of each file, while the others are kept whole, lost, or either at random.
        let mut choice = vec![0; fates.len()];
        emit(&mut state, &choice, "everything volatile lost");
        for focus in 0..fates.len() {
            for fate in 0..fates[focus].len() {
                for others in 0..if fates.len() > 1 { 3 } else { 1 } {
                    for (index, other) in fates.iter().enumerate() {
                        choice[index] = match others {
                            _ if index == focus => fate,
                            0 => 0,
                            1 => 1,
                            _ => chance.below(other.len()),
                        };
                    }
                    emit(&mut state, &choice, "volatile bytes lost in part");
                }
            }
        }
        // Removed files that come back.
        for mask in 1..1_u64 << self.removed.len() {
            for (index, fates) in fates.iter().enumerate() {
                choice[index] = chance.below(fates.len());
            }
            for ((place, fates), chosen) in places.iter().zip(&fates).zip(&choice) {
                state[*place].1 = Arc::clone(&fates[*chosen]);
            }
            let back = self.removed.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1);
            let mut state: State = state.iter().cloned().chain(back.map(|(_, file)| file.clone())).collect();
            state.sort_by(|a, b| a.0.cmp(&b.0));
            visit(&state, "removed files back");
        }
        // Zeros behind the end of logs that were grown ahead.
        let grown: Vec<usize> =
            self.files.values().enumerate().filter(|(_, f)| f.grown).map(|(index, _)| index).collect();
        if grown.is_empty() {
            return;
        }
        for tail in [1, 513, 8192] {
            for kind in 0..4 {
                for (index, fates) in fates.iter().enumerate() {
                    choice[index] = if kind < 2 { kind } else { chance.below(fates.len()) };
                }
                for ((place, fates), chosen) in places.iter().zip(&fates).zip(&choice) {
                    state[*place].1 = Arc::clone(&fates[*chosen]);
                }
                let mut state = state.clone();
                for place in &grown {
                    let bytes = &mut state[*place].1;
                    *bytes = bytes.iter().copied().chain(std::iter::repeat_n(0, tail)).collect();
                }
                visit(&state, "zeros behind the logs' ends");
            }
        }
    }
}

impl File {
    fn cut(&self, at: usize) -> Bytes {
        self.bytes[..at].into()
    }

    /// All bytes, with zeros in the ranges.
    fn without(&self, holes: impl IntoIterator<Item = Range<usize>>) -> Bytes {
        let mut bytes = self.bytes.clone();
        for hole in holes {
            bytes[hole.start.max(self.synced)..hole.end.max(self.synced).min(self.bytes.len())].fill(0);
        }
        bytes.into()
    }

    /// Nothing kept, everything kept, and a few in between.
    fn few_fates(&self, chance: &mut Chance) -> Vec<Bytes> {
        let volatile = self.bytes.len() - self.synced;
        let cut = self.synced + chance.below(volatile);
        let block = BLOCKS[chance.below(2)];
        let hole = (self.synced + chance.below(volatile)) / block * block;
        vec![
            self.cut(self.synced),
            self.cut(self.bytes.len()),
            self.cut(cut),
            self.without([cut..self.bytes.len()]),
            self.without([hole..hole + block]),
            self.without([self.synced..self.bytes.len()]),
        ]
    }

    fn fates(&self, chance: &mut Chance) -> Vec<Bytes> {
        let len = self.bytes.len();
        let mut fates = vec![self.cut(self.synced), self.cut(len)];
        let mut cuts = self.cuts(chance);
        cuts.sort_unstable();
        cuts.dedup();
        for (index, &cut) in cuts.iter().enumerate() {
            fates.push(self.cut(cut));
            // The length may be durable before the bytes are.
            if index % 4 == 0 {
                fates.push(self.without([cut..len]));
            }
            if index % 16 == 0 {
                let end = cut + chance.below(len - cut);
                fates.push(self.without([cut..end])[..end].into());
            }
        }
        let ends = self.appends.iter().skip(1).copied().chain([len]);
        let appends: Vec<_> = self.appends.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        self.subsets(&appends, chance, &mut fates);
        for block in BLOCKS {
            let first = self.synced / block;
            let blocks: Vec<_> = (first..len.div_ceil(block)).map(|n| n * block..(n + 1) * block).collect();
            self.subsets(&blocks, chance, &mut fates);
        }
        fates
    }

    fn cuts(&self, chance: &mut Chance) -> Vec<usize> {
        let len = self.bytes.len();
        let last = self.appends.last().copied().unwrap_or(self.synced).max(self.synced);
        let mut cuts: Vec<usize> = self.appends.clone();
        if len - last <= EVERY_BYTE {
            cuts.extend(last..len);
        } else {
            cuts.extend((last..last + 40).chain(len - 200..len));
            cuts.extend((0..60).map(|_| last + chance.below(len - last)));
            let ends =
                self.bytes[last..].iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| last + at);
            cuts.extend(ends.take(100).flat_map(|at| [at, at + 1, at + 2]));
            cuts.extend(
                (last..len).step_by(512).take(100).flat_map(|at| [at / 512 * 512, at / 512 * 512 + 1]),
            );
        }
        cuts.extend((0..6).map(|_| self.synced + chance.below(len - self.synced)));
        cuts.retain(|cut| (self.synced..len).contains(cut));
        cuts
    }

    /// Leaves out some of `pieces`: every choice when they are few, otherwise each one, all but each one, and others.
    fn subsets(&self, pieces: &[Range<usize>], chance: &mut Chance, fates: &mut Vec<Bytes>) {
        let without = |keep: &dyn Fn(usize) -> bool| {
            let lost =
                pieces.iter().enumerate().filter(|(index, _)| !keep(*index)).map(|(_, piece)| piece.clone());
            self.without(lost)
        };
        if pieces.len() <= 6 {
            for kept in 0..1_usize << pieces.len() {
                fates.push(without(&|index| kept >> index & 1 == 1));
            }
            return;
        }
        for one in (0..pieces.len()).take(40).chain(pieces.len().saturating_sub(10).max(40)..pieces.len()) {
            fates.push(without(&|index| index != one));
            fates.push(without(&|index| index == one));
        }
        for _ in 0..24 {
            let kept: Vec<bool> = pieces.iter().map(|_| chance.next() & 1 == 0).collect();
            fates.push(without(&|index| kept[index]));
        }
    }
}
