//! The face for JavaScript: converts, calls, converts back. The worker in `src/js/worker.ts` is its one caller.
//!
//! Documents cross as JSON text in UTF-8 and are never parsed into anything. A call either gives its value or a promise of
//! it (`Settled`), and throws the string `code: message`; whatever else comes out of it is a crash, after which the
//! instance must not be used.

#![allow(clippy::needless_pass_by_value)] // What crosses is the callee's.

#[path = "js/convert.rs"]
mod convert;
#[cfg(feature = "encryption")]
#[path = "js/encryption.rs"]
mod encryption;
#[cfg(not(feature = "encryption"))]
#[path = "js/no_encryption.rs"]
mod encryption;
#[path = "js/feed.rs"]
mod feed;
#[path = "js/files.rs"]
mod files;
#[path = "js/places.rs"]
mod places;
#[path = "js/reads.rs"]
mod reads;
#[path = "js/transfer.rs"]
mod transfer;
#[path = "js/writes.rs"]
mod writes;

use crate::db::Db;
use crate::options::Options;
use crate::storage::browser::{self, BrowserStorage, Kind, Wanted};
use convert::{Answer, number, settle, thrown, whole};
use encryption::Key;
use js_sys::Array;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const SETTLED: &str = "type Settled<T> = T | Promise<T>;";

/// How long whoever had the files before may take to let them go.
const PATIENCE: Duration = Duration::from_secs(20);
/// The bytes of log that are worth a compaction when nobody writes: whoever loads the page again would replay them.
const IDLE_TAIL: u64 = 1 << 20;
/// For how long after opening the one thread is left to those who want to see something.
const REST: Duration = Duration::from_secs(1);
/// How long the tabs have, after a change of leader, to say which part of the log their feeds still need.
const FEED_GRACE: Duration = Duration::from_secs(60);

/// An open database.
#[wasm_bindgen]
pub struct Engine {
    db: Db<BrowserStorage>,
    /// What opened it, if it is encrypted.
    key: Rc<RefCell<Option<Key>>>,
    storage: Kind,
    evicted: bool,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the database `name`, or makes it. With a `key` or a `passphrase` everything in it is encrypted.
    pub async fn open(
        name: String,
        storage: String,
        durability: String,
        flush_interval: f64,
        key: Option<Vec<u8>>,
        passphrase: Option<String>,
    ) -> std::result::Result<Engine, JsValue> {
        // A panic ends the instance by an exception that says where; without this it would be a bare trap.
        std::panic::set_hook(Box::new(|panic| wasm_bindgen::throw_str(&panic.to_string())));
        let mut options = Options::new()
            .durability(writes::durability_of(&durability))
            .feed_grace(FEED_GRACE)
            .compact_when_idle_at(Some(IDLE_TAIL))
            .flush_interval(Duration::from_millis(whole(flush_interval)));
        options.rest_after_opening = REST;
        let wanted = match storage.as_str() {
            "opfs" => Wanted::Opfs,
            "indexeddb" => Wanted::IndexedDb,
            "memory" => Wanted::Memory,
            _ => Wanted::Auto,
        };
        let key = encryption::key_of(key, passphrase).map_err(|error| thrown(&error))?;
        let opened = browser::open(&name, wanted, PATIENCE).await.map_err(|error| thrown(&error))?;
        let (kind, evicted) = (opened.storage.kind(), opened.evicted);
        let storage =
            encryption::applied(opened.storage, key.as_ref()).await.map_err(|error| thrown(&error))?;
        let db = Db::open_with(storage, options).await.map_err(|error| thrown(&error))?;
        let opened = Arc::clone(&db.core().storage);
        wasm_bindgen_futures::spawn_local(async move { opened.settle(REST).await });
        Ok(Engine { db, key: Rc::new(RefCell::new(key)), storage: kind, evicted })
    }

    /// Where the database lies.
    #[wasm_bindgen(getter, unchecked_return_type = "'opfs' | 'indexeddb' | 'memory'")]
    pub fn storage(&self) -> String {
        let kind = match self.storage {
            Kind::Opfs => "opfs",
            Kind::IndexedDb => "indexeddb",
            Kind::Memory => "memory",
        };
        kind.to_owned()
    }

    /// Whether the browser had removed the files of a database of this name, so that this is a new one.
    #[wasm_bindgen(getter)]
    pub fn evicted(&self) -> bool {
        self.evicted
    }

    /// Whether writing goes on.
    #[wasm_bindgen(getter)]
    pub fn healthy(&self) -> bool {
        self.db.health().is_ok()
    }

    /// How many bytes behind the last write opening set aside, and the file that has them, if there were any.
    #[wasm_bindgen(getter, unchecked_return_type = "[number, string] | undefined")]
    pub fn torn(&self) -> Option<Array> {
        let torn = self.db.recovery().torn.as_ref()?;
        let file = torn.quarantined.as_deref()?;
        Some(Array::of2(&number(torn.bytes).into(), &file.into()))
    }

    /// The sequence number of the last durable write.
    #[wasm_bindgen(getter)]
    pub fn durable(&self) -> f64 {
        number(self.db.durable())
    }

    /// Has another key open the database from now on, and no other.
    #[wasm_bindgen(js_name = changeKey, unchecked_return_type = "Settled<undefined>")]
    pub fn change_key(&self, key: Option<Vec<u8>>, passphrase: Option<String>) -> Answer {
        let (db, place) = (self.db.clone(), Rc::clone(&self.key));
        settle(async move {
            let key = encryption::key_of(key, passphrase)?;
            encryption::change_key(&db.core().storage, key.as_ref()).await?;
            place.replace(key);
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Makes everything durable and lets the files go.
    #[wasm_bindgen(unchecked_return_type = "Settled<undefined>")]
    pub fn close(&self) -> Answer {
        let db = self.db.clone();
        settle(async move { db.close().await.map(|()| JsValue::UNDEFINED) })
    }
}

/// The version of this library.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
