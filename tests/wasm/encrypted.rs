//! Every storage of a browser keeps the contract when it is encrypted, and what stands in it cannot be read without the key.

use crate::place::{self, pool, slots};
use crate::support::conformance::{check, check_closed};
use pumice::browser::Wanted;
use pumice::pool::SlotFiles;
use pumice::{Db, EncryptedStorage, ErrorKind, IndexedDbStorage, Key, Options, Storage};
use wasm_bindgen_test::wasm_bindgen_test;

const SECRET: &str = "a secret that nobody shall read";

fn key() -> Key {
    Key::bytes([1; 32])
}

async fn seal<S: Storage>(inner: S) -> EncryptedStorage<S> {
    EncryptedStorage::open(inner, &key()).await.unwrap()
}

#[wasm_bindgen_test]
async fn pools_in_opfs() {
    for millis in [0, 900, 60_000] {
        let open = async |name: &str| seal(pool(&format!("sealed {millis} {name}"), millis).await).await;
        check(open).await;
        check_closed(open).await;
    }
}

#[wasm_bindgen_test]
async fn indexed_db() {
    let open = async |name: &str| {
        seal(IndexedDbStorage::open(&format!("sealed {name}"), place::PATIENCE).await.unwrap()).await
    };
    check(open).await;
    check_closed(open).await;
}

#[wasm_bindgen_test]
async fn a_database_opens_with_its_passphrase_alone_and_shows_nothing() {
    let (name, passphrase) = ("sealed notes", Key::passphrase("correct horse").unwrap());
    let place = async || place::open(name, Wanted::Opfs).await;
    let storage = EncryptedStorage::open(place().await, &passphrase).await.unwrap();
    let db = Db::open_with(storage, Options::new()).await.unwrap();
    db.collection("notes").put_raw("n1", &format!("\"{SECRET}\"")).await.unwrap();
    db.compact().await.unwrap();
    db.collection("notes").put_raw("n2", &format!("\"{SECRET}\"")).await.unwrap();
    db.close().await.unwrap();

    let wrong = EncryptedStorage::open(place().await, &Key::passphrase("wrong horse").unwrap()).await;
    assert_eq!(wrong.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let plain = Db::open_with(place().await, Options::new()).await;
    assert_eq!(plain.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let (files, numbers) = slots(name).await;
    for slot in numbers {
        files.open(slot).await.unwrap();
        let content = files.read_at(slot, 0, 16 << 20).unwrap();
        let shown = content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!shown, "slot {slot} shows a document");
    }
    files.close();

    let storage = EncryptedStorage::open(place().await, &passphrase).await.unwrap();
    let db = Db::open_with(storage, Options::new()).await.unwrap();
    let notes = db.collection("notes");
    for key in ["n1", "n2"] {
        assert_eq!(notes.get_raw(key).await.unwrap().unwrap().as_str(), format!("\"{SECRET}\""));
    }
    db.close().await.unwrap();
}
