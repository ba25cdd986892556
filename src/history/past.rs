//! One moment of the past: the snapshots up to some record before it, and the log from there on.

use super::catalog::{Catalog, Piece, Run};
use super::timeline::Timeline;
use crate::error::{Error, ErrorKind, Result};
use crate::format::line::{self, Line};
use crate::format::segment::{self, Chain, End, Write};
use crate::log::replay::change;
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::state::memtable::Memtable;
use crate::state::{State, View};
use crate::storage::Storage;
use bytes::Bytes;
use std::sync::Arc;

/// A moment in the life of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the write of this sequence number.
    Sequence(u64),
    /// After the last write up to this time, in milliseconds since 1970 (UTC).
    Time(u64),
}

/// What a database held at some moment.
pub(crate) struct Past<S: Storage> {
    pub(crate) view: View<S>,
    pub(crate) store: [u8; 16],
    /// The newest epoch that there is a trace of.
    pub(crate) newest_epoch: u64,
    /// The last record that can be read.
    pub(crate) last: u64,
    /// What was found of snapshots that are damaged, of which this was made without.
    pub(crate) passed_over: Vec<Error>,
}

/// Files that may go while they are being read before it is given up.
const ATTEMPTS: usize = 20;

/// How far what is needed is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As far as opening it needs. What is read later may turn out damaged.
    Open,
    /// To the last byte. Where a snapshot is damaged, and an older one and the log behind it are whole, these are taken.
    Verify,
}

/// What the database in `storage` held at `moment`; `None` for the last one that there is. `shown` are tables that are open
/// already.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) when the moment is out of reach, [`Corrupt`](ErrorKind::Corrupt) when a file that is
/// needed is damaged.
pub(crate) async fn past<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    shown: &[Arc<Table<S>>],
    moment: Option<Moment>,
    look: Look,
) -> Result<Past<S>> {
    let mut attempts = 0;
    loop {
        let found = attempt(storage, cache, shown, moment, look).await;
        attempts += 1;
        match found {
            // A writer that compacts meanwhile moves files away.
            Err(error)
                if error.kind() == ErrorKind::NotFound && error.file().is_some() && attempts < ATTEMPTS => {}
            found => return found,
        }
    }
}

async fn attempt<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    shown: &[Arc<Table<S>>],
    moment: Option<Moment>,
    look: Look,
) -> Result<Past<S>> {
    let catalog = Catalog::read(&**storage).await?;
    let epochs = catalog.pieces.iter().map(|p| p.header.epoch).chain(catalog.bases.iter().map(|b| b.epoch));
    let newest_epoch = epochs.max().unwrap_or(0);
    let timeline = Timeline::read(&**storage, catalog).await?;
    let last =
        timeline.last().ok_or_else(|| Error::new(ErrorKind::NotFound, "there is nothing of a database"))?;
    let sequence = match moment {
        None => last,
        Some(Moment::Sequence(sequence)) => sequence,
        Some(Moment::Time(time)) => at_time(&**storage, &timeline, time).await?,
    };
    let (mut excluded, mut passed_over) = (Vec::new(), Vec::<Error>::new());
    loop {
        let Some((bases, pieces)) = way_to(&timeline, sequence, &excluded) else {
            return Err(passed_over.into_iter().next().unwrap_or_else(|| out_of_reach(&timeline, sequence)));
        };
        let found = match read(storage, cache, shown, &bases, pieces, sequence).await {
            Ok(Read::Past(view, store)) if look == Look::Verify => {
                verify(&view).await.map(|()| Read::Past(view, store))
            }
            found => found,
        };
        match found {
            Ok(Read::Past(view, store)) => {
                return Ok(Past { view, store, newest_epoch, last, passed_over });
            }
            Ok(Read::Unfinished(name)) => excluded.push(name),
            Err(error) => {
                let damaged = bases.iter().find(|base| error.file() == Some(base.name.as_str()));
                let damaged = damaged.filter(|_| look == Look::Verify && error.kind() == ErrorKind::Corrupt);
                let Some(damaged) = damaged else { return Err(error) };
                excluded.push(damaged.name.clone());
                passed_over.push(error);
            }
        }
    }
}

