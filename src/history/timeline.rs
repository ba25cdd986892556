//! What followed what: the parts of a database's past that can be read without a gap.
//!
//! A segment names the checksum of the record before its first. So its predecessor is the segment that has that very
//! record, and what was given up, or belongs to another history, follows nothing and is left out.

use super::catalog::{Catalog, Piece, Run};
use crate::error::Result;
use crate::format::segment::{self, Chain};
use crate::storage::Storage;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Segments without a gap between them, oldest first, each cut off where the next one begins.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) pieces: Vec<Piece>,
    /// The first record.
    pub(crate) first: u64,
    /// The last record; `first - 1` without any.
    pub(crate) last: u64,
    /// The epoch of the newest piece.
    pub(crate) epoch: u64,
}

/// The parts, newest first, and the snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) parts: Vec<Part>,
    pub(crate) bases: Vec<Run>,
}

impl Timeline {
    /// # Errors
    /// When files cannot be read.
    pub(crate) async fn read<S: Storage>(storage: &S, catalog: Catalog) -> Result<Self> {
        let Catalog { mut pieces, bases } = catalog;
        let mut parts = Vec::new();
        // Newest first; one that is in charge before its copy.
        pieces.sort_by_key(|p| Reverse((p.header.epoch, p.last, p.live, Reverse(p.first()))));
        while let Some(top) = next_top(&pieces, &bases, parts.last()) {
            parts.push(match top {
                Top::Piece(piece) => follow_back(storage, &pieces, piece).await?,
                Top::Base { epoch, sequence } => {
                    Part { pieces: Vec::new(), first: sequence + 1, last: sequence, epoch }
                }
            });
        }
        Ok(Self { parts, bases })
    }

    /// The last record of all.
    pub(crate) fn last(&self) -> Option<u64> {
        self.parts.first().map(|part| part.last)
    }

    /// The snapshots, oldest first, from which `part` can be read up to `sequence` with the fewest records read: those up
    /// to the latest possible record. `None` when there is no way. `excluded` names files that are none.
    pub(crate) fn bases_for(&self, part: &Part, sequence: u64, excluded: &[String]) -> Option<Vec<&Run>> {
        let chains = self.chains(part, excluded);
        let (reach, _) = chains.range(..=sequence).next_back().filter(|(end, _)| **end + 1 >= part.first)?;
        Some(chain_to(&chains, *reach))
    }

    /// For each record at which a chain of snapshots ends that belong to `part`, the last one of them; record 0 is the
    /// empty database.
    pub(crate) fn chains(&self, part: &Part, excluded: &[String]) -> BTreeMap<u64, Option<&Run>> {
        let mut chains = BTreeMap::new();
        chains.insert(0, None);
        let mut bases: Vec<_> =
            self.bases.iter().filter(|b| part.takes(b) && !excluded.contains(&b.name)).collect();
        // Of several for one record that of the latest epoch, then the one that needs the fewest others.
        bases.sort_by_key(|b| (b.sequence, Reverse(b.epoch), b.base, !b.live));
        for base in bases {
            if chains.contains_key(&base.base) && !chains.contains_key(&base.sequence) {
                chains.insert(base.sequence, Some(base));
            }
        }
        chains
    }
}

/// The files of the chain that ends at `last`, oldest first.
pub(crate) fn chain_to<'b>(chains: &BTreeMap<u64, Option<&'b Run>>, last: u64) -> Vec<&'b Run> {
    let mut found = Vec::new();
    let mut at = last;
    while let Some(Some(base)) = chains.get(&at) {
        found.insert(0, *base);
        at = base.base;
    }
    found
}

impl Part {
    /// Whether the snapshot holds this part's history, and not one that was given up.
    fn takes(&self, base: &Run) -> bool {
        let given_up = |p: &Piece| p.header.epoch > base.epoch && p.first() <= base.sequence;
        base.epoch <= self.epoch && !self.pieces.iter().any(given_up)
    }
}

/// Where a part ends.
enum Top {
    Piece(Piece),
    /// With a snapshot, the log behind which was not kept.
    Base {
        epoch: u64,
        sequence: u64,
    },
}

/// Where the next older part ends, behind `newer`.
fn next_top(pieces: &[Piece], bases: &[Run], newer: Option<&Part>) -> Option<Top> {
    let before = newer.map_or(u64::MAX, |newer| newer.first);
    if before <= 1 {
        return None;
    }
    // Where everything was replaced, by an import or a restore, what was before is of the latest epoch before. Where
    // something is missing, nothing tells what an earlier epoch has given up.
    let replaced = newer.and_then(|part| part.pieces.first()).filter(|oldest| oldest.header.begins_anew());
    let is_of = |epoch: u64| match (replaced, newer) {
        (Some(oldest), _) => epoch < oldest.header.epoch,
        (None, Some(newer)) => epoch == newer.epoch,
        (None, None) => true,
    };
    let mut pieces = pieces.iter().filter(|p| is_of(p.header.epoch) && p.first() < before);
    let piece = pieces.find(|p| replaced.is_some() || p.last < before).cloned().map(|mut piece| {
        // The records from there on were never its, or are no longer.
        piece.cut |= piece.last >= before;
        piece.last = piece.last.min(before - 1);
        piece
    });
    let bases = bases.iter().filter(|b| is_of(b.epoch) && b.sequence < before - 1);
    let base = bases.map(|b| (b.epoch, b.sequence)).max();
    match (piece, base) {
        (Some(piece), base) if base.is_none_or(|base| (piece.header.epoch, piece.last) >= base) => {
            Some(Top::Piece(piece))
        }
        (_, base) => base.map(|(epoch, sequence)| Top::Base { epoch, sequence }),
    }
}

async fn follow_back<S: Storage>(storage: &S, pieces: &[Piece], top: Piece) -> Result<Part> {
    let (last, epoch) = (top.last, top.header.epoch);
    let mut found = vec![top];
    while let Some(next) = found.first().filter(|p| p.first() > 1 && !p.header.begins_anew()) {
        let Some(before) = predecessor(storage, pieces, next).await? else { break };
        found.insert(0, before);
    }
    let first = found.first().map_or(last + 1, Piece::first);
    Ok(Part { pieces: found, first, last, epoch })
}

/// The piece that has the record before `next`, cut off behind it.
async fn predecessor<S: Storage>(storage: &S, pieces: &[Piece], next: &Piece) -> Result<Option<Piece>> {
    let wanted = Chain { next: next.first(), previous: next.header.previous };
    let may_be = pieces.iter().filter(|p| p.header.epoch <= next.header.epoch && p.first() < wanted.next);
    let exact = |p: &&Piece| p.last + 1 == wanted.next && p.checksum == wanted.previous;
    if let Some(piece) = may_be.clone().find(exact) {
        return Ok(Some(piece.clone()));
    }
    // One that was copied while more was being written to it, and lost that, or went on differently.
    for piece in may_be.filter(|p| p.last >= wanted.next) {
        let bytes = storage.read_at(&piece.name, 0, usize::MAX).await?;
        if goes_through(&bytes, wanted) {
            let mut piece = piece.clone();
            piece.cut = true;
            (piece.last, piece.checksum) = (wanted.last(), wanted.previous);
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// Whether the segment has a write that ends where `wanted` goes on.
fn goes_through(bytes: &[u8], wanted: Chain) -> bool {
    let Ok((header, header_len)) = segment::read_header(bytes) else { return false };
    let mut found = false;
    let chain = Chain { next: header.first, previous: header.previous };
    segment::walk(bytes, header_len, chain, |write| found |= write.before == wanted);
    found
}
