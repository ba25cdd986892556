//! Databases as a whole: which there are, and deleting one.

use super::convert::{Answer, settle};
use crate::storage::browser;
use std::time::Duration;
use wasm_bindgen::prelude::*;

/// How long to wait for somebody who is just letting a database go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The names of this origin's databases.
#[wasm_bindgen(js_name = listDatabases, unchecked_return_type = "Settled<string[]>")]
pub fn list_databases() -> Answer {
    settle(browser::list())
}

/// Deletes all of a database that nobody has open.
#[wasm_bindgen(js_name = deleteDatabase, unchecked_return_type = "Settled<undefined>")]
pub fn delete_database(name: String) -> Answer {
    settle(async move { browser::delete(&name, PATIENCE).await.map(|()| JsValue::UNDEFINED) })
}
