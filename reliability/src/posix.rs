//! What a disk may hold after a power cut, by what POSIX promises and no more.
//!
//! A file's bytes and its length are durable when the file was synced, its name when the folder that has it was. What is
//! not durable may be there or not, each change by itself, in order or not; a rename is there as a whole or not at all.

use crate::trace::Effect;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

type Id = usize;
const ROOT: Id = 0;

/// The smallest unit that a disk keeps or loses as a whole.
const BLOCK: usize = 512;

#[derive(Clone)]
enum Node {
    File { durable: Vec<u8>, pending: Vec<Change> },
    Folder(BTreeMap<PathBuf, Id>),
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// A name that comes to mean something, or nothing any more.
type Naming = (Id, PathBuf, Option<Id>);

/// Files and folders as a process sees them, and what of that is durable.
#[derive(Clone)]
pub struct Disk {
    /// Folders are here as they are durable.
    nodes: Vec<Node>,
    /// Changes of names that are not durable, in order; each a whole.
    pending: Vec<Vec<Naming>>,
    /// Folders as a process sees them.
    seen: BTreeMap<Id, BTreeMap<PathBuf, Id>>,
}

/// Files, folders and what they hold, by path; folders hold nothing.
pub type State = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    /// A disk on which all of `state` is durable.
    pub fn new(state: &State) -> Self {
        let mut disk = Self { nodes: Vec::new(), pending: Vec::new(), seen: BTreeMap::new() };
        disk.add(None);
        for (path, bytes) in state {
            let id = disk.add(bytes.clone());
            let (folder, name) = disk.place(path).expect("folders stand before what is in them");
            disk.seen.entry(folder).or_default().insert(name, id);
        }
        for (id, names) in &disk.seen {
            disk.nodes[*id] = Node::Folder(names.clone());
        }
        disk
    }

    fn add(&mut self, durable: Option<Vec<u8>>) -> Id {
        let id = self.nodes.len();
        if durable.is_none() {
            self.seen.insert(id, BTreeMap::new());
        }
        self.nodes.push(match durable {
            Some(durable) => Node::File { durable, pending: Vec::new() },
            None => Node::Folder(BTreeMap::new()),
        });
        id
    }

    fn find(&self, path: &Path) -> Option<Id> {
        path.iter().try_fold(ROOT, |folder, name| self.seen.get(&folder)?.get(Path::new(name)).copied())
    }

    fn place(&self, path: &Path) -> Option<(Id, PathBuf)> {
        Some((self.find(path.parent()?)?, path.file_name()?.into()))
    }

    fn rename(&mut self, namings: Vec<Naming>) {
        for (folder, name, id) in &namings {
            let names = self.seen.entry(*folder).or_default();
            match id {
                Some(id) => names.insert(name.clone(), *id),
                None => names.remove(name),
            };
        }
        self.pending.push(namings);
    }

    fn change(&mut self, path: &Path, change: Change) -> Result<()> {
        let id = self.find(path).context("a file that is not there")?;
        let Node::File { pending, .. } = &mut self.nodes[id] else { bail!("a folder that is written to") };
        pending.push(change);
        Ok(())
    }

    /// # Errors
    /// When it makes no sense after what came before.
    pub fn apply(&mut self, effect: &Effect) -> Result<()> {
        let place = |path: &Path| self.place(path).context("a folder that is not there");
        match effect {
            Effect::CreateFile(path) if self.find(path).is_some() => {}
            Effect::CreateFile(path) | Effect::CreateFolder(path) => {
                let (folder, name) = place(path)?;
                let is_file = matches!(effect, Effect::CreateFile(_));
                let id = self.add(is_file.then(Vec::new));
                self.rename(vec![(folder, name, Some(id))]);
            }
            Effect::Write(path, offset, bytes) => self.change(path, Change::Write(*offset, bytes.clone()))?,
            Effect::SetLen(path, len) => self.change(path, Change::SetLen(*len))?,
            Effect::Sync(path) => self.sync(path)?,
            Effect::Rename(from, to) => {
                let id = self.find(from).context("a file that is not there")?;
                let (old, new) = (place(from)?, place(to)?);
                self.rename(vec![(old.0, old.1, None), (new.0, new.1, Some(id))]);
            }
            Effect::Link(from, to) => {
                let id = self.find(from).context("a file that is not there")?;
                let (folder, name) = place(to)?;
                self.rename(vec![(folder, name, Some(id))]);
            }
            Effect::Remove(path) => {
                let (folder, name) = place(path)?;
                self.rename(vec![(folder, name, None)]);
            }
        }
        Ok(())
    }

