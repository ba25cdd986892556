//! One line, or one element of an array, as a document to store. Only what names the document is parsed.

use super::invalid;
use pumice::{Batch, Result};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What a line holds.
pub(super) enum Shape<'a> {
    /// `{"collection":..,"key":..,"value":..}`.
    Entries,
    /// A document of this collection, with its key in this member.
    Documents { collection: &'a str, field: &'a str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow)]
    collection: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Shape<'_> {
    /// Puts the document into the batch.
    pub(super) fn put(&self, batch: &mut Batch, line: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(line)
            .map_err(|e| invalid(format!("not UTF-8 (byte {} of the line)", e.valid_up_to() + 1)))?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        // A list would pass for the members in their order.
        if !text.starts_with('{') {
            return Err(invalid(format!("expected a JSON object, found {}", kind_of(text))));
        }
        match self {
            Self::Entries => {
                let entry: Entry<'_> = serde_json::from_str(text).map_err(|e| invalid(describe(&e)))?;
                batch.put_raw(&entry.collection, &entry.key, entry.value.get())?;
            }
            Self::Documents { collection, field } => {
                batch.put_raw(collection, &key_of(text, field)?, text)?;
            }
        }
        Ok(())
    }
}

/// What a JSON text seems to be.
fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        None => "nothing",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "something that is not JSON",
    }
}

/// What is wrong, without the parser's own count of lines.
fn describe(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    match line {
        0 => what.to_owned(),
        1 => format!("{what} (column {column})"),
        _ => format!("{what} (line {line} of the document, column {column})"),
    }
}

/// The document's key: its member `field`.
fn key_of<'a>(text: &'a str, field: &str) -> Result<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    let mut parser = serde_json::Deserializer::from_str(text);
    let found = parser.deserialize_map(Member(field)).and_then(|found| parser.end().map(|()| found));
    let Some(value) = found.map_err(|e| invalid(describe(&e)))? else {
        return Err(invalid(format!("the document has no member {field:?} for its key")));
    };
    if !value.get().starts_with('"') {
        let kind = kind_of(value.get());
        return Err(invalid(format!("the member {field:?} is {kind}; a key must be a string")));
    }
    let key: Key<'_> = serde_json::from_str(value.get())
        .map_err(|e| invalid(format!("the member {field:?}: {}", describe(&e))))?;
    Ok(key.0)
}

/// Finds the member of that name; passes over the others, however deep.
struct Member<'f>(&'f str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsName(self.0))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("the document has two members {:?}", self.0)));
            }
        }
        Ok(found)
    }
}

/// Whether a member's name is this one. Compares bytes: other names may hold lone surrogates.
struct IsName<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> std::result::Result<bool, E> {
        Ok(name == self.0.as_bytes())
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<bool, E> {
        Ok(name == self.0)
    }
}
