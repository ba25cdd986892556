//! `import moltendb` and `export moltendb`: what comes over, what is refused and what is noted. Files are made here from the
//! description of the format; `tests/moltendb` has those of the program itself.

use crate::{Place, command, contents, entry, run, run_with};
use std::fs;
use std::thread;
use std::time::Duration;

fn line(command: &str, collection: &str, key: &str, value: &str) -> String {
    format!(
        "{{\"cmd\":\"{command}\",\"collection\":\"{collection}\",\"key\":\"{key}\",\"value\":{value},\"_t\":1790000000000}}\n"
    )
}

fn insert(key: &str, value: &str) -> String {
    line("INSERT", "users", key, value)
}

fn begin(id: &str) -> String {
    line("TX_BEGIN", "users", id, "null")
}

fn commit(id: &str) -> String {
    line("TX_COMMIT", "users", id, "null")
}

/// A snapshot that covers so many lines, of these records.
fn snapshot(covered: u64, records: &[String]) -> Vec<u8> {
    let mut bytes = b"MOLTSNAP".to_vec();
    bytes.extend(covered.to_le_bytes());
    bytes.extend((records.len() as u64).to_le_bytes());
    for record in records {
        let record = record.trim_end();
        bytes.extend((record.len() as u64).to_le_bytes());
        bytes.extend(record.as_bytes());
    }
    bytes
}

/// Files to import, and the place of the database.
struct Molten {
    place: Place,
    log: String,
    db: String,
}

impl Molten {
    fn new(log: impl AsRef<[u8]>) -> Self {
        let place = Place::new();
        fs::write(place.path("old.log"), log).unwrap();
        Self { log: place.arg("old.log"), db: place.arg("app"), place }
    }

    fn with_snapshot(self, bytes: &[u8]) -> Self {
        fs::write(self.place.path("old.log.snapshot.bin"), bytes).unwrap();
        self
    }

    fn import(&self) -> crate::Ran {
        run(&["import", "moltendb", &self.log, &self.db])
    }

    fn skip(&self) -> crate::Ran {
        run(&["import", "moltendb", &self.log, &self.db, "--skip-damaged"])
    }

    fn scan(&self) -> String {
        run(&["verify", &self.db]).ok();
        run(&["scan", &self.db, "users"]).ok()
    }

    /// Asserts that there are these documents.
    #[track_caller]
    fn holds(&self, documents: &[(&str, &str)]) {
        let line = |(key, value): &(&str, &str)| {
            format!("{{\"collection\":\"users\",\"key\":\"{key}\",\"value\":{value}}}\n")
        };
        assert_eq!(self.scan(), documents.iter().map(line).collect::<String>());
    }

    /// Asserts that the import fails, as well as one that may skip damage if `skip_too`, and leaves nothing.
    #[track_caller]
    fn refused(&self, part: &str, skip_too: bool) {
        let before = contents(&self.place.path(""));
        self.import().fails(part);
        if skip_too {
            self.skip().fails(part);
        }
        assert!(contents(&self.place.path("")) == before);
    }
}

/// Asserts success with one note that holds `part`.
#[track_caller]
fn notes(ran: &crate::Ran, part: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.err.starts_with("note: ") && ran.err.lines().count() == 1, "{ran:?}");
    assert!(ran.err.contains(part), "{part:?} is not in {ran:?}");
}