    fn sync(&mut self, path: &Path) -> Result<()> {
        let id = self.find(path).context("a file that is not there")?;
        if let Node::File { durable, pending } = &mut self.nodes[id] {
            for change in pending.drain(..) {
                make(durable, &change);
            }
            return Ok(());
        }
        let (now, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|namings| namings.iter().any(|(folder, ..)| *folder == id));
        self.pending = later;
        apply_names(&mut self.nodes, &now);
        Ok(())
    }

    /// The states that a power cut may leave now: every one of the names' orders up to some point, and choices among
    /// the rest.
    pub fn states(&self, mut chance: impl FnMut(usize) -> usize) -> Vec<State> {
        let count = self.pending.len();
        let mut chosen: Vec<Vec<bool>> =
            (0..=count).map(|kept| (0..count).map(|index| index < kept).collect()).collect();
        for _ in 0..if count > 1 { 6 } else { 0 } {
            chosen.push((0..count).map(|_| chance(2) == 0).collect());
        }
        let mut states = Vec::new();
        for chosen in chosen {
            let kept: Vec<_> = self
                .pending
                .iter()
                .zip(chosen)
                .filter(|(_, kept)| *kept)
                .map(|(one, _)| one.clone())
                .collect();
            let mut nodes = self.nodes.clone();
            apply_names(&mut nodes, &kept);
            for (fate, times) in FATES {
                for _ in 0..if self.is_volatile() { times } else { 1 } {
                    let mut state = State::new();
                    fill(&nodes, ROOT, Path::new(""), fate, &mut chance, &mut state);
                    states.push(state);
                }
            }
        }
        states
    }

    /// Whether bytes or lengths of files are not durable.
    fn is_volatile(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::File { pending, .. } if !pending.is_empty()))
    }
}

fn fill(
    nodes: &[Node],
    id: Id,
    path: &Path,
    fate: Fate,
    chance: &mut impl FnMut(usize) -> usize,
    state: &mut State,
) {
    let Node::Folder(names) = &nodes[id] else { return };
    for (name, id) in names {
        let path = path.join(name);
        match &nodes[*id] {
            Node::File { durable, pending } => {
                state.insert(path, Some(left_of(durable, pending, fate, chance)));
            }
            Node::Folder(_) => {
                state.insert(path.clone(), None);
                fill(nodes, *id, &path, fate, chance, state);
            }
        }
    }
}

fn apply_names(nodes: &mut [Node], changes: &[Vec<Naming>]) {
    for (folder, name, id) in changes.iter().flatten() {
        if let Node::Folder(names) = &mut nodes[*folder] {
            match id {
                Some(id) => names.insert(name.clone(), *id),
                None => names.remove(name),
            };
        }
    }
}

fn make(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, new) => {
            let start = *offset as usize;
            let end = start + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(new);
        }
        Change::SetLen(len) => bytes.resize(*len as usize, 0),
    }
}

/// What may become of a file's changes that were not synced.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// The first of them.
    First,
    Some,
    /// All, but the last write only up to some byte.
    Cut,
    /// All, but the bytes of some write are zeros: the length was durable before them.
    Zeros,
    /// All, but a block of each write is zeros.
    Hole,
}

/// How often each is tried, at places by chance. A line of the log here has about a hundred bytes.
const FATES: [(Fate, usize); 7] = [
    (Fate::Lost, 1),
    (Fate::Kept, 1),
    (Fate::First, 4),
    (Fate::Some, 4),
    (Fate::Cut, 100),
    (Fate::Zeros, 4),
    (Fate::Hole, 20),
];

fn left_of(
    durable: &[u8],
    pending: &[Change],
    fate: Fate,
    chance: &mut impl FnMut(usize) -> usize,
) -> Vec<u8> {
    let mut bytes = durable.to_vec();
    let kept = match fate {
        Fate::Lost => 0,
        Fate::First => chance(pending.len() + 1),
        _ => pending.len(),
    };
    for (index, change) in pending.iter().enumerate().take(kept) {
        let Change::Write(offset, new) = change else {
            make(&mut bytes, change);
            continue;
        };
        let mut new = new.clone();
        match fate {
            Fate::Some if chance(2) == 0 => continue,
            Fate::Cut if index + 1 == pending.len() => new.truncate(chance(new.len() + 1)),
            Fate::Zeros if chance(2) == 0 => new.fill(0),
            Fate::Hole => {
                let start = (chance(new.len().div_ceil(BLOCK)) * BLOCK).min(new.len());
                let end = (start + BLOCK).min(new.len());
                new[start..end].fill(0);
            }
            _ => {}
        }
        make(&mut bytes, &Change::Write(*offset, new));
    }
    bytes
}

/// What tells states apart.
pub fn digest(state: &State) -> u64 {
    state.iter().fold(0, |digest: u64, (path, bytes)| {
        let name = xxh3_64(path.as_os_str().as_encoded_bytes());
        let file = bytes.as_ref().map_or(1, |bytes| xxh3_64(bytes).rotate_left(21));
        digest.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name ^ file
    })
}
