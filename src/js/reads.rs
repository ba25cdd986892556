//! Reading: documents by key, and ranges in one text or in chunks.

use super::Engine;
use super::convert::{Answer, Elements, Range, number, settle, thrown, whole};
use crate::db::RawScan;
use crate::error::{Error, ErrorKind, Result};
use crate::format::json::push_string;
use crate::storage::browser::BrowserStorage;
use js_sys::{Array, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
impl Engine {
    /// The documents under `keys` that are there, as the text of an array, and the places of the keys without one.
    #[wasm_bindgen(unchecked_return_type = "Settled<[Uint8Array, number[]]>")]
    pub fn get(&self, collection: String, keys: Vec<String>) -> Answer {
        let view = self.db.read_view();
        settle(async move {
            let (mut documents, missing) = (Elements::new(), Array::new());
            for (place, key) in keys.iter().enumerate() {
                match view.get_raw(&collection, key).await? {
                    Some(document) => documents.next().extend_from_slice(document.as_bytes()),
                    None => drop(missing.push(&JsValue::from(place))),
                }
            }
            Ok(Array::of2(&documents.finish(), &missing))
        })
    }

    /// Begins a walk over a range, as the database is now.
    pub fn scan(&self, collection: &str, range: &Range) -> std::result::Result<Cursor, JsValue> {
        let scan = self.db.read_view().scan_raw(collection, &range.keys());
        let scan = scan.map_err(|error| thrown(&error))?;
        Ok(Cursor { scan: Rc::new(RefCell::new(Some(scan))) })
    }

    /// How many documents a range has.
    #[wasm_bindgen(unchecked_return_type = "Settled<number>")]
    pub fn count(&self, collection: String, range: &Range) -> Answer {
        let (view, keys) = (self.db.read_view(), range.keys());
        settle(async move { view.count(&collection, keys).await.map(number) })
    }

    /// The names of the collections that have documents.
    #[wasm_bindgen(unchecked_return_type = "Settled<string[]>")]
    pub fn collections(&self) -> Answer {
        let view = self.db.read_view();
        settle(async move { view.collections().await })
    }
}

/// A walk over a range.
#[wasm_bindgen]
pub struct Cursor {
    /// Away while a call is running, and at the end.
    scan: Rc<RefCell<Option<RawScan<BrowserStorage>>>>,
}

#[wasm_bindgen]
impl Cursor {
    /// The next documents as the text of an array of `[key,document]`, `bytes` of it or a little more, and whether
    /// there may be more. One call at a time.
    #[wasm_bindgen(unchecked_return_type = "Settled<[Uint8Array, boolean]>")]
    pub fn next(&self, bytes: f64) -> Answer {
        let (place, bytes) = (Rc::clone(&self.scan), whole(bytes));
        settle(async move {
            let scan = place.take();
            let mut scan =
                scan.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the scan is busy or at its end"))?;
            let (text, more) = chunk(&mut scan, bytes).await?;
            place.replace(more.then_some(scan));
            Ok(Array::of2(&text, &more.into()))
        })
    }
}

/// What the last document adds to a chunk of text, in most cases.
const BEYOND: usize = 4 << 10;

async fn chunk(scan: &mut RawScan<BrowserStorage>, bytes: u64) -> Result<(Uint8Array, bool)> {
    // Growing would copy what is there again and again.
    let mut entries = Elements::with_capacity(usize::try_from(bytes).unwrap_or(0) + BEYOND);
    while (entries.len() as u64) < bytes {
        if !scan.advance().await? {
            return Ok((entries.finish(), false));
        }
        let out = entries.next();
        out.push(b'[');
        push_string(out, scan.names()?.1);
        out.push(b',');
        out.extend_from_slice(scan.text()?.as_bytes());
        out.push(b']');
    }
    Ok((entries.finish(), true))
}