async fn verify<S: Storage>(view: &View<S>) -> Result<()> {
    for table in &view.parts.tables {
        table.verify().await?;
    }
    Ok(())
}

/// The snapshots to open, oldest first, and the segments behind them.
fn way_to<'t>(
    timeline: &'t Timeline,
    sequence: u64,
    excluded: &[String],
) -> Option<(Vec<&'t Run>, &'t [Piece])> {
    for part in &timeline.parts {
        if part.first <= sequence.saturating_add(1)
            && sequence <= part.last
            && let Some(bases) = timeline.bases_for(part, sequence, excluded)
        {
            return Some((bases, &part.pieces));
        }
    }
    None
}

fn out_of_reach(timeline: &Timeline, sequence: u64) -> Error {
    let last = timeline.last().unwrap_or(0);
    let reach = timeline.parts.iter().filter_map(|part| {
        let chains = timeline.chains(part, &[]);
        let from = chains.keys().copied().find(|end| *end + 1 >= part.first && *end <= part.last)?;
        Some(if from == part.last { from.to_string() } else { format!("{from} to {}", part.last) })
    });
    let mut reach: Vec<_> = reach.collect();
    reach.reverse();
    let what = if sequence > last {
        format!("there is no record {sequence} yet; the last one is {last}")
    } else {
        format!("the state after record {sequence} is out of reach: its history was not kept")
    };
    Error::new(ErrorKind::NotFound, format!("{what} (within reach: {})", reach.join(", ")))
}

enum Read<S: Storage> {
    Past(View<S>, [u8; 16]),
    /// This snapshot's writing was not finished.
    Unfinished(String),
}

async fn read<S: Storage>(
    storage: &Arc<S>,
    cache: &Arc<BlockCache>,
    shown: &[Arc<Table<S>>],
    bases: &[&Run],
    pieces: &[Piece],
    sequence: u64,
) -> Result<Read<S>> {
    let mut tables: Vec<Arc<Table<S>>> = Vec::new();
    for base in bases.iter().rev() {
        if let Some(table) = shown.iter().find(|table| table.name() == base.name) {
            tables.push(Arc::clone(table));
            continue;
        }
        match Table::open(Arc::clone(storage), &base.name, Arc::clone(cache)).await? {
            OpenOutcome::Table(table) if (table.base(), table.sequence()) == (base.base, base.sequence) => {
                tables.push((*table).into());
            }
            OpenOutcome::Table(_) => {
                let message = "the snapshot's name is not its own; rename it back or restore a backup";
                return Err(Error::corrupt(base.name.clone(), 0, message));
            }
            OpenOutcome::NoFooter(_) => return Ok(Read::Unfinished(base.name.clone())),
        }
    }
    let covered = bases.last().map_or(0, |base| base.sequence);
    let memtable = Memtable::default();
    let mut stores: Vec<_> = tables.iter().map(|t| (t.store_id(), t.name().to_owned())).collect();
    for piece in pieces.iter().filter(|p| p.last > covered && p.first() <= sequence) {
        stores.push((piece.header.store, piece.name.clone()));
        walk(&**storage, piece, |bytes, write| {
            if write.sequence > covered && write.sequence <= sequence {
                let changes = write.records.iter().filter_map(|record| change(bytes, record));
                memtable.apply(changes, |_, _| false);
            }
        })
        .await?;
    }
    stores.extend(pieces.first().map(|p| (p.header.store, p.name.clone())));
    let store = stores.first().map_or([0; 16], |(store, _)| *store);
    if let Some((_, name)) = stores.iter().find(|(other, _)| *other != store) {
        let message = "the file belongs to another database; move it away";
        return Err(Error::corrupt(name.clone(), 0, message));
    }
    let state = Arc::new(State::new(tables, memtable, sequence));
    Ok(Read::Past(state.view(), store))
}