#[test]
fn a_log_with_everything_in_it() {
    let log = [
        insert("a", "{ \"n\" : 1.50, \"z\":1,\"a\":1e400, \"a\":\"\\ud800\" }"),
        insert("b", "1"),
        begin("t1"),
        insert("c", "2"),
        line("DELETE", "users", "b", "null"),
        line("INDEX", "users", "n", "null"),
        commit("t1"),
        "\n".into(),
        line("INSERT", "gone", "x", "1"),
        line("SCHEMA", "users", "", "{\"type\":\"object\"}"),
        line("DROP", "gone", "*", "null"),
        line("SOMETHING", "users", "c", "[]"),
        "{\"_t\":1,\"value\":\"q\\\"\",\"key\":\"d\\u00e9\",\"collection\":\"users\",\"cmd\":\"INSERT\",\"more\":[{}]}".into(),
    ];
    let molten = Molten::new(log.concat());
    assert_eq!(molten.import().ok(), "");
    molten.holds(&[("a", r#"{"n":1.50,"z":1,"a":1e400,"a":"\ud800"}"#), ("c", "2"), ("dé", "\"q\\\"\"")]);
    assert_eq!(run(&["scan", &molten.db, "gone"]).ok(), "");
    assert_eq!(run(&["put", &molten.db, "users", "e", "1"]).ok(), "");
}

#[test]
fn nothing_at_all_is_an_empty_database() {
    let molten = Molten::new("");
    molten.import().ok();
    molten.holds(&[]);
}

#[test]
fn transactions_within_each_other_and_without_an_end() {
    let log = [
        begin("1"),
        line("TX_BEGIN", "orders", "2", "null"),
        insert("a", "1"),
        line("INSERT", "orders", "o", "1"),
        line("TX_COMMIT", "orders", "2", "null"),
        insert("b", "1"),
        commit("1"),
        // A failed one, as they stand in real logs.
        begin("3"),
        insert("lost", "1"),
        begin("4"),
        insert("a", "2"),
        commit("4"),
        begin("5"),
        insert("lost too", "1"),
        line("DROP", "users", "*", "null"),
    ];
    let molten = Molten::new(log.concat());
    notes(
        &molten.import(),
        "left out 3 of the records, for their transactions were never committed; the first: line 9 ",
    );
    molten.holds(&[("a", "2"), ("b", "1")]);
    assert_eq!(run(&["get", &molten.db, "orders", "o"]).ok(), "1\n");
}

#[test]
fn a_torn_tail_is_noted() {
    let whole = insert("a", "1") + &insert("b", "2");
    for torn in ["{", "{\"cmd\":\"INSERT\",\"collection\":\"us", "{\"cmd\":\"INS\0\0\0\0", "\0\0\0"] {
        let molten = Molten::new(whole.clone() + torn);
        let place = format!("offset {}, {} bytes", whole.len(), torn.len());
        notes(&molten.import(), &place);
        molten.holds(&[("a", "1"), ("b", "2")]);
    }
    // A last line that lacks nothing but its end is whole.
    let molten = Molten::new(whole.trim_end());
    molten.import().ok();
    molten.holds(&[("a", "1"), ("b", "2")]);
}

#[test]
fn other_damage_is_refused_with_its_line_and_place_or_skipped() {
    let (first, last) = (insert("a", "1"), insert("z", "2"));
    for damage in [
        "{\"cmd\":\"INSERT\",\"collection\":\"us{\"cmd\":\"INSERT\",\"collection\":\"users\",\"key\":\"b\",\"value\":1,\"_t\":1}",
        "{\"cmd\":\"INSERT\",\"collection\":\"users\",\"key\":\"b\",\"_t\":1}",
        "{\"cmd\":\"INSERT\",\"collection\":\"users\",\"key\":\"\\ud800\",\"value\":1,\"_t\":1}",
        "\0\0\0\0",
        "garbage",
    ] {
        let molten = Molten::new(format!("{first}{damage}\n{last}"));
        molten.refused("line 2 is no record of MoltenDB: it", false);
        molten.refused(&format!("old.log, offset {})", first.len()), false);
        notes(
            &molten.skip(),
            "skipped 1 of the records, for they cannot be carried over; the first: line 2 is",
        );
        molten.holds(&[("a", "1"), ("z", "2")]);
    }
    let mut bytes = (first.clone() + &insert("b", "\"xx\"") + &last).into_bytes();
    let at = first.len() + insert("b", "\"xx\"").find("xx").unwrap();
    bytes[at] = 0xff;
    Molten::new(&bytes).refused("line 2 is no record of MoltenDB: it is not UTF-8 from its byte", false);
}

#[test]
fn what_cannot_be_stored_is_refused_or_skipped() {
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let large = format!("\"{}\"", "x".repeat(16 << 20));
    let long = "k".repeat(1025);
    for (bad, why) in [
        (insert(&long, "1"), "a key of 1025 bytes is over the limit"),
        (insert("", "1"), "a key must not be empty"),
        (line("INSERT", "", "k", "1"), "a collection name must not be empty"),
        (line("INSERT", "a\\nb", "k", "1"), "control characters"),
        (line("DROP", &"c".repeat(256), "", "null"), "a collection name of 256 bytes is over the limit"),
        (line("DELETE", "users", &long, "null"), "a key of 1025 bytes is over the limit"),
        (insert("k", &deep), "nested 129 deep"),
        (insert("k", &large), "a document of 16777218 bytes is over the limit"),
        (line("ENC", "_", "_", "\"aGVsbG8=\""), "line 2 is encrypted"),
    ] {
        let molten = Molten::new(insert("a", "1") + &bad + &insert("b", "2"));
        molten.refused(why, false);
        molten.refused("line 2 ", false);
        notes(&molten.skip(), why);
        molten.holds(&[("a", "1"), ("b", "2")]);
    }
}

#[test]
fn a_snapshot_and_the_log_after_it() {
    let records = [insert("a", "1"), insert("b", "2"), line("INDEX", "users", "n", "null")];
    let log = insert("b", "3") + &insert("c", "4");
    let molten = Molten::new(&log).with_snapshot(&snapshot(0, &records));
    molten.import().ok();
    molten.holds(&[("a", "1"), ("b", "3"), ("c", "4")]);
    // The covered lines are not replayed, whatever they say.
    let molten =
        Molten::new(insert("covered", "0") + "damaged\n" + &log).with_snapshot(&snapshot(2, &records));
    molten.import().ok();
    molten.holds(&[("a", "1"), ("b", "3"), ("c", "4")]);
    // Of a tiered database.
    let molten = Molten::new(&log).with_snapshot(&snapshot(0, &[insert("a", "9")]));
    fs::write(molten.place.path("old.cold.log"), insert("a", "0") + &insert("cold", "1")).unwrap();
    molten.import().ok();
    molten.holds(&[("a", "9"), ("b", "3"), ("c", "4"), ("cold", "1")]);
    fs::remove_dir_all(&molten.db).unwrap();
    // What crashes leave at the end of a log cannot be there.
    fs::write(molten.place.path("old.cold.log"), insert("a", "0") + "{\"cmd\":").unwrap();
    molten.refused("line 2 is no record of MoltenDB", false);
}

#[test]
fn a_damaged_snapshot_is_refused_or_skipped() {
    let records = [insert("a", "1"), insert("b", "2"), insert("c", "3")];
    let sound = snapshot(0, &records);
    let each = insert("a", "1").len() - 1 + 8;
    let log = insert("z", "9");
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        Molten::new(&log).with_snapshot(&bytes)
    };
    // One flipped bit in a length, at which MoltenDB ends in an allocation of petabytes.
    let molten = damaged(&|bytes| bytes[24 + each + 6] ^= 1);
    molten.refused("record 2 is no record of MoltenDB: its length", false);
    notes(&molten.skip(), "skipped 2 of the records");
    molten.holds(&[("a", "1"), ("z", "9")]);
    let molten = damaged(&|bytes| bytes.truncate(24 + 3 * each - 1));
    molten.refused("record 3 is no record of MoltenDB", false);
    notes(&molten.skip(), "skipped 1 of the records");
    molten.holds(&[("a", "1"), ("b", "2"), ("z", "9")]);
    let molten = damaged(&|bytes| bytes[24 + each + 8] = b'x');
    molten.refused("record 2 is no record of MoltenDB: it is not a JSON object", false);
    notes(&molten.skip(), "skipped 1 of the records");
    molten.holds(&[("a", "1"), ("c", "3"), ("z", "9")]);
    damaged(&|bytes| bytes.push(0)).refused("something behind the last record", false);
    damaged(&|bytes| bytes[16] = 2).refused("something behind the last record", false);
    damaged(&|bytes| bytes[16] = 4)
        .refused("record 4 is no record of MoltenDB: the file ends before it", false);
    let molten = damaged(&|bytes| bytes[0] = b'm');
    molten.refused("does not begin like a snapshot of MoltenDB", false);
    notes(&molten.skip(), "skipped 1 of the records");
    molten.holds(&[("z", "9")]);
    let molten = damaged(&|bytes| bytes[12] = 1);
    molten.refused("covers 4294967296 lines of the log, which has 1", false);
    notes(&molten.skip(), "skipped 1 of the records");
    molten.holds(&[("a", "1"), ("b", "2"), ("c", "3"), ("z", "9")]);
    damaged(&|bytes| bytes.truncate(10)).refused("does not begin like a snapshot of MoltenDB", false);
    damaged(&|bytes| bytes.clear()).refused("does not begin like a snapshot of MoltenDB", false);
    damaged(&|bytes| bytes[..8].copy_from_slice(b"MOLTSNG4")).refused("MoltenDB 1.0 or later", true);
}

#[test]
fn what_is_no_log_of_moltendb_is_refused_by_what_it_is() {
    let molten = Molten::new(snapshot(0, &[]));
    molten.refused("is a snapshot of MoltenDB; name the log", true);
    Molten::new(b"\x85\xa3cmd\xa6INSERT\xaacollection").refused("is no record of MoltenDB", false);
    Molten::new(b"\x85\xa3cmd\xa6INSERT\n\xaacollection").skip().fails("holds no record that can be read");
    let molten = Molten::new("");
    run(&["import", "moltendb", &molten.place.arg("none.log"), &molten.db]).fails("there is no file");
    run(&["import", "moltendb", &molten.place.arg(""), &molten.db]).fails("is not a file");
    // The compaction that moved the old snapshot away was killed before the new one had its name.
    fs::write(molten.place.path("old.log.snapshot.bin.tmp"), snapshot(0, &[])).unwrap();
    molten.refused("a compaction of MoltenDB was interrupted", true);
}

#[test]
fn a_log_of_pumice_is_refused() {
    let place = Place::new();
    let db = &place.arg("app");
    run(&["put", db, "users", "a", "1"]).ok();
    let segment = crate::last_segment(&place.path("app"));
    let new = &place.arg("new");
    run(&["import", "moltendb", segment.to_str().unwrap(), new]).fails("is a log of Pumice");
    fs::write(place.path("records.log"), run(&["log", db]).ok()).unwrap();
    run(&["import", "moltendb", &place.arg("records.log"), new, "--skip-damaged"])
        .fails("is a log of Pumice");
    assert!(!place.path("new").exists());
}

#[test]
fn an_import_takes_only_a_place_where_nothing_is() {
    let molten = Molten::new(insert("a", "1"));
    run(&["put", &molten.db, "users", "mine", "1"]).ok();
    molten.refused("already", true);
    fs::remove_dir_all(&molten.db).unwrap();
    fs::create_dir(&molten.db).unwrap();
    fs::write(molten.place.path("app/note"), b"mine").unwrap();
    molten.refused("already", true);
    fs::remove_file(molten.place.path("app/note")).unwrap();
    molten.import().ok();
    molten.holds(&[("a", "1")]);
}

#[test]
fn a_kill_of_an_import_leaves_no_database_or_a_whole_one() {
    const DOCUMENTS: usize = 30_000;
    let log: String =
        (0..DOCUMENTS).map(|n| insert(&format!("k{n:06}"), &format!("{{\"n\":{n}}}"))).collect();
    let molten = Molten::new(log);
    let mut none = 0;
    for round in 0..12_u64 {
        let mut child = command(&["import", "moltendb", &molten.log, &molten.db]).spawn().unwrap();
        thread::sleep(Duration::from_millis(round * 6));
        let _ = child.kill();
        child.wait().unwrap();
        if molten.place.path("app").exists() {
            assert_eq!(molten.scan().lines().count(), DOCUMENTS);
            fs::remove_dir_all(&molten.db).unwrap();
        } else {
            none += 1;
        }
    }
    assert!(none > 0);
    // What the last kill left is no hindrance.
    molten.import().ok();
    assert_eq!(molten.scan().lines().count(), DOCUMENTS);
    assert_eq!(fs::read_dir(molten.place.path("")).unwrap().count(), 2);
}

#[test]
fn an_export_comes_back_byte_for_byte() {
    let place = Place::new();
    let (db, log, again) = (&place.arg("app"), &place.arg("old.log"), &place.arg("again"));
    run_with(&["load", db], (0..5000).map(entry).collect::<String>().as_bytes()).ok();
    run(&[
        "put",
        db,
        "odd \"c\"",
        "k\n\"\u{e9}",
        "{ \"b\":1.50,\"a\":12345678901234567890123,\"a\":\"\\u00e9\" }",
    ])
    .ok();
    run(&["compact", db]).ok();
    run(&["del", db, "users", "u000003"]).ok();
    assert_eq!(run(&["export", "moltendb", db, log]).ok(), "");
    assert_eq!(fs::metadata(log).unwrap().len(), 0);
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 3);
    run(&["import", "moltendb", log, again]).ok();
    assert!(run(&["scan", again]).ok() == run(&["scan", db]).ok());
    run(&["verify", again]).ok();
}

#[test]
fn an_export_overwrites_nothing_and_leaves_nothing_when_it_fails() {
    let place = Place::new();
    let (db, log) = (&place.arg("app"), &place.arg("old.log"));
    run(&["put", db, "users", "a", "1"]).ok();
    for taken in ["old.log", "old.log.snapshot.bin"] {
        fs::write(place.path(taken), b"mine").unwrap();
        run(&["export", "moltendb", db, log]).fails("already");
        assert_eq!(fs::read(place.path(taken)).unwrap(), b"mine");
        fs::remove_file(place.path(taken)).unwrap();
    }
    run(&["put", db, "users", "odd", "[1e999]"]).ok();
    run(&["export", "moltendb", db, log])
        .fails("cannot read the document \"odd\" of the collection \"users\"");
    run(&["export", "moltendb", &place.arg("none"), log]).fails("none");
    run(&["export", "moltendb", db, &place.arg("nowhere/old.log")]).fails("nowhere");
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1);
    // Beside a writer.
    run(&["del", db, "users", "odd"]).ok();
    let open = pumice::blocking::Db::open(db).unwrap();
    run(&["export", "moltendb", db, log]).ok();
    open.close().unwrap();
}
