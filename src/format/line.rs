//! One line of the log: JSON whose last member is a CRC-32C over the bytes before it.
//!
//! Three kinds of line: a segment's header, records, and seals. The writer keeps one order of members, so that a
//! reader, once the checksum holds, slices key and value without parsing the value. Other orders take a slower path.

mod any_order;
mod intact;

use super::clients::Clients;
use super::json::{plain_len, push_string};
use crate::record::{Op, Origin, Record};
use crate::storage::crc32c;
use std::borrow::Cow;
use std::ops::Range;

pub(crate) use intact::intact_end;

/// The version of the log's format that this code writes, and the newest it reads.
pub(crate) const LOG_VERSION: u32 = 1;

const TRAILER_START: &[u8] = b",\"_x\":\"";
const TRAILER_END: &[u8] = b"\"}";
/// `,"_x":"5be1d077"}`
const TRAILER_BYTES: usize = 17;

/// The first line of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store: [u8; 16],
    /// Changes when acknowledged history was given up: by a restore, or a point-in-time recovery.
    pub(crate) epoch: u64,
    /// The sequence number of the segment's first record.
    pub(crate) first: u64,
    /// The checksum of the record before the first.
    pub(crate) previous: u32,
    /// Bytes of the segment before this one that count. What stands behind them was set aside.
    pub(crate) previous_len: u64,
    /// Bytes after this line that recovery carried over from the segment before. Without all of them this segment
    /// was never finished and does not count.
    pub(crate) carried: u64,
    /// What clients' writes before this segment were answered with.
    pub(crate) clients: Clients,
}

impl Header {
    /// Whether the log begins anew here, behind the snapshot of an import or restore: no segment comes before.
    pub(crate) fn begins_anew(&self) -> bool {
        self.first > 1 && self.previous_len == 0
    }
}

/// Closes a quiet log: everything up to `watermark` is durable. Takes no sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The checksum of the last record.
    pub(crate) previous: u32,
    pub(crate) watermark: u64,
    pub(crate) time: u64,
}

/// A decoded line and its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Header(Header),
    Record { record: Record<'a>, checksum: u32 },
    Seal(Seal),
}

/// Why bytes are not a line of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// The bytes are not what was written.
    Checksum,
    /// The checksum holds, but the contents make no sense.
    Contents,
    /// A header of a newer format.
    NewerVersion(u32),
}

impl LineError {
    pub(crate) fn message(self) -> String {
        match self {
            Self::Checksum => "the line's checksum does not hold".into(),
            Self::Contents => "the line is not a record".into(),
            Self::NewerVersion(v) => {
                format!("the log has format version {v}, newer than {LOG_VERSION}; update Pumice to open it")
            }
        }
    }
}

/// Appends a record's line. Returns its checksum and where in `out` a document's text stands.
pub(crate) fn encode_record(out: &mut Vec<u8>, record: &Record<'_>) -> (u32, Range<usize>) {
    let start = out.len();
    out.extend_from_slice(b"{\"_s\":");
    push_number(out, record.sequence);
    push_checksum(out, b",\"_p\":\"", record.previous);
    if let Some(watermark) = record.watermark {
        out.extend_from_slice(b",\"_w\":");
        push_number(out, watermark);
    }
    out.extend_from_slice(b",\"_t\":");
    push_number(out, record.time);
    if let Some(origin) = &record.origin {
        out.extend_from_slice(b",\"_c\":");
        push_string(out, &origin.client);
        out.extend_from_slice(b",\"_n\":");
        push_number(out, origin.number);
    }
    let (command, collection, key, value) = match &record.op {
        Op::Put { collection, key, value } => ("INSERT", collection.as_ref(), key.as_ref(), *value),
        Op::Delete { collection, key } => ("DELETE", collection.as_ref(), key.as_ref(), "null"),
        Op::Drop { collection } => ("DROP", collection.as_ref(), "", "null"),
        Op::Begin { batch } => ("TX_BEGIN", "", batch.as_ref(), "null"),
        Op::Commit { batch } => ("TX_COMMIT", "", batch.as_ref(), "null"),
    };
    out.extend_from_slice(b",\"cmd\":\"");
    out.extend_from_slice(command.as_bytes());
    out.extend_from_slice(b"\",\"collection\":");
    push_string(out, collection);
    out.extend_from_slice(b",\"key\":");
    push_string(out, key);
    out.extend_from_slice(b",\"value\":");
    let value_start = out.len();
    out.extend_from_slice(value.as_bytes());
    let value_range = value_start..out.len();
    (push_trailer(out, start), value_range)
}

