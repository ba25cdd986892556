//! Which storage a database gets, what databases there are, and their deletion.

use crate::place::{self, PATIENCE, drive, pool, write};
use crate::support::conformance::{all, kind, listed};
use pumice::browser::{self, Kind, Wanted};
use pumice::{ErrorKind, Storage};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
async fn a_database_stays_in_the_storage_in_which_it_was_made() {
    let new = place::open("automatic", Wanted::Auto).await;
    assert_eq!(new.kind(), Kind::Opfs);
    for (wanted, made, other) in
        [(Wanted::Opfs, Kind::Opfs, Wanted::IndexedDb), (Wanted::IndexedDb, Kind::IndexedDb, Wanted::Opfs)]
    {
        let name = format!("made in {made:?}");
        let storage = place::open(&name, wanted).await;
        write(&storage, "a.log", b"here").await;
        storage.close().await.unwrap();
        kind(browser::open(&name, other, PATIENCE).await, ErrorKind::InvalidArgument);
        let again = place::open(&name, Wanted::Auto).await;
        assert_eq!((again.kind(), all(&again, "a.log").await), (made, b"here".to_vec()));
        again.close().await.unwrap();
        browser::delete(&name, PATIENCE).await.unwrap();
        let storage = place::open(&name, other).await;
        assert!(listed(&storage).await.is_empty(), "a deleted name can be used again, anywhere");
    }
    assert_eq!(place::open("automatic", Wanted::Memory).await.kind(), Kind::Memory);
}

#[wasm_bindgen_test]
async fn names_of_any_script_and_no_way_out() {
    let long = "長".repeat(80);
    for name in ["a", " ", "a b.c", "Ünïcödé ☃", "a:b", "...", "con", "%2e%2e", "🜁", &long] {
        for wanted in [Wanted::Opfs, Wanted::IndexedDb] {
            write(&place::open(name, wanted).await, "a.log", name.as_bytes()).await;
            let again = place::open(name, Wanted::Auto).await;
            assert_eq!(all(&again, "a.log").await, name.as_bytes());
            again.close().await.unwrap();
            assert!(browser::list().await.unwrap().contains(&name.to_owned()), "{name}");
            browser::delete(name, PATIENCE).await.unwrap();
            assert!(!browser::list().await.unwrap().contains(&name.to_owned()), "{name}");
        }
    }
    let long = "x".repeat(101);
    for name in ["", ".", "..", "a/b", "../a", "a\\b", "a\0", "\n", &long] {
        kind(browser::open(name, Wanted::Auto, PATIENCE).await, ErrorKind::InvalidArgument);
        kind(browser::delete(name, PATIENCE).await, ErrorKind::InvalidArgument);
    }
}

#[wasm_bindgen_test]
async fn a_deletion_takes_everything_or_nothing() {
    browser::delete("never made", PATIENCE).await.unwrap();
    let mut gone = 0;
    for millis in (0..40).step_by(2) {
        for (made, wanted) in [("aged", Wanted::Opfs), ("young", Wanted::Opfs), ("plain", Wanted::IndexedDb)]
        {
            let name = format!("deleted {made} {millis}");
            if made == "aged" {
                let aged = pool(&name, 60_000).await;
                write(&aged, "a.log", b"one").await;
                write(&aged, "b.log", b"two").await;
                aged.close().await.unwrap();
            } else {
                let storage = place::open(&name, wanted).await;
                write(&storage, "a.log", b"one").await;
                write(&storage, "b.log", b"two").await;
                storage.close().await.unwrap();
            }
            drive(browser::delete(&name, PATIENCE), millis).await;
            let storage = place::open(&name, Wanted::Auto).await;
            let names = listed(&storage).await;
            if names.is_empty() {
                gone += 1;
            } else {
                assert_eq!(names, ["a.log", "b.log"], "{name}");
                assert_eq!(
                    (all(&storage, "a.log").await, all(&storage, "b.log").await),
                    (b"one".into(), b"two".into())
                );
            }
            storage.close().await.unwrap();
            browser::delete(&name, PATIENCE).await.unwrap();
        }
    }
    assert!(gone > 0);
    assert!(!browser::list().await.unwrap().iter().any(|name| name.starts_with("deleted")));
}