/// Visits the writes of the piece, and makes sure that they are all there. Returns how the walk ended, and the bytes that
/// count.
pub(super) async fn walk<S: Storage>(
    storage: &S,
    piece: &Piece,
    mut visit: impl FnMut(&Bytes, &Write<'_, '_>),
) -> Result<(End, Bytes)> {
    let bytes = Bytes::from(storage.read_at(&piece.name, 0, usize::MAX).await?);
    let damaged = |offset: usize, message: &str| {
        let message = format!("the history is damaged: {message}; restore from a backup that has it whole");
        Error::corrupt(piece.name.clone(), offset as u64, message)
    };
    let (header, header_len) = segment::read_header(&bytes).map_err(|e| damaged(0, &e.message()))?;
    let chain = Chain { next: header.first, previous: header.previous };
    let end = segment::walk(&bytes, header_len, chain, |write| visit(&bytes, &write));
    let whole = if piece.live || piece.cut {
        end.chain.last() >= piece.last
    } else {
        end.chain == Chain { next: piece.last + 1, previous: piece.checksum }
    };
    if !whole {
        let (offset, message) = match &end.damage {
            Some(damage) => (damage.offset, damage.message.as_str()),
            None => (end.valid_len, "it does not end with the record that its name says"),
        };
        return Err(damaged(offset, message));
    }
    let valid = bytes.slice(..end.valid_len);
    Ok((end, valid))
}

/// The last record up to `time`.
async fn at_time<S: Storage>(storage: &S, timeline: &Timeline, time: u64) -> Result<u64> {
    for part in &timeline.parts {
        for (index, piece) in part.pieces.iter().enumerate().rev() {
            let newest = index + 1 == part.pieces.len();
            let mut last = None;
            let (end, _) = walk(storage, piece, |_, write| {
                if write.time <= time && write.sequence <= piece.last {
                    last = Some(write.sequence);
                }
            })
            .await?;
            // A seal tells a time too.
            if newest && (1..=time).contains(&end.time) && end.chain.last() == piece.last {
                last = Some(piece.last);
            }
            match last {
                // Between two parts nobody knows what happened.
                Some(last) if newest && last == piece.last && part.last != timeline.last().unwrap_or(0) => {
                    return Err(unknown(time));
                }
                Some(last) => return Ok(last),
                None => {}
            }
        }
        if part.first <= 1 && !part.pieces.is_empty() {
            return Ok(0);
        }
    }
    Err(unknown(time))
}

fn unknown(time: u64) -> Error {
    let message = format!("the state {time} ms after 1970 is out of reach: its history was not kept");
    Error::new(ErrorKind::NotFound, message)
}

/// Visits the lines of the archive's records behind `after` and before `before`, oldest first; with `all` headers and
/// seals too.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) when `after` is given and some of the records behind it are not there.
pub(crate) async fn lines<S: Storage>(
    storage: &S,
    after: Option<u64>,
    before: u64,
    all: bool,
    visit: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let timeline = Timeline::read(storage, Catalog::read(storage).await?).await?;
    let mut seen = after;
    for piece in timeline.parts.iter().rev().flat_map(|part| &part.pieces) {
        if piece.first() >= before || after.is_some_and(|after| piece.last <= after) {
            continue;
        }
        if after.is_some() && seen.is_some_and(|seen| piece.first() > seen + 1) {
            break;
        }
        let mut shown = Ok(());
        let bytes = walk(storage, piece, |_, _| {}).await?.1;
        for text in bytes.split(|b| *b == b'\n').filter(|text| !text.is_empty()) {
            let wanted = match line::decode(text) {
                Ok(Line::Record { record, .. }) => {
                    record.sequence <= piece.last && after.is_none_or(|after| record.sequence > after)
                }
                _ => all,
            };
            if wanted && shown.is_ok() {
                shown = visit(text);
            }
        }
        shown?;
        seen = Some(piece.last);
    }
    match seen.filter(|seen| after.is_some() && seen + 1 < before) {
        None => Ok(()),
        Some(seen) => {
            let message = format!("the log no longer holds what follows record {seen}");
            Err(Error::new(ErrorKind::NotFound, message))
        }
    }
}
