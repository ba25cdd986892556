//! Every storage of a browser keeps the contract.

use crate::place;
use crate::support::conformance::{check, check_closed};
use pumice::browser::Wanted;
use pumice::{IndexedDbStorage, MemoryStorage};
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
async fn memory() {
    let places: RefCell<BTreeMap<String, MemoryStorage>> = RefCell::default();
    check(async |name: &str| places.borrow_mut().entry(name.to_owned()).or_default().clone()).await;
}

#[wasm_bindgen_test]
async fn a_new_pool_in_opfs() {
    let open = async |name: &str| place::pool(&format!("young {name}"), 0).await;
    check(open).await;
    check_closed(open).await;
}

#[wasm_bindgen_test]
async fn a_pool_in_opfs_that_ages_as_it_is_used() {
    let open = async |name: &str| place::pool(&format!("ageing {name}"), 900).await;
    check(open).await;
    check_closed(open).await;
}

#[wasm_bindgen_test]
async fn an_aged_pool_in_opfs() {
    let open = async |name: &str| place::pool(&format!("aged {name}"), 60_000).await;
    check(open).await;
    check_closed(open).await;
}

#[wasm_bindgen_test]
async fn indexed_db() {
    let open =
        async |name: &str| IndexedDbStorage::open(&format!("plain {name}"), place::PATIENCE).await.unwrap();
    check(open).await;
    check_closed(open).await;
}

#[wasm_bindgen_test]
async fn what_a_browser_chooses() {
    for wanted in [Wanted::Auto, Wanted::Opfs, Wanted::IndexedDb] {
        let open = async |name: &str| place::open(&format!("{wanted:?} {name}"), wanted).await;
        check(open).await;
        check_closed(open).await;
    }
}
