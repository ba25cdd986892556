//! Guards against a change of the file format that nobody meant: databases written once must read the same for ever,
//! and the same writes must give the same bytes.
//!
//! `PUMICE_GOLDEN=write cargo test --workspace --test engine golden` writes the files anew. See `tests/fixtures/README.md` before.

mod build;
mod show;
use crate::support::block_on;
use build::{Build, Files};
use pumice::blocking::Db;
use pumice::{Batch, MemoryStorage, Options, Origin};
use std::fs;
use std::path::{Path, PathBuf};

/// The golden databases, and how each is built; nothing builds those of an older version any more.
const GOLDEN: &[(&str, Option<Build>)] = &[
    ("v1/closed", Some(build::closed)),
    ("v1/torn", Some(build::torn)),
    ("v1/compacted", None),
    ("v2/compacted", Some(build::compacted)),
    ("v2/packed", Some(build::packed)),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn format_page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format.md")).unwrap()
}

fn writing() -> bool {
    std::env::var_os("PUMICE_GOLDEN").is_some_and(|value| value == "write")
}

fn stored(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

fn write_to(dir: &Path, files: &Files) {
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// What the database shows, opened read-only and then for writing, in a directory of its own.
fn shown(files: &Files) -> String {
    let dir = tempfile::tempdir().unwrap();
    write_to(dir.path(), files);
    let reader = Db::open_read_only(dir.path()).unwrap();
    let mut text = show::recovery("readOnly", reader.recovery());
    let read_only = show::contents(&reader);
    drop(reader);
    assert_eq!(stored(dir.path()), *files, "a reader changed files");

    let db = Db::open(dir.path()).unwrap();
    text += &show::recovery("writable", db.recovery());
    assert_eq!(show::contents(&db), read_only, "opening for writing shows something else");
    assert!(db.verify().unwrap().is_sound());
    text += &show::stats(&db.stats().unwrap());
    let next = db.sequence() + 1;
    assert_eq!(db.collection("new").put("k", "v").unwrap(), next);
    db.close().unwrap();

    let again = Db::open(dir.path()).unwrap();
    assert_eq!((again.sequence(), again.recovery().unclean), (next, false));
    assert!(again.verify().unwrap().is_sound());
    again.collection("new").drop_all().unwrap();
    assert_eq!(show::documents(&again), show::documents_in(&read_only));
    again.close().unwrap();
    text + &read_only
}

fn check(name: &str) {
    let (_, builder) = GOLDEN.iter().find(|(known, _)| *known == name).unwrap();
    let expected = fixtures().join(format!("{name}.jsonl"));
    if let (true, Some(builder)) = (writing(), builder) {
        let dir = fixtures().join(name);
        let _ = fs::remove_dir_all(&dir);
        let files = build::build(*builder);
        write_to(&dir, &files);
        fs::write(&expected, shown(&files)).unwrap();
    }
    let golden = stored(&fixtures().join(name));
    let shown = shown(&golden);
    assert!(shown == fs::read_to_string(&expected).unwrap(), "{name} reads differently:\n{shown}");

    let Some(builder) = builder else { return };
    // A seal may come at another moment on a machine under load. Another format shows in every build.
    let same = (0..10).any(|_| build::build(*builder) == golden);
    if !same {
        explain(&golden, &build::build(*builder));
    }
}

/// Fails, and says where the files differ.
fn explain(golden: &Files, built: &Files) {
    assert_eq!(
        golden.keys().collect::<Vec<_>>(),
        built.keys().collect::<Vec<_>>(),
        "other files are written"
    );
    for (name, bytes) in golden {
        let at = bytes.iter().zip(&built[name]).position(|(a, b)| a != b);
        let context = |bytes: &[u8]| {
            let from = at.unwrap_or(bytes.len()).saturating_sub(60);
            String::from_utf8_lossy(&bytes[from..(from + 200).min(bytes.len())]).into_owned()
        };
        let (was, is) = (context(bytes), context(&built[name]));
        assert!(*bytes == built[name], "{name} differs at {at:?}:\n was {was}\n is  {is}");
    }
}

#[test]
fn a_closed_log() {
    check("v1/closed");
}

#[test]
fn a_torn_log() {
    check("v1/torn");
}

#[test]
fn snapshots_and_a_log() {
    // What is packed is so short that the second compaction merges it.
    for (name, snapshots) in [("v1/compacted", 2), ("v2/compacted", 2), ("v2/packed", 1)] {
        check(name);
        let names: Vec<String> = stored(&fixtures().join(name)).into_keys().collect();
        let found = names.iter().filter(|name| name.ends_with(".snapshot")).count();
        assert_eq!(found, snapshots, "{names:?}");
    }
    let shown = |name| fs::read_to_string(fixtures().join(name)).unwrap();
    assert_eq!(shown("v1/compacted.jsonl"), shown("v2/compacted.jsonl"));
}

#[test]
fn the_documented_log() {
    let page = format_page();
    let block = page.split("```").find(|block| block.starts_with("text\n{\"pumice\":1")).unwrap();
    let documented = block.strip_prefix("text\n").unwrap();
    let built = || String::from_utf8(build::build(build::example).into_values().next().unwrap()).unwrap();
    let log = (0..10).map(|_| built()).find(|log| log == documented).unwrap_or_else(built);
    assert!(log == documented, "the log is:\n{log}");
}

/// The same time for every write.
struct Still;

impl pumice::Environment for Still {
    fn unix_millis(&self) -> u64 {
        1_790_000_000_000
    }

    fn random(&self, bytes: &mut [u8]) -> pumice::Result<()> {
        bytes.fill(1);
        Ok(())
    }
}

#[test]
fn the_documented_clients() {
    let page = format_page();
    let block = page.split("```").find(|block| block.contains("\"clients\":[[")).unwrap();
    let (records, clients) = block.strip_prefix("text\n").unwrap().trim_end().rsplit_once('\n').unwrap();

    let storage = MemoryStorage::new();
    let options = Options::new().compact_at(None).environment(Still);
    let db = Db::open_with(storage.clone(), options).unwrap();
    let submit = |number, fill: &dyn Fn(&mut Batch) -> pumice::Result<()>| {
        let mut batch = db.as_async().new_batch();
        fill(&mut batch).unwrap();
        let origin = Origin { client: "tab-1".into(), number, done: 0 };
        block_on(db.as_async().submit(batch, Some(origin)).unwrap().settled()).unwrap()
    };
    submit(1, &|b| b.put_raw("users", "ada", "{\"n\":1}").map(drop));
    submit(2, &|b| b.put_raw("users", "bob", "2.50")?.delete("users", "ada").map(drop));
    submit(3, &|b| b.put_raw("users", "cid", "null").map(drop));
    let text = |files: &Files| String::from_utf8(files.values().next_back().unwrap().clone()).unwrap();
    let log = text(&build::files_of(&storage));
    let of_the_client: Vec<_> = log.lines().filter(|line| line.contains("\"_c\"")).collect();
    assert_eq!(of_the_client.join("\n"), records);
    db.compact().unwrap();
    let mut files = build::files_of(&storage);
    files.retain(|name, _| name.ends_with(".log"));
    let header = text(&files);
    assert!(header.lines().next().unwrap().contains(&format!(",{clients},")), "{header}");
}
