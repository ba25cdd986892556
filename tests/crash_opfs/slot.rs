//! One slot file, and what of it a power cut may leave.

use crate::chance::Chance;
use crate::disk::Bytes;
use crate::support::effort::is_soak;
use std::sync::LazyLock;

/// The smallest unit that a disk keeps or loses as a whole, and the unit of a page cache.
const BLOCKS: [usize; 2] = [512, 4096];
/// A write of up to so many bytes is torn all over.
const SHORT: usize = 700;
/// It is torn at one in so many bytes, or at every one with `PUMICE_SOAK` set: `tests/crash` tears the same lines at every one.
static STEP: LazyLock<usize> = LazyLock::new(|| if is_soak() { 1 } else { 5 });
/// So many changes since the last flush are told apart; of more, the first ones are lost or kept together.
const REMEMBERED: usize = 12;

/// The file as it was flushed last, and after each change since. Its name's fate is another matter.
#[derive(Clone)]
pub struct Slot {
    versions: Vec<Bytes>,
}

impl Slot {
    pub fn durable(bytes: Bytes) -> Self {
        Self { versions: vec![bytes] }
    }

    pub fn visible(&self) -> Bytes {
        self.versions.last().unwrap().clone()
    }

    pub fn is_volatile(&self) -> bool {
        self.versions.len() > 1
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        let mut file = self.visible().to_vec();
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.change(file);
    }

    pub fn truncate(&mut self, len: usize) {
        let mut file = self.visible().to_vec();
        file.resize(len, 0);
        self.change(file);
    }

    fn change(&mut self, file: Vec<u8>) {
        if *file == *self.visible() {
            return;
        }
        self.versions.push(file.into());
        if self.versions.len() > REMEMBERED {
            self.versions.remove(1);
        }
    }

    pub fn flush(&mut self) {
        self.versions = vec![self.visible()];
    }

    fn first(&self) -> &Bytes {
        &self.versions[0]
    }

    /// Nothing kept, everything kept, and a few in between.
    pub fn few_fates(&self, chance: &mut Chance) -> Vec<Bytes> {
        if !self.is_volatile() {
            return vec![self.visible()];
        }
        vec![
            self.first().clone(),
            self.visible(),
            self.versions[chance.below(self.versions.len())].clone(),
            self.mixed(chance),
            self.shredded(chance),
            self.torn(self.first(), chance.below(self.visible().len() + 1)),
        ]
    }

    /// Each block as it was at one time or another, and the length too.
    fn mixed(&self, chance: &mut Chance) -> Bytes {
        let len = self.versions[chance.below(self.versions.len())].len();
        let block = BLOCKS[chance.below(2)];
        patch(len, block, |_| &self.versions[chance.below(self.versions.len())])
    }

    /// Each change torn somewhere, whatever became of the others.
    fn shredded(&self, chance: &mut Chance) -> Bytes {
        let mut bytes = self.first().to_vec();
        for (old, new) in self.versions.iter().zip(&self.versions[1..]) {
            let Some((start, end)) = difference(old, new) else { continue };
            let cut = (start + chance.below(end - start + 1)).min(new.len());
            if start < cut {
                bytes.resize(bytes.len().max(cut), 0);
                bytes[start..cut].copy_from_slice(&new[start..cut]);
            }
        }
        bytes.into()
    }

    /// Up to `at` as it is now, behind that as `old` has it.
    fn torn(&self, old: &[u8], at: usize) -> Bytes {
        let new = self.visible();
        let at = at.min(new.len());
        [&new[..at], old.get(at..).unwrap_or_default()].concat().into()
    }

