//! The journal of a pool of slots, in `IndexedDB`.
//!
//! Chromium puts a value above 64 KiB into a file of its own, with a name of its own. Here no value is that large: an entry
//! is in parts, `{key}`, `{key}+00001` and so on.

use crate::error::Result;
use crate::storage::browser::connection::{Change, Connection, JOURNAL, META, range};
use crate::storage::browser::patience::Patience;
use crate::storage::pool::{Journal, JournalEdit};
use js_sys::{Array, Uint8Array};
use std::cell::Cell;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};

/// The longest part.
pub(in crate::storage) const PART: usize = 60 << 10;
/// Set for good when the journal got its first entry: since then there are files.
pub(in crate::storage) const USED: &str = "used";

/// A [`Journal`] in `IndexedDB`, which belongs to the one who has it open.
pub struct IndexedDbJournal {
    connection: Connection,
    used: Cell<bool>,
}

impl IndexedDbJournal {
    /// Opens the journal of the database `name`, or makes it.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) when another worker still has it open after `patience`.
    pub async fn open(name: &str, patience: Duration) -> Result<Self> {
        Ok(Self::new(Connection::open(name, &Patience::new(patience)).await?))
    }

    pub(in crate::storage) fn new(connection: Connection) -> Self {
        Self { connection, used: Cell::new(false) }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Journal for IndexedDbJournal {
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let all = self.connection.read(&[JOURNAL], |transaction| {
            let store = transaction.object_store(JOURNAL)?;
            Ok([store.get_all_keys()?, store.get_all()?])
        });
        let [keys, values] = all.await?.map(JsCast::unchecked_into::<Array>);
        let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
        for (key, value) in keys.iter().zip(values.iter()) {
            let key = key.as_string().unwrap_or_default();
            let bytes = Uint8Array::new(&value).to_vec();
            match (key.split_once('+'), entries.last_mut()) {
                (Some((whole, _)), Some((last, content))) if last == whole => content.extend(bytes),
                _ => entries.push((key, bytes)),
            }
        }
        Ok(entries)
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let all = self.connection.read(&[JOURNAL], |t| Ok([t.object_store(JOURNAL)?.get_all_keys()?]));
        let [keys] = all.await?.map(JsCast::unchecked_into::<Array>);
        let keys = keys.iter().filter_map(|key| key.as_string());
        Ok(keys.filter(|key| !key.contains('+')).collect())
    }

    async fn entry(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let parts = self.connection.read(&[JOURNAL], |transaction| {
            let store = transaction.object_store(JOURNAL)?;
            let rest = range(&format!("{key}+"), &format!("{key},")).map_or(JsValue::NULL, JsValue::from);
            Ok([store.get(&key.into())?, store.get_all_with_key(&rest)?])
        });
        let [first, rest] = parts.await?;
        if first.is_undefined() {
            return Ok(None);
        }
        let mut bytes = Uint8Array::new(&first).to_vec();
        for part in rest.unchecked_into::<Array>().iter() {
            bytes.extend(Uint8Array::new(&part).to_vec());
        }
        Ok(Some(bytes))
    }

    async fn commit(&self, edits: Vec<JournalEdit>) -> Result<()> {
        let mut changes = Vec::new();
        for edit in &edits {
            match edit {
                JournalEdit::Put { key, value } => {
                    changes.push(Change::Remove(JOURNAL, format!("{key}+"), format!("{key},")));
                    changes.push(Change::Bytes(JOURNAL, key.clone(), &value[..value.len().min(PART)]));
                    for (part, bytes) in (1..).zip(value.chunks(PART).skip(1)) {
                        changes.push(Change::Bytes(JOURNAL, format!("{key}+{part:05}"), bytes));
                    }
                    if !self.used.replace(true) {
                        changes.push(Change::Value(META, USED, "yes".into()));
                    }
                }
                JournalEdit::Remove { from, to } => {
                    changes.push(Change::Remove(JOURNAL, from.clone(), to.clone()));
                }
            }
        }
        self.connection.write(&changes).await.inspect_err(|_| self.used.set(false))
    }

    async fn close(&self) {
        self.connection.close();
    }
}
