//! A first look: `cargo run --example quickstart [DIRECTORY]`.
//!
//! Without a directory it uses a temporary one. With one, run it twice: the second run finds what the first left.

use pumice::blocking::Db;
use pumice::{Durability, Keys};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Serialize, Deserialize)]
struct User {
    name: String,
    born: u16,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::args_os().nth(1).map_or_else(|| temporary.path().join("db"), PathBuf::from);
    let db = Db::open(&dir)?;
    println!("{}: {} writes so far", dir.display(), db.sequence());

    // Returns once the write survives a power cut.
    let users = db.collection("users");
    users.put("ada", &User { name: "Ada".into(), born: 1815 })?;
    users.put("grace", &User { name: "Grace".into(), born: 1906 })?;
    let ada: Option<User> = users.get("ada")?;
    println!("ada is {ada:?}");

    // All of it or nothing, with one sync.
    let number = db.batch(|b| {
        b.put("orders", "2026-03-01/1", &json!({"user": "ada", "total": 12.50}))?;
        b.put("orders", "2026-03-02/1", &json!({"user": "grace", "total": 7}))?;
        b.delete("users", "grace")?;
        Ok(())
    })?;
    println!("the batch is write {number}");

    // A view stays as it is, whatever is written after it.
    let view = db.read_view();
    db.collection("orders").drop_all()?;
    for order in view.scan::<serde_json::Value>("orders", Keys::prefix("2026-03-").reverse())? {
        let order = order?;
        println!("{}: {}", order.key, order.document);
    }

    // Acknowledged before the sync, which follows within 50 ms.
    let fast = db.collection("events").with_durability(Durability::Buffered);
    for event in 0..1000 {
        fast.put(&format!("{event:06}"), &json!({"event": event}))?;
    }
    db.sync()?;

    for change in db.changes(number)?.take(2) {
        let change = change?;
        println!("change {}: {:?} in {}", change.sequence, change.kind, change.collection);
    }
    db.compact()?;
    println!("{:?}", db.stats()?);
    db.close()?;
    Ok(())
}
