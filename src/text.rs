//! A document's JSON text, shared instead of copied.

use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Deref;

/// One JSON value as text, exactly as it was stored. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonText(ByteString);

impl JsonText {
    pub(crate) fn from_stored(bytes: Bytes) -> Result<Self> {
        ByteString::try_from(bytes).map(Self).map_err(|_| not_utf8())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The document as a `T`.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the document has another shape than `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        parse(self)
    }
}

pub(crate) fn not_utf8() -> Error {
    Error::new(ErrorKind::Corrupt, "a stored document is not UTF-8; run `pumice verify` to find the file")
}

/// A stored document's text as a `T`.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Its depth was bounded when it was stored.
    deserializer.disable_recursion_limit();
    T::deserialize(&mut deserializer).map_err(|e| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("the stored document is not of the type asked for: {e}"),
        )
    })
}

impl Deref for JsonText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for JsonText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for JsonText {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for JsonText {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
