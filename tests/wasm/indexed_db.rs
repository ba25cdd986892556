//! Guards against pieces that are put together wrongly: random appends, cuts and openings, compared with plain bytes.

use crate::place::PATIENCE;
use crate::support::conformance::all;
use pumice::{IndexedDbStorage, Storage};
use wasm_bindgen_test::wasm_bindgen_test;

/// A linear congruential generator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[wasm_bindgen_test]
async fn pieces_make_up_the_file() {
    let open = async || IndexedDbStorage::open("pieces", PATIENCE).await.unwrap();
    let mut chance = Chance(1);
    let mut storage = open().await;
    for round in 0..30 {
        let name = format!("{round}.snapshot");
        storage.create(&name).await.unwrap();
        let mut content = Vec::new();
        for step in 0..40_u8 {
            match chance.below(12) {
                0..7 => {
                    // Around the length of a piece, above it and far below.
                    let len = [chance.below(300), 61_000 + chance.below(900), chance.below(200_000)]
                        [chance.below(3)];
                    let bytes: Vec<u8> = (0..len).map(|n| step ^ (n % 251) as u8).collect();
                    storage.append(&name, &bytes).await.unwrap();
                    content.extend(bytes);
                }
                7..10 => storage.sync(&name).await.unwrap(),
                10 => {
                    let len = chance.below(content.len() + 1);
                    storage.truncate(&name, len as u64).await.unwrap();
                    content.truncate(len);
                }
                _ => {
                    storage.sync(&name).await.unwrap();
                    if chance.below(2) == 0 {
                        storage.close().await.unwrap();
                    }
                    drop(storage);
                    storage = open().await;
                }
            }
            assert_eq!(storage.len(&name).await.unwrap(), content.len() as u64);
            let from = chance.below(content.len() + 2);
            let len = chance.below(100_000);
            let end = content.len().min(from + len);
            let read = storage.read_at(&name, from as u64, len).await.unwrap();
            assert!(read == content[from.min(end)..end], "round {round}, step {step}, {len} bytes at {from}");
        }
        assert!(all(&storage, &name).await == content);
        storage.remove(&name).await.unwrap();
    }
    assert!(storage.list().await.unwrap().is_empty());
}
