//! The storages of a browser, in a real one: in a dedicated worker, where the database lives.
//!
//! `cargo xtask test` runs it. Its inputs are fixed, for nothing there may be random.

#![cfg(target_family = "wasm")]

mod conformance;
#[path = "../support/conformance.rs"]
mod contract;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);
