//! Writing: the texts of batches, and what else changes the database.

use super::Engine;
use super::convert::{self, number, settle, whole};
use crate::db::{Answer, Batch, Db, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;
use crate::storage::browser::BrowserStorage;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Which write of which client, and how durable, as the message has it.
    #[wasm_bindgen(typescript_type = "{ n: number; done: number; durability?: string }")]
    pub type Sent;

    #[wasm_bindgen(method, getter, structural)]
    fn n(this: &Sent) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    fn done(this: &Sent) -> f64;
    #[wasm_bindgen(method, getter, structural)]
    fn durability(this: &Sent) -> Option<String>;
}

impl Sent {
    fn origin(&self, client: String) -> Origin {
        Origin { client, number: whole(self.n()), done: whole(self.done()) }
    }

    /// The handle that has this write's durability.
    fn handle(&self, engine: &Engine) -> Db<BrowserStorage> {
        match self.durability() {
            Some(name) => engine.db.with_durability(durability_of(&name)),
            None => engine.db.clone(),
        }
    }
}

/// A string that borrows from the text where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

// A write has its place in the line when its call returns.
#[wasm_bindgen]
impl Engine {
    /// Writes a batch, all or nothing. `text` is an array of `["put",collection,key,document]`,
    /// `["delete",collection,key]` and `["drop",collection]`.
    #[wasm_bindgen(unchecked_return_type = "Settled<number>")]
    pub fn batch(&self, client: String, sent: &Sent, text: Vec<u8>) -> convert::Answer {
        let (db, origin) = (sent.handle(self), sent.origin(client));
        settle(async move {
            let mut batch = db.new_batch();
            for op in parse::<Vec<&RawValue>>(&text)? {
                push(&mut batch, op.get())?;
            }
            submit(&db, batch, origin).await
        })
    }

    /// Puts documents, all or nothing. `text` is an array of `[key,document]`.
    #[wasm_bindgen(js_name = putMany, unchecked_return_type = "Settled<number>")]
    pub fn put_many(
        &self,
        client: String,
        sent: &Sent,
        collection: String,
        text: Vec<u8>,
    ) -> convert::Answer {
        let (db, origin) = (sent.handle(self), sent.origin(client));
        settle(async move {
            let mut batch = db.new_batch();
            for (key, document) in parse::<Vec<(Text<'_>, &RawValue)>>(&text)? {
                batch.put_raw(&collection, &key.0, document.get())?;
            }
            submit(&db, batch, origin).await
        })
    }

    /// Deletes a document; whether it was there.
    #[wasm_bindgen(unchecked_return_type = "Settled<boolean>")]
    pub fn delete(&self, client: String, sent: &Sent, collection: String, key: String) -> convert::Answer {
        let (db, origin) = (sent.handle(self), sent.origin(client));
        settle(async move {
            let answer = db.submit_delete(&collection, &key, Some(origin))?.settled().await?;
            Ok(answer != Answer::Deleted(false))
        })
    }

    /// Resolves once everything accepted so far is durable.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn sync(&self) -> convert::Answer {
        let db = self.db.clone();
        settle(async move { db.sync().await.map(|()| JsValue::UNDEFINED) })
    }

    /// Merges everything into one snapshot file.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn compact(&self) -> convert::Answer {
        let db = self.db.clone();
        settle(async move { db.compact().await.map(|()| JsValue::UNDEFINED) })
    }
}

async fn submit(db: &Db<BrowserStorage>, batch: Batch, origin: Origin) -> Result<f64> {
    match db.submit(batch, Some(origin))?.settled().await? {
        Answer::Written(sequence) => Ok(number(sequence)),
        Answer::Deleted(_) => {
            Err(Error::new(ErrorKind::InvalidArgument, "this number was that of a deletion before"))
        }
    }
}

fn push(batch: &mut Batch, op: &str) -> Result<()> {
    // The first letters after `["` tell, for the caller is Pumice's own.
    let op = op.as_bytes();
    match op.get(2..4) {
        Some(b"pu") => {
            let (_, collection, key, document) = parse::<(Text<'_>, Text<'_>, Text<'_>, &RawValue)>(op)?;
            batch.put_raw(&collection.0, &key.0, document.get())?;
        }
        Some(b"de") => {
            let (_, collection, key) = parse::<(Text<'_>, Text<'_>, Text<'_>)>(op)?;
            batch.delete(&collection.0, &key.0)?;
        }
        _ => {
            let (_, collection) = parse::<(Text<'_>, Text<'_>)>(op)?;
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
