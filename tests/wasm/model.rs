//! The database against a plain ordered map, over every storage of a browser.
//!
//! A sequence is made from its number, the same natively: it names the number before it begins, and a failure there can be
//! looked for with the same steps anywhere. Compiled with `PUMICE_SOAK` set, there are many times as many.

use crate::place;
use crate::support::model::run;
use crate::support::steps::{Step, steps};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pumice::browser::{Wanted, delete};
use pumice::{Db, MemoryStorage};
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

const FACTOR: u64 = if option_env!("PUMICE_SOAK").is_some() { 25 } else { 1 };

/// The steps of sequence `number`.
fn sequence(number: u64) -> Vec<Step> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), chance);
    steps().new_tree(&mut runner).unwrap().current()
}

/// Goes through sequences, each on a database of its own, which is deleted after it.
async fn go_through(name: &str, count: u64, one: impl AsyncFn(&str, &[Step])) {
    for number in 0..count * FACTOR {
        let database = format!("{name} {number}");
        console_log!("{database}");
        one(&database, &sequence(number)).await;
    }
    console_log!("{} sequences", count * FACTOR);
}

#[wasm_bindgen_test]
async fn memory() {
    go_through("memory", 400, async |_: &str, steps: &[Step]| {
        let storage = MemoryStorage::new();
        run::<_, Db<_>>(async || storage.clone(), steps).await;
    })
    .await;
}

async fn pools(millis: u64, count: u64) {
    go_through(&format!("pool {millis}"), count, async |name: &str, steps: &[Step]| {
        run::<_, Db<_>>(async || place::pool(name, millis).await, steps).await;
        delete(name, place::PATIENCE).await.unwrap();
    })
    .await;
}

#[wasm_bindgen_test]
async fn opfs_young() {
    pools(0, 20).await;
}

#[wasm_bindgen_test]
async fn opfs_ageing() {
    pools(700, 40).await;
}

#[wasm_bindgen_test]
async fn opfs_aged() {
    pools(60_000, 200).await;
}

#[wasm_bindgen_test]
async fn indexed_db() {
    go_through("plain", 40, async |name: &str, steps: &[Step]| {
        run::<_, Db<_>>(async || place::open(name, Wanted::IndexedDb).await, steps).await;
        delete(name, place::PATIENCE).await.unwrap();
    })
    .await;
}
