//! What may be stored: names, keys and JSON text, checked before anything is written.
//!
//! A document's text is kept as the caller wrote it, digit for digit and in key order; only the white space between
//! tokens goes, so that a record fits on one line.

use crate::error::{Error, ErrorKind, Result};
use crate::format::json;
use crate::options::Limits;
use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// The longest collection name, in bytes.
pub const MAX_COLLECTION_BYTES: usize = 255;
/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// Separates collection and key in a [`sort_key`]. No collection name holds it.
pub(crate) const SEPARATOR: u8 = 0;

/// The bytes that order documents: by collection, then by key.
///
/// Short ones, as most are, stand in it themselves: a tree of them is searched without going elsewhere for each.
#[derive(Clone)]
pub(crate) enum SortKey {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

/// With this a key takes 32 bytes.
const SHORT: usize = 30;

/// The sort key of a document.
pub(crate) fn sort_key(collection: &str, key: &str) -> SortKey {
    let (collection, key) = (collection.as_bytes(), key.as_bytes());
    let mut short = [0; SHORT];
    if let Some((start, rest)) = short.split_at_mut_checked(collection.len())
        && let Some((separator, rest)) = rest.split_first_mut()
        && let Some(end) = rest.get_mut(..key.len())
    {
        start.copy_from_slice(collection);
        *separator = SEPARATOR;
        end.copy_from_slice(key);
        return SortKey::Short { len: (collection.len() + 1 + key.len()) as u8, bytes: short };
    }
    SortKey::Long([collection, &[SEPARATOR], key].concat().into())
}

impl Deref for SortKey {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for SortKey {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..key.len()) {
            Some(start) => {
                start.copy_from_slice(key);
                Self::Short { len: key.len() as u8, bytes }
            }
            None => Self::Long(key.into()),
        }
    }
}

impl Borrow<[u8]> for SortKey {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SortKey {}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl fmt::Debug for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.escape_ascii().fmt(f)
    }
}

/// A sort key's collection and key. `None` when the bytes are not a sort key.
pub(crate) fn split_sort_key(bytes: &[u8]) -> Option<(&str, &str)> {
    let at = memchr::memchr(SEPARATOR, bytes)?;
    let names = std::str::from_utf8(bytes).ok()?;
    Some((names.get(..at)?, names.get(at + 1..)?))
}

/// Refuses a collection name that is empty, too long, or holds control characters.
pub(crate) fn check_collection(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::InvalidArgument, "a collection name must not be empty"));
    }
    if name.len() > MAX_COLLECTION_BYTES {
        let message = format!(
            "a collection name of {} bytes is over the limit of {MAX_COLLECTION_BYTES}; shorten it",
            name.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    // Most names are told by their bytes.
    let is_plain = name.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if !is_plain && name.chars().any(char::is_control) {
        let message = "a collection name must not hold control characters; leave them out";
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(())
}

/// Refuses a key that is empty or too long.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(ErrorKind::InvalidArgument, "a key must not be empty"));
    }
    if key.len() > MAX_KEY_BYTES {
        let message =
            format!("a key of {} bytes is over the limit of {MAX_KEY_BYTES}; shorten it", key.len());
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// The text of one JSON value without the white space between its tokens.
///
/// Everything that JSON's grammar allows is kept: duplicate members, any exponent, lone surrogate escapes.
pub(crate) fn minify<'a>(text: &'a str, limits: &Limits) -> Result<Cow<'a, str>> {
    let shape = json::check(text).map_err(|json::Fault(at)| {
        let message = format!("the document is not valid JSON from byte {at} on");
        Error::new(ErrorKind::InvalidArgument, message)
    })?;
    if shape.depth > limits.max_depth {
        let message = format!(
            "a document nested {} deep is over the limit of {}; flatten it",
            shape.depth, limits.max_depth
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let len = text.len() - shape.spaces;
    if len > limits.max_value_bytes {
        let message =
            format!("a document of {len} bytes is over the limit of {}; split it", limits.max_value_bytes);
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    if shape.spaces == 0 { Ok(Cow::Borrowed(text)) } else { Ok(Cow::Owned(without_spaces(text, len))) }
}

/// The position after the quote that ends the string whose contents begin at `at`.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(rest) = json.get(at..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest.get(found) == Some(&b'\\') => at += found + 2,
            Some(found) => return at + found + 1,
            None => break,
        }
    }
    json.len()
}

fn without_spaces(text: &str, len: usize) -> String {
    let mut out = String::with_capacity(len);
    let bytes = text.as_bytes();
    let (mut from, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(text.get(from..at - 1).unwrap_or_default());
                from = at;
            }
            _ => {}
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> String {
        minify(text, &Limits::default()).unwrap().into_owned()
    }

    #[test]
    fn keeps_every_token_and_drops_white_space() {
        assert_eq!(
            ok(" { \"b\" : [ 1 , 2.50 ] ,\r\n\t\"a b\" : \"x \\\" y\" } "),
            r#"{"b":[1,2.50],"a b":"x \" y"}"#
        );
        assert_eq!(ok(r#"{"a":1,"a":2}"#), r#"{"a":1,"a":2}"#);
        assert_eq!(ok("1e999999"), "1e999999");
        assert_eq!(ok(r#""\ud800""#), r#""\ud800""#);
        assert_eq!(ok("-0.0"), "-0.0");
        assert!(matches!(minify("[1]", &Limits::default()).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn refuses_what_is_not_one_json_value() {
        for text in ["", " ", "{", "[1,]", "1 2", "nul", "\"a\u{1}\"", "{\"a\":}", "01"] {
            assert_eq!(
                minify(text, &Limits::default()).unwrap_err().kind(),
                ErrorKind::InvalidArgument,
                "{text}"
            );
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(ok(&nested(128)), nested(128));
        assert_eq!(minify(&nested(129), &Limits::default()).unwrap_err().kind(), ErrorKind::TooLarge);
        let limits = Limits { max_value_bytes: 4, ..Limits::default() };
        assert_eq!(minify(" \"ab\" ", &limits).unwrap(), "\"ab\"");
        assert_eq!(minify("\"abc\"", &limits).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(check_key(&"k".repeat(1024)).is_ok());
        assert_eq!(check_key(&"k".repeat(1025)).unwrap_err().kind(), ErrorKind::TooLarge);
        assert!(check_collection(&"c".repeat(255)).is_ok());
        assert_eq!(check_collection("a\u{7f}").unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn sort_keys_order_by_collection_then_key() {
        assert!(sort_key("a", "\u{10ffff}") < sort_key("a!", "a"));
        assert!(sort_key("a", "") < sort_key("a", "\0"));
        let around: Vec<_> = (1..100).map(|len| sort_key("documents", &"k".repeat(len))).collect();
        assert!(around.is_sorted() && around.iter().all(|key| *key == SortKey::from(&**key)));
        for key in around {
            let expected = format!("documents\0{}", "k".repeat(key.len() - 10));
            assert_eq!((&*key, key.to_vec()), (expected.as_bytes(), expected.clone().into_bytes()));
        }
        assert_eq!(split_sort_key(&sort_key("c", "a\0b")), Some(("c", "a\0b")));
    }
}
