//! The decoders, for the programs in `fuzz/`. Compiled with `--cfg fuzzing` only; no part of the API.
//!
//! Each function panics where a decoder breaks a promise; none does for bytes that are merely not what was written.

use crate::document::{check_collection, check_key, minify, sort_key, split_sort_key};
use crate::format::line::{self, Line};
use crate::format::segment::{self, Chain};
use crate::format::snapshot;
use crate::log::replay;
use crate::moltendb::line as moltendb_line;
use crate::moltendb::reader::{Item, LogReader, Problem, Records, SnapshotReader};
use crate::moltendb::transactions::Survey;
use crate::options::Limits;
use crate::storage::validate_name;

/// One line of the log, without its end. What is decoded and written anew decodes to the same.
pub fn line(bytes: &[u8]) {
    let Ok(decoded) = line::decode(bytes) else { return };
    let mut anew = Vec::new();
    match &decoded {
        Line::Header(header) => line::encode_header(&mut anew, header),
        Line::Seal(seal) => line::encode_seal(&mut anew, seal),
        Line::Record { record, .. } => drop(line::encode_record(&mut anew, record)),
    }
    assert_eq!(anew.pop(), Some(b'\n'));
    match (line::decode(&anew), &decoded) {
        // The first may have been spelled in another way, so its checksum may be another one.
        (Ok(Line::Record { record, .. }), Line::Record { record: before, .. }) => assert_eq!(&record, before),
        (again, before) => assert_eq!(again.as_ref(), Ok(before)),
    }
}

/// A segment with its header, in all ways in which one is read.
pub fn segment(bytes: &[u8]) {
    let mut salvaged = Vec::new();
    segment::salvage(bytes, |records| salvaged.extend(records.iter().map(|record| record.sequence)));
    let _ = segment::highest_record(bytes);
    let Ok((header, header_len)) = segment::read_header(bytes) else { return };
    let _ = replay::is_whole(&header, header_len, bytes);
    let chain = Chain { next: header.first, previous: header.previous };
    let mut walked = Vec::new();
    let mut at = header_len;
    let end = segment::walk(bytes, header_len, chain, |write| {
        assert!(at <= write.range.start && write.range.start < write.range.end);
        assert!(write.range.end <= bytes.len());
        at = write.range.end;
        walked.extend(write.records.iter().map(|record| record.sequence));
    });
    assert!(at <= end.valid_len && end.valid_len <= bytes.len());
    assert!(walked.is_sorted());
    // Salvage shows at least what counts.
    let mut shown = salvaged.iter();
    assert!(walked.iter().all(|sequence| shown.any(|salvaged| salvaged == sequence)));
    let behind = bytes.get(end.valid_len..).unwrap_or_default();
    let _ = segment::proves_durable(behind, end.chain.next);
    assert!(segment::without_zero_tail(behind).len() <= behind.len());
    let clean = end.damage.is_none();
    assert!(!clean || segment::only_zeros(behind));
}

/// A document as it would be stored, or `None` where it is refused.
pub fn document(text: &str) -> Option<String> {
    minify(text, &Limits::default()).ok().map(std::borrow::Cow::into_owned)
}

/// A name of a file, of a collection, or of a document. What is accepted is written the same way again.
pub fn names(text: &str) {
    if let Some((first, generation)) = segment::parse_name(text) {
        assert_eq!(segment::file_name(first, generation), text);
    }
    if let Some((base, sequence)) = snapshot::parse_name(text) {
        assert_eq!(snapshot::file_name(base, sequence), text);
    }
    if validate_name(text).is_ok() {
        assert!(!text.contains("..") && !text.starts_with(['/', '.']) && !text.contains(['\\', '\0', ':']));
        assert!(text.matches('/').count() <= 1);
    }
    let _ = split_sort_key(text.as_bytes());
    let (collection, key) = text.split_at_checked(text.len() / 2).unwrap_or((text, text));
    if check_collection(collection).is_ok() && check_key(key).is_ok() {
        assert_eq!(split_sort_key(&sort_key(collection, key)), Some((collection, key)));
    }
}

/// A record of `MoltenDB`. A document is written anew as it was read.
pub fn moltendb_record(bytes: &[u8]) {
    let _ = moltendb_line::is_of_pumice(bytes);
    let Ok(entry) = moltendb_line::decode(bytes) else { return };
    let (moltendb_line::Command::Insert, Some(value)) = (entry.command, entry.value) else { return };
    let Ok(value) = minify(value, &Limits::default()) else { return };
    let mut anew = Vec::new();
    moltendb_line::encode_insert(&mut anew, &entry.collection, &entry.key, &value, u64::MAX);
    assert_eq!(moltendb_line::decode(&anew), Ok(moltendb_line::Entry { value: Some(&value), ..entry }));
}

/// A log of `MoltenDB`, read twice, as an import does. Lines follow each other to the end, and only the last may be torn.
pub fn moltendb_log(bytes: &[u8]) {
    let mut survey = Survey::default();
    each(&mut LogReader::new(bytes), bytes.len(), |item| {
        item.record.iter().for_each(|entry| survey.see(entry));
        if let Err(Problem::Torn(torn, _)) = item.record {
            assert_eq!(item.offset + torn, bytes.len() as u64);
        }
    });
    let mut decider = survey.finish();
    each(&mut LogReader::new(bytes), bytes.len(), |item| {
        item.record.iter().for_each(|entry| {
            let _ = decider.counts(entry);
        });
    });
}

/// A snapshot of `MoltenDB`: never more records than its header says, and one problem.
pub fn moltendb_snapshot(bytes: &[u8]) {
    let Ok(Ok(mut records)) = SnapshotReader::open(bytes, bytes.len() as u64) else { return };
    let count = records.header().records;
    each(&mut records, bytes.len(), |item| {
        assert!(item.number <= count || matches!(item.record, Err(Problem::Rest(1, _))));
    });
}

fn each(records: &mut impl Records, len: usize, mut visit: impl FnMut(Item<'_>)) {
    let (mut number, mut offset) = (0, 0);
    while let Some(item) = records.next().expect("memory can be read") {
        assert!(item.number > number && item.offset >= offset && item.offset <= len as u64);
        (number, offset) = (item.number, item.offset);
        visit(item);
    }
    assert!(offset <= records.offset() && records.offset() <= len as u64);
}
