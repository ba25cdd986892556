//! Snapshots on their way out and in.

use super::Engine;
use super::convert::{Answer, settle};
use super::encryption::{self, Seal};
use crate::db::Export;
use crate::error::Result;
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
    pieces: Rc<RefCell<Option<Pieces>>>,
}

/// The bytes of the file, one piece after the other.
struct Pieces {
    export: Export<BrowserStorage>,
    /// Where the database is encrypted, so is the file.
    seal: Option<Seal>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        match (self.export.next_chunk().await?, &self.seal) {
            (Some(piece), Some(seal)) => seal.sealed(&piece).await.map(Some),
            (piece, _) => Ok(piece),
        }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Begins a snapshot file of everything that was written so far.
    #[wasm_bindgen(unchecked_return_type = "Settled<Exporter>")]
    pub fn export(&self) -> Answer {
        let db = self.db.clone();
        settle(async move {
            let export = db.export_snapshot().await?;
            let seal = Seal::of(&db.core().storage).await?;
            Ok(Exporter { pieces: Rc::new(RefCell::new(Some(Pieces { export, seal }))) })
        })
    }

    /// Replaces everything by the contents of a snapshot file, once it is verified.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn import(&self, file: Blob) -> Answer {
        let (db, key) = (self.db.clone(), self.key.borrow().clone());
        settle(async move {
            let source = BlobSource::new(file);
            let name = source.name();
            let source = encryption::outside(source, &db.core().storage, key).await?;
            db.import_from(source, name).await.map(|()| JsValue::UNDEFINED)
        })
    }
}

#[wasm_bindgen]
impl Exporter {
    /// The next bytes of the file; nothing behind the last ones. One call at a time.
    #[wasm_bindgen(unchecked_return_type = "Settled<Uint8Array | undefined>")]
    pub fn next(&self) -> Answer {
        let place = Rc::clone(&self.pieces);
        settle(async move {
            let Some(mut pieces) = place.take() else { return Ok(JsValue::UNDEFINED) };
            let Some(piece) = pieces.next().await? else { return Ok(JsValue::UNDEFINED) };
            place.replace(Some(pieces));
            Ok(Uint8Array::from(&*piece).into())
        })
    }
}
