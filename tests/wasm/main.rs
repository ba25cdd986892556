//! The storages of a browser, in a real one: in a dedicated worker, where the database lives.
//!
//! `cargo xtask test` runs it. `webdriver.json` says how the browser is started.

#![cfg(target_family = "wasm")]

mod busy;
mod conformance;
#[cfg(feature = "encryption")]
mod encrypted;
mod indexed_db;
mod model;
mod opfs;
mod place;
mod places;
mod support;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);
