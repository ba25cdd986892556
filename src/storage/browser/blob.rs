//! A snapshot file that a page hands over.

#![allow(clippy::cast_sign_loss, clippy::cast_precision_loss)] // Lengths in JavaScript are numbers.

use crate::error::{Error, ErrorKind, Result};
use crate::import::SnapshotSource;
use js_sys::{ArrayBuffer, Uint8Array};
use std::cell::RefCell;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

/// So much of a file is read at once: snapshots are read in small pieces, one behind the other.
const WINDOW: u64 = 1 << 20;

/// A file that the page handed over.
#[derive(Clone)]
pub(crate) struct BlobSource {
    blob: Blob,
    /// The piece that was read last, and where it begins.
    window: RefCell<(u64, Vec<u8>)>,
}

impl BlobSource {
    pub(crate) fn new(blob: Blob) -> Self {
        Self { blob, window: RefCell::default() }
    }

    async fn read(&self, start: u64, end: u64) -> std::result::Result<Vec<u8>, JsValue> {
        let piece = self.blob.slice_with_f64_and_f64(start as f64, end as f64)?;
        let buffer: ArrayBuffer = JsFuture::from(piece.array_buffer()).await?.unchecked_into();
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

#[cfg(feature = "encryption")]
impl crate::sealed_snapshot::Medium for BlobSource {}

impl SnapshotSource for BlobSource {
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