/// Appends a seal line.
pub(crate) fn encode_seal(out: &mut Vec<u8>, seal: &Seal) {
    let start = out.len();
    push_checksum(out, b"{\"_p\":\"", seal.previous);
    out.extend_from_slice(b",\"_w\":");
    push_number(out, seal.watermark);
    out.extend_from_slice(b",\"_t\":");
    push_number(out, seal.time);
    out.extend_from_slice(b",\"cmd\":\"SEAL\",\"collection\":\"\",\"key\":\"\",\"value\":null");
    push_trailer(out, start);
}

/// Appends a segment's header line.
pub(crate) fn encode_header(out: &mut Vec<u8>, header: &Header) {
    let start = out.len();
    out.extend_from_slice(b"{\"pumice\":");
    push_number(out, u64::from(LOG_VERSION));
    out.extend_from_slice(b",\"store\":\"");
    for byte in header.store {
        out.extend_from_slice(&hex_pair(byte));
    }
    out.extend_from_slice(b"\",\"epoch\":");
    push_number(out, header.epoch);
    out.extend_from_slice(b",\"first\":");
    push_number(out, header.first);
    push_checksum(out, b",\"previous\":\"", header.previous);
    out.extend_from_slice(b",\"previous_bytes\":");
    push_number(out, header.previous_len);
    out.extend_from_slice(b",\"carried_bytes\":");
    push_number(out, header.carried);
    if !header.clients.is_empty() {
        out.extend_from_slice(b",\"clients\":");
        header.clients.encode(out);
    }
    // So that it is a record of an unknown command to tools that read logs of that shape.
    out.extend_from_slice(b",\"_t\":0,\"cmd\":\"HEADER\",\"collection\":\"\",\"key\":\"\",\"value\":null");
    push_trailer(out, start);
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn hex_pair(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Appends `label`, the eight digits and the closing quote.
fn push_checksum(out: &mut Vec<u8>, label: &[u8], checksum: u32) {
    let [a, b, c, d] = checksum.to_be_bytes().map(hex_pair);
    out.extend_from_slice(label);
    out.extend_from_slice(&[a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1], b'"']);
}

fn push_trailer(out: &mut Vec<u8>, start: usize) -> u32 {
    let checksum = crc32c(out.get(start..).unwrap_or_default());
    push_checksum(out, TRAILER_START, checksum);
    out.extend_from_slice(b"}\n");
    checksum
}

/// Decodes a line without its line end. The checksum is verified over the raw bytes before anything is parsed.
#[inline]
pub(crate) fn decode(line: &[u8]) -> Result<Line<'_>, LineError> {
    let body_len = line.len().checked_sub(TRAILER_BYTES).ok_or(LineError::Checksum)?;
    let (body, trailer) = line.split_at(body_len);
    let digits = trailer
        .strip_prefix(TRAILER_START)
        .and_then(|rest| rest.strip_suffix(TRAILER_END))
        .ok_or(LineError::Checksum)?;
    let checksum = parse_checksum(digits).ok_or(LineError::Checksum)?;
    if crc32c(body) != checksum {
        return Err(LineError::Checksum);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::Contents)?;
    if let Some(record) = decode_fast(text.get(..body_len).ok_or(LineError::Contents)?) {
        return Ok(Line::Record { record, checksum });
    }
    any_order::decode(text, checksum)
}

/// Exactly eight lower-case digits: one spelling, so that a changed bit cannot hide.
fn parse_checksum(digits: &[u8]) -> Option<u32> {
    if digits.len() != 8 {
        return None;
    }
    digits.iter().try_fold(0u32, |sum, &d| {
        let digit = match d {
            b'0'..=b'9' => d - b'0',
            b'a'..=b'f' => d - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u32::from(digit))
    })
}

