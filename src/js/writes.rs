//! Writing: the texts of batches, and what else changes the database.

use super::Engine;
use super::convert::{number, settle};
use super::storage::AnyStorage;
use crate::db::{Batch, Db};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use wasm_bindgen::prelude::*;

/// A string that borrows from the text where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[wasm_bindgen]
impl Engine {
    /// Writes a batch, all or nothing. `text` is an array of `["put",collection,key,document]`,
    /// `["delete",collection,key]` and `["drop",collection]`.
    #[wasm_bindgen(unchecked_return_type = "Settled<number>")]
    pub fn batch(&self, text: Vec<u8>, durability: Option<String>) -> std::result::Result<JsValue, JsValue> {
        let db = self.with(durability.as_deref());
        settle(async move {
            db.batch(|batch| {
                for op in parse::<Vec<&RawValue>>(&text)? {
                    push(batch, op.get())?;
                }
                Ok(())
            })
            .await
            .map(number)
        })
    }

    /// Puts documents, all or nothing. `text` is an array of `[key,document]`.
    #[wasm_bindgen(js_name = putMany, unchecked_return_type = "Settled<number>")]
    pub fn put_many(
        &self,
        collection: String,
        text: Vec<u8>,
        durability: Option<String>,
    ) -> std::result::Result<JsValue, JsValue> {
        let db = self.with(durability.as_deref());
        settle(async move {
            db.batch(|batch| {
                for (key, document) in parse::<Vec<(Text<'_>, &RawValue)>>(&text)? {
                    batch.put_raw(&collection, &key.0, document.get())?;
                }
                Ok(())
            })
            .await
            .map(number)
        })
    }

    /// Deletes a document; whether it was there.
    #[wasm_bindgen(unchecked_return_type = "Settled<boolean>")]
    pub fn delete(
        &self,
        collection: &str,
        key: String,
        durability: Option<String>,
    ) -> std::result::Result<JsValue, JsValue> {
        let collection = self.with(durability.as_deref()).collection(collection);
        settle(async move { collection.delete(&key).await })
    }

    /// Resolves once everything accepted so far is durable.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn sync(&self) -> std::result::Result<JsValue, JsValue> {
        let db = self.db.clone();
        settle(async move { db.sync().await.map(|()| JsValue::UNDEFINED) })
    }

    /// Merges everything into one snapshot file.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn compact(&self) -> std::result::Result<JsValue, JsValue> {
        let db = self.db.clone();
        settle(async move { db.compact().await.map(|()| JsValue::UNDEFINED) })
    }
}

impl Engine {
    /// The handle for a write that may choose its durability.
    fn with(&self, durability: Option<&str>) -> Db<AnyStorage> {
        match durability {
            Some(name) => self.db.with_durability(durability_of(name)),
            None => self.db.clone(),
        }
    }
}

fn push(batch: &mut Batch, op: &str) -> Result<()> {
    // The first letter after `["` tells, for the callers are Pumice's own.
    match op.as_bytes().get(2) {
        Some(b'p') => {
            let (_, collection, key, document) =
                parse::<(Text<'_>, Text<'_>, Text<'_>, &RawValue)>(op.as_bytes())?;
            batch.put_raw(&collection.0, &key.0, document.get())?;
        }
        Some(b'd') if op.as_bytes().get(3) == Some(&b'e') => {
            let (_, collection, key) = parse::<(Text<'_>, Text<'_>, Text<'_>)>(op.as_bytes())?;
            batch.delete(&collection.0, &key.0)?;
        }
        _ => {
            let (_, collection) = parse::<(Text<'_>, Text<'_>)>(op.as_bytes())?;
            batch.drop_collection(&collection.0)?;
        }
    }
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T> {
    serde_json::from_slice(text)
        .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("this cannot be written: {error}")))
}

pub(super) fn durability_of(name: &str) -> Durability {
    if name == "buffered" { Durability::Buffered } else { Durability::Disk }
}
