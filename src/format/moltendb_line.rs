//! One record of `MoltenDB` up to 0.10: a line of its log without the line end, or an entry of its snapshot.
//!
//! A record is a JSON object with the members `cmd`, `collection`, `key`, `value` and `_t`. `MoltenDB` writes them in that
//! order; a reader takes any order, and ignores members that it does not know. Nothing has a checksum, so all there is to
//! go by is whether the text is such an object.

use crate::format::json::{Fault, Reader, push_string};
use std::borrow::Cow;

/// What a record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Insert,
    Delete,
    Drop,
    Begin,
    Commit,
    /// A record inside another one that is encrypted.
    Encrypted,
    /// `INDEX`, `SCHEMA`, and whatever else holds no document.
    Other,
}

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) command: Command,
    pub(crate) collection: Cow<'a, str>,
    /// A document's key, or a transaction's name.
    pub(crate) key: Cow<'a, str>,
    /// The document's text as it stands.
    pub(crate) value: Option<&'a str>,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryError {
    /// From this byte on.
    NotUtf8(usize),
    /// From this byte on.
    NotJson(usize),
    Missing(&'static str),
    /// A member that stands there more than once.
    Repeated(&'static str),
}

impl EntryError {
    pub(crate) fn message(self) -> String {
        match self {
            Self::NotUtf8(at) => format!("it is not UTF-8 from its byte {at} on"),
            Self::NotJson(at) => {
                format!("it is not a JSON object with the members of a record from its byte {at} on")
            }
            Self::Missing(member) => format!("it has no member \"{member}\""),
            Self::Repeated(member) => format!("it has more than one member \"{member}\""),
        }
    }
}

/// Decodes a record.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry<'_>, EntryError> {
    let text = std::str::from_utf8(bytes).map_err(|e| EntryError::NotUtf8(e.valid_up_to()))?;
    let members = Members::read(text).map_err(|Fault(at)| EntryError::NotJson(at))?;
    if let Some(name) = members.repeated {
        return Err(EntryError::Repeated(name));
    }
    let command = match members.command.as_deref().ok_or(EntryError::Missing("cmd"))? {
        "INSERT" => Command::Insert,
        "DELETE" => Command::Delete,
        "DROP" => Command::Drop,
        "TX_BEGIN" => Command::Begin,
        "TX_COMMIT" => Command::Commit,
        "ENC" => Command::Encrypted,
        _ => Command::Other,
    };
    let collection = members.collection.ok_or(EntryError::Missing("collection"))?;
    let key = members.key.ok_or(EntryError::Missing("key"))?;
    if command == Command::Insert && members.value.is_none() {
        return Err(EntryError::Missing("value"));
    }
    Ok(Entry { command, collection, key, value: members.value })
}

/// The members that a record is made of.
#[derive(Default)]
struct Members<'a> {
    command: Option<Cow<'a, str>>,
    collection: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    value: Option<&'a str>,
    repeated: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, Fault> {
        let mut members = Self::default();
        let mut reader = Reader::new(text);
        reader.expect(b'{')?;
        let mut first = true;
        while reader.more(first, b'}')? {
            first = false;
            let name = reader.string()?;
            reader.expect(b':')?;
            let (name, again) = match &*name {
                "cmd" => ("cmd", members.command.replace(reader.string()?).is_some()),
                "collection" => ("collection", members.collection.replace(reader.string()?).is_some()),
                "key" => ("key", members.key.replace(reader.string()?).is_some()),
                "value" => ("value", members.value.replace(reader.value()?).is_some()),
                _ => {
                    reader.value()?;
                    continue;
                }
            };
            if again {
                members.repeated = Some(name);
            }
        }
        reader.end()?;
        Ok(members)
    }
}

/// Whether the first record of a file is one of Pumice's log, which has a checksum in every line.
pub(crate) fn is_of_pumice(bytes: &[u8]) -> bool {
    let is_one = |text| {
        let mut reader = Reader::new(text);
        reader.expect(b'{')?;
        let mut first = true;
        while reader.more(first, b'}')? {
            first = false;
            if matches!(&*reader.string()?, "_x" | "pumice") {
                return Ok(true);
            }
            reader.expect(b':')?;
            reader.value()?;
        }
        Ok::<_, Fault>(false)
    };
    std::str::from_utf8(bytes).is_ok_and(|text| is_one(text) == Ok(true))
}

