//! Every storage keeps the contract.

use crate::contract::check;
use pumice::MemoryStorage;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
async fn memory() {
    let places: RefCell<BTreeMap<String, MemoryStorage>> = RefCell::default();
    check(async |name: &str| places.borrow_mut().entry(name.to_owned()).or_default().clone()).await;
}
