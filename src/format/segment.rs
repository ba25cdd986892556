//! A segment of the log: its name, its header, and the walk over its records that tells where they stop counting.

mod unproven;

use super::line::{self, Header, Line, LineError};
use crate::record::{Op, Origin, Record};
use std::ops::Range;
use unproven::Unproven;

/// The name of the segment whose first record is `first`. A `generation` above 0 replaces those below it, which
/// recovery found unfinished or carried over.
pub(crate) fn file_name(first: u64, generation: u32) -> String {
    if generation == 0 { format!("{first:020}.log") } else { format!("{first:020}-{generation}.log") }
}

/// A segment name's first sequence number and generation.
pub(crate) fn parse_name(name: &str) -> Option<(u64, u32)> {
    let stem = name.strip_suffix(".log")?;
    let (first, generation) = stem.split_once('-').map_or((stem, "0"), |parts| parts);
    let parsed = (first.parse().ok()?, generation.parse().ok()?);
    (file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// What the next record must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The next record's sequence number.
    pub(crate) next: u64,
    /// The last record's checksum.
    pub(crate) previous: u32,
}

impl Chain {
    /// Before the first record of a database.
    pub(crate) const START: Self = Self { next: 1, previous: 0 };

    pub(crate) fn last(self) -> u64 {
        self.next.saturating_sub(1)
    }
}

/// The first place where a segment is not what a writer leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// One write that counts: a single record, or all of a committed batch.
pub(crate) struct Write<'w, 'a> {
    /// The puts, deletes and drops, in order.
    pub(crate) records: &'w [Record<'a>],
    /// The number the write resolved to: its own, or its commit's.
    pub(crate) sequence: u64,
    /// Which client made it, if one said so.
    pub(crate) origin: Option<&'w Origin<'a>>,
    /// When it was accepted, in Unix milliseconds.
    pub(crate) time: u64,
    /// What its first line continues.
    pub(crate) before: Chain,
    /// Where its lines stand in the segment.
    pub(crate) range: Range<usize>,
}

/// Where and how a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Bytes up to and including the last line that counts.
    pub(crate) valid_len: usize,
    pub(crate) chain: Chain,
    /// Whether the last line that counts is a seal.
    pub(crate) sealed: bool,
    /// The highest sequence number that the segment says is durable.
    pub(crate) watermark: u64,
    /// The time of the last record or seal, in Unix milliseconds; 0 when there is none.
    pub(crate) time: u64,
    /// The first write of which nothing in the segment says that it is durable: what it continues, and where it stands.
    pub(crate) unproven: Option<(Chain, usize)>,
    /// Why the walk stopped before the end.
    pub(crate) damage: Option<Damage>,
}

/// Reads a segment's header line. Returns it with the length of its line.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(Header, usize), LineError> {
    let end = memchr::memchr(b'\n', bytes).ok_or(LineError::Checksum)?;
    match line::decode(bytes.get(..end).unwrap_or_default())? {
        Line::Header(header) => Ok((header, end + 1)),
        _ => Err(LineError::Contents),
    }
}

/// Visits every write that counts in `bytes` from `start` on, checking that records continue `chain`.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    start: usize,
    chain: Chain,
    mut visit: impl FnMut(Write<'_, 'a>),
) -> End {
    let mut end = End {
        valid_len: start,
        chain,
        sealed: false,
        watermark: chain.last(),
        time: 0,
        unproven: None,
        damage: None,
    };
    let mut unproven = Unproven::default();
    let mut chain = chain;
    let mut batch: Option<Batch<'a>> = None;
    let mut at = start;
    while let Some(rest) = bytes.get(at..).filter(|rest| !only_zeros(rest)) {
        let (next, decoded) = match next_line(rest) {
            Ok((len, decoded)) => (at + len, decoded),
            Err(message) => {
                end.damage = Some(Damage { offset: at, message });
                break;
            }
        };
        let step = step(decoded, &mut chain, &mut batch, at);
        match step {
            Err(message) => {
                end.damage = Some(Damage { offset: at, message: message.into() });
                break;
            }
            Ok(Step::Within) => {}
            Ok(Step::Sealed { watermark, time }) => {
                end = End {
                    valid_len: next,
                    sealed: true,
                    watermark: end.watermark.max(watermark),
                    time,
                    ..end
                };
                unproven.prove(end.watermark);
            }
            Ok(Step::Single(record)) => {
                let watermark = end.watermark.max(record.watermark.unwrap_or(0));
                let before = std::mem::replace(&mut end.chain, chain);
                end = End { valid_len: next, sealed: false, watermark, time: record.time, ..end };
                let sequence = record.sequence;
                unproven.add(sequence, before, at);
                unproven.prove(watermark);
                visit(Write {
                    records: std::slice::from_ref(&record),
                    sequence,
                    origin: record.origin.as_ref(),
                    time: record.time,
                    before,
                    range: at..next,
                });
            }
            Ok(Step::Batch(whole, commit)) => {
                let watermark = end.watermark.max(whole.watermark);
                let before = std::mem::replace(&mut end.chain, chain);
                end = End { valid_len: next, sealed: false, watermark, time: commit.time, ..end };
                let (sequence, range) = (commit.sequence, whole.offset..next);
                unproven.add(sequence, before, whole.offset);
                unproven.prove(watermark);
                let (origin, time) = (whole.origin.as_ref(), commit.time);
                visit(Write { records: &whole.records, sequence, origin, time, before, range });
            }
        }
        at = next;
    }
    if let Some(batch) = batch
        && end.damage.is_none()
    {
        end.damage = Some(Damage { offset: batch.offset, message: "the batch has no commit".into() });
    }
    end.unproven = unproven.first();
    end
}

