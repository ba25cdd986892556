//! Lines with their members in any order, with escapes in keys, headers and seals: all that the quick way does not take.

use super::{Header, LOG_VERSION, Line, LineError, Seal, op, parse_checksum};
use crate::format::clients::Clients;
use crate::format::json::Reader;
use crate::record::{Origin, Record};
use std::borrow::Cow;

/// The members that a line may have, in any order. Others are ignored.
const MEMBERS: [&str; 17] = [
    "pumice",
    "store",
    "epoch",
    "first",
    "previous",
    "previous_bytes",
    "carried_bytes",
    "clients",
    "_s",
    "_p",
    "_w",
    "_t",
    "_c",
    "_n",
    "cmd",
    "collection",
    "key",
];

/// A line's members as they stand. Takes any order, escapes in keys, headers and seals.
struct Members<'a> {
    /// In the order of [`MEMBERS`]; what is null counts as not there.
    known: [Option<&'a str>; MEMBERS.len()],
    /// `null` is a document too.
    value: Option<&'a str>,
}

impl<'a> Members<'a> {
    /// `None` for what is no object, and where a member is there twice.
    fn read(text: &'a str) -> Option<Self> {
        let mut members = Self { known: [None; MEMBERS.len()], value: None };
        let mut reader = Reader::new(text);
        reader.expect(b'{').ok()?;
        let mut first = true;
        while reader.more(first, b'}').ok()? {
            first = false;
            let name = reader.string().ok()?;
            reader.expect(b':').ok()?;
            let value = reader.value().ok()?;
            let place = match MEMBERS.iter().position(|known| *known == name) {
                Some(at) => members.known.get_mut(at)?,
                None if name == "value" => &mut members.value,
                None => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        reader.end().ok()?;
        Some(members)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let at = MEMBERS.iter().position(|known| *known == name)?;
        self.known.get(at).copied().flatten().filter(|value| *value != "null")
    }

    fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        Reader::new(self.get(name)?).string().ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// A line whose checksum holds, in whatever order its members are.
pub(super) fn decode(text: &str, checksum: u32) -> Result<Line<'_>, LineError> {
    let line = Members::read(text).ok_or(LineError::Contents)?;
    if line.get("pumice").is_some() {
        let version = line.number("pumice").and_then(|version| u32::try_from(version).ok());
        return match version.ok_or(LineError::Contents)? {
            newer if newer > LOG_VERSION => Err(LineError::NewerVersion(newer)),
            LOG_VERSION => header(&line).map(Line::Header).ok_or(LineError::Contents),
            _ => Err(LineError::Contents),
        };
    }
    record_or_seal(&line, checksum).ok_or(LineError::Contents)
}

fn header(line: &Members<'_>) -> Option<Header> {
    Some(Header {
        store: parse_store(&line.string("store")?)?,
        epoch: line.number("epoch")?,
        first: line.number("first")?,
        previous: parse_checksum(line.string("previous")?.as_bytes())?,
        previous_len: line.number("previous_bytes")?,
        carried: line.number("carried_bytes")?,
        clients: line.get("clients").map_or_else(|| Some(Clients::default()), Clients::decode)?,
    })
}

fn parse_store(digits: &str) -> Option<[u8; 16]> {
    let mut store = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in store.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(store)
}

fn record_or_seal<'a>(line: &Members<'a>, checksum: u32) -> Option<Line<'a>> {
    let previous = parse_checksum(line.string("_p")?.as_bytes())?;
    let (time, command) = (line.number("_t")?, line.string("cmd")?);
    // What is there must be right, also where it need not be there.
    let watermark = line.get("_w").map_or(Some(None), |text| text.parse().ok().map(Some))?;
    if command == "SEAL" {
        return Some(Line::Seal(Seal { previous, watermark: watermark?, time }));
    }
    let origin = match (line.get("_c"), line.get("_n")) {
        (Some(_), Some(_)) => Some(Origin { client: line.string("_c")?, number: line.number("_n")? }),
        (None, None) => None,
        _ => return None,
    };
    let op = op(&command, line.string("collection")?, line.string("key")?, line.value?)?;
    let record = Record { sequence: line.number("_s")?, previous, watermark, time, origin, op };
    Some(Line::Record { record, checksum })
}