/// A record in the writer's own order of members, without the trailer.
#[inline]
fn decode_fast(body: &str) -> Option<Record<'_>> {
    let mut rest = Rest(body);
    rest.literal("{\"_s\":")?;
    let sequence = rest.number()?;
    rest.literal(",\"_p\":")?;
    let previous = parse_checksum(rest.string()?.as_bytes())?;
    let watermark = if rest.literal(",\"_w\":").is_some() { Some(rest.number()?) } else { None };
    rest.literal(",\"_t\":")?;
    let time = rest.number()?;
    let origin = if rest.literal(",\"_c\":").is_some() {
        let client = Cow::Borrowed(rest.string()?);
        rest.literal(",\"_n\":")?;
        Some(Origin { client, number: rest.number()? })
    } else {
        None
    };
    rest.literal(",\"cmd\":")?;
    let command = rest.string()?;
    rest.literal(",\"collection\":")?;
    let collection = Cow::Borrowed(rest.string()?);
    rest.literal(",\"key\":")?;
    let key = Cow::Borrowed(rest.string()?);
    rest.literal(",\"value\":")?;
    let op = op(command, collection, key, rest.0)?;
    Some(Record { sequence, previous, watermark, time, origin, op })
}

/// The unread part of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn literal(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut len) = (0_u64, 0);
        for byte in self.0.bytes().take_while(u8::is_ascii_digit) {
            number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            len += 1;
        }
        self.0 = self.0.get(len..)?;
        (len > 0).then_some(number)
    }

    /// A string without escapes, and without what must be escaped.
    fn string(&mut self) -> Option<&'a str> {
        let inner = self.0.strip_prefix('"')?;
        let (text, rest) = inner.split_at_checked(plain_len(inner.as_bytes()))?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }
}

