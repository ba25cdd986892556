//! A batch: operations that are written together or not at all.

use crate::document::{check_collection, check_key, minify};
use crate::error::{Error, ErrorKind, Result};
use crate::log::queue::WriteOp;
use crate::options::Limits;
use serde::Serialize;
use std::ops::Range;

/// Collects the operations of [`Db::batch`](crate::Db::batch), in order.
#[derive(Debug)]
pub struct Batch {
    limits: Limits,
    /// The names, keys and documents of all operations, one after the other.
    text: String,
    ops: Vec<Op>,
}

#[derive(Debug)]
struct Op {
    collection: Range<usize>,
    key: Range<usize>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Put(Range<usize>),
    Delete,
    Drop,
}

impl Batch {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, text: String::new(), ops: Vec::new() }
    }

    pub(crate) fn build(limits: Limits, build: impl FnOnce(&mut Self) -> Result<()>) -> Result<Self> {
        let mut batch = Self::new(limits);
        build(&mut batch)?;
        Ok(batch)
    }

    /// Stores a document, replacing any before it.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) or [`TooLarge`](ErrorKind::TooLarge) for what cannot be stored.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        collection: &str,
        key: &str,
        document: &T,
    ) -> Result<&mut Self> {
        self.put_raw(collection, key, &to_text(document)?)
    }

    /// Stores a document given as JSON text, digit for digit and in its order of members.
    ///
    /// # Errors
    /// As for [`put`](Self::put), and when `json` is not one JSON value.
    pub fn put_raw(&mut self, collection: &str, key: &str, json: &str) -> Result<&mut Self> {
        check_key(key)?;
        let collection = self.collection(collection)?;
        let json = minify(json, &self.limits)?;
        let op = Op { collection, key: self.push(key), kind: Kind::Put(self.push(&json)) };
        self.ops.push(op);
        Ok(self)
    }

    /// Removes a document, whether it is there or not.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn delete(&mut self, collection: &str, key: &str) -> Result<&mut Self> {
        check_key(key)?;
        let collection = self.collection(collection)?;
        let op = Op { collection, key: self.push(key), kind: Kind::Delete };
        self.ops.push(op);
        Ok(self)
    }

    /// Removes a whole collection.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn drop_collection(&mut self, collection: &str) -> Result<&mut Self> {
        let collection = self.collection(collection)?;
        self.ops.push(Op { collection, key: 0..0, kind: Kind::Drop });
        Ok(self)
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Neighbours mostly name the same collection.
    fn collection(&mut self, name: &str) -> Result<Range<usize>> {
        match self.ops.last().map(|op| op.collection.clone()) {
            Some(range) if self.slice(&range) == name => Ok(range),
            _ => {
                check_collection(name)?;
                Ok(self.push(name))
            }
        }
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    pub(crate) fn ops(&self) -> Vec<WriteOp<'_>> {
        let op = |op: &Op| {
            let (collection, key) = (op.collection.clone(), op.key.clone());
            let (collection, key) = (self.text.get(collection), self.text.get(key));
            let (collection, key) = (collection.unwrap_or_default(), key.unwrap_or_default());
            match &op.kind {
                Kind::Put(value) => {
                    WriteOp::Put { collection, key, value: self.text.get(value.clone()).unwrap_or_default() }
                }
                Kind::Delete => WriteOp::Delete { collection, key },
                Kind::Drop => WriteOp::Drop { collection },
            }
        };
        self.ops.iter().map(op).collect()
    }
}

/// A document as JSON text.
pub(crate) fn to_text<T: Serialize + ?Sized>(document: &T) -> Result<String> {
    serde_json::to_string(document).map_err(|e| {
        Error::new(ErrorKind::InvalidArgument, format!("the document cannot be written as JSON: {e}"))
    })
}
