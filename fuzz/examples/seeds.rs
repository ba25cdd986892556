//! Writes the first inputs of every target into `corpus/`, from small databases that the engine itself makes:
//! `cargo run --example seeds` in this folder. What fuzzing adds to them is kept beside them, see README.md.

use pumice::blocking::Db;
use pumice::{Environment, MemoryStorage, Options, Published, Result};
use pumice_fuzz::files::{self, CHAIN, CHECKSUMS, END_MARK, File, LATER, RANGE, SEGMENT, SNAPSHOT};
use pumice_fuzz::log::{Link, Mending};
use std::fs;
use std::path::Path;
use std::sync::mpsc;

/// The same bytes every time, but for the moment of idle seals.
struct Fixed;

impl Environment for Fixed {
    fn unix_millis(&self) -> u64 {
        1_790_000_000_000
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

fn open(storage: &MemoryStorage, compact_at: Option<u64>) -> Db<MemoryStorage> {
    Db::open_with(storage.clone(), Options::new().environment(Fixed).compact_at(compact_at))
        .expect("it opens")
}

fn fill(db: &Db<MemoryStorage>, from: u32, to: u32) -> Result<()> {
    for n in from..to {
        let text = format!("{{\"n\":{n},\"t\":\"{}\"}}", "x".repeat(n as usize % 7 * 9));
        db.collection(["a", "b \u{fc}"][n as usize % 2]).put_raw(&format!("key \"{n}\""), &text)?;
    }
    db.batch(|batch| batch.put_raw("a", "k", "[null]")?.delete("a", "key \"2\"").map(drop))?;
    db.collection("gone").put_raw("k", "1e999")?;
    db.collection("gone").drop_all().map(drop)
}

fn main() -> Result<()> {
    let log = MemoryStorage::new();
    let db = open(&log, None);
    fill(&db, 0, 4)?;
    let crashed = files::copy_of(&log);
    db.close()?;
    let second = open(&crashed, None);
    fill(&second, 4, 6)?;
    second.close()?;

    let tables = MemoryStorage::new();
    let db = open(&tables, None);
    fill(&db, 0, 40)?;
    db.compact()?;
    db.collection("a").delete("key \"4\"")?;
    db.collection("b \u{fc}").drop_all()?;
    db.close()?;
    let (published, next) = mpsc::channel();
    let tell = move |file: &Published| drop(published.send(file.clone()));
    let options = Options::new().environment(Fixed).compact_at(Some(100)).on_published(tell);
    let db = Db::open_with(tables.clone(), options)?;
    next.recv().expect("a compaction");
    db.collection("a").put_raw("last", "0")?;
    db.close()?;

    let mut kept = Vec::new();
    for storage in [&log, &crashed, &tables] {
        kept.push(files::contents(storage));
    }
    for (at, contents) in kept.iter().enumerate() {
        write("database", &format!("seed-{at}"), &files::join(&as_input(contents, 0)));
        write("database", &format!("seed-mended-{at}"), &files::join(&as_input(contents, CHECKSUMS | CHAIN)));
        for (name, bytes) in contents.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            for flags in [0, 1, 3, 7] {
                let input = [&[flags], bytes.as_slice()].concat();
                let target = if name.ends_with(".snapshot") { "snapshot" } else { "segment" };
                write(target, &format!("seed-{at}-{name}-{flags}"), &input);
            }
        }
    }
    for (at, line) in kept[1].iter().flat_map(|(_, bytes)| bytes.split(|&b| b == b'\n')).enumerate() {
        write("line", &format!("seed-{at}"), &[&[at as u8 % 2], line].concat());
    }
    write("segment", "seed-last-number", &[&[1], last_number().as_slice()].concat());
    let last = File { kind: SEGMENT, number: 255, flags: CHECKSUMS, bytes: &last_number() };
    write("database", "seed-last-number", &files::join(&[last]));
    let documents: [&str; 6] = [
        r#" { "a" : [ 1 , -2.50e+3 , true , false , null ] , "b\"\\\u00e9\ud83d\ude00" : "x\ny" } "#,
        r#"{"a":1,"a":1e999,"":"\ud800"}"#,
        "[[[[]]],{}]",
        "\"\u{fc}\u{10ffff}\"",
        "\t-0.0\r\n",
        "01",
    ];
    for (at, text) in documents.iter().enumerate() {
        write("document", &format!("seed-{at}"), text.as_bytes());
    }
    let names = [
        "00000000000000000001.log",
        "00000000000000000001-2.log",
        "00000000000000000005.snapshot",
        "00000000000000000005-00000000000000000003.snapshot",
        "quarantine/00000000000000000001.log.17",
        "users\0ada",
    ];
    for (at, text) in names.iter().enumerate() {
        write("names", &format!("seed-{at}"), text.as_bytes());
    }
    moltendb();
    for at in 0..4_u8 {
        let steps: Vec<u8> =
            (0..200_u8).map(|n| n.wrapping_mul(37).wrapping_add(at.wrapping_mul(101))).collect();
        write("operations", &format!("seed-{at}"), &steps);
    }
    Ok(())
}

/// What MoltenDB would have written: a log with transactions, finished and not, and a snapshot of its lines.
fn moltendb() {
    let lines = [
        r#"{"cmd":"TX_BEGIN","collection":"users","key":"1","value":null,"_t":1}"#,
        r#"{"cmd":"TX_BEGIN","collection":"orders","key":"2","value":null,"_t":1}"#,
        r#"{"cmd":"INSERT","collection":"users","key":"a\"\u00e9","value":{"n":[1.50,null]},"_t":18446744073709551615}"#,
        r#"{"cmd":"TX_COMMIT","collection":"users","key":"1","value":null,"_t":1}"#,
        r#"{ "x":[{}], "_t":0, "value":null, "key":"a", "collection":"users", "cmd":"DELETE" }"#,
        r#"{"cmd":"DROP","collection":"users","key":"*","value":null,"_t":1}"#,
        r#"{"cmd":"ENC","collection":"_","key":"_","value":"AAAA","_t":1}"#,
        r#"{"_s":1,"_p":"00000000","_t":0,"cmd":"INSERT","collection":"a","key":"","value":1,"_x":"00000000"}"#,
        r#"{"cmd":"INSERT","collection":"users","key":"#,
    ];
    let log = lines.join("\n");
    let mut snapshot = b"MOLTSNAP".to_vec();
    snapshot.extend(2_u64.to_le_bytes());
    snapshot.extend((lines.len() as u64).to_le_bytes());
    for (at, line) in lines.iter().enumerate() {
        write("moltendb", &format!("seed-record-{at}"), &[&[0], line.as_bytes()].concat());
        snapshot.extend((line.len() as u64).to_le_bytes());
        snapshot.extend(line.as_bytes());
    }
    write("moltendb", "seed-log", &[&[1], log.as_bytes()].concat());
    write("moltendb", "seed-log-zeros", &[&[1], log.as_bytes(), &[0, 0, 0]].concat());
    write("moltendb", "seed-snapshot", &[&[2], snapshot.as_slice()].concat());
    write("moltendb", "seed-snapshot-cut", &[&[2], &snapshot[..200]].concat());
}

/// A segment that begins with the last of all sequence numbers.
fn last_number() -> Vec<u8> {
    let text = "{\"pumice\":1,\"store\":\"07070707070707070707070707070707\",\"epoch\":18446744073709551615,\
        \"first\":18446744073709551615,\"previous\":\"00000000\",\"previous_bytes\":0,\"carried_bytes\":0,\"_t\":0,\
        \"cmd\":\"HEADER\",\"collection\":\"\",\"key\":\"\",\"value\":null,\"_x\":\"00000000\"}\n\
        {\"_s\":18446744073709551615,\"_p\":\"00000000\",\"_t\":0,\"cmd\":\"DROP\",\"collection\":\"a\",\"key\":\"\",\
        \"value\":null,\"_x\":\"00000000\"}\n";
    pumice_fuzz::log::segment(text.as_bytes(), Mending { checksums: true, chain: false }, Link::START).0
}

/// A database's files in the order in which they build on each other.
fn as_input(contents: &[(String, Vec<u8>)], flags: u8) -> Vec<File<'_>> {
    let number = |name: &str| name.get(..20).and_then(|digits| digits.parse::<u8>().ok());
    let mut input = Vec::new();
    for (name, bytes) in contents.iter().filter(|(name, _)| name.ends_with(".snapshot")) {
        let on_top = if name.contains('-') { LATER } else { 0 };
        let range = if flags == 0 { 0 } else { RANGE };
        let number = number(name).expect("a small number");
        input.push(File { kind: SNAPSHOT, number, flags: flags | range | on_top, bytes });
    }
    for (name, bytes) in contents.iter().filter(|(name, _)| name.ends_with(".log")) {
        let Some(number) = number(name) else { continue };
        input.push(File { kind: SEGMENT, number, flags, bytes });
    }
    for (name, bytes) in contents.iter().filter(|(name, _)| name.ends_with(".end")) {
        input.push(File { kind: END_MARK, number: number(name).expect("a small number"), flags: 0, bytes });
    }
    input
}

fn write(target: &str, name: &str, input: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir).expect("a folder for the corpus");
    fs::write(dir.join(name), input).expect("a file of the corpus");
}
