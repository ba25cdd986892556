//! The face for JavaScript: converts, calls, converts back. The worker in `src/js/worker.ts` is its one caller.
//!
//! Documents cross as JSON text in UTF-8 and are never parsed into anything. A call either gives its value or a promise of
//! it (`Settled`), and throws the string `code: message`; whatever else comes out of it is a crash, after which the
//! instance must not be used.

#![allow(clippy::needless_pass_by_value)] // What crosses is the callee's.

#[path = "js/convert.rs"]
mod convert;
#[path = "js/reads.rs"]
mod reads;
#[path = "js/storage.rs"]
mod storage;
#[path = "js/writes.rs"]
mod writes;

use crate::db::Db;
use crate::options::Options;
use convert::{number, settle, thrown, whole};
use std::time::Duration;
use storage::AnyStorage;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const SETTLED: &str = "type Settled<T> = T | Promise<T>;";

/// An open database.
#[wasm_bindgen]
pub struct Engine {
    db: Db<AnyStorage>,
    storage: &'static str,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the database `name`, or makes it.
    pub async fn open(
        name: String,
        storage: String,
        durability: String,
        flush_interval: f64,
    ) -> std::result::Result<Engine, JsValue> {
        // A panic ends the instance by an exception that says where; without this it would be a bare trap.
        std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
        let options = Options::new()
            .durability(writes::durability_of(&durability))
            .flush_interval(Duration::from_millis(whole(flush_interval)));
        let storage = AnyStorage::open(&name, &storage).await.map_err(|error| thrown(&error))?;
        let kind = storage.kind();
        let db = Db::open_with(storage, options).await.map_err(|error| thrown(&error))?;
        Ok(Engine { db, storage: kind })
    }

    /// Where the database lies.
    #[wasm_bindgen(getter, unchecked_return_type = "'opfs' | 'indexeddb' | 'memory'")]
    pub fn storage(&self) -> String {
        self.storage.to_owned()
    }

    /// Whether writing goes on.
    #[wasm_bindgen(getter)]
    pub fn healthy(&self) -> bool {
        self.db.health().is_ok()
    }

    /// The sequence number of the last durable write.
    #[wasm_bindgen(getter)]
    pub fn sequence(&self) -> f64 {
        number(self.db.core().commit.queue().durable)
    }

    /// Makes everything durable and lets the files go.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn close(&self) -> std::result::Result<JsValue, JsValue> {
        let db = self.db.clone();
        settle(async move { db.close().await.map(|()| JsValue::UNDEFINED) })
    }
}

/// The version of this library.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