/// Visits every intact record in `bytes`, batches as a whole, whatever is damaged between them. Returns the damage,
/// for neighbouring lines only the first.
///
/// Behind damage a record may belong to a batch whose beginning is gone. It is held back until the next commit, which
/// tells that it did, or the next beginning, seal or end, which tell that it did not.
#[allow(dead_code)] // Not every platform salvages.
pub(crate) fn salvage<'a>(bytes: &'a [u8], mut visit: impl FnMut(&[Record<'a>])) -> Vec<Damage> {
    let mut damage = Vec::new();
    let mut chain = Chain::START;
    let mut batch: Option<Batch<'a>> = None;
    let mut held: Option<Vec<Record<'a>>> = None;
    let mut damaged_before = false;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !only_zeros(rest)) {
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let found = next_line(rest).and_then(|(_, line)| match line {
            Line::Header(_) => Ok(Step::Within),
            Line::Seal(seal) => Ok(Step::Sealed { watermark: seal.watermark, time: seal.time }),
            Line::Record { record, .. } if held.is_some() && matches!(record.op, Op::Commit { .. }) => {
                held = None;
                Ok(Step::Within)
            }
            Line::Record { record, checksum } => {
                if batch.is_none() {
                    chain = Chain { next: record.sequence, previous: record.previous };
                }
                step(Line::Record { record, checksum }, &mut chain, &mut batch, at).map_err(str::to_owned)
            }
        });
        if held.is_some() && (batch.is_some() || matches!(found, Ok(Step::Sealed { .. }))) {
            visit(&held.take().unwrap_or_default());
        }
        let is_damaged = found.is_err();
        match (found, held.as_mut()) {
            (Ok(Step::Within | Step::Sealed { .. }), _) => {}
            (Ok(Step::Single(record)), Some(held)) => held.push(record),
            (Ok(Step::Single(record)), None) => visit(std::slice::from_ref(&record)),
            (Ok(Step::Batch(whole, _)), _) => visit(&whole.records),
            (Err(message), _) => {
                batch = None;
                held.get_or_insert_default();
                // One report for all that lies together, or a file of line ends alone would call for far more memory
                // than it has bytes.
                if !damaged_before {
                    damage.push(Damage { offset: at, message });
                }
            }
        }
        damaged_before = is_damaged;
        at += len;
    }
    visit(&held.unwrap_or_default());
    damage.extend(batch.map(|b| Damage { offset: b.offset, message: "the batch has no commit".into() }));
    damage
}

struct Batch<'a> {
    name: String,
    offset: usize,
    watermark: u64,
    origin: Option<Origin<'a>>,
    records: Vec<Record<'a>>,
}

enum Step<'a> {
    /// A line inside a batch.
    Within,
    Sealed {
        watermark: u64,
        time: u64,
    },
    Single(Record<'a>),
    Batch(Batch<'a>, Record<'a>),
}