/// Appends the record of a document. `value` is minified; `time` is in Unix milliseconds.
pub(crate) fn encode_insert(out: &mut Vec<u8>, collection: &str, key: &str, value: &str, time: u64) {
    out.extend_from_slice(b"{\"cmd\":\"INSERT\",\"collection\":");
    push_string(out, collection);
    out.extend_from_slice(b",\"key\":");
    push_string(out, key);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b",\"_t\":");
    out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_record_as_it_is_written() {
        let line = br#"{"cmd":"INSERT","collection":"users","key":"ad\"a","value":{"n":1.50, "b":[ ]},"_t":1790000000000}"#;
        let entry = decode(line).unwrap();
        assert_eq!(entry.command, Command::Insert);
        assert_eq!((&*entry.collection, &*entry.key), ("users", "ad\"a"));
        assert_eq!(entry.value, Some(r#"{"n":1.50, "b":[ ]}"#));
    }

    #[test]
    fn knows_every_command_and_ignores_others() {
        for (name, command) in [
            ("INSERT", Command::Insert),
            ("DELETE", Command::Delete),
            ("DROP", Command::Drop),
            ("TX_BEGIN", Command::Begin),
            ("TX_COMMIT", Command::Commit),
            ("ENC", Command::Encrypted),
            ("INDEX", Command::Other),
            ("SCHEMA", Command::Other),
            ("insert", Command::Other),
        ] {
            let line =
                format!("{{\"cmd\":\"{name}\",\"collection\":\"c\",\"key\":\"k\",\"value\":null,\"_t\":1}}");
            assert_eq!(decode(line.as_bytes()).unwrap().command, command, "{name}");
        }
    }

    #[test]
    fn takes_any_order_escapes_and_members_that_it_does_not_know() {
        let line = br#" { "x" : [{}] , "key":"k","value":7 , "cm\u0064":"INSERT", "collection":"c" } "#;
        let entry = decode(line).unwrap();
        assert_eq!((entry.command, entry.value), (Command::Insert, Some("7")));
        // What holds no document needs no value.
        assert!(decode(br#"{"cmd":"DELETE","collection":"c","key":"k"}"#).is_ok());
    }

    #[test]
    fn says_what_is_wrong() {
        let why = |line: &[u8]| decode(line).unwrap_err();
        assert_eq!(why(b"{\"cmd\":\"\xff\"}"), EntryError::NotUtf8(8));
        assert_eq!(why(b""), EntryError::NotJson(0));
        assert_eq!(why(b"[]"), EntryError::NotJson(0));
        assert_eq!(why(br#"{"cmd":7}"#), EntryError::NotJson(7));
        assert_eq!(why(br#"{"cmd":"DROP","collection":"c","key":""}{"#), EntryError::NotJson(40));
        assert_eq!(why(br#"{"cmd":"DROP","collection":"c","key":"\ud800"}"#), EntryError::NotJson(37));
        assert_eq!(why(b"{}"), EntryError::Missing("cmd"));
        assert_eq!(why(br#"{"cmd":"DROP","key":""}"#), EntryError::Missing("collection"));
        assert_eq!(why(br#"{"cmd":"DROP","collection":""}"#), EntryError::Missing("key"));
        assert_eq!(why(br#"{"cmd":"INSERT","collection":"","key":""}"#), EntryError::Missing("value"));
        let twice = br#"{"cmd":"DROP","collection":"a","key":"","collection":"b"}"#;
        assert_eq!(why(twice), EntryError::Repeated("collection"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut line = Vec::new();
        encode_insert(&mut line, "a\"b", "k\n\u{fc}", "{\"n\":1e999}", 17);
        assert_eq!(
            line,
            "{\"cmd\":\"INSERT\",\"collection\":\"a\\\"b\",\"key\":\"k\\n\u{fc}\",\"value\":{\"n\":1e999},\"_t\":17}".as_bytes()
        );
        let entry = decode(&line).unwrap();
        assert_eq!(
            (&*entry.collection, &*entry.key, entry.value),
            ("a\"b", "k\n\u{fc}", Some("{\"n\":1e999}"))
        );
    }

    #[test]
    fn tells_a_log_of_pumice() {
        assert!(is_of_pumice(br#"{"pumice":1,"store":"00","_x":"cff54fba"}"#));
        assert!(is_of_pumice(br#"{"_s":1,"_t":1,"cmd":"INSERT","value":{},"_x":"cff54fba"}"#));
        assert!(!is_of_pumice(br#"{"cmd":"INSERT","collection":"c","key":"k","value":{"_x":1},"_t":1}"#));
        assert!(!is_of_pumice(b"{\"cm"));
    }
}
