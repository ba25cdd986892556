//! Writing: the texts of batches, and what else changes the database.

use super::Engine;
use super::convert::{self, number, settle, whole};
use crate::db::{Answer, Batch, Db, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::format::json::{Fault, Reader};
use crate::options::Durability;
use crate::storage::browser::BrowserStorage;
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
            for_each(&text, |reader| push(&mut batch, reader))?;
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
            for_each(&text, |reader| {
                let key = reader.string().map_err(unreadable)?;
                batch.put_raw(&collection, &key, after_comma(reader)?.value().map_err(unreadable)?).map(drop)
            })?;
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

fn push(batch: &mut Batch, op: &mut Reader<'_>) -> Result<()> {
    let kind = op.string().map_err(unreadable)?;
    let collection = after_comma(op)?.string().map_err(unreadable)?;
    if kind == "drop" {
        return batch.drop_collection(&collection).map(drop);
    }
    let key = after_comma(op)?.string().map_err(unreadable)?;
    if kind == "delete" {
        return batch.delete(&collection, &key).map(drop);
    }
    batch.put_raw(&collection, &key, after_comma(op)?.value().map_err(unreadable)?).map(drop)
}

/// Has `read` what is inside of each of an array's arrays.
fn for_each<'a>(text: &'a [u8], mut read: impl FnMut(&mut Reader<'a>) -> Result<()>) -> Result<()> {
    let text = std::str::from_utf8(text).map_err(|error| unreadable(Fault(error.valid_up_to())))?;
    let (mut reader, mut first) = (Reader::new(text), true);
    reader.expect(b'[').map_err(unreadable)?;
    while reader.more(first, b']').map_err(unreadable)? {
        first = false;
        reader.expect(b'[').map_err(unreadable)?;
        read(&mut reader)?;
        reader.expect(b']').map_err(unreadable)?;
    }
    reader.end().map_err(unreadable)
}

fn after_comma<'r, 'a>(reader: &'r mut Reader<'a>) -> Result<&'r mut Reader<'a>> {
    reader.expect(b',').map_err(unreadable)?;
    Ok(reader)
}

fn unreadable(Fault(at): Fault) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("the message of a write is not readable from byte {at} on"),
    )
}

pub(super) fn durability_of(name: &str) -> Durability {
    if name == "buffered" { Durability::Buffered } else { Durability::Disk }
}
