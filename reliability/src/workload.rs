//! What the worker writes: an endless sequence of operations that follows from their numbers alone.
//!
//! So whoever knows how many were acknowledged knows every document that must be there, and every one that may be.

use crate::engine::{Documents, Engine};
use anyhow::Result;
use std::hash::{DefaultHasher, Hash, Hasher};

pub enum Operation {
    Put(String, String),
    /// Two documents that belong together.
    PutBoth([(String, String); 2]),
    Delete(String),
    Compact,
}

/// Operation number `n`, from 0 on.
pub fn operation(n: u64) -> Operation {
    // Neighbours write different keys, and every key is written again and again.
    let slot = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    if n % 97 == 96 {
        return Operation::Compact;
    }
    match n % 8 {
        6 => Operation::Delete(format!("single-{slot:03}")),
        2 | 5 => Operation::PutBoth([
            (format!("left-{slot:03}"), document(n, 60)),
            (format!("right-{slot:03}"), document(n, 90)),
        ]),
        // Now and then one that spans several pages of any file system.
        7 if n.is_multiple_of(5) => Operation::Put(format!("single-{slot:03}"), document(n, 9000)),
        _ => Operation::Put(format!("single-{slot:03}"), document(n, 50 + n % 300)),
    }
}

fn document(n: u64, padding: u64) -> String {
    let letter = char::from(b'a' + (n % 26) as u8);
    format!("{{\"n\":{n},\"text\":\"{}\"}}", letter.to_string().repeat(padding as usize))
}

impl Operation {
    /// Carries it out, durably.
    ///
    /// # Errors
    /// The engine's.
    pub fn write(&self, engine: &mut dyn Engine) -> Result<()> {
        match self {
            Self::Put(key, document) => engine.put(key, document),
            Self::PutBoth(documents) => engine.put_both(documents),
            Self::Delete(key) => engine.delete(key),
            Self::Compact => engine.compact(),
        }
    }
}

/// The documents after some number of operations.
#[derive(Default)]
pub struct Model {
    pub documents: Documents,
    operations: u64,
    digest: u64,
}

impl Model {
    pub fn after(operations: u64) -> Self {
        let mut model = Self::default();
        (0..operations).for_each(|_| model.step());
        model
    }

    pub fn step(&mut self) {
        match operation(self.operations) {
            Operation::Put(key, document) => self.put(key, document),
            Operation::PutBoth(documents) => documents.into_iter().for_each(|(k, d)| self.put(k, d)),
            Operation::Delete(key) => self.remove(&key),
            Operation::Compact => {}
        }
        self.operations += 1;
    }

    fn put(&mut self, key: String, document: String) {
        self.remove(&key);
        self.digest ^= digest(&key, &document);
        self.documents.insert(key, document);
    }

    fn remove(&mut self, key: &str) {
        if let Some(document) = self.documents.remove(key) {
            self.digest ^= digest(key, &document);
        }
    }

    /// The largest number of operations, up to `most`, after which exactly these documents are there.
    pub fn find(found: &Documents, most: u64) -> Option<u64> {
        let wanted = found.iter().fold(0, |all, (key, document)| all ^ digest(key, document));
        let mut model = Self::default();
        let mut last = None;
        loop {
            if model.digest == wanted && model.documents == *found {
                last = Some(model.operations);
            }
            if model.operations == most {
                return last;
            }
            model.step();
        }
    }
}

fn digest(key: &str, document: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, document).hash(&mut hasher);
    hasher.finish()
}
