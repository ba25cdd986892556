//! Snapshots on their way out and in.

use super::Engine;
use super::convert::{Answer, settle};
use crate::db::Export;
use crate::import::SnapshotSource;
use crate::storage::browser::BrowserStorage;
use crate::storage::browser::blob::BlobSource;
use js_sys::Uint8Array;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::Blob;

/// A snapshot file in the making.
#[wasm_bindgen]
pub struct Exporter {
    /// Away while a call is running; begun by the first one.
    export: Rc<RefCell<Option<Export<BrowserStorage>>>>,
}

#[wasm_bindgen]
impl Engine {
    /// Begins a snapshot file of everything that was written so far.
    #[wasm_bindgen(unchecked_return_type = "Settled<Exporter>")]
    pub fn export(&self) -> Answer {
        let db = self.db.clone();
        settle(async move {
            let export = db.export_snapshot().await?;
            Ok(Exporter { export: Rc::new(RefCell::new(Some(export))) })
        })
    }

    /// Replaces everything by the contents of a snapshot file, once it is verified.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn import(&self, file: Blob) -> Answer {
        let db = self.db.clone();
        let source = BlobSource::new(file);
        let name = source.name();
        let source = BrowserStorage::outside(source);
        settle(async move { db.import_from(source, name).await.map(|()| JsValue::UNDEFINED) })
    }
}

#[wasm_bindgen]
impl Exporter {
    /// The next bytes of the file; nothing behind the last ones. One call at a time.
    #[wasm_bindgen(unchecked_return_type = "Settled<Uint8Array | undefined>")]
    pub fn next(&self) -> Answer {
        let place = Rc::clone(&self.export);
        settle(async move {
            let Some(mut export) = place.take() else { return Ok(JsValue::UNDEFINED) };
            let Some(chunk) = export.next_chunk().await? else { return Ok(JsValue::UNDEFINED) };
            place.replace(Some(export));
            Ok(Uint8Array::from(&*chunk).into())
        })
    }
}
