//! Snapshots on their way out and in.

use super::Engine;
use super::convert::{Answer, number, settle};
use crate::db::Export;
use crate::error::{Error, ErrorKind, Result};
use crate::import::SnapshotSource;
use crate::storage::browser::BrowserStorage;
use js_sys::{ArrayBuffer, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// So much of a file is read at once: snapshots are read in small pieces, one behind the other.
const WINDOW: u64 = 1 << 20;

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
        let source = BlobSource { blob: file, window: RefCell::default() };
        settle(async move { db.import_snapshot(source).await.map(|()| JsValue::UNDEFINED) })
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

/// A file that the page handed over.
struct BlobSource {
    blob: Blob,
    /// The piece that was read last, and where it begins.
    window: RefCell<(u64, Vec<u8>)>,
}

impl BlobSource {
    async fn read(&self, start: u64, end: u64) -> std::result::Result<Vec<u8>, JsValue> {
        let piece = self.blob.slice_with_f64_and_f64(number(start), number(end))?;
        let buffer: ArrayBuffer = JsFuture::from(piece.array_buffer()).await?.unchecked_into();
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

impl SnapshotSource for BlobSource {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A whole number, and exact.
    async fn len(&self) -> Result<u64> {
        Ok(self.blob.size() as u64)
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(self.len().await?);
        if offset >= end {
            return Ok(Vec::new());
        }
        let within = |window: &(u64, Vec<u8>)| {
            let from = usize::try_from(offset.checked_sub(window.0)?).ok()?;
            let to = usize::try_from(end - window.0).ok()?;
            window.1.get(from..to).map(<[u8]>::to_vec)
        };
        if let Some(bytes) = within(&self.window.borrow()) {
            return Ok(bytes);
        }
        let piece = self.read(offset, end.max(offset + WINDOW)).await;
        let piece = piece
            .map_err(|_| Error::new(ErrorKind::Io, "the browser cannot read the file; choose it again"))?;
        let window = (offset, piece);
        let bytes = within(&window);
        self.window.replace(window);
        bytes.ok_or_else(|| Error::new(ErrorKind::Io, "the file became shorter while it was read"))
    }
}
