//! The database's files: counts and sizes, and the log as it stands.

use super::Engine;
use super::convert::{Answer, number, settle, whole};
use crate::db::Db;
use crate::error::{ErrorKind, Result};
use crate::storage::Storage;
use crate::storage::browser::BrowserStorage;
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const STATS: &str = "interface EngineStats {
  documents: number; sequence: number; logBytes: number; snapshotBytes: number; segments: number; compactions: number;
  files: { name: string; bytes: number }[];
}";

#[wasm_bindgen]
impl Engine {
    /// Counts and sizes, and the files.
    #[wasm_bindgen(unchecked_return_type = "Settled<EngineStats>")]
    pub fn stats(&self) -> Answer {
        let db = self.db.clone();
        settle(async move {
            let (stats, storage) = (db.stats().await?, &db.core().storage);
            let files = Array::new();
            for name in storage.list().await? {
                // A compaction may have removed it meanwhile.
                if let Ok(bytes) = storage.len(&name).await {
                    files.push(&object(&[("name", name.into()), ("bytes", number(bytes).into())]));
                }
            }
            Ok(object(&[
                ("documents", number(stats.documents).into()),
                ("sequence", number(stats.sequence).into()),
                ("logBytes", number(stats.log_bytes).into()),
                ("snapshotBytes", number(stats.snapshot_bytes).into()),
                ("segments", number(stats.segments).into()),
                ("compactions", number(stats.compactions).into()),
                ("files", files.into()),
            ]))
        })
    }

    /// The log's last lines as they stand, `bytes` of them at most.
    #[wasm_bindgen(unchecked_return_type = "Settled<Uint8Array>")]
    pub fn log(&self, bytes: f64) -> Answer {
        let (db, bytes) = (self.db.clone(), usize::try_from(whole(bytes)).unwrap_or(usize::MAX));
        settle(async move { tail(&db, bytes).await.map(|text| Uint8Array::from(&*text)) })
    }
}

/// The whole lines among the last `bytes` bytes of the log.
async fn tail(db: &Db<BrowserStorage>, bytes: usize) -> Result<Vec<u8>> {
    let segments = db.core().commit.queue().segments.clone();
    let mut lines = Vec::new();
    for segment in segments.iter().rev() {
        // One byte more, to see whether the first line is whole.
        let start = segment.bytes.saturating_sub((bytes - lines.len()) as u64 + 1);
        let len = usize::try_from(segment.bytes - start).unwrap_or(usize::MAX);
        let mut part = match db.core().storage.read_at(&segment.name, start, len).await {
            // A compaction has removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            read => read?,
        };
        if start > 0 {
            part.drain(..memchr::memchr(b'\n', &part).map_or(part.len(), |end| end + 1));
        }
        part.append(&mut lines);
        lines = part;
        if start > 0 {
            break;
        }
    }
    Ok(lines)
}

fn object(members: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in members {
        // Setting a member of a plain object cannot fail.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}