#[inline]
fn step<'a>(
    line: Line<'a>,
    chain: &mut Chain,
    batch: &mut Option<Batch<'a>>,
    offset: usize,
) -> Result<Step<'a>, &'static str> {
    let (record, checksum) = match line {
        Line::Header(_) => return Err("a segment header stands among the records"),
        Line::Seal(_) if batch.is_some() => return Err("a seal stands inside a batch"),
        Line::Seal(seal) if seal.previous != chain.previous => {
            return Err("the seal does not follow its record");
        }
        Line::Seal(seal) => return Ok(Step::Sealed { watermark: seal.watermark, time: seal.time }),
        Line::Record { record, checksum } => (record, checksum),
    };
    if record.sequence != chain.next {
        return Err("the record's sequence number does not follow the one before");
    }
    if record.previous != chain.previous {
        return Err("the record does not follow the one before it");
    }
    // No writer comes that far; a forger may.
    let next = record.sequence.checked_add(1).ok_or("the record has the last of all sequence numbers")?;
    *chain = Chain { next, previous: checksum };
    match (&record.op, batch.as_mut()) {
        (Op::Begin { batch: name }, None) => {
            let watermark = record.watermark.unwrap_or(0);
            let (name, origin) = (name.to_string(), record.origin);
            *batch = Some(Batch { name, offset, watermark, origin, records: Vec::new() });
            Ok(Step::Within)
        }
        (Op::Begin { .. }, Some(_)) => Err("a batch begins inside a batch"),
        (Op::Commit { batch: name }, Some(open)) if open.name == *name => {
            batch.take().map(|whole| Step::Batch(whole, record)).ok_or("a commit without a batch")
        }
        (Op::Commit { .. }, _) => Err("a commit without its batch"),
        (_, Some(open)) => {
            // Decoded, the smallest records are larger than their lines: doubling takes too much beside the file.
            if open.records.len() == open.records.capacity() {
                open.records.reserve_exact(open.records.len() / 4 + 4);
            }
            open.records.push(record);
            Ok(Step::Within)
        }
        (_, None) => Ok(Step::Single(record)),
    }
}

#[inline]
fn next_line(rest: &[u8]) -> Result<(usize, Line<'_>), String> {
    let end = memchr::memchr(b'\n', rest).ok_or("the line has no end")?;
    let decoded = line::decode(rest.get(..end).unwrap_or_default()).map_err(LineError::message)?;
    Ok((end + 1, decoded))
}

/// Whether nothing was ever written here: a storage may grow a file ahead of its end.
pub(crate) fn only_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}

/// `bytes` without the zeros at its end.
pub(crate) fn without_zero_tail(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    bytes.get(..len).unwrap_or_default()
}

/// Whether `bytes` hold an intact record or seal, wherever it begins, that says everything up to `sequence` was
/// durable. If so, damage at `sequence` hit something that had been acknowledged: corruption, not a torn tail.
pub(crate) fn proves_durable(bytes: &[u8], sequence: u64) -> bool {
    any_line(bytes, |line| match line {
        Line::Record { record, .. } => record.watermark.is_some_and(|w| w >= sequence),
        Line::Seal(seal) => seal.watermark >= sequence,
        Line::Header(_) => false,
    })
}

/// The highest sequence number of an intact record in `bytes`, wherever it begins.
pub(crate) fn highest_record(bytes: &[u8]) -> Option<u64> {
    let mut highest = None;
    any_line(bytes, |line| {
        if let Line::Record { record, .. } = line {
            highest = highest.max(Some(record.sequence));
        }
        false
    });
    highest
}

