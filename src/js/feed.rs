//! Feeds of durable changes, in chunks of text.

use super::Engine;
use super::convert::{Answer, number, settle, thrown, whole};
use crate::db::{Confirmations, Feed};
use crate::storage::browser::BrowserStorage;
use js_sys::{Array, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

/// A feed. Freed, it lets the log go.
#[wasm_bindgen]
pub struct Changes {
    /// Away while a call is running.
    feed: Rc<RefCell<Option<Feed<BrowserStorage>>>>,
    confirmations: Confirmations<BrowserStorage>,
}

impl Drop for Changes {
    fn drop(&mut self) {
        // The feed itself may wait for news.
        self.confirmations.end();
    }
}

#[wasm_bindgen]
impl Engine {
    /// Every durable change after the sequence number `after`, of one collection or of all.
    pub fn feed(&self, after: f64, collection: Option<String>) -> Result<Changes, JsValue> {
        let feed = self.db.feed(whole(after), collection.as_deref()).map_err(|error| thrown(&error))?;
        let confirmations = feed.confirmations();
        Ok(Changes { feed: Rc::new(RefCell::new(Some(feed))), confirmations })
    }
}

#[wasm_bindgen]
impl Changes {
    /// The next changes as the text of an array of `{sequence,collection,key,type,document}`, about `bytes` of it, and the
    /// sequence number up to which all are told. Waits for some; nothing once the database is closed. One call at a time.
    #[wasm_bindgen(unchecked_return_type = "Settled<[Uint8Array, number] | undefined>")]
    pub fn next(&self, bytes: f64) -> Answer {
        let (place, bytes) = (Rc::clone(&self.feed), whole(bytes));
        settle(async move {
            let Some(mut feed) = place.take() else { return Ok(JsValue::UNDEFINED) };
            let Some(chunk) = feed.next_chunk(usize::try_from(bytes).unwrap_or(usize::MAX)).await? else {
                return Ok(JsValue::UNDEFINED);
            };
            place.replace(Some(feed));
            Ok(Array::of2(&Uint8Array::from(&*chunk.text), &number(chunk.through).into()).into())
        })
    }

    /// Everything up to `through` has arrived where it belongs.
    pub fn confirm(&self, through: f64) {
        self.confirmations.confirm(whole(through));
    }
}