fn op<'a>(command: &str, collection: Cow<'a, str>, key: Cow<'a, str>, value: &'a str) -> Option<Op<'a>> {
    Some(match command {
        "INSERT" => Op::Put { collection, key, value },
        "DELETE" => Op::Delete { collection, key },
        "DROP" => Op::Drop { collection },
        "TX_BEGIN" => Op::Begin { batch: key },
        "TX_COMMIT" => Op::Commit { batch: key },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &'static str) -> Record<'static> {
        Record {
            sequence: 1042,
            previous: 0x9a3f_01c2,
            watermark: Some(1036),
            time: 1_790_000_000_000,
            origin: None,
            op: Op::Put { collection: "users".into(), key: key.to_owned().into(), value },
        }
    }

    fn line_of(record: &Record<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let (_, value) = encode_record(&mut out, record);
        if let Op::Put { value: text, .. } = record.op {
            assert_eq!(&out[value], text.as_bytes());
        }
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_record_looks_as_documented() {
        let line = String::from_utf8(line_of(&put("u7", r#"{"name":"Ada"}"#))).unwrap();
        let (body, trailer) = line.split_at(line.len() - TRAILER_BYTES);
        assert_eq!(
            body,
            r#"{"_s":1042,"_p":"9a3f01c2","_w":1036,"_t":1790000000000,"cmd":"INSERT","collection":"users","key":"u7","value":{"name":"Ada"}"#
        );
        assert_eq!(trailer, format!(",\"_x\":\"{:08x}\"}}", crc32c(body.as_bytes())));
    }

    /// Read as it stands, such a record could not be written anew.
    #[test]
    fn what_must_be_escaped_is_refused_unescaped() {
        for byte in (0..0x20).chain([0x7f]) {
            let mut body = line_of(&put("k.k", "1"));
            body.truncate(body.len() - TRAILER_BYTES);
            let at = body.windows(3).position(|text| text == b"k.k").unwrap() + 1;
            body[at] = byte;
            push_trailer(&mut body, 0);
            body.pop();
            assert_eq!(decode(&body).is_ok(), byte == 0x7f, "{byte:#x}");
        }
    }

    #[test]
    fn records_come_back_on_both_paths() {
        let origin = Some(Origin { client: "tab \"1\"".into(), number: 7 });
        let ops = [
            Op::Delete { collection: "c".into(), key: "k".into() },
            Op::Drop { collection: "c".into() },
            Op::Begin { batch: "9".into() },
            Op::Commit { batch: "9".into() },
        ];
        let mut records =
            vec![put("u7", "1"), put("\0", "null"), put("quote \" and \\ and \n and é", "[1,2]")];
        records.push(Record { origin, watermark: None, ..put("k", "null") });
        records.extend(ops.map(|op| Record { op, ..put("", "0") }));
        for record in records {
            let line = line_of(&record);
            match decode(&line).unwrap() {
                Line::Record { record: back, .. } => assert_eq!(back, record),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Nothing but the time it takes would show if it did not.
    #[test]
    fn what_the_writer_writes_is_read_without_parsing_the_value() {
        let origin = Some(Origin { client: "tab 1".into(), number: 7 });
        let mut records = vec![put("a key\u{e9}", "{\"a\":[1,\"\\\"\"]}"), put("k", "null")];
        records.push(Record { origin, watermark: None, ..put("", "0") });
        records.push(Record { op: Op::Begin { batch: "9".into() }, ..put("", "0") });
        for record in records {
            let line = String::from_utf8(line_of(&record)).unwrap();
            assert_eq!(decode_fast(&line[..line.len() - TRAILER_BYTES]), Some(record));
        }
    }

    #[test]
    fn the_end_of_a_line_whose_beginning_is_damaged_is_found_intact() {
        let mut seal = Vec::new();
        encode_seal(&mut seal, &Seal { previous: 1, watermark: 8, time: 5 });
        seal.pop();
        for line in [line_of(&put("u7", r#"{"name":"Ada"}"#)), seal] {
            assert_eq!(intact_end(&line), line);
            for before in ["x", "{\"_s\":1,\"_p\":\"0", "\n\0"] {
                let joined = [before.as_bytes(), &line].concat();
                assert_eq!(intact_end(&joined), line, "{before:?}");
            }
            for at in 0..line.len() {
                let mut damaged = line.clone();
                damaged[at] ^= 1;
                assert_eq!(intact_end(&damaged), b"", "byte {at}");
            }
        }
        for none in ["", "x", &"x".repeat(TRAILER_BYTES)] {
            assert_eq!(intact_end(none.as_bytes()), b"");
        }
    }

    #[test]
    fn a_header_of_a_version_that_never_was_is_refused() {
        let mut header = Vec::new();
        let (store, clients) = ([7; 16], Clients::default());
        let first = Header { store, epoch: 3, first: 9, previous: 0, previous_len: 0, carried: 0, clients };
        encode_header(&mut header, &first);
        let header = String::from_utf8(header).unwrap();
        let with = |version: u32| {
            let body = &header[..header.len() - TRAILER_BYTES - 1];
            let (own, other) = (format!("\"pumice\":{LOG_VERSION}"), format!("\"pumice\":{version}"));
            let mut line = body.replace(&own, &other).into_bytes();
            push_trailer(&mut line, 0);
            decode(line.trim_ascii_end()).map(drop)
        };
        assert_eq!(with(LOG_VERSION), Ok(()));
        assert_eq!(with(LOG_VERSION - 1), Err(LineError::Contents));
        assert_eq!(with(LOG_VERSION + 1), Err(LineError::NewerVersion(LOG_VERSION + 1)));
        let message = LineError::NewerVersion(LOG_VERSION + 1).message();
        assert!(message.contains("version 2, newer than 1"), "{message}");
    }

    #[test]
    fn another_order_of_members_reads_the_same() {
        let record = put("u7", r#"{"a":1.50}"#);
        let mut body = String::from(
            r#"{ "value": {"a":1.50}, "key":"u7","_t":1790000000000,"collection":"users","_w":1036,"cmd":"INSERT","_p":"9a3f01c2","_s":1042"#,
        );
        let sum = crc32c(body.as_bytes());
        body = format!("{body},\"_x\":\"{sum:08x}\"}}");
        assert_eq!(decode(body.as_bytes()).unwrap(), Line::Record { record, checksum: sum });
    }

    #[test]
    fn headers_and_seals_come_back() {
        let mut header = Header {
            store: [7; 16],
            epoch: 3,
            first: 9,
            previous: 0xff,
            previous_len: 4096,
            carried: 12,
            clients: Clients::default(),
        };
        for _ in 0..2 {
            let mut out = Vec::new();
            encode_header(&mut out, &header);
            out.pop();
            assert_eq!(decode(&out).unwrap(), Line::Header(header.clone()));
            header.clients.written("tab \"1\"", 7, 8, 5);
        }
        let seal = Seal { previous: 1, watermark: 8, time: 5 };
        let mut out = Vec::new();
        encode_seal(&mut out, &seal);
        out.pop();
        assert_eq!(decode(&out).unwrap(), Line::Seal(seal));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let line = line_of(&put("u7", r#"{"name":"Ada"}"#));
        for at in 0..line.len() {
            assert!(decode(&line[..at]).is_err());
            for bit in 0..8 {
                let mut damaged = line.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}
