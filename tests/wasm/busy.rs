//! Guards against two that write the same database, and against an opening that fails and keeps something.

use crate::place::{self, IMPATIENCE, PATIENCE, drive, slots, write};
use crate::support::conformance::{all, kind};
use futures_util::future::join;
use gloo_timers::future::TimeoutFuture;
use pumice::browser::{self, Wanted};
use pumice::pool::SlotFiles;
use pumice::{ErrorKind, Storage};
use std::time::Duration;
use wasm_bindgen_test::wasm_bindgen_test;

const KINDS: [Wanted; 2] = [Wanted::Opfs, Wanted::IndexedDb];

#[wasm_bindgen_test]
async fn a_database_has_one_owner() {
    for wanted in KINDS {
        let name = format!("one owner of {wanted:?}");
        let owner = place::open(&name, wanted).await;
        write(&owner, "a.log", b"mine").await;
        kind(browser::open(&name, wanted, IMPATIENCE).await, ErrorKind::Busy);
        kind(browser::open(&name, Wanted::Auto, IMPATIENCE).await, ErrorKind::Busy);
        kind(browser::delete(&name, IMPATIENCE).await, ErrorKind::Busy);
        // Those who gave up take nothing away, neither now nor later.
        owner.append("a.log", b", still").await.unwrap();
        owner.sync("a.log").await.unwrap();
        owner.close().await.unwrap();
        let next = place::open(&name, wanted).await;
        assert_eq!(all(&next, "a.log").await, b"mine, still");
    }
}

#[wasm_bindgen_test]
async fn the_next_owner_waits_until_the_former_lets_go() {
    for wanted in KINDS {
        for closes in [true, false] {
            let name = format!("waits for {wanted:?} {closes}");
            let former = place::open(&name, wanted).await;
            let work = async {
                write(&former, "a.log", b"before").await;
                TimeoutFuture::new(300).await;
                former.append("a.log", b" and after").await.unwrap();
                former.sync("a.log").await.unwrap();
                if closes {
                    former.close().await.unwrap();
                }
                drop(former);
            };
            let ((), next) = join(work, browser::open(&name, wanted, PATIENCE)).await;
            assert_eq!(all(&next.unwrap().storage, "a.log").await, b"before and after");
        }
    }
}

#[wasm_bindgen_test]
async fn of_two_that_open_at_once_one_gets_it() {
    for wanted in KINDS {
        for round in 0..5 {
            let name = format!("race for {wanted:?} {round}");
            if round % 2 == 1 {
                place::open(&name, wanted).await.close().await.unwrap();
            }
            let patience = Duration::from_millis(400);
            let (one, other) =
                join(browser::open(&name, wanted, patience), browser::open(&name, wanted, patience)).await;
            let (winner, loser) = if one.is_ok() { (one, other) } else { (other, one) };
            kind(loser, ErrorKind::Busy);
            write(&winner.unwrap().storage, "a.log", b"won").await;
        }
    }
}

#[wasm_bindgen_test]
async fn a_slot_that_somebody_holds_fails_the_opening_as_a_whole() {
    let name = "half-way";
    let first = place::open(name, Wanted::Opfs).await;
    write(&first, "a.log", b"kept").await;
    first.close().await.unwrap();
    let (holder, numbers) = slots(name).await;
    let held = numbers.into_iter().max().unwrap();
    holder.open(held).await.unwrap();
    kind(browser::open(name, Wanted::Auto, IMPATIENCE).await, ErrorKind::Busy);
    kind(browser::delete(name, IMPATIENCE).await, ErrorKind::Busy);
    // Everything but what is held is free again.
    let (other, numbers) = slots(name).await;
    for slot in numbers.into_iter().filter(|slot| *slot != held) {
        other.open(slot).await.unwrap();
    }
    drop((holder, other));
    assert_eq!(all(&place::open(name, Wanted::Auto).await, "a.log").await, b"kept");
}

#[wasm_bindgen_test]
async fn an_opening_that_is_given_up_holds_nothing() {
    for wanted in KINDS {
        for millis in [0, 1, 2, 4, 8, 16, 32] {
            let name = format!("given up {wanted:?} {millis}");
            let first = place::open(&name, wanted).await;
            write(&first, "a.log", b"kept").await;
            first.close().await.unwrap();
            drive(browser::open(&name, wanted, PATIENCE), millis).await;
            let next = browser::open(&name, wanted, Duration::from_secs(2)).await;
            assert_eq!(all(&next.unwrap().storage, "a.log").await, b"kept");
        }
        // The same while somebody has it.
        let name = format!("given up busy {wanted:?}");
        let first = place::open(&name, wanted).await;
        assert!(!drive(browser::open(&name, wanted, PATIENCE), 150).await);
        write(&first, "a.log", b"kept").await;
        first.close().await.unwrap();
        let next = browser::open(&name, wanted, Duration::from_secs(2)).await;
        assert_eq!(all(&next.unwrap().storage, "a.log").await, b"kept");
    }
}