    pub fn fates(&self, chance: &mut Chance) -> Vec<Bytes> {
        if !self.is_volatile() {
            return vec![self.visible()];
        }
        let mut fates = vec![self.first().clone(), self.visible()];
        fates.extend(self.versions[1..self.versions.len() - 1].iter().cloned());
        let before = &self.versions[self.versions.len() - 2];
        let new = self.visible();
        for (index, cut) in self.cuts(before, chance).into_iter().enumerate() {
            fates.push(self.torn(before, cut));
            // The length may be durable before the bytes are.
            if index % 4 == 0 && new.len() > before.len() {
                let mut bytes = self.torn(before, cut).to_vec();
                bytes.resize(new.len(), 0);
                fates.push(bytes.into());
            }
            if index % 4 == 1 {
                fates.push(self.torn(self.first(), cut));
            }
        }
        for block in BLOCKS {
            self.subsets(block, chance, &mut fates);
        }
        fates.extend((0..8).map(|_| self.mixed(chance)));
        fates.extend((0..8).map(|_| self.shredded(chance)));
        fates
    }

    /// Where the last change may be torn.
    fn cuts(&self, before: &Bytes, chance: &mut Chance) -> Vec<usize> {
        let Some((start, end)) = difference(before, &self.visible()) else { return Vec::new() };
        if end - start <= SHORT {
            return (start + chance.below(*STEP)..end).step_by(*STEP).collect();
        }
        let mut cuts: Vec<usize> = (start..start + 40).chain(end - 160..end).step_by(*STEP).collect();
        cuts.extend((0..40).map(|_| start + chance.below(end - start)));
        cuts.extend((start..end).step_by(512).take(60).map(|at| at / 512 * 512).filter(|at| *at > start));
        cuts
    }

    /// Some blocks as they are now, the others as they were flushed: every choice when they are few, otherwise each one,
    /// all but each one, and others.
    fn subsets(&self, block: usize, chance: &mut Chance, fates: &mut Vec<Bytes>) {
        let (old, new) = (self.first(), self.visible());
        let part = |bytes: &Bytes, index: usize| {
            let end = ((index + 1) * block).min(bytes.len());
            bytes.get(index * block..end).map(<[u8]>::to_vec)
        };
        let count = old.len().max(new.len()).div_ceil(block);
        let changed: Vec<usize> =
            (0..count).filter(|index| part(old, *index) != part(&new, *index)).collect();
        let mut add = |keep: &dyn Fn(usize) -> bool| {
            let place = |index: usize| changed.iter().position(|changed| *changed == index);
            let pick = |index: usize| if place(index).is_none_or(keep) { &new } else { old };
            let mut lens = vec![new.len(), old.len()];
            lens.dedup();
            for len in lens {
                fates.push(patch(len, block, pick));
            }
        };
        if changed.len() <= 6 {
            for kept in 0..1_usize << changed.len() {
                add(&|index| kept >> index & 1 == 1);
            }
            return;
        }
        let ends = (0..changed.len()).take(12).chain(changed.len().saturating_sub(6).max(12)..changed.len());
        for one in ends {
            add(&|index| index != one);
            add(&|index| index == one);
        }
        for _ in 0..12 {
            let kept: Vec<bool> = changed.iter().map(|_| chance.next() & 1 == 0).collect();
            add(&|index| kept[index]);
        }
    }
}

/// Where the first different byte is, and behind the last.
fn difference(old: &[u8], new: &[u8]) -> Option<(usize, usize)> {
    let longest = old.len().max(new.len());
    let differs = |at: &usize| new.get(*at) != old.get(*at);
    let start = (0..longest).find(differs)?;
    let end = (start..longest).rev().find(differs).map_or(longest, |at| at + 1);
    Some((start, end))
}

/// A file of `len` bytes, each block from the version that `pick` gives, zeros where that has none.
fn patch<'a>(len: usize, block: usize, mut pick: impl FnMut(usize) -> &'a Bytes) -> Bytes {
    let mut bytes = vec![0; len];
    for (index, part) in bytes.chunks_mut(block).enumerate() {
        let from = pick(index).get(index * block..).unwrap_or_default();
        let there = part.len().min(from.len());
        part[..there].copy_from_slice(&from[..there]);
    }
    bytes.into()
}
