//! Salvage: a read-only look at whatever can still be read of a damaged database, with a report of what cannot.
//!
//! Every record whose checksum holds counts, whatever stands around it; of several versions of a document the one with
//! the highest sequence number is shown. A batch with a damaged part does not count, for it is all or nothing.

use crate::document::SortKey;
use crate::error::{Error, ErrorKind, Result};
use crate::format::clients::Clients;
use crate::format::segment::{self, Chain};
use crate::log::files::Files;
use crate::log::recovery::{Opened, Recovery};
use crate::log::replay::change;
use crate::snapshot::{BlockCache, OpenOutcome, Table};
use crate::state::collection_of;
use crate::state::memtable::{Change, Memtable};
use crate::storage::Storage;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The newest of everything found so far.
#[derive(Default)]
struct Found {
    documents: BTreeMap<SortKey, (u64, Option<Bytes>)>,
    drops: BTreeMap<Box<[u8]>, u64>,
    last: u64,
    damage: Vec<Error>,
}

impl Found {
    fn add(&mut self, key: SortKey, sequence: u64, value: Option<Bytes>) {
        self.last = self.last.max(sequence);
        let entry = self.documents.entry(key).or_insert((0, None));
        if entry.0 <= sequence {
            *entry = (sequence, value);
        }
    }

    fn add_drop(&mut self, collection: &[u8], sequence: u64) {
        self.last = self.last.max(sequence);
        let last = self.drops.entry(collection.into()).or_insert(0);
        *last = sequence.max(*last);
    }

    fn add_change(&mut self, change: Change) {
        match change {
            Change::Put { key, sequence, value } => self.add(key, sequence, Some(value)),
            Change::Delete { key, sequence } => self.add(key, sequence, None),
            Change::Drop { collection, sequence } => self.add_drop(&collection, sequence),
        }
    }

    fn into_memtable(self) -> Memtable {
        let table = Memtable::default();
        let (documents, drops) = (self.documents, self.drops);
        let shown = documents.into_iter().filter_map(|(key, (sequence, value))| {
            let dropped = drops.get(collection_of(&key)).is_some_and(|d| *d > sequence);
            Some(Change::Put { key, sequence, value: value.filter(|_| !dropped)? })
        });
        table.apply(shown, |_, _| false);
        table
    }
}

/// Opens what can be read of the files. Only a storage that fails altogether is an error.
pub(crate) async fn open<S: Storage>(
    storage: Arc<S>,
    cache: Arc<BlockCache>,
    files: &Files,
) -> Result<Opened<S>> {
    let mut found = Found::default();
    for file in &files.snapshots {
        match Table::open(Arc::clone(&storage), &file.name, Arc::clone(&cache)).await {
            Ok(OpenOutcome::Table(table)) => {
                // What a finished import would have brought.
                if !files.is_staged(&*storage, &table).await.unwrap_or(false) {
                    add_snapshot(&table, &mut found).await;
                }
            }
            Ok(OpenOutcome::NoFooter(error)) => found.damage.push(error),
            Err(error) => report(error, &mut found)?,
        }
    }
    for file in &files.segments {
        match storage.read_at(&file.name, 0, usize::MAX).await {
            Ok(bytes) => add_segment(&file.name, &Bytes::from(bytes), &mut found),
            Err(error) => report(error, &mut found)?,
        }
    }
    let last = found.last;
    let marked_end = files.end_marks.iter().max().map_or(0, |mark| mark.sequence);
    if last < marked_end {
        let message = format!("records {} to {marked_end} were not found", last.saturating_add(1));
        found.damage.push(Error::new(ErrorKind::Corrupt, message));
    }
    let report = Recovery { damage: std::mem::take(&mut found.damage), ..Recovery::default() };
    Ok(Opened {
        tables: Vec::new(),
        memtable: found.into_memtable(),
        chain: Chain { next: last.saturating_add(1), previous: 0 },
        time: 0,
        store: [0; 16],
        epoch: 0,
        clients: Clients::default(),
        beyond: (0, 0),
        segments: Vec::new(),
        writer: None,
        sealed: true,
        report,
    })
}

fn report(error: Error, found: &mut Found) -> Result<()> {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Version | ErrorKind::Io | ErrorKind::NotFound => {
            found.damage.push(error);
            Ok(())
        }
        _ => Err(error),
    }
}

async fn add_snapshot<S: Storage>(table: &Table<S>, found: &mut Found) {
    // More than its entries tell: a full one keeps no tombstones, and a batch's last record is no entry.
    found.last = found.last.max(table.sequence());
    for (collection, sequence) in table.drops() {
        found.add_drop(collection.as_bytes(), *sequence);
    }
    let mut problems = Vec::new();
    let mut add = |key: &[u8], sequence: u64, value: Option<&[u8]>| {
        found.add(key.into(), sequence, value.map(Bytes::copy_from_slice));
    };
    table.salvage(&mut add, &mut |problem| problems.push(problem)).await;
    found.damage.extend(problems);
}

fn add_segment(name: &str, bytes: &Bytes, found: &mut Found) {
    let problems = segment::salvage(bytes, |records| {
        records.iter().filter_map(|record| change(bytes, record)).for_each(|change| found.add_change(change));
    });
    found.last = found.last.max(segment::highest_record(bytes).unwrap_or(0));
    let as_error = |damage: segment::Damage| Error::corrupt(name, damage.offset as u64, damage.message);
    found.damage.extend(problems.into_iter().map(as_error));
}