/// Tests every intact line, wherever in `bytes` it begins.
fn any_line(bytes: &[u8], mut test: impl FnMut(&Line<'_>) -> bool) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest);
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let mut found = line::decode(line);
        // Not where a line was cut off: a document may hold what looks like one, and be cut right behind that.
        if found.is_err() && end.is_some() {
            found = line::decode(line::intact_end(line));
        }
        if found.is_ok_and(|line| test(&line)) {
            return true;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::line::{Seal, encode_record, encode_seal};

    struct Builder {
        bytes: Vec<u8>,
        chain: Chain,
        time: u64,
    }

    impl Builder {
        fn new() -> Self {
            Self { bytes: Vec::new(), chain: Chain::START, time: 1 }
        }

        fn at(self, time: u64) -> Self {
            Self { time, ..self }
        }

        fn op(mut self, watermark: Option<u64>, op: Op<'_>) -> Self {
            let Chain { next: sequence, previous } = self.chain;
            let record = Record { sequence, previous, watermark, time: self.time, origin: None, op };
            let (checksum, _) = encode_record(&mut self.bytes, &record);
            self.chain = Chain { next: sequence + 1, previous: checksum };
            self
        }

        fn put(self, watermark: Option<u64>) -> Self {
            self.op(watermark, Op::Put { collection: "c".into(), key: "k".into(), value: "{\"a\":1}" })
        }

        fn seal(mut self) -> Self {
            let (previous, watermark) = (self.chain.previous, self.chain.last());
            let seal = Seal { previous, watermark, time: self.time };
            encode_seal(&mut self.bytes, &seal);
            self
        }
    }

    fn sequences(bytes: &[u8]) -> (Vec<u64>, End) {
        let mut seen = Vec::new();
        let end = walk(bytes, 0, Chain::START, |write| seen.push(write.sequence));
        (seen, end)
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for (first, generation) in [(1, 0), (1042, 3), (u64::MAX, 0)] {
            assert_eq!(parse_name(&file_name(first, generation)), Some((first, generation)));
        }
        for name in ["1.log", "00000000000000000001.snapshot", "00000000000000000001-0.log", "x.log", ".log"]
        {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_batch_counts_only_with_its_commit() {
        let begin = || Op::Begin { batch: "2".into() };
        let open = Builder::new().put(None).op(None, begin()).put(None).put(None);
        let (seen, end) = sequences(&open.bytes);
        assert_eq!(seen, [1]);
        assert_eq!(end.chain.next, 2);
        assert!(end.damage.is_some());
        let closed = open.op(None, Op::Commit { batch: "2".into() }).seal();
        let (seen, end) = sequences(&closed.bytes);
        assert_eq!(seen, [1, 5]);
        assert!(end.sealed && end.damage.is_none() && end.valid_len == closed.bytes.len());
    }

    #[test]
    fn the_end_tells_what_the_last_line_says() {
        let begin = Op::Begin { batch: "4".into() };
        let commit = Op::Commit { batch: "4".into() };
        let sealed = Builder::new().put(None).put(Some(1)).at(7).seal();
        let said = |bytes: &[u8]| {
            let end = sequences(bytes).1;
            assert_eq!((end.valid_len, end.damage), (bytes.len(), None));
            (end.sealed, end.watermark, end.time)
        };
        assert_eq!(said(&sealed.bytes), (true, 2, 7));
        let single = sealed.at(8).put(None);
        assert_eq!(said(&single.bytes), (false, 2, 8));
        let batch = single.at(9).seal().at(10).op(Some(3), begin).put(None).op(None, commit);
        assert_eq!(said(&batch.bytes), (false, 3, 10));
        // The beginning of the batch may be the first to say it.
        let begin = Op::Begin { batch: "1".into() };
        let commit = Op::Commit { batch: "1".into() };
        let first = Builder::new().op(Some(5), begin).put(None).op(None, commit);
        assert_eq!(said(&first.bytes), (false, 5, 1));
    }

    #[test]
    fn what_nothing_proves_durable_begins_with_a_write() {
        let begin = || Op::Begin { batch: "4".into() };
        let commit = || Op::Commit { batch: "4".into() };
        let unproven = |built: &Builder| sequences(&built.bytes).1.unproven;
        let place = |built: &Builder| Some((built.chain, built.bytes.len()));
        let first = Builder::new();
        let at_first = place(&first);
        let second = first.put(None);
        assert_eq!(unproven(&second), at_first);
        let (at_second, third) = (place(&second), second.put(None));
        let (at_third, batch) = (place(&third), third.put(Some(1)));
        assert_eq!(unproven(&batch), at_second);
        let at_batch = place(&batch);
        let batch = batch.op(Some(2), begin()).put(None).op(None, commit());
        assert_eq!(unproven(&batch), at_third);
        // A batch is durable with its commit, and not before.
        let after = batch.put(Some(5));
        assert_eq!(unproven(&after), at_batch);
        let (at_last, sealed) = (place(&after), after.seal());
        assert_eq!(unproven(&sealed), None);
        let last = sealed.put(None);
        assert_eq!(unproven(&last).map(|(chain, _)| Some(chain)), Some(at_last.map(|(chain, _)| chain)));
    }

    #[test]
    fn what_is_no_batch_is_damage_where_it_stands() {
        let begin = || Op::Begin { batch: "1".into() };
        let other = || Op::Commit { batch: "2".into() };
        let sealed = Builder::new().op(None, begin()).put(None);
        let place = sealed.bytes.len();
        let sealed = sealed.seal().op(None, Op::Commit { batch: "1".into() });
        let misnamed = Builder::new().op(None, begin()).put(None).op(None, other());
        let doubled = Builder::new().op(None, begin()).put(None).op(None, begin());
        for bytes in [sealed.bytes, misnamed.bytes, doubled.bytes] {
            let (seen, end) = sequences(&bytes);
            assert_eq!((seen, end.valid_len), (vec![], 0));
            assert_eq!(end.damage.map(|damage| damage.offset), Some(place));
        }
        let (seen, end) = sequences(&Builder::new().op(None, other()).bytes);
        assert_eq!((seen, end.damage.map(|damage| damage.offset)), (vec![], Some(0)));
    }

    #[test]
    fn salvage_shows_what_is_whole_and_no_part_of_a_batch() {
        let name = || "2".into();
        let built = Builder::new().put(None).op(None, Op::Begin { batch: name() }).put(None).put(None);
        let built = built.op(None, Op::Commit { batch: name() }).put(None).seal();
        let shown = |bytes: &[u8]| {
            let mut sequences = Vec::new();
            let damage = salvage(bytes, |records| sequences.extend(records.iter().map(|r| r.sequence)));
            (sequences, damage.len())
        };
        assert_eq!(shown(&built.bytes), (vec![1, 3, 4, 6], 0));
        let lines: Vec<usize> = memchr::memchr_iter(b'\n', &built.bytes).collect();
        let without = |line: usize| {
            let mut damaged = built.bytes.clone();
            damaged[lines[line] - 30] ^= 1;
            shown(&damaged)
        };
        assert_eq!(without(0), (vec![3, 4, 6], 1));
        for line in [1, 2, 3, 4] {
            assert_eq!(without(line), (vec![1, 6], 1), "line {line}");
        }
        assert_eq!(without(5), (vec![1, 3, 4], 1));
    }

    #[test]
    fn damage_that_lies_together_is_reported_once() {
        let built = Builder::new().put(None);
        let bytes = [b"\n".repeat(10_000), built.bytes.clone(), b"x\n".repeat(10_000)].concat();
        let mut records = 0;
        let damage = salvage(&bytes, |found| records += found.len());
        assert_eq!((records, damage.len()), (1, 2));
        assert_eq!(damage[1].offset, 10_000 + built.bytes.len());
    }

    #[test]
    fn the_last_of_all_sequence_numbers_is_no_record() {
        let chain = Chain { next: u64::MAX, previous: 0 };
        let op = Op::Drop { collection: "c".into() };
        let record = Record { sequence: u64::MAX, previous: 0, watermark: None, time: 1, origin: None, op };
        let mut bytes = Vec::new();
        encode_record(&mut bytes, &record);
        let end = walk(&bytes, 0, chain, |_| panic!("it counts"));
        assert_eq!((end.chain, end.damage.is_some()), (chain, true));
        assert_eq!(salvage(&bytes, |records| assert!(records.is_empty())).len(), 1);
    }

    #[test]
    fn zeros_end_the_log_only_at_its_tail() {
        let mut built = Builder::new().put(None).put(None);
        let len = built.bytes.len();
        built.bytes.resize(len + 4096, 0);
        let (seen, end) = sequences(&built.bytes);
        assert_eq!((seen.len(), end.damage, end.valid_len), (2, None, len));
        built.bytes.push(b'x');
        assert!(sequences(&built.bytes).1.damage.is_some());
    }

    #[test]
    fn missing_repeated_and_swapped_records_are_damage() {
        let one = Builder::new().put(None).bytes.len();
        let all = Builder::new().put(None).put(None).put(None).bytes;
        let missing = [&all[..one], &all[2 * one..]].concat();
        let repeated = [&all[..one], &all[..one]].concat();
        for bytes in [missing, repeated] {
            let (seen, end) = sequences(&bytes);
            assert_eq!((seen, end.valid_len), (vec![1], one));
            assert!(end.damage.is_some());
        }
    }

    #[test]
    fn damage_below_a_watermark_is_proven_durable_even_at_a_line_end() {
        let built = Builder::new().put(None).put(Some(1)).put(Some(2)).seal();
        let first_end = memchr::memchr(b'\n', &built.bytes).unwrap();
        let mut damaged = built.bytes.clone();
        damaged[first_end] = b'\x0b';
        assert!(proves_durable(&damaged, 1));
        let unsynced = Builder::new().put(None).put(None).put(None);
        assert!(!proves_durable(&unsynced.bytes, 1));
    }
}
