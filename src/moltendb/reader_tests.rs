//! Damage at every place of both kinds of file, as the readers tell it.

use super::*;
use crate::moltendb::line::encode_insert;

/// What a reader finds: the keys of records, and problems with their places.
#[derive(Debug, Default, PartialEq)]
struct Found {
    keys: Vec<String>,
    problems: Vec<(u64, u64, Problem)>,
}

fn all(mut records: impl Records) -> Found {
    let mut found = Found::default();
    while let Some(Item { number, offset, record }) = records.next().unwrap() {
        match record {
            Ok(entry) => found.keys.push(entry.key.into_owned()),
            Err(problem) => found.problems.push((number, offset, problem)),
        }
    }
    found
}

fn log(bytes: &[u8]) -> Found {
    all(LogReader::new(bytes))
}

fn snapshot(bytes: &[u8]) -> Found {
    all(SnapshotReader::open(bytes, bytes.len() as u64).unwrap().ok().unwrap())
}

fn record(key: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_insert(&mut out, "c", key, "[1,2]", 1);
    out
}

fn three_lines() -> Vec<u8> {
    ["a", "b", "c"].map(|key| [record(key), b"\n".to_vec()].concat()).concat()
}

fn three_records() -> Vec<u8> {
    let mut out = moltsnap::encode_header(moltsnap::Header { covered: 0, records: 3 }).to_vec();
    for key in ["a", "b", "c"] {
        moltsnap::push_record(&mut out, |out| out.extend(record(key)));
    }
    out
}

#[test]
fn a_log_cut_anywhere_is_whole_lines_and_at_most_a_torn_one() {
    let bytes = three_lines();
    let line = bytes.len() / 3;
    for len in 0..=bytes.len() {
        let found = log(&bytes[..len]);
        let (whole, rest) = (len / line, len % line);
        // Without its end a line is whole all the same.
        let is_whole = rest == line - 1;
        assert_eq!(found.keys.len(), whole + usize::from(is_whole), "{len}");
        assert_eq!(found.problems.len(), usize::from(rest > 0 && !is_whole), "{len}");
        for (number, offset, problem) in found.problems {
            assert_eq!((number, offset), (whole as u64 + 1, (whole * line) as u64));
            assert!(matches!(problem, Problem::Torn(bytes, _) if bytes == rest as u64), "{problem:?}");
        }
    }
}

#[test]
fn zeros_at_the_end_are_torn_and_in_the_middle_damage() {
    let whole = three_lines();
    for tail in [&b"\0\0\0\0"[..], b"{\"cmd\":\"INS\0\0\0"] {
        let found = log(&[&whole, tail].concat());
        assert_eq!(found.keys, ["a", "b", "c"]);
        assert!(matches!(found.problems[..], [(4, _, Problem::Torn(..))]), "{found:?}");
        let found = log(&[tail, b"\n", &whole].concat());
        assert_eq!(found.keys, ["a", "b", "c"]);
        assert!(matches!(found.problems[..], [(1, 0, Problem::Damaged(_))]), "{found:?}");
    }
}

#[test]
fn what_ends_in_another_way_than_a_record_begins_is_damage() {
    let found = log(b"\x85\xa3cmd\xa6INSERT");
    assert!(matches!(found.problems[..], [(1, 0, Problem::Damaged(_))]), "{found:?}");
}

#[test]
fn blank_lines_are_nothing_but_are_counted() {
    let found = log(&[b"\n \r\n".to_vec(), record("a"), b"\n\nx\n".to_vec()].concat());
    assert_eq!(found.keys, ["a"]);
    assert!(matches!(found.problems[..], [(5, _, Problem::Damaged(_))]), "{found:?}");
}

#[test]
fn a_line_over_the_limit_is_damage_and_is_not_kept() {
    let whole = three_lines();
    let long = "x".repeat(MAX_RECORD + 1);
    let bytes = [whole.as_slice(), long.as_bytes(), long.as_bytes(), b"\n", &whole].concat();
    let mut reader = LogReader::new(bytes.as_slice());
    let mut numbers = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        numbers.push((item.number, item.record.is_ok()));
    }
    assert_eq!(numbers, [(1, true), (2, true), (3, true), (4, false), (5, true), (6, true), (7, true)]);
    assert!(reader.line.capacity() <= 2 * MAX_RECORD + 2);
    assert_eq!(reader.offset(), bytes.len() as u64);
}

#[test]
fn covered_lines_are_passed_over() {
    let bytes = three_lines();
    for covered in 0..5 {
        let mut reader = LogReader::new(bytes.as_slice());
        reader.skip_lines(covered).unwrap();
        assert_eq!(all(reader).keys.len(), 3_usize.saturating_sub(covered as usize));
    }
}

#[test]
fn a_snapshot_reads_back() {
    assert_eq!(
        snapshot(&three_records()),
        Found { keys: vec!["a".into(), "b".into(), "c".into()], problems: vec![] }
    );
    let empty = moltsnap::encode_header(moltsnap::Header { covered: 0, records: 0 });
    assert_eq!(snapshot(&empty), Found::default());
}

#[test]
fn a_snapshot_cut_anywhere_says_where_and_how_many_are_missing() {
    let bytes = three_records();
    let record = (bytes.len() - HEADER_LEN) / 3;
    for len in 0..bytes.len() {
        if len < HEADER_LEN {
            let opened = SnapshotReader::open(&bytes[..len], len as u64).unwrap();
            assert!(matches!(opened, Err(HeaderError::None)), "{len}");
            continue;
        }
        let found = snapshot(&bytes[..len]);
        let whole = (len - HEADER_LEN) / record;
        assert_eq!(found.keys.len(), whole, "{len}");
        let [(number, offset, problem)] = &found.problems[..] else { panic!("{len}: {found:?}") };
        assert_eq!((*number, *offset), (whole as u64 + 1, (HEADER_LEN + whole * record) as u64));
        assert_eq!(problem.records(), 3 - whole as u64);
    }
}

#[test]
fn no_length_and_no_count_is_trusted() {
    let bytes = three_records();
    let allocations = allocation_counter::measure(|| {
        for at in (8..HEADER_LEN + LENGTH_LEN).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            let mut changed = bytes.clone();
            changed[at.0] ^= 1 << at.1;
            let found = snapshot(&changed);
            // The lines that are covered are another matter.
            assert_eq!(found.problems.is_empty(), at.0 < 16, "{at:?}: {found:?}");
        }
    });
    assert!(allocations.bytes_max < 1 << 20, "{allocations:?}");
}

#[test]
fn a_damaged_record_is_passed_over_where_its_length_is_sound() {
    let mut bytes = three_records();
    let record = (bytes.len() - HEADER_LEN) / 3;
    bytes[HEADER_LEN + record + LENGTH_LEN] = b'x';
    let found = snapshot(&bytes);
    assert_eq!(found.keys, ["a", "c"]);
    assert!(matches!(found.problems[..], [(2, _, Problem::Damaged(_))]), "{found:?}");
}

#[test]
fn something_behind_the_last_record_is_damage() {
    let found = snapshot(&[three_records(), b"\0".to_vec()].concat());
    assert_eq!(found.keys.len(), 3);
    assert!(matches!(found.problems[..], [(4, _, Problem::Rest(1, _))]), "{found:?}");
}
